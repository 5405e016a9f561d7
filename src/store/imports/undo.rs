//! An import taken back: first what it changed, in one transaction, then what it added, in many short ones. Broken off,
//! it goes on where it was.

use super::super::Result;
use super::super::sql::{Session, params};
use super::{covered, state};
use crate::domain::{Covered, ImportId, Timestamp, Undone, UserId};

/// How many rows one transaction deletes.
const AT_ONCE: i64 = 20_000;

/// Puts back what the import changed, opens the gaps that it closed or narrowed, and counts it as undone. What later
/// imports found there and is no more is not theirs: they are named, and the gaps that they closed there are open again.
/// `None`: there is nothing to be taken back.
pub async fn restore(session: &mut Session, import: ImportId) -> Result<Option<(UserId, Undone)>> {
    let Some((user, was)) = state(session, import).await? else { return Ok(None) };
    session.lock_user(user).await?;
    if was == "undone" && !has_rows(session, user, import).await? {
        return Ok(None);
    }
    let mut undone = Undone::default();
    for (short, sql) in [(false, PLAYS), (true, SHORT_PLAYS)] {
        session.run(INHERIT, params![user, import, short]).await?;
        session.run(sql.forget, params![user, import, short]).await?;
        let lengthened = session.run(sql.shorten, params![user, import, short]).await?;
        session.run(sql.settle, params![user, import, short]).await?;
        let deleted = session.run(sql.delete, params![user, import, short]).await?;
        let restored = session.run(sql.put_back, params![user, import, short]).await?;
        undone.restored += count(lengthened + restored);
        if !short {
            let more = count(restored) - count(deleted);
            session.run("UPDATE users SET plays = plays + $2 WHERE id = $1", params![user, more]).await?;
        }
    }
    session
        .run("DELETE FROM import_changes WHERE user_id = $1 AND import_id = $2", params![user, import])
        .await?;
    if let Some(taken) = stretch(session, user, import).await? {
        undone.also_in = later(session, user, import, taken).await?;
        undone.gaps = covered::forget(session, user, import, Some(taken), &undone.also_in).await?;
    } else {
        undone.gaps = covered::forget(session, user, import, None, &[]).await?;
    }
    session.run("UPDATE imports SET state = 'undone' WHERE id = $1", params![import]).await?;
    session.run(BEGIN_AGAIN, params![user]).await?;
    Ok(Some((user, undone)))
}

/// An import that goes on meanwhile may have found plays that go: it needs all its rows once more.
const BEGIN_AGAIN: &str = "UPDATE imports SET rows_read = 0 WHERE user_id = $1 AND state = 'open'";

/// An import that was taken back, and has rows nevertheless: that goes on, or was broken off.
pub async fn half_undone(session: &mut Session, user: UserId) -> Result<Option<ImportId>> {
    session
        .first(
            "SELECT id FROM imports WHERE user_id = $1 AND state = 'undone'
               AND (EXISTS (SELECT 1 FROM plays WHERE plays.user_id = $1 AND plays.import_id = imports.id)
                 OR EXISTS (SELECT 1 FROM short_plays WHERE short_plays.user_id = $1 AND short_plays.import_id = imports.id))
             ORDER BY id LIMIT 1",
            params![user],
            |row| row.get("id"),
        )
        .await
}

/// From the first to the last play that goes.
async fn stretch(session: &mut Session, user: UserId, import: ImportId) -> Result<Option<Covered>> {
    let stretch: (Option<Timestamp>, Option<Timestamp>) = session
        .one(
            "SELECT min(played_at) AS from_at, max(played_at) AS to_at FROM plays
             WHERE user_id = $1 AND import_id = $2",
            params![user, import],
            |row| Ok((row.maybe("from_at")?, row.maybe("to_at")?)),
        )
        .await?;
    Ok(stretch.0.zip(stretch.1).map(|(from, to)| Covered { from, to }))
}

/// Those that ended when the plays of this one were there, and that may have found some of those that go: nothing is kept
/// of a row whose play was there.
async fn later(
    session: &mut Session,
    user: UserId,
    import: ImportId,
    taken: Covered,
) -> Result<Vec<ImportId>> {
    session
        .all(
            "SELECT others.id FROM imports JOIN imports AS others
               ON others.user_id = imports.user_id AND others.id <> imports.id
             WHERE imports.id = $2 AND others.user_id = $1 AND others.state = 'done' AND others.already_there > 0
               AND others.ended_at >= imports.begun_at
               AND (NOT EXISTS (SELECT 1 FROM import_stretches AS theirs
                   WHERE theirs.user_id = $1 AND theirs.import_id = others.id)
                 OR EXISTS (SELECT 1 FROM import_stretches AS theirs
                   WHERE theirs.user_id = $1 AND theirs.import_id = others.id
                     AND theirs.from_at <= $4 AND theirs.to_at >= $3))
             ORDER BY others.id",
            params![user, import, taken.from, taken.to],
            |row| row.get("id"),
        )
        .await
}

async fn has_rows(session: &mut Session, user: UserId, import: ImportId) -> Result<bool> {
    session
        .one(
            "SELECT EXISTS (SELECT 1 FROM plays WHERE user_id = $1 AND import_id = $2)
               OR EXISTS (SELECT 1 FROM short_plays WHERE user_id = $1 AND import_id = $2) AS any_left",
            params![user, import],
            |row| row.get("any_left"),
        )
        .await
}

