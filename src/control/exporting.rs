//! Exports: the archive of a user, page by page from the store to whoever reads.

use axum::body::Body;
use tokio_util::sync::CancellationToken;

use super::api::{ExportQuery, Problem};
use super::service::Service;
use super::stream::{self, Pieces};
use crate::archive::export::{Format, Ordered};
use crate::domain::{ExportedPlay, Timestamp, UserId, UserName, said};
use crate::store::StoreError;
use crate::store::export::{Exportable, PageStart};
use crate::telemetry::step;

/// How many plays are read at once.
const PAGE: i64 = 2_000;

/// Why an export ends early.
enum Ended {
    Store(StoreError),
    ReaderLeft,
}

impl Service {
    /// Everything that is known of a user's plays, oldest first. What fails on the way ends the body with an error; until
    /// `stop`.
    pub async fn export(
        &self,
        name: &UserName,
        query: ExportQuery,
        stop: CancellationToken,
    ) -> Result<Body, Problem> {
        let reader = self.reader(name).await?;
        let bounds = (reader.moment(query.since), reader.moment(query.until));
        let (user, service) = (reader.user, self.clone());
        Ok(stream::body(stop, |pieces| async move {
            match service.export_to(&pieces, user, query.format, bounds).await {
                Ok(()) | Err(Ended::ReaderLeft) => Ok(()),
                Err(Ended::Store(error)) => Err(said(&error)),
            }
        }))
    }

    async fn export_to(
        &self,
        pieces: &Pieces,
        user: UserId,
        format: Format,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<(), Ended> {
        let store = &self.parts().store;
        let send = async |plays: &[Exportable]| {
            let lines = format.lines(plays.iter().map(|one| &one.play as &ExportedPlay));
            pieces.send(lines).await.map_err(|_| Ended::ReaderLeft)
        };
        pieces.send(format.head()).await.map_err(|_| Ended::ReaderLeft)?;
        let mut ordered = Ordered::default();
        let mut from = since.map_or(PageStart::First, PageStart::Since);
        loop {
            let page = store.exportable(user, from, until, PAGE).await.map_err(Ended::Store)?;
            match page.last() {
                Some(last) => from = PageStart::After(last.place),
                None => break,
            }
            send(&ordered.page(page)).await?;
            step!("export-page");
        }
        send(&ordered.rest()).await
    }
}
