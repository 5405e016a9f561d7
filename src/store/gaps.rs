//! Gaps: stretches in which plays may be missing.

use super::Result;
use super::sql::{Bind as _, Row, Session, params, table};
use crate::domain::{Gap, RunId, Timestamp, UserId};

/// Puts gaps on record, or changes those that are: one counts the most plays that were ever missed in it, and is closed
/// or open as it is given. The user tells how many are open. Answers whether imports cover some time of the user's.
pub async fn put(session: &mut Session, user: UserId, run: RunId, gaps: &[Gap]) -> Result<bool> {
    session
        .run(
            "INSERT INTO gaps (user_id, run, from_at, to_at, cause, at_most, closed_at)
             SELECT $1, $2, from_at, to_at, cause, at_most, closed_at
             FROM rows($3 AS listed: from_at BIGINT, to_at BIGINT, cause TEXT, at_most BIGINT, closed_at BIGINT)
             WHERE TRUE
             ON CONFLICT (user_id, from_at, to_at, cause) DO UPDATE SET
               at_most = CASE WHEN excluded.at_most > gaps.at_most THEN excluded.at_most ELSE gaps.at_most END,
               closed_at = excluded.closed_at, closed_by = NULL",
            vec![
                user.bind(),
                run.bind(),
                table![gaps; |gap| gap.from, |gap| gap.to, |gap| gap.cause, |gap| gap.at_most, |gap| gap.closed_at],
            ],
        )
        .await?;
    count_open(session, user).await
}

/// Closes those of these that are open and as they are given; answers how many.
pub async fn close(session: &mut Session, user: UserId, gaps: &[Gap], at: Timestamp) -> Result<u64> {
    if gaps.is_empty() {
        return Ok(0);
    }
    let closed = session
        .run(
            "UPDATE gaps SET closed_at = $2
             WHERE user_id = $1 AND closed_at IS NULL AND (from_at, to_at, cause, at_most) IN
               (SELECT from_at, to_at, cause, at_most
                FROM rows($3 AS listed: from_at BIGINT, to_at BIGINT, cause TEXT, at_most BIGINT))",
            vec![
                user.bind(),
                at.bind(),
                table![gaps; |gap| gap.from, |gap| gap.to, |gap| gap.cause, |gap| gap.at_most],
            ],
        )
        .await?;
    count_open(session, user).await?;
    Ok(closed)
}

/// Counts in the user's row how many are open; whether imports cover some time of theirs.
pub async fn count_open(session: &mut Session, user: UserId) -> Result<bool> {
    let covered = session
        .first(
            "UPDATE users SET gaps = (SELECT count(*) FROM gaps WHERE user_id = $1 AND closed_at IS NULL)
             WHERE id = $1
             RETURNING EXISTS (SELECT 1 FROM import_stretches WHERE user_id = $1) AS covered",
            params![user],
            |row| row.get("covered"),
        )
        .await?;
    Ok(covered.unwrap_or(false))
}

/// Those that a run was the first to find, oldest first, but for what an import has everything of.
pub async fn found_by(session: &mut Session, user: UserId, run: RunId) -> Result<Vec<Gap>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at FROM gaps
             WHERE user_id = $1 AND run = $2 AND closed_by IS NULL ORDER BY from_at, to_at",
            params![user, run],
            read,
        )
        .await
}

/// The newest that end then or later, so many at most.
pub async fn since(
    session: &mut Session,
    user: UserId,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<Gap>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at FROM gaps
             WHERE user_id = $1 AND to_at >= $2 ORDER BY from_at DESC, to_at DESC LIMIT $3",
            params![user, since.map_or(i64::MIN, Timestamp::as_millis), limit],
            read,
        )
        .await
}

/// Those that have a moment of this stretch, newest first, each with the run that found it.
pub async fn between(
    session: &mut Session,
    user: UserId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Gap, Option<RunId>)>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at, run FROM gaps
             WHERE user_id = $1 AND to_at >= $2 AND from_at <= $3 ORDER BY from_at DESC, to_at DESC",
            params![user, from, to],
            |row| Ok((read(row)?, row.maybe("run")?)),
        )
        .await
}

pub async fn of(session: &mut Session, user: UserId) -> Result<Vec<Gap>> {
    since(session, user, None, i64::MAX).await
}

/// One of them.
pub fn read(row: &Row) -> std::result::Result<Gap, sqlx::Error> {
    Ok(Gap {
        from: row.get("from_at")?,
        to: row.get("to_at")?,
        cause: row.get("cause")?,
        at_most: row.get("at_most")?,
        closed_at: row.maybe("closed_at")?,
    })
}
