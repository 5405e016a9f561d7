//! Imports, on an SQL database.

use async_trait::async_trait;

use super::super::{ImportBatch, ImportEnd, ImportStore, Result, imports};
use super::SqlStore;
use crate::domain::{ImportCounts, ImportId, Taken, Timestamp, Undone, UserId};

#[async_trait]
impl ImportStore for SqlStore {
    async fn begin_import(&self, user: UserId, digest: &str, at: Timestamp) -> Result<(ImportId, bool)> {
        let mut session = self.writing(format!("beginning an import of user {}", user.0)).await?;
        let begun = imports::begin(&mut session, user, digest, at).await?;
        session.commit(begun).await
    }

    async fn import_rows(&self, batch: &ImportBatch) -> Result<Option<Taken>> {
        let doing = format!("importing plays of user {}", batch.user.0);
        if batch.import.is_none() {
            return imports::take(&mut self.reading(doing).await?, batch).await;
        }
        let mut session = self.writing(doing).await?;
        let taken = imports::take(&mut session, batch).await?;
        session.commit(taken).await
    }

    async fn end_import(&self, end: &ImportEnd) -> Result<Option<ImportCounts>> {
        let doing = format!("ending an import of user {}", end.user.0);
        if end.import.is_none() {
            return imports::end(&mut self.reading(doing).await?, end).await;
        }
        let mut session = self.writing(doing).await?;
        let counts = imports::end(&mut session, end).await?;
        session.commit(counts).await
    }

    async fn undo_import(&self, import: ImportId) -> Result<Option<Undone>> {
        let doing = format!("taking back import {}", import.0);
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
