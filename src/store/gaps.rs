//! Gaps: stretches in which plays may be missing.

use serde_json::{Value, json};

use super::Result;
use super::sql::{Row, Session, params};
use crate::domain::{Gap, RunId, Timestamp, UserId};

/// Puts gaps on record, or changes those that are: one counts the most plays that were ever missed in it, and is closed
/// or open as it is given.
pub async fn put(session: &mut Session, user: UserId, run: RunId, gaps: &[Gap]) -> Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    let rows = gaps.iter().map(|gap| {
        json!({
            "from": gap.from.as_millis(),
            "to": gap.to.as_millis(),
            "cause": gap.cause.as_str(),
            "at_most": gap.at_most,
            "closed": gap.closed_at.map(Timestamp::as_millis),
        })
    });
    session
        .run(
            "INSERT INTO gaps (user_id, from_at, to_at, cause, at_most, closed_at, run)
             SELECT $1, CAST(value ->> 'from' AS BIGINT), CAST(value ->> 'to' AS BIGINT), value ->> 'cause',
               CAST(value ->> 'at_most' AS BIGINT), CAST(value ->> 'closed' AS BIGINT), $2
             FROM json_each($3) WHERE TRUE
             ON CONFLICT (user_id, from_at, to_at, cause) DO UPDATE SET
               at_most = CASE WHEN excluded.at_most > gaps.at_most THEN excluded.at_most ELSE gaps.at_most END,
               closed_at = excluded.closed_at",
            params![user, run, rows.collect::<Value>().to_string()],
        )
        .await?;
    Ok(())
}

/// Those that a run was the first to find, oldest first.
pub async fn found_by(session: &mut Session, user: UserId, run: RunId) -> Result<Vec<Gap>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at FROM gaps
             WHERE user_id = $1 AND run = $2 ORDER BY from_at, to_at",
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

pub async fn of(session: &mut Session, user: UserId) -> Result<Vec<Gap>> {
    since(session, user, None, i64::MAX).await
}

fn read(row: &Row) -> std::result::Result<Gap, sqlx::Error> {
    Ok(Gap {
        from: row.get("from_at")?,
        to: row.get("to_at")?,
        cause: row.get("cause")?,
        at_most: row.get("at_most")?,
        closed_at: row.maybe("closed_at")?,
    })
}
