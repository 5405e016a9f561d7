//! Users that configuration files declare, as seen by the daemon that reads the files.

use std::collections::{HashMap, HashSet};

use super::sql::{Bind as _, Session, table};
use super::{FileUsers, NewUser, Result};
use crate::domain::{Origin, Owner, UserName};

/// What a row must say for a declared user; a row that says it already is not touched.
#[derive(PartialEq)]
struct Declared {
    app: String,
    schedule: Option<String>,
    timezone: Option<String>,
    origin: Origin,
    declared_by: Option<Owner>,
    active: bool,
}

impl Declared {
    fn by(daemon: Owner, user: &NewUser) -> Self {
        Self {
            app: user.app.to_string(),
            schedule: user.schedule.clone(),
            timezone: user.timezone.clone(),
            origin: Origin::File,
            declared_by: Some(daemon),
            active: true,
        }
    }
}

/// Makes the users of this daemon's files exactly these. Whoever left keeps tokens and archive, and a pause too: a
/// file that was away for a moment must not end it.
pub async fn sync(session: &mut Session, daemon: Owner, users: &[NewUser]) -> Result<FileUsers> {
    let stored = stored(session, daemon, users).await?;
    let new: Vec<&NewUser> = users
        .iter()
        .filter(|user| stored.get(user.name.as_str()) != Some(&Declared::by(daemon, user)))
        .collect();
    let declared: HashSet<&str> = users.iter().map(|user| user.name.as_str()).collect();
    let ours = |row: &Declared| row.active && row.declared_by == Some(daemon);
    let gone: Vec<&String> = stored
        .iter()
        .filter(|(name, row)| ours(row) && !declared.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    if new.is_empty() && gone.is_empty() {
        return Ok(FileUsers::default());
    }
    session.lock_many_to_change().await?;
    put(session, daemon, &new).await?;
    let came = |user: &&&NewUser| stored.get(user.name.as_str()).is_none_or(|row| !row.active);
    let added = new.iter().filter(came).map(|user| user.name.clone()).collect();
    Ok(FileUsers { added, removed: let_go(session, daemon, &gone).await? })
}

async fn put(session: &mut Session, daemon: Owner, users: &[&NewUser]) -> Result<()> {
    session
        .run(
            "INSERT INTO users (name, app, schedule, timezone, origin, declared_by)
             SELECT listed.name, listed.app, listed.schedule, listed.timezone, 'file', $1
             FROM rows($2 AS listed: name TEXT, app TEXT, schedule TEXT, timezone TEXT)
             WHERE TRUE
             ON CONFLICT (name) DO UPDATE SET
               app = excluded.app, schedule = excluded.schedule, timezone = excluded.timezone,
               origin = excluded.origin, declared_by = excluded.declared_by, active = TRUE",
            vec![
                daemon.bind(),
                table![
                    users;
                    |user| &user.name,
                    |user| &user.app,
                    |user| &user.schedule,
                    |user| &user.timezone
                ],
            ],
        )
        .await?;
    Ok(())
}

/// Whom another daemon has declared since the rows were read stays.
async fn let_go(session: &mut Session, daemon: Owner, names: &[&String]) -> Result<Vec<UserName>> {
    let left: Vec<String> = session
        .all(
            "UPDATE users SET active = FALSE WHERE declared_by = $1 AND active
               AND name IN (SELECT listed.name FROM rows($2 AS listed: name TEXT))
             RETURNING name",
            vec![daemon.bind(), table![names; |name| *name]],
            |row| row.get("name"),
        )
        .await?;
    let mut left: Vec<UserName> = left.iter().filter_map(|name| name.parse().ok()).collect();
    left.sort();
    Ok(left)
}

async fn stored(
    session: &mut Session,
    daemon: Owner,
    users: &[NewUser],
) -> Result<HashMap<String, Declared>> {
    let names: Vec<&str> = users.iter().map(|u| u.name.as_str()).collect();
    let rows = session
        .all(
            "SELECT name, app, schedule, timezone, origin, declared_by, active FROM users
             WHERE declared_by = $1 OR name IN
               (SELECT listed.name FROM rows($2 AS listed: name TEXT))",
            vec![daemon.bind(), table![names; |name| *name]],
            |row| {
                let declared = Declared {
                    app: row.get("app")?,
                    schedule: row.maybe("schedule")?,
                    timezone: row.maybe("timezone")?,
                    origin: row.get("origin")?,
                    declared_by: row.maybe("declared_by")?,
                    active: row.get("active")?,
                };
                Ok((row.get("name")?, declared))
            },
        )
        .await?;
    Ok(rows.into_iter().collect())
}
