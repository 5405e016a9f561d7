//! What is read of the archive, on an SQL database.

use std::time::Duration;

use async_trait::async_trait;

use super::super::{PlayPage, PlayQuery, ReadStore, Result, heard, plays, top};
use super::{Database, SqlStore};
use crate::domain::{Listening, Shift, Timestamp, TopArtist, TopEntry, TopKind, UserId};

#[async_trait]
impl ReadStore for SqlStore {
    async fn page_of_plays(&self, user: UserId, query: PlayQuery) -> Result<PlayPage> {
        let mut session = self.reading(format!("reading the plays of user {}", user.0)).await?;
        plays::page(&mut session, user, query).await
    }

    async fn first_played(&self, user: UserId, since: Option<Timestamp>) -> Result<Option<Timestamp>> {
        let mut session = self.reading(format!("reading the first play of user {}", user.0)).await?;
        plays::first(&mut session, user, since).await
    }

    async fn claimed(&self, user: UserId) -> Result<Option<(Timestamp, Timestamp)>> {
        let mut session = self.reading(format!("reading since when user {} is archived", user.0)).await?;
        plays::claimed(&mut session, user).await
    }

    async fn count(&self, user: UserId, slot: Duration) -> Result<()> {
        let doing = format!("counting the plays of user {}", user.0);
        let mut session = self.reading(doing.clone()).await?;
        if !heard::is_due(&mut session, user, slot).await? {
            return Ok(());
        }
        drop(session);
        // Who counts keeps a connection for seconds.
        let Ok(_one) = self.counting.try_lock() else { return Ok(()) };
        let mut session = self.writing(doing.clone()).await?;
        let anew = heard::count(&mut session, user, slot).await?;
        session.commit(()).await?;
        if anew && matches!(self.database, Database::Postgres(_)) {
            let mut session = self.writing(doing).await?;
            heard::analyze(&mut session).await?;
            session.commit(()).await?;
        }
        Ok(())
    }

    async fn top(
        &self,
        user: UserId,
        kind: TopKind,
        since: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<TopEntry>> {
        let mut session = self.reading(format!("reading the top list of user {}", user.0)).await?;
        top::top(&mut session, user, kind, since, limit).await
    }

    async fn listening(&self, user: UserId, shifts: &[Shift]) -> Result<Listening> {
        let mut session = self.reading(format!("reading when user {} listened", user.0)).await?;
        top::listening(&mut session, user, shifts).await
    }

    async fn top_artists(&self, user: UserId) -> Result<Vec<TopArtist>> {
        let mut session = self.reading(format!("reading the top artists of user {}", user.0)).await?;
        top::top_artists(&mut session, user).await
    }
}
