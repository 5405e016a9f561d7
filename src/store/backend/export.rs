//! Reading the archive as a whole, on an SQL database.

use async_trait::async_trait;

use super::SqlStore;
use crate::domain::{Timestamp, UserId};
use crate::store::Result;
use crate::store::export::{self, ExportStore, Exportable, PageStart};
use crate::store::transfer::Moving;

#[async_trait]
impl ExportStore for SqlStore {
    async fn exportable(
        &self,
        user: UserId,
        from: PageStart,
        until: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<Exportable>> {
        let mut session = self.reading(format!("exporting the plays of user {}", user.0)).await?;
        export::read(&mut session, user, from, until, limit).await
    }

    fn moving(&self) -> Option<&dyn Moving> {
        Some(self)
    }
}
