//! Imports: begun, ended and undone. What a batch of rows becomes is in `rows.rs`, the tracks it names in `tracks.rs`, what
//! becomes of gaps in `covered.rs`.

mod covered;
mod meet;
mod rows;
mod seen;
mod tracks;
mod undo;

use std::time::Duration;

use async_trait::async_trait;

pub use covered::narrow;
pub use meet::{adopt, meet};
pub use rows::{Batch, Took, take};
pub use seen::{Importing, Known, Seen};
pub use tracks::{Keep, numbers};
pub use undo::{delete_some, restore};

use super::sql::{Row, Session, params};
use super::{Result, StoreError};
use crate::domain::{
    Covered, ImportCounts, ImportId, ImportRow, ImportedTrack, Taken, Timestamp, Undone, UserId,
};

/// Rows of an import, in the order of their times. Rows of other batches lie further off than two sides can disagree
/// about one play.
#[derive(Debug, Clone)]
pub struct ImportBatch {
    /// Whose plays.
    pub user: UserId,
    /// Which import; `None`: it is only asked what would become of the rows.
    pub import: Option<ImportId>,
    /// Who has given the tracks their numbers.
    pub reader: i64,
    /// Rows that were played for less are kept apart.
    pub threshold: Duration,
    /// What the rows are of, as far as the same reader has not told it in a batch that was taken.
    pub tracks: Vec<ImportedTrack>,
    /// The rows; each names one of the tracks.
    pub rows: Vec<ImportRow>,
}

/// The end of an import.
#[derive(Debug, Clone)]
pub struct ImportEnd {
    /// Whose.
    pub user: UserId,
    /// Which one; `None`: it is only asked what it would come to.
    pub import: Option<ImportId>,
    /// When it ended.
    pub at: Timestamp,
    /// What became of its rows, as far as the reader of the files knows.
    pub counts: ImportCounts,
    /// What the files have everything of.
    pub covered: Vec<Covered>,
}

/// The part of the store that imports work on. Where there is no database there are none.
#[async_trait]
pub trait ImportStore: Send + Sync + 'static {
    /// Puts an import on record, or finds the one of these files that was broken off (true).
    async fn begin_import(&self, user: UserId, digest: &str, at: Timestamp) -> Result<(ImportId, bool)>;
    /// Keeps the tracks that are new, and the rows whose plays are not there yet, each in one transaction; the same batch
    /// again changes nothing. `None`: the import is not open.
    /// Where a row is of a track that nobody has told, or the database has lost it, the import has
    /// to be begun again.
    async fn import_rows(&self, batch: &ImportBatch) -> Result<Option<Taken>>;
    /// Counts what came of it, and closes or narrows the gaps that it covers. Repeated, it answers the same. `None`: there is no such
    /// import, or it was undone.
    async fn end_import(&self, end: &ImportEnd) -> Result<Option<ImportCounts>>;
    /// Takes back what an import has added and changed. `None`: there is no such import, or it was undone before.
    async fn undo_import(&self, import: ImportId) -> Result<Option<Undone>>;
}

/// Whose import it is, and its state.
pub async fn state(session: &mut Session, import: ImportId) -> Result<Option<(UserId, String)>> {
    session
        .first("SELECT user_id, state FROM imports WHERE id = $1", params![import], |row| {
            Ok((row.get("user_id")?, row.get("state")?))
        })
        .await
}

/// Whether it is an open import of this user's.
pub async fn is_open(session: &mut Session, user: UserId, import: ImportId) -> Result<bool> {
    let state = state(session, import).await?;
    Ok(state.is_some_and(|(whose, state)| whose == user && state == "open"))
}

/// Counts the rows of a batch to an open import of this user's; how many it has had. `None`: it is not open.
pub async fn counted(
    session: &mut Session,
    user: UserId,
    import: ImportId,
    rows: usize,
) -> Result<Option<i64>> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    session
        .first(
            "UPDATE imports SET rows_read = rows_read + $3 WHERE id = $1 AND user_id = $2 AND state = 'open'
             RETURNING rows_read",
            params![import, user, rows],
            |row| row.get("rows_read"),
        )
        .await
}

pub async fn begin(
    session: &mut Session,
    user: UserId,
    digest: &str,
    at: Timestamp,
) -> Result<(ImportId, bool)> {
    session.lock_user(user).await?;
    let open = session
        .first(
            "SELECT id FROM imports WHERE user_id = $1 AND digest = $2 AND state = 'open' ORDER BY id DESC LIMIT 1",
            params![user, digest],
            |row| row.get("id"),
        )
        .await?;
    if let Some(id) = open {
        // From here on they are counted again, and each must be there at the end.
        session.run("UPDATE imports SET rows_read = 0 WHERE id = $1", params![id]).await?;
        return Ok((id, true));
    }
    let id = session
        .one(
            "INSERT INTO imports (user_id, digest, begun_at) VALUES ($1, $2, $3) RETURNING id",
            params![user, digest, at],
            |row| row.get("id"),
        )
        .await?;
    Ok((id, false))
}

