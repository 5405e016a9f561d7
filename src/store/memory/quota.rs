//! The ledger of calls in memory.

use std::time::Duration;

use async_trait::async_trait;

use super::super::quota::{self, CallsTaken, CallsWanted};
use super::super::{QuotaStore, Result};
use super::MemoryStore;

#[async_trait]
impl QuotaStore for MemoryStore {
    async fn take_calls(&self, wanted: &CallsWanted) -> Result<CallsTaken> {
        self.writing("taking calls of the day's quota", |rows, now| {
            quota::settle(rows.calls.entry(wanted.group.clone()).or_default(), wanted, now)
        })
        .await
    }

    async fn calls_taken(&self, group: &str) -> Result<Vec<(Duration, u32)>> {
        self.reading("counting the day's calls", |rows, now| {
            rows.calls.get(group).map(|day| quota::counting(day, now)).unwrap_or_default()
        })
        .await
    }
}
