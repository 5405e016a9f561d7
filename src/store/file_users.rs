//! Users that configuration files declare, as seen by the daemon that reads the files.

use std::collections::{HashMap, HashSet};

use super::sql::{Bind as _, Session, params, table};
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
    let mut outcome = FileUsers::default();
    for user in users {
        let wanted = Declared::by(daemon, user);
        let found = stored.get(user.name.as_str());
        if found == Some(&wanted) {
            continue;
        }
        session
            .run(
                "INSERT INTO users (name, app, schedule, timezone, origin, declared_by)
                 VALUES ($1, $2, $3, $4, 'file', $5)
                 ON CONFLICT (name) DO UPDATE SET
                   app = excluded.app, schedule = excluded.schedule, timezone = excluded.timezone,
                   origin = excluded.origin, declared_by = excluded.declared_by, active = TRUE",
                params![&user.name, &user.app, &user.schedule, &user.timezone, daemon],
            )
            .await?;
        if found.is_none_or(|row| !row.active) {
            outcome.added.push(user.name.clone());
        }
    }
    let declared: HashSet<&str> = users.iter().map(|user| user.name.as_str()).collect();
    let ours = |row: &Declared| row.active && row.declared_by == Some(daemon);
    let mut gone: Vec<&String> = stored
        .iter()
        .filter(|(name, row)| ours(row) && !declared.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    gone.sort();
    for name in gone {
        // Another daemon may have declared the user since the rows were read.
        let left = session
            .run(
                "UPDATE users SET active = FALSE WHERE name = $1 AND declared_by = $2 AND active",
                params![name, daemon],
            )
            .await?;
        if left > 0 {
            outcome.removed.extend(name.parse::<UserName>());
        }
    }
    Ok(outcome)
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
