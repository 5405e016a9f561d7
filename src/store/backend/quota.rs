//! The ledger of calls on an SQL database.

use std::time::Duration;

use async_trait::async_trait;

use super::super::quota::{self, CallsTaken, CallsWanted};
use super::super::{QuotaStore, Result};
use super::SqlStore;

#[async_trait]
impl QuotaStore for SqlStore {
    async fn take_calls(&self, wanted: &CallsWanted) -> Result<CallsTaken> {
        let mut session = self.writing("taking calls of the day's quota").await?;
        let taken = quota::take(&mut session, wanted).await?;
        session.commit(taken).await
    }

    async fn calls_taken(&self, group: &str) -> Result<Vec<(Duration, u32)>> {
        let mut session = self.reading("counting the day's calls").await?;
        let (now, day) = (session.now().await?, quota::day(&mut session, group).await?);
        Ok(quota::counting(&day, now))
    }
}
