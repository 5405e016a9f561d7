//! What the store knows of itself and of the apps.

use std::time::Duration;

use uuid::{Builder, Uuid};

use super::sql::{Row, Session, params, table};
use super::{Result, StoreError};
use crate::domain::{AppName, AppState, Sealed, Timestamp};

/// How long a commit may take to be seen by others.
pub const OVERLAP: Duration = Duration::from_secs(60);

/// The UUID made by the first migration.
pub async fn deployment(session: &mut Session) -> Result<Uuid> {
    let random: Vec<u8> = session
        .one("SELECT value FROM meta WHERE name = 'deployment'", params![], |row| row.get("value"))
        .await?;
    match <[u8; 16]>::try_from(random) {
        Ok(bytes) => Ok(Builder::from_random_bytes(bytes).into_uuid()),
        Err(_) => Err(StoreError::Broken {
            doing: "reading which deployment this is".to_owned(),
            source: "it is not 16 bytes long".into(),
        }),
    }
}

/// Writes what is there already.
pub async fn touch(session: &mut Session) -> Result<()> {
    session.run("UPDATE meta SET value = value WHERE name = 'deployment'", params![]).await?;
    Ok(())
}

pub async fn key_probe(session: &mut Session) -> Result<Option<Sealed>> {
    session.first("SELECT value FROM meta WHERE name = 'key_probe'", params![], |row| row.get("value")).await
}

pub async fn keep_key_probe(session: &mut Session, probe: Sealed) -> Result<Sealed> {
    session
        .run(
            "INSERT INTO meta (name, value) VALUES ('key_probe', $1) ON CONFLICT (name) DO NOTHING",
            params![&probe],
        )
        .await?;
    Ok(key_probe(session).await?.unwrap_or(probe))
}

pub async fn app_state(session: &mut Session, app: &AppName) -> Result<AppState> {
    let stored = session
        .first("SELECT state, version FROM apps WHERE name = $1", params![app], |row| {
            Ok((row.get::<String>("state")?, row.get("version")?))
        })
        .await?;
    match stored {
        None => Ok(AppState::default()),
        Some((json, version)) => parsed(app, &json, version),
    }
}

/// Those of these apps that are on record.
pub async fn app_states(session: &mut Session, apps: &[AppName]) -> Result<Vec<(AppName, AppState)>> {
    let known = session
        .all(
            "SELECT apps.name, apps.state, apps.version
             FROM rows($1 AS listed: name TEXT) JOIN apps ON apps.name = listed.name",
            vec![table![apps; |app| app]],
            stored,
        )
        .await?;
    all_parsed(known)
}

fn stored(row: &Row) -> std::result::Result<(AppName, String, i64), sqlx::Error> {
    Ok((row.get("name")?, row.get("state")?, row.get("version")?))
}

fn all_parsed(stored: Vec<(AppName, String, i64)>) -> Result<Vec<(AppName, AppState)>> {
    let read = |(app, json, version): (AppName, String, i64)| {
        let state = parsed(&app, &json, version)?;
        Ok((app, state))
    };
    stored.into_iter().map(read).collect()
}

fn parsed(app: &AppName, json: &str, version: i64) -> Result<AppState> {
    let state = serde_json::from_str(json).map_err(|e| StoreError::Broken {
        doing: format!("reading the state of app {app}"),
        source: e.into(),
    })?;
    Ok(AppState { version, ..state })
}

/// What was changed since then, with a minute of overlap: a commit may become visible late.
pub async fn apps_changed(session: &mut Session, since: Timestamp) -> Result<Vec<(AppName, AppState)>> {
    let changed = session
        .all("SELECT name, state, version FROM apps WHERE changed_at >= $1", params![since - OVERLAP], stored)
        .await?;
    all_parsed(changed)
}

/// False where another version than the one that the state was made from is on record.
pub async fn save_app_state(session: &mut Session, app: &AppName, state: &AppState) -> Result<bool> {
    let json = serde_json::to_string(state).map_err(|e| StoreError::Broken {
        doing: format!("keeping the state of app {app}"),
        source: e.into(),
    })?;
    let now = session.now().await?;
    let saved = session
        .run(
            "INSERT INTO apps (name, state, version, changed_at) VALUES ($1, $2, $3 + 1, $4)
             ON CONFLICT (name) DO UPDATE SET
               state = excluded.state, version = excluded.version, changed_at = excluded.changed_at
             WHERE apps.version = $3",
            params![app, json, state.version, now],
        )
        .await?;
    Ok(saved > 0)
}
