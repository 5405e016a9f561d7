//! Imports, on an SQL database.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::super::imports::{self, Batch, Keep, Seen, Took};
use super::super::sql::met_another;
use super::super::{ImportBatch, ImportEnd, ImportStore, Result, StoreError};
use super::SqlStore;
use crate::domain::{ImportCounts, ImportId, Taken, Timestamp, Undone, UserId};

fn importing(batch: &ImportBatch) -> String {
    format!("importing plays of user {}", batch.user.0)
}

/// What an import needs that can't go on.
fn begin_again(doing: String) -> StoreError {
    StoreError::Unavailable {
        doing,
        source: "the daemon was restarted meanwhile, the database came back after a failure, or another command goes on \
                 with this import: run the same import command again"
            .into(),
    }
}

impl SqlStore {
    /// Keeps the tracks that nobody knew, in a transaction of their own: meanwhile the rows of the batch before may be kept.
    async fn tell<'b>(
        &self,
        batch: &'b ImportBatch,
        seen: &mut Seen,
        keep: Keep,
    ) -> Result<Option<Batch<'b>>> {
        let untold = seen.untold(&batch.tracks);
        if !untold.is_empty() {
            let mut session = match keep {
                Keep::Not => self.reading(importing(batch)).await?,
                Keep::Alone | Keep::WithOthers => self.repeatable(importing(batch)).await?,
            };
            // Tracks are never deleted: nobody leaves some who has no import.
            if let Some(import) = batch.import
                && !imports::is_open(&mut session, batch.user, import).await?
            {
                return Ok(None);
            }
            let ids = imports::numbers(&mut session, &untold, keep).await?;
            session.commit(()).await?;
            untold.iter().zip(ids).for_each(|(track, id)| seen.keep(track, id));
        }
        let again = || begin_again(importing(batch));
        let tracks = seen.all(batch.rows.iter().map(|row| row.track)).ok_or_else(again)?;
        let told = seen.all(batch.tracks.iter().map(|track| track.number)).ok_or_else(again)?;
        Ok(Some(Batch { sent: batch, tracks, told, before: None }))
    }

    async fn take(&self, batch: &Batch<'_>, is_over: &AtomicBool) -> Result<Took> {
        let mut session = self.repeatable(importing(batch.sent)).await?;
        let took = imports::take(&mut session, batch, is_over).await?;
        match took {
            Took::Rows(..) => session.commit(took).await,
            Took::NotOpen | Took::Lost => Ok(took),
        }
    }
}

#[async_trait]
impl ImportStore for SqlStore {
    async fn begin_import(&self, user: UserId, digest: &str, at: Timestamp) -> Result<(ImportId, bool)> {
        let mut session = self.writing(format!("beginning an import of user {}", user.0)).await?;
        let begun = imports::begin(&mut session, user, digest, at).await?;
        // Batches of whoever had begun with it wait for the user's row, and come too late.
        self.importing.forget(begun.0);
        session.commit(begun).await
    }

    async fn import_rows(&self, batch: &ImportBatch) -> Result<Option<Taken>> {
        let Some(import) = batch.import else {
            let Some(told) = self.tell(batch, &mut Seen::default(), Keep::Not).await? else {
                return Ok(None);
            };
            let mut session = self.reading(importing(batch)).await?;
            let took = imports::take(&mut session, &told, &AtomicBool::new(false)).await?;
            return Ok(match took {
                Took::Rows(taken, _) => Some(taken),
                Took::NotOpen | Took::Lost => None,
            });
        };
        let all = self.importing.of(import, batch.reader);
        let told = {
            let mut seen = all.tracks.lock().await;
            let told = match self.tell(batch, &mut seen, Keep::Alone).await {
                // One of two had to give way, and the other is through: of two imports of the same tracks, say.
                Err(error) if met_another(&error) => self.tell(batch, &mut seen, Keep::WithOthers).await?,
                told => told?,
            };
            all.remembered.store(seen.remembered(), Ordering::Relaxed);
            told
        };
        let Some(mut told) = told else {
            self.importing.forget_reader(import, batch.reader);
            return Ok(None);
        };
        let mut rows = all.rows.lock().await;
        told.before = *rows;
        let took = match self.take(&told, &all.is_over).await {
            Err(error) if met_another(&error) => self.take(&told, &all.is_over).await?,
            took => took?,
        };
        match took {
            Took::Rows(taken, had) => {
                *rows = Some(had);
                // Without rows nothing would show that they were lost.
                if !batch.rows.is_empty() {
                    told.told.iter().for_each(|known| known.is_sure.store(true, Ordering::Relaxed));
                }
                Ok(Some(taken))
            }
            Took::NotOpen => {
                self.importing.forget_reader(import, batch.reader);
                Ok(None)
            }
            Took::Lost => {
                self.importing.forget_reader(import, batch.reader);
                Err(begin_again(importing(batch)))
            }
        }
    }

    async fn end_import(&self, end: &ImportEnd) -> Result<Option<ImportCounts>> {
        let doing = format!("ending an import of user {}", end.user.0);
        let Some(import) = end.import else {
            return imports::end(&mut self.reading(doing).await?, end).await;
        };
        self.importing.forget(import);
        let mut session = self.writing(doing).await?;
        let counts = imports::end(&mut session, end).await?;
        session.commit(counts).await
    }

    async fn undo_import(&self, import: ImportId) -> Result<Option<Undone>> {
        let doing = format!("taking back import {}", import.0);
        self.importing.forget(import);
        let mut session = self.writing(doing.clone()).await?;
        let restored = imports::restore(&mut session, import).await?;
        let Some((user, mut undone)) = session.commit(restored).await? else { return Ok(None) };
        let mut after = Timestamp::from_millis(i64::MIN);
        loop {
            let mut session = self.writing(doing.clone()).await?;
            let deleted = imports::delete_some(&mut session, user, import, after).await?;
            let Some((some, upto)) = session.commit(deleted).await? else { return Ok(Some(undone)) };
            undone.plays += some.plays;
            undone.short_plays += some.short_plays;
            after = upto;
        }
    }
}
