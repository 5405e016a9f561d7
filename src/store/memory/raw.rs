//! The raw journal in memory.

use async_trait::async_trait;

use super::super::raw::{PageReplayed, RawPage, Replayed, first_after};
use super::super::{RawStore, Result};
use super::rows::Rows;
use super::{MemoryStore, archive};
use crate::domain::{Gap, RunId, Timestamp, UserId};

#[async_trait]
impl RawStore for MemoryStore {
    async fn keep_raw_page(&self, user: UserId, page: &RawPage) -> Result<()> {
        self.writing("keeping a page as it came", |rows, _| {
            if let Some(row) = rows.user_mut(user) {
                row.raw.entry((page.fetched_at, page.run)).or_insert_with(|| page.body.as_slice().into());
            }
        })
        .await
    }

    async fn raw_pages(
        &self,
        user: UserId,
        since: Option<Timestamp>,
        after: Option<(Timestamp, RunId)>,
        limit: i64,
    ) -> Result<Vec<RawPage>> {
        let limit = usize::try_from(limit.max(0)).unwrap_or(usize::MAX);
        self.reading("reading the raw journal of a user", |rows, _| {
            let kept = rows.user(user).into_iter().flat_map(|row| &row.raw);
            let wanted = kept.filter(|(key, _)| **key > first_after(since, after)).take(limit);
            wanted
                .map(|((at, run), body)| RawPage { fetched_at: *at, run: *run, body: body.to_vec() })
                .collect()
        })
        .await
    }

    async fn gaps_between(
        &self,
        user: UserId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Gap, Option<RunId>)>> {
        self.reading("reading some gaps of a user", |rows, _| {
            let gaps = rows.user(user).into_iter().flat_map(|row| &row.gaps);
            let mut found: Vec<_> = gaps
                .filter(|(gap, _)| gap.to >= from && gap.from <= to)
                .map(|(gap, run)| (gap.clone(), Some(*run)))
                .collect();
            found.sort_by_key(|(gap, _)| std::cmp::Reverse((gap.from, gap.to)));
            found
        })
        .await
    }

    async fn store_replayed(&self, page: &PageReplayed) -> Result<Replayed> {
        self.writing("storing a kept page", |rows, _| store(rows, page)).await
    }

    async fn prune_raw_pages(&self, older_than: Timestamp) -> Result<()> {
        self.writing("forgetting old pages of the raw journal", |rows, _| {
            let old = |(at, _): &(Timestamp, RunId)| *at < older_than;
            let whom: Vec<UserId> =
                rows.users.values().filter(|row| row.raw.keys().any(old)).map(|row| row.id).collect();
            for user in whom {
                if let Some(row) = rows.user_mut(user) {
                    row.raw.retain(|key, _| !old(key));
                }
            }
        })
        .await
    }
}

fn store(rows: &mut Rows, page: &PageReplayed) -> Replayed {
    let plays = archive::put_plays(rows, page.user, &page.plays);
    let Some(row) = rows.user_mut(page.user) else { return Replayed::default() };
    row.newest_played_at = row.newest_played_at.max(page.plays.iter().map(|play| play.played_at).max());
    let mut gaps = 0;
    for (known, _) in row.gaps.iter_mut().filter(|(known, _)| known.closed_at.is_none()) {
        let as_known = |gap: &&Gap| {
            (gap.from, gap.to, gap.cause, gap.at_most) == (known.from, known.to, known.cause, known.at_most)
        };
        if page.closed.iter().any(|gap| as_known(&gap)) {
            known.closed_at = Some(page.at);
            gaps += 1;
        }
    }
    archive::count_gaps(row);
    Replayed { plays: u64::try_from(plays).unwrap_or(0), gaps }
}