/// What a later import knew more exactly than this one was before what it was before this one.
const INHERIT: &str = "UPDATE import_changes AS later SET old_played_at = mine.old_played_at,
       old_track_id = mine.old_track_id, old_context_uri = mine.old_context_uri, old_import_id = mine.old_import_id,
       old_ms_played = mine.old_ms_played, old_precision_ms = mine.old_precision_ms
     FROM import_changes AS mine
     WHERE later.user_id = $1 AND later.import_id <> $2 AND later.short = $3 AND later.old_import_id = $2
       AND mine.user_id = $1 AND mine.import_id = $2 AND mine.short = $3
       AND mine.played_at = later.old_played_at AND mine.track_id = later.old_track_id";

/// The same statements for each of the tables.
struct Statements {
    /// Changes of what is no more as the import left it.
    forget: &'static str,
    /// What it told of plays that are others'.
    shorten: &'static str,
    /// Those changes are taken back then.
    settle: &'static str,
    /// Plays that it knew more exactly ...
    delete: &'static str,
    /// ... become what they were, unless that was of an import that was undone.
    put_back: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            forget: concat!(
                "DELETE FROM import_changes WHERE user_id = $1 AND import_id = $2 AND short = $3
                   AND NOT EXISTS (SELECT 1 FROM ", $table, " AS plays WHERE plays.user_id = $1
                     AND plays.played_at = import_changes.played_at AND plays.track_id = import_changes.track_id)"
            ),
            shorten: concat!(
                "UPDATE ", $table, " SET ms_played = changes.old_ms_played FROM import_changes AS changes
                 WHERE ", $table, ".user_id = $1 AND changes.user_id = $1 AND changes.import_id = $2
                   AND changes.short = $3 AND ", $table, ".played_at = changes.played_at
                   AND ", $table, ".track_id = changes.track_id AND ", $table, ".import_id IS DISTINCT FROM $2"
            ),
            settle: concat!(
                "DELETE FROM import_changes WHERE user_id = $1 AND import_id = $2 AND short = $3
                   AND EXISTS (SELECT 1 FROM ", $table, " AS plays WHERE plays.user_id = $1
                     AND plays.played_at = import_changes.played_at AND plays.track_id = import_changes.track_id
                     AND plays.import_id IS DISTINCT FROM $2)"
            ),
            delete: concat!(
                "DELETE FROM ", $table, " WHERE user_id = $1 AND import_id = $2 AND (played_at, track_id) IN
                   (SELECT played_at, track_id FROM import_changes
                    WHERE user_id = $1 AND import_id = $2 AND short = $3)"
            ),
            put_back: concat!(
                "INSERT INTO ", $table, " (user_id, played_at, track_id, context_uri, source, import_id, ms_played,
                   precision_ms)
                 SELECT user_id, old_played_at, old_track_id, old_context_uri, 'import', old_import_id,
                   old_ms_played, old_precision_ms
                 FROM import_changes WHERE user_id = $1 AND import_id = $2 AND short = $3
                   AND NOT EXISTS (SELECT 1 FROM imports
                     WHERE imports.id = import_changes.old_import_id AND imports.state = 'undone')
                 ON CONFLICT (user_id, played_at, track_id) DO NOTHING"
            ),
        }
    };
}

const PLAYS: Statements = statements!("plays");
const SHORT_PLAYS: Statements = statements!("short_plays");

/// Deletes the next rows that the import added after that moment. Answers how many plays and short rows went, and up to
/// which moment; `None`: no more are left.
pub async fn delete_some(
    session: &mut Session,
    user: UserId,
    import: ImportId,
    after: Timestamp,
) -> Result<Option<(Undone, Timestamp)>> {
    session.lock_user(user).await?;
    let upto: Option<Timestamp> = session
        .one(
            "SELECT max(played_at) AS upto FROM
               (SELECT played_at FROM
                 (SELECT played_at FROM plays WHERE user_id = $1 AND import_id = $2 AND played_at > $3
                  UNION ALL
                  SELECT played_at FROM short_plays WHERE user_id = $1 AND import_id = $2 AND played_at > $3) AS theirs
                ORDER BY played_at LIMIT $4) AS next",
            params![user, import, after, AT_ONCE],
            |row| row.maybe("upto"),
        )
        .await?;
    let Some(upto) = upto else { return Ok(None) };
    let plays = session
        .run(
            "DELETE FROM plays WHERE user_id = $1 AND import_id = $2 AND played_at > $3 AND played_at <= $4",
            params![user, import, after, upto],
        )
        .await?;
    let short_plays = session
        .run(
            "DELETE FROM short_plays WHERE user_id = $1 AND import_id = $2 AND played_at > $3 AND played_at <= $4",
            params![user, import, after, upto],
        )
        .await?;
    session.run("UPDATE users SET plays = plays - $2 WHERE id = $1", params![user, count(plays)]).await?;
    session.run(BEGIN_AGAIN, params![user]).await?;
    let undone = Undone { plays: count(plays), short_plays: count(short_plays), ..Undone::default() };
    Ok(Some((undone, upto)))
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
