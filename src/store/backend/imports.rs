//! Imports, on an SQL database.

use async_trait::async_trait;

use super::super::imports::{self, Took};
use super::super::sql::met_another;
use super::super::{ImportBatch, ImportEnd, ImportStore, Result, StoreError};
use super::SqlStore;
use crate::domain::{ImportCounts, ImportId, Taken, Timestamp, Undone, UserId};

fn importing(batch: &ImportBatch) -> String {
    format!("importing plays of user {}", batch.user.0)
}

impl SqlStore {
    /// The numbers of a batch's tracks, and the newest that the import has seen. Those that nobody knew before are kept in a
    /// transaction of their own: meanwhile the batch before this one may be stored.
    async fn numbers(
        &self,
        batch: &ImportBatch,
        import: ImportId,
    ) -> Result<(Vec<i64>, Option<(i64, String)>)> {
        let seen = self.importing.of(import);
        let mut seen = seen.lock().await;
        let mut known = seen.numbers(&batch.tracks);
        let mut numbers = known.clone();
        if known.contains(&None) {
            let mut session = self.repeatable(importing(batch)).await?;
            if !imports::has(&mut session, seen.newest()).await? {
                seen.forget();
                known.fill(None);
                numbers.fill(None);
            }
            imports::number(&mut session, &batch.tracks, &mut numbers, true).await?;
            session.commit(()).await?;
        }
        let numbers: Vec<i64> = numbers.into_iter().flatten().collect();
        let new = (0..known.len()).filter(|n| known[*n].is_none());
        seen.keep(new.map(|n| (&batch.tracks[n], numbers[n])));
        Ok((numbers, seen.newest()))
    }

    async fn take_rows(&self, batch: &ImportBatch, import: ImportId) -> Result<Option<Taken>> {
        for _ in 0..2 {
            let (numbers, newest) = self.numbers(batch, import).await?;
            let mut session = self.repeatable(importing(batch)).await?;
            match imports::take(&mut session, batch, &numbers, newest).await? {
                Took::Taken(taken) => return session.commit(Some(taken)).await,
                Took::NotOpen => return Ok(None),
                Took::Lost => self.importing.of(import).lock().await.forget(),
            }
        }
        Err(StoreError::Broken {
            doing: importing(batch),
            source: "the database loses tracks that were committed".into(),
        })
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
            let mut numbers = vec![None; batch.tracks.len()];
            imports::number(&mut session, &batch.tracks, &mut numbers, false).await?;
            let numbers: Vec<i64> = numbers.into_iter().flatten().collect();
            return Ok(match imports::take(&mut session, batch, &numbers, None).await? {
                Took::Taken(taken) => Some(taken),
                Took::NotOpen | Took::Lost => None,
            });
        };
        match self.take_rows(batch, import).await {
            // One of two had to give way, and the other is through: of two imports of the same tracks, say.
            Err(error) if met_another(&error) => self.take_rows(batch, import).await,
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
