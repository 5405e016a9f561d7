//! Events of note.

use super::Result;
use super::sql::{Row, Session, params, table};
use crate::domain::{Event, Timestamp, UserName};

/// How many rows `prune` deletes at a time, so that it never keeps others waiting.
const PRUNED_AT_ONCE: i64 = 5_000;

pub async fn add(session: &mut Session, events: &[Event]) -> Result<()> {
    session
        .run(
            "INSERT INTO events (at, kind, user_name, app, run, attempt, message)
             SELECT at, kind, user_name, app, run, attempt, message
             FROM rows($1 AS listed: at BIGINT, kind TEXT, user_name TEXT, app TEXT, run BIGINT, attempt TEXT,
               message TEXT)",
            vec![table![
                events;
                |event| event.at,
                |event| event.kind,
                |event| event.user.as_ref(),
                |event| event.app.as_ref(),
                |event| event.run,
                |event| event.attempt.as_deref(),
                |event| &event.message
            ]],
        )
        .await?;
    Ok(())
}

fn read(row: &Row) -> std::result::Result<Event, sqlx::Error> {
    Ok(Event {
        at: row.get("at")?,
        kind: row.get("kind")?,
        user: row.maybe("user_name")?,
        app: row.maybe("app")?,
        run: row.maybe("run")?,
        attempt: row.maybe("attempt")?,
        message: row.get("message")?,
    })
}

pub async fn last(session: &mut Session, user: Option<&UserName>, limit: i64) -> Result<Vec<Event>> {
    match user {
        Some(user) => {
            session
                .all(
                    "SELECT * FROM events WHERE user_name = $1 ORDER BY at DESC, id DESC LIMIT $2",
                    params![user, limit.max(0)],
                    read,
                )
                .await
        }
        None => {
            session
                .all("SELECT * FROM events ORDER BY at DESC, id DESC LIMIT $1", params![limit.max(0)], read)
                .await
        }
    }
}

/// Deletes some of the events from before; false when none is left.
pub async fn prune(session: &mut Session, older_than: Timestamp) -> Result<bool> {
    let deleted = session
        .run(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)",
            params![older_than, PRUNED_AT_ONCE],
        )
        .await?;
    Ok(deleted > 0)
}
