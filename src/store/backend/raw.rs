//! The raw journal on an SQL database.

use async_trait::async_trait;

use super::super::raw::{self, PageReplayed, RawPage, Replayed};
use super::super::{RawStore, Result, gaps};
use super::SqlStore;
use crate::domain::{Gap, RunId, Timestamp, UserId};

#[async_trait]
impl RawStore for SqlStore {
    async fn keep_raw_page(&self, user: UserId, page: &RawPage) -> Result<()> {
        let mut session = self.noting(format!("keeping a page of user {} as it came", user.0)).await?;
        raw::keep(&mut session, user, page).await?;
        session.commit(()).await
    }

    async fn raw_pages(
        &self,
        user: UserId,
        since: Option<Timestamp>,
        after: Option<(Timestamp, RunId)>,
        limit: i64,
    ) -> Result<Vec<RawPage>> {
        let mut session = self.reading(format!("reading the raw journal of user {}", user.0)).await?;
        raw::read(&mut session, user, since, after, limit).await
    }

    async fn gaps_between(
        &self,
        user: UserId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Gap, Option<RunId>)>> {
        let mut session = self.reading(format!("reading some gaps of user {}", user.0)).await?;
        gaps::between(&mut session, user, from, to).await
    }

    async fn store_replayed(&self, page: &PageReplayed) -> Result<Replayed> {
        let mut session = self.writing(format!("storing a kept page of user {}", page.user.0)).await?;
        let replayed = raw::store(&mut session, page).await?;
        session.commit(replayed).await
    }

    async fn prune_raw_pages(&self, older_than: Timestamp) -> Result<()> {
        loop {
            let mut session = self.writing("forgetting old pages of the raw journal").await?;
            let more = raw::prune(&mut session, older_than).await?;
            if !session.commit(more).await? {
                return Ok(());
            }
        }
    }
}
