//! The raw journal: Spotify's pages as they came, compressed, for as long as the configuration says; and what is archived
//! of them afterwards.

use async_trait::async_trait;

use super::sql::{Session, params};
use super::{Result, gaps, pages};
use crate::domain::{Gap, Play, RunId, Timestamp, UserId};

/// How many rows are deleted at a time, so that others never wait long: they are large.
const PRUNED_AT_ONCE: i64 = 500;

/// The part of the store that keeps pages as they came. Every method is one transaction, as those of [`super::Store`] are.
#[async_trait]
pub trait RawStore: Send + Sync + 'static {
    /// Keeps a page; a repetition changes nothing, and nothing is kept of users who are gone. On SQLite a power failure
    /// may take it until the next commit.
    async fn keep_raw_page(&self, user: UserId, page: &RawPage) -> Result<()>;
    /// The pages that were fetched then or later and after this one, the oldest first, `limit` at most.
    async fn raw_pages(
        &self,
        user: UserId,
        since: Option<Timestamp>,
        after: Option<(Timestamp, RunId)>,
        limit: i64,
    ) -> Result<Vec<RawPage>>;
    /// The gaps that have a moment of this stretch, newest first, each with the run that found it.
    async fn gaps_between(
        &self,
        user: UserId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Gap, Option<RunId>)>>;
    /// Stores what a kept page shows and the archive lacks. Of runs nothing changes, nor when the user is due.
    async fn store_replayed(&self, page: &PageReplayed) -> Result<Replayed>;
    /// Forgets the pages that were fetched before; many small transactions.
    async fn prune_raw_pages(&self, older_than: Timestamp) -> Result<()>;
}

/// A page as Spotify sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPage {
    /// When it was fetched: the present that it is read at.
    pub fetched_at: Timestamp,
    /// By which run.
    pub run: RunId,
    /// The body, compressed.
    pub body: Vec<u8>,
}

/// What the archive lacks of a kept page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageReplayed {
    /// Whose page.
    pub user: UserId,
    /// The run that fetched it.
    pub run: RunId,
    /// What it holds that was not stored; what is stored by now is left alone.
    pub plays: Vec<Play>,
    /// The gaps on record that it shows to hold nothing more; one that has changed since it was read stays as it is.
    pub closed: Vec<Gap>,
    /// When this happens.
    pub at: Timestamp,
}

/// What a kept page added to the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many plays were new.
    pub plays: u64,
    /// How many gaps were closed.
    pub gaps: u64,
}

pub async fn keep(session: &mut Session, user: UserId, page: &RawPage) -> Result<()> {
    session
        .run(
            "INSERT INTO raw_pages (user_id, fetched_at, run_id, body)
             SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM users WHERE id = $1)
             ON CONFLICT (user_id, fetched_at, run_id) DO NOTHING",
            params![user, page.fetched_at, page.run, &page.body],
        )
        .await?;
    Ok(())
}

pub async fn read(
    session: &mut Session,
    user: UserId,
    since: Option<Timestamp>,
    after: Option<(Timestamp, RunId)>,
    limit: i64,
) -> Result<Vec<RawPage>> {
    let (at, run) = first_after(since, after);
    session
        .all(
            "SELECT fetched_at, run_id, body FROM raw_pages
             WHERE user_id = $1 AND (fetched_at, run_id) > ($2, $3)
             ORDER BY fetched_at, run_id LIMIT $4",
            params![user, at, run, limit.max(0)],
            |row| {
                Ok(RawPage {
                    fetched_at: row.get("fetched_at")?,
                    run: row.get("run_id")?,
                    body: row.get("body")?,
                })
            },
        )
        .await
}

/// What comes before all that is wanted.
pub(super) fn first_after(since: Option<Timestamp>, after: Option<(Timestamp, RunId)>) -> (Timestamp, RunId) {
    let since = since.unwrap_or(Timestamp::from_millis(i64::MIN)).offset_millis(-1);
    let before = (since, RunId(i64::MAX));
    after.map_or(before, |after| after.max(before))
}

/// Plays before the user's row, as a run takes them: in another order the two could wait for each other.
pub async fn store(session: &mut Session, page: &PageReplayed) -> Result<Replayed> {
    let plays = pages::store_plays(session, page.user, page.run, &page.plays, true).await?;
    session
        .run(
            "UPDATE users SET plays = plays + $2,
               newest_played_at = CASE WHEN newest_played_at >= $3 THEN newest_played_at
                 ELSE COALESCE($3, newest_played_at) END
             WHERE id = $1",
            params![
                page.user,
                i64::try_from(plays).unwrap_or(i64::MAX),
                page.plays.iter().map(|play| play.played_at).max(),
            ],
        )
        .await?;
    let gaps = gaps::close(session, page.user, &page.closed, page.at).await?;
    Ok(Replayed { plays, gaps })
}

/// Deletes some of the pages from before; false when none is left.
pub async fn prune(session: &mut Session, older_than: Timestamp) -> Result<bool> {
    let deleted = session
        .run(
            "DELETE FROM raw_pages WHERE (user_id, fetched_at, run_id) IN
               (SELECT user_id, fetched_at, run_id FROM raw_pages WHERE fetched_at < $1 LIMIT $2)",
            params![older_than, PRUNED_AT_ONCE],
        )
        .await?;
    Ok(deleted > 0)
}
