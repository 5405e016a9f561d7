//! What is sealed, for whoever seals it anew, and which daemons work on the store with which key.

use std::time::Duration;

use super::Result;
use super::sql::{Session, params};
use crate::domain::{Epoch, Generation, Owner, Sealed, UserId};

/// A daemon that has not been seen for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// A login's tokens as they are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedGrant {
    /// Whose.
    pub user: UserId,
    /// Which login; part of what they are sealed with.
    pub epoch: Epoch,
    /// Which generation; the same.
    pub generation: Generation,
    /// The refresh token.
    pub refresh_token: Sealed,
    /// The access token.
    pub access_token: Option<Sealed>,
    /// The scope that was granted, where the provider said so.
    pub scope: Option<String>,
}

/// A daemon that works on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSeen {
    /// Which state directory.
    pub owner: Owner,
    /// The id of the key that it seals with.
    pub key: Vec<u8>,
}

pub async fn sealed(session: &mut Session, after: Option<UserId>, limit: i64) -> Result<Vec<SealedGrant>> {
    session
        .all(
            "SELECT user_id, epoch, generation, refresh_token, access_token, scope FROM grants
             WHERE user_id > $1 AND refresh_token IS NOT NULL ORDER BY user_id LIMIT $2",
            params![after.map_or(i64::MIN, |user| user.0), limit],
            |row| {
                Ok(SealedGrant {
                    user: row.get("user_id")?,
                    epoch: row.get("epoch")?,
                    generation: row.get("generation")?,
                    refresh_token: row.get("refresh_token")?,
                    access_token: row.maybe("access_token")?,
                    scope: row.maybe("scope")?,
                })
            },
        )
        .await
}

pub async fn reseal(session: &mut Session, seals: &[(SealedGrant, SealedGrant)]) -> Result<u64> {
    let mut resealed = 0;
    for (old, new) in seals {
        resealed += session
            .run(
                "UPDATE grants SET refresh_token = $5, access_token = $6
                 WHERE user_id = $1 AND epoch = $2 AND generation = $3 AND refresh_token = $4",
                params![
                    old.user,
                    old.epoch,
                    old.generation,
                    &old.refresh_token,
                    &new.refresh_token,
                    &new.access_token,
                ],
            )
            .await?;
    }
    Ok(resealed)
}

pub async fn verifiers(session: &mut Session) -> Result<Vec<(String, Sealed)>> {
    session
        .all("SELECT state, verifier FROM logins WHERE NOT taken", params![], |row| {
            Ok((row.get("state")?, row.get("verifier")?))
        })
        .await
}

pub async fn reseal_verifier(session: &mut Session, state: &str, new: Sealed) -> Result<()> {
    session.run("UPDATE logins SET verifier = $2 WHERE state = $1", params![state, new]).await?;
    Ok(())
}

pub async fn replace_probe(session: &mut Session, probe: Sealed) -> Result<()> {
    session.run("UPDATE meta SET value = $1 WHERE name = 'key_probe'", params![probe]).await?;
    Ok(())
}

pub async fn note_daemon(session: &mut Session, owner: Owner, key: &[u8]) -> Result<()> {
    let now = session.now().await?;
    session
        .run(
            "INSERT INTO daemons (instance, key_id, seen_at) VALUES ($1, $2, $3)
             ON CONFLICT (instance) DO UPDATE SET key_id = excluded.key_id, seen_at = excluded.seen_at",
            params![owner, key.to_vec(), now],
        )
        .await?;
    session.run("DELETE FROM daemons WHERE seen_at < $1", params![now - FORGOTTEN_AFTER]).await?;
    Ok(())
}

pub async fn daemons(session: &mut Session, within: Duration) -> Result<Vec<DaemonSeen>> {
    let now = session.now().await?;
    session
        .all(
            "SELECT instance, key_id FROM daemons WHERE seen_at >= $1 ORDER BY instance",
            params![now - within],
            |row| Ok(DaemonSeen { owner: row.get("instance")?, key: row.get("key_id")? }),
        )
        .await
}
