//! Users. Triggers number every change that a daemon must know of, whoever makes it.

use super::sql::{Row, Session, params, table};
use super::{Changes, NewUser, Result};
use crate::domain::{AppName, NameError, Owner, Timestamp, User, UserId, UserName};

/// A row, or why it is no user: other programs write here too.
pub(super) type Listed = std::result::Result<User, String>;

pub(super) fn read(row: &Row) -> std::result::Result<Listed, sqlx::Error> {
    let name: String = row.get("name")?;
    let app: String = row.get("app")?;
    let (name, app) = match names(&name, &app) {
        Ok(names) => names,
        Err(why) => return Ok(Err(why)),
    };
    Ok(Ok(User {
        id: row.get("id")?,
        name,
        app,
        schedule: row.maybe("schedule")?,
        timezone: row.maybe("timezone")?,
        origin: row.get("origin")?,
        paused: row.get("paused")?,
        active: row.get("active")?,
        next_run_at: row.maybe("next_run_at")?,
        running: row.maybe::<Owner>("run_owner")?.is_some(),
        last_run_at: row.maybe("last_run_at")?,
        last_run_result: row.maybe("last_run_result")?,
        last_run_reason: row.maybe("last_run_reason")?,
        last_archived_at: row.maybe("last_archived_at")?,
        blocked: row.maybe("blocked")?,
        top_fetched_at: row.maybe("top_fetched_at")?,
        plays: row.get("plays")?,
        gaps: row.get("gaps")?,
    }))
}

fn names(name: &str, app: &str) -> std::result::Result<(UserName, AppName), String> {
    let name: UserName = name.parse().map_err(|e: NameError| e.to_string())?;
    let app = app.parse().map_err(|e: NameError| format!("user {name}: {e}"))?;
    Ok((name, app))
}

pub async fn active(session: &mut Session) -> Result<Vec<User>> {
    let listed = session.all("SELECT * FROM users WHERE active ORDER BY name", params![], read).await?;
    Ok(listed.into_iter().flatten().collect())
}

pub async fn of(session: &mut Session, numbers: &[UserId]) -> Result<Vec<User>> {
    let listed = session
        .all(
            "SELECT users.* FROM rows($1 AS listed: id BIGINT) JOIN users ON users.id = listed.id
             WHERE users.active ORDER BY users.id",
            vec![table![numbers; |number| *number]],
            read,
        )
        .await?;
    Ok(listed.into_iter().flatten().collect())
}

pub async fn by_name(session: &mut Session, name: &UserName) -> Result<Option<User>> {
    let listed = session.first("SELECT * FROM users WHERE name = $1", params![name], read).await?;
    Ok(listed.and_then(Listed::ok))
}

pub async fn changed(session: &mut Session, since: i64, limit: i64) -> Result<Changes> {
    // One statement, so that the numbers of users and of those who were purged are of the same moment.
    let rows = session
        .all(
            "SELECT numbered.number, numbered.user_id, users.* FROM
               (SELECT change AS number, id AS user_id FROM users WHERE change > $1
                UNION ALL SELECT change AS number, user_id FROM purged_users WHERE change > $1
                ORDER BY number LIMIT $2) AS numbered
               LEFT JOIN users ON users.id = numbered.user_id
             ORDER BY numbered.number",
            params![since, limit.max(1)],
            |row| {
                let listed = row.maybe::<UserId>("id")?.map(|_| read(row)).transpose()?;
                Ok((row.get::<i64>("number")?, row.get("user_id")?, listed))
            },
        )
        .await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit.max(1);
    let mut changes = Changes { upto: since, more, ..Changes::default() };
    for (number, id, listed) in rows {
        changes.upto = number;
        match listed {
            Some(Ok(user)) => changes.users.push(user),
            Some(Err(why)) => changes.refused.push((id, why)),
            None => changes.purged.push(id),
        }
    }
    Ok(changes)
}

/// Leaves an active user of a file alone.
pub async fn put(session: &mut Session, user: &NewUser) -> Result<Option<User>> {
    session
        .run(
            "INSERT INTO users (name, app, schedule, timezone) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET
               app = excluded.app, schedule = excluded.schedule, timezone = excluded.timezone,
               origin = 'store', declared_by = NULL, paused = (users.paused AND users.active), active = TRUE
             WHERE users.origin = 'store' OR NOT users.active",
            params![&user.name, &user.app, &user.schedule, &user.timezone],
        )
        .await?;
    by_name(session, &user.name).await
}

pub async fn set_paused(session: &mut Session, user: Option<UserId>, paused: bool) -> Result<()> {
    if user.is_none() {
        session.lock_many_to_change().await?;
    }
    session
        .run(
            "UPDATE users SET paused = $2 WHERE active AND paused <> $2 AND ($1 IS NULL OR id = $1)",
            params![user, paused],
        )
        .await?;
    Ok(())
}

/// Takes the tokens and keeps the archive. The grant's counters stay, and a new epoch makes every late answer vain.
pub async fn remove(session: &mut Session, user: UserId) -> Result<()> {
    session.run("UPDATE users SET active = FALSE WHERE id = $1", params![user]).await?;
    session
        .run(
            "UPDATE grants SET epoch = epoch + 1, refresh_token = NULL, access_token = NULL, access_sent_at = NULL,
               access_lifetime = NULL, access_expires_at = NULL, attempt = NULL, attempt_owner = NULL,
               attempt_lease_until = NULL, attempt_cause = NULL, doubt_since = NULL, doubt_owner = NULL,
               doubt_reason = NULL, refusal_since = NULL, refusal_reason = NULL, refusal_tries = NULL,
               refusal_next_try_at = NULL
             WHERE user_id = $1",
            params![user],
        )
        .await?;
    Ok(())
}

/// Deletes everything of the user. Tracks, albums and artists are everyone's, and stay.
pub async fn purge(session: &mut Session, user: UserId) -> Result<()> {
    session.lock_user_to_delete(user).await?;
    session.lock_counts().await?;
    for sql in [
        "DELETE FROM counted WHERE user_id = $1",
        "DELETE FROM heard WHERE user_id = $1",
        "DELETE FROM heard_sums WHERE user_id = $1",
        "DELETE FROM heard_weeks WHERE user_id = $1",
        "DELETE FROM import_changes WHERE user_id = $1",
        "DELETE FROM import_stretches WHERE user_id = $1",
        "DELETE FROM imports WHERE user_id = $1",
        "DELETE FROM short_plays WHERE user_id = $1",
        "DELETE FROM plays WHERE user_id = $1",
        "DELETE FROM gaps WHERE user_id = $1",
        "DELETE FROM raw_pages WHERE user_id = $1",
        "DELETE FROM runs WHERE user_id = $1",
        "DELETE FROM top_artists WHERE user_id = $1",
        "DELETE FROM grant_generations WHERE user_id = $1",
        "DELETE FROM grants WHERE user_id = $1",
        "DELETE FROM events WHERE user_name = (SELECT name FROM users WHERE id = $1)",
        "DELETE FROM logins WHERE user_name = (SELECT name FROM users WHERE id = $1)",
        "DELETE FROM users WHERE id = $1",
    ] {
        session.run(sql, params![user]).await?;
    }
    Ok(())
}

/// By now every daemon has heard of them.
pub async fn forget_purged(session: &mut Session, older_than: Timestamp) -> Result<()> {
    session.run("DELETE FROM purged_users WHERE purged_at < $1", params![older_than]).await?;
    Ok(())
}
