//! The store as a whole: backed up while it is in use, and copied into another that is used instead. During a copy
//! nothing is refreshed or archived, so that the copy has the newest tokens; afterwards nothing is any more, so that no
//! token is refreshed in two stores.

use std::fs::File;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::api::{Problem, StoreCopied, Word};
use super::service::Service;
use super::stream;
use crate::store::transfer::{TableCopied, Tell};
use crate::telemetry::step;

/// How long refreshes and runs that are under way get to end before a copy. A lease is 90 s.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
/// How often is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of a back-up is read at once.
const PIECE: usize = 256 * 1024;

/// A back-up, in a file that has no name any more: it goes with this.
pub struct BackUp {
    /// From its beginning.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// What is in it.
    pub tables: Vec<TableCopied>,
}

/// A copy of the store under way.
#[async_trait]
pub trait Copying: Send + Sync {
    /// Why nothing is refreshed meanwhile; `None` where nothing was before either.
    fn held(&self) -> Option<String>;
    /// Why nothing is refreshed afterwards.
    fn moved(&self) -> String;
    /// How many refreshes and runs are under way.
    async fn under_way(&self) -> Result<u64, Problem>;
    /// Copies everything, up to the commit.
    async fn copy(&mut self, tell: Tell<'_>) -> Result<(), Problem>;
    /// Commits it. From before that on the store says that it was copied.
    async fn finish(&mut self) -> Result<StoreCopied, Problem>;
    /// Gives it up: refreshes go on here.
    async fn let_go(&mut self) -> Result<(), Problem>;
}

impl Service {
    /// A back-up, from its beginning, with its length and what is in it.
    pub async fn back_up(&self, stop: CancellationToken) -> Result<(Body, u64, Vec<TableCopied>), Problem> {
        let BackUp { file, bytes, tables } = self.caretaker()?.back_up().await?;
        let mut file = tokio::fs::File::from_std(file);
        let body = stream::body(stop, |pieces| async move {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read =
                    file.read_buf(&mut piece).await.map_err(|e| format!("reading the back-up: {e}"))?;
                step!("backup-piece");
                if read == 0 || pieces.send(piece).await.is_err() {
                    return Ok(());
                }
            }
        });
        Ok((body, bytes, tables))
    }

    /// Copies the store to the one that a URL names, unless it is cancelled. It always comes to an end of its own, so it
    /// is never to be dropped half-way.
    pub async fn copy_to(
        &self,
        url: &str,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<StoreCopied, Problem> {
        let _awaited = self.0.copies.token();
        let mut copying = self.caretaker()?.begin_copy(url).await?;
        let prepared = tokio::select! {
            () = cancel.cancelled() => {
                Err(Problem::new(Word::Stopping, 503, "the copy was given up, and nothing was copied"))
            }
            prepared = self.prepare(&mut *copying, tell) => prepared,
        };
        let copied = match prepared {
            Ok(()) => copying.finish().await,
            Err(problem) => Err(problem),
        };
        match copied {
            Ok(copied) => {
                tracing::info!("{} was copied to {}", copied.from, copied.to);
                self.say(Some(&copying.moved())).await;
                Ok(copied)
            }
            Err(problem) => {
                let was_held = copying.held().is_some();
                match copying.let_go().await {
                    Ok(()) if was_held => self.say(None).await,
                    Ok(()) => {}
                    Err(error) => tracing::warn!(
                        "the copy was given up, and nothing is refreshed until `longplay adopt`: {}",
                        error.detail
                    ),
                }
                Err(problem)
            }
        }
    }

    /// Who must know of it is looked for again: what has been done stays done.
    async fn say(&self, refused: Option<&str>) {
        if let Err(problem) = self.accepted(refused).await {
            tracing::warn!("{}", problem.detail);
        }
    }

    async fn prepare(&self, copying: &mut dyn Copying, tell: Tell<'_>) -> Result<(), Problem> {
        if let Some(why) = copying.held() {
            self.accepted(Some(&why)).await?;
        }
        step!("copy-held");
        let clock = &self.parts().clock;
        let began = clock.boot();
        while self.logins_under_way() > 0 || copying.under_way().await? > 0 {
            if clock.boot().since(began) > QUIET_WITHIN {
                let detail = "refreshes or runs that are under way don't come to their end: nothing was copied; `longplay status` tells of whom";
                return Err(Problem::later(Word::Waiting, detail, Duration::from_secs(60)));
            }
            clock.sleep(LOOK_EVERY).await;
        }
        copying.copy(tell).await
    }
}
