//! What the store knows of itself and of the apps.

use uuid::{Builder, Uuid};

use super::sql::{Session, params};
use super::{Result, StoreError};
use crate::domain::{AppName, AppState, Sealed};

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
    let state: Option<String> =
        session.first("SELECT state FROM apps WHERE name = $1", params![app], |row| row.get("state")).await?;
    match state {
        None => Ok(AppState::default()),
        Some(json) => serde_json::from_str(&json).map_err(|e| StoreError::Broken {
            doing: format!("reading the state of app {app}"),
            source: e.into(),
        }),
    }
}

pub async fn save_app_state(session: &mut Session, app: &AppName, state: &AppState) -> Result<()> {
    let json = serde_json::to_string(state).map_err(|e| StoreError::Broken {
        doing: format!("keeping the state of app {app}"),
        source: e.into(),
    })?;
    session
        .run(
            "INSERT INTO apps (name, state) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET state = excluded.state",
            params![app, json],
        )
        .await?;
    Ok(())
}
