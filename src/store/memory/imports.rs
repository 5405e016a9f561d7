//! Imports need a database: nobody imports into a simulation.

use async_trait::async_trait;

use super::super::{ImportBatch, ImportEnd, ImportStore, Result, StoreError};
use super::MemoryStore;
use crate::domain::{ImportCounts, ImportId, Taken, Timestamp, Undone, UserId};

fn refused<T>(doing: &str) -> Result<T> {
    Err(StoreError::Broken { doing: doing.to_owned(), source: "a store in memory takes no imports".into() })
}

#[async_trait]
impl ImportStore for MemoryStore {
    async fn begin_import(&self, _: UserId, _: &str, _: Timestamp) -> Result<(ImportId, bool)> {
        refused("beginning an import")
    }

    async fn import_rows(&self, _: &ImportBatch) -> Result<Option<Taken>> {
        refused("importing plays")
    }

    async fn end_import(&self, _: &ImportEnd) -> Result<Option<ImportCounts>> {
        refused("ending an import")
    }

    async fn undo_import(&self, _: ImportId) -> Result<Option<Undone>> {
        refused("taking back an import")
    }
}
