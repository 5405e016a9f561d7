//! Runs: their beginning, and their end without a page.

use super::sql::{Row, Session, params};
use super::{Result, RunFailed};
use crate::domain::{Run, RunId, Timestamp, Trigger, UserId};

/// How many rows `prune` deletes at a time, so that it never keeps others waiting.
const PRUNED_AT_ONCE: i64 = 5_000;

pub async fn open(
    session: &mut Session,
    user: UserId,
    run: RunId,
    trigger: Trigger,
    at: Timestamp,
) -> Result<()> {
    session
        .run(
            "INSERT INTO runs (user_id, run_id, cause, started_at) VALUES ($1, $2, $3, $4)",
            params![user, run, trigger, at],
        )
        .await?;
    Ok(())
}

/// A run that has ended stays as it ended. Of a user who was run again since, the newer run tells how they are.
pub async fn fail(session: &mut Session, failed: &RunFailed) -> Result<()> {
    session.lock_user(failed.user).await?;
    let ended = session
        .run(
            "UPDATE runs SET finished_at = $3, result = $4, reason = $5
             WHERE user_id = $1 AND run_id = $2 AND finished_at IS NULL",
            params![failed.user, failed.run, failed.at, failed.result, &failed.reason],
        )
        .await?;
    if ended > 0 {
        session
            .run(
                "UPDATE users SET last_run_result = $2, last_run_reason = $3, blocked = COALESCE($4, blocked)
                 WHERE id = $1 AND runs = $5",
                params![failed.user, failed.result, &failed.reason, &failed.blocked, failed.run],
            )
            .await?;
    }
    Ok(())
}

fn read(row: &Row) -> std::result::Result<Run, sqlx::Error> {
    Ok(Run {
        id: row.get("run_id")?,
        user: row.get("user_id")?,
        trigger: row.get("cause")?,
        started_at: row.get("started_at")?,
        finished_at: row.maybe("finished_at")?,
        result: row.maybe("result")?,
        reason: row.maybe("reason")?,
        new_plays: row.get("new_plays")?,
    })
}

pub async fn last(session: &mut Session, user: UserId, limit: i64) -> Result<Vec<Run>> {
    session
        .all(
            "SELECT * FROM runs WHERE user_id = $1 ORDER BY run_id DESC LIMIT $2",
            params![user, limit.max(0)],
            read,
        )
        .await
}

/// Deletes some of the runs that began before; false when none is left.
pub async fn prune(session: &mut Session, older_than: Timestamp) -> Result<bool> {
    let deleted = session
        .run(
            "DELETE FROM runs WHERE (user_id, run_id) IN
               (SELECT user_id, run_id FROM runs WHERE started_at < $1 LIMIT $2)",
            params![older_than, PRUNED_AT_ONCE],
        )
        .await?;
    Ok(deleted > 0)
}