pub async fn end(session: &mut Session, end: &ImportEnd) -> Result<Option<ImportCounts>> {
    let mut counts = end.counts;
    let Some(import) = end.import else {
        let gaps = covered::asked(session, end).await?;
        (counts.gaps_closed, counts.gaps_narrowed) = (gaps.closed, gaps.narrowed);
        return Ok(Some(counts));
    };
    session.lock_user(end.user).await?;
    match state(session, import).await? {
        Some((user, state)) if user == end.user && state == "open" => {}
        Some((user, state)) if user == end.user && state == "done" => {
            return counts_of(session, import).await;
        }
        _ => return Ok(None),
    }
    let not_yet = |why: String| StoreError::Unavailable {
        doing: format!("ending import {}", import.0),
        source: why.into(),
    };
    if let Some(undone) = undo::half_undone(session, end.user).await? {
        let undone = undone.0;
        return Err(not_yet(format!(
            "import {undone}, which may have the same plays, is being taken back: once `longplay import --undo {undone}` has ended, run the same import command again"
        )));
    }
    if !has_all(session, import, &end.counts).await? {
        return Err(not_yet(
            "rows of it are gone, since another import was taken back meanwhile, or the database came back after a failure or was replaced: run the same import command again".to_owned(),
        ));
    }
    // What is there now counts, however often the import was broken off.
    let imported = added(session, end.user, import).await?;
    counts.already_there += counts.imported - imported;
    counts.imported = imported;
    let gaps = covered::keep(session, end, import).await?;
    (counts.gaps_closed, counts.gaps_narrowed) = (gaps.closed, gaps.narrowed);
    session
        .run(
            "UPDATE imports SET state = 'done', ended_at = $2, rows_read = $3, imported = $4, already_there = $5,
               below_threshold = $6, podcasts = $7, audiobooks = $8, without_track = $9, unreadable = $10,
               gaps_closed = $11, gaps_narrowed = $12
             WHERE id = $1",
            params![
                import,
                end.at,
                counts.read,
                counts.imported,
                counts.already_there,
                counts.below_threshold,
                counts.podcasts,
                counts.audiobooks,
                counts.without_track,
                counts.unreadable,
                counts.gaps_closed,
                counts.gaps_narrowed,
            ],
        )
        .await?;
    Ok(Some(counts))
}

/// Whether the batches that were taken since the import was begun or gone on with are all there: each alone is not synced.
async fn has_all(session: &mut Session, import: ImportId, counts: &ImportCounts) -> Result<bool> {
    let taken = counts.imported + counts.already_there + counts.below_threshold;
    let sql = "SELECT rows_read FROM imports WHERE id = $1";
    let there: i64 = session.one(sql, params![import], |row| row.get("rows_read")).await?;
    Ok(there >= taken)
}

/// How many plays are there because of the import alone: what it knew more exactly was there before.
async fn added(session: &mut Session, user: UserId, import: ImportId) -> Result<i64> {
    session
        .one(
            "SELECT (SELECT count(*) FROM plays WHERE user_id = $1 AND import_id = $2)
               - (SELECT count(*) FROM import_changes JOIN plays ON plays.user_id = $1
                    AND plays.played_at = import_changes.played_at AND plays.track_id = import_changes.track_id
                    AND plays.import_id = $2
                  WHERE import_changes.user_id = $1 AND import_changes.import_id = $2
                    AND import_changes.short = FALSE) AS added",
            params![user, import],
            |row| row.get("added"),
        )
        .await
}

async fn counts_of(session: &mut Session, import: ImportId) -> Result<Option<ImportCounts>> {
    session
        .first(
            "SELECT rows_read, imported, already_there, below_threshold, podcasts, audiobooks, without_track,
               unreadable, gaps_closed, gaps_narrowed
             FROM imports WHERE id = $1",
            params![import],
            |row: &Row| {
                Ok(ImportCounts {
                    read: row.get("rows_read")?,
                    imported: row.get("imported")?,
                    already_there: row.get("already_there")?,
                    below_threshold: row.get("below_threshold")?,
                    podcasts: row.get("podcasts")?,
                    audiobooks: row.get("audiobooks")?,
                    without_track: row.get("without_track")?,
                    unreadable: row.get("unreadable")?,
                    gaps_closed: row.get("gaps_closed")?,
                    gaps_narrowed: row.get("gaps_narrowed")?,
                })
            },
        )
        .await
}
