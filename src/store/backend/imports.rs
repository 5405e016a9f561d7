//! Imports, on an SQL database.

use async_trait::async_trait;

use super::super::imports::{self, Seen, Took};
use super::super::sql::met_another;
use super::super::{ImportBatch, ImportEnd, ImportStore, Result};
use super::SqlStore;
use crate::domain::{ImportCounts, ImportId, Taken, Timestamp, Undone, UserId};

fn importing(batch: &ImportBatch) -> String {
    format!("importing plays of user {}", batch.user.0)
}

impl SqlStore {
    async fn take_rows(&self, batch: &ImportBatch, seen: &mut Seen) -> Result<Option<Taken>> {
        let mut session = self.repeatable(importing(batch)).await?;
        let took = imports::take(&mut session, batch, seen).await?;
        let Some(Took { taken, found, rows }) = session.commit(took).await? else { return Ok(None) };
        seen.keep(rows, found.into_iter().map(|(n, number)| (&batch.tracks[n], number)));
        Ok(Some(taken))
    }
}

#[async_trait]
impl ImportStore for SqlStore {
    async fn begin_import(&self, user: UserId, digest: &str, at: Timestamp) -> Result<(ImportId, bool)> {
        let mut session = self.writing(format!("beginning an import of user {}", user.0)).await?;
        let begun = imports::begin(&mut session, user, digest, at).await?;
        session.commit(begun).await
    }

    async fn import_rows(&self, batch: &ImportBatch) -> Result<Option<Taken>> {
        let Some(import) = batch.import else {
            let mut session = self.reading(importing(batch)).await?;
            let took = imports::take(&mut session, batch, &mut Seen::default()).await?;
            return Ok(took.map(|took| took.taken));
        };
        let seen = self.importing.of(import);
        let mut seen = seen.lock().await;
        match self.take_rows(batch, &mut seen).await {
            // One of two had to give way, and the other is through: of two imports of the same tracks, say.
            Err(error) if met_another(&error) => self.take_rows(batch, &mut seen).await,
            taken => taken,
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
