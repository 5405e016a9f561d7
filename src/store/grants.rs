//! Grants as they are read, and logins: what replaces a grant. What a refresh does to one is in `refreshes.rs`.

use super::meta::OVERLAP;
use super::sql::{Row, Session, params, table};
use super::{GrantHead, NewLogin, Result, refreshes};
use crate::domain::{
    AccessTimes, Attempt, Doubt, Epoch, Generation, Grant, Refusal, Sealed, Timestamp, UserId,
};

fn read(row: &Row, read_at: Timestamp) -> std::result::Result<Grant, sqlx::Error> {
    Ok(Grant {
        user: row.get("user_id")?,
        client_id: row.get("client_id")?,
        epoch: row.get("epoch")?,
        generation: row.get("generation")?,
        account_id: row.maybe("account_id")?,
        login_at: row.maybe("login_at")?,
        scope: row.maybe("scope")?,
        refresh_token: row.maybe("refresh_token")?,
        access_token: row.maybe("access_token")?,
        access_times: match row.maybe("access_expires_at")? {
            None => None,
            Some(expires_at) => Some(AccessTimes {
                sent_at: row.get("access_sent_at")?,
                lifetime: row.get("access_lifetime")?,
                expires_at,
            }),
        },
        committed_at: row.get("committed_at")?,
        born_of: row.maybe("born_of")?,
        attempt: match row.maybe("attempt")? {
            None => None,
            Some(id) => Some(Attempt {
                id,
                owner: row.get("attempt_owner")?,
                lease_until: row.get("attempt_lease_until")?,
                cause: row.get("attempt_cause")?,
            }),
        },
        doubt: match row.maybe("doubt_since")? {
            None => None,
            Some(since) => {
                Some(Doubt { since, owner: row.get("doubt_owner")?, reason: row.get("doubt_reason")? })
            }
        },
        refusal: match row.maybe("refusal_since")? {
            None => None,
            Some(since) => Some(Refusal {
                since,
                reason: row.get("refusal_reason")?,
                tries: row.get("refusal_tries")?,
                next_try_at: row.maybe("refusal_next_try_at")?,
            }),
        },
        read_at,
    })
}

pub async fn of(session: &mut Session, user: UserId) -> Result<Option<Grant>> {
    let now = session.now().await?;
    session.first("SELECT * FROM grants WHERE user_id = $1", params![user], |row| read(row, now)).await
}

/// Whoever has new tokens since then, with a minute of overlap: a commit may become visible late.
pub async fn committed_since(session: &mut Session, at: Timestamp) -> Result<Vec<(UserId, Generation)>> {
    session
        .all(
            "SELECT user_id, generation FROM grants WHERE committed_at >= $1",
            params![at - OVERLAP],
            |row| Ok((row.get("user_id")?, row.get("generation")?)),
        )
        .await
}

pub async fn heads(session: &mut Session, users: &[UserId]) -> Result<Vec<GrantHead>> {
    session
        .all(
            "SELECT grants.user_id, grants.epoch, grants.generation, grants.attempt
             FROM rows($1 AS listed: user_id BIGINT) JOIN grants ON grants.user_id = listed.user_id
             ORDER BY grants.user_id",
            vec![table![users; |user| *user]],
            |row| {
                Ok(GrantHead {
                    user: row.get("user_id")?,
                    epoch: row.get("epoch")?,
                    generation: row.get("generation")?,
                    attempt: row.maybe("attempt")?,
                })
            },
        )
        .await
}

pub async fn in_trouble(session: &mut Session) -> Result<Vec<UserId>> {
    session
        .all(
            "SELECT grants.user_id FROM grants JOIN users ON users.id = grants.user_id
             WHERE users.active
               AND (attempt IS NOT NULL OR doubt_since IS NOT NULL OR refusal_next_try_at IS NOT NULL)
             ORDER BY grants.user_id",
            params![],
            |row| row.get("user_id"),
        )
        .await
}

pub async fn commit_login(session: &mut Session, login: &NewLogin) -> Result<bool> {
    session.lock_user(login.user).await?;
    if !on_record_is(session, login).await? {
        return stands(session, login).await;
    }
    let now = session.now().await?;
    let (access_token, times) = login.access.clone().unzip();
    session
        .run(
            "INSERT INTO grants (user_id, client_id, epoch, generation, account_id, login_at, scope, refresh_token,
               access_token, access_sent_at, access_lifetime, access_expires_at, committed_at, taken_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
             ON CONFLICT (user_id) DO UPDATE SET
               client_id = excluded.client_id, epoch = excluded.epoch, generation = excluded.generation,
               account_id = COALESCE(excluded.account_id, grants.account_id), login_at = excluded.login_at,
               scope = excluded.scope, refresh_token = excluded.refresh_token,
               access_token = excluded.access_token, access_sent_at = excluded.access_sent_at,
               access_lifetime = excluded.access_lifetime, access_expires_at = excluded.access_expires_at,
               committed_at = excluded.committed_at, taken_at = excluded.taken_at, born_of = NULL,
               attempt = NULL, attempt_owner = NULL, attempt_lease_until = NULL, attempt_cause = NULL,
               doubt_since = NULL, doubt_owner = NULL, doubt_reason = NULL,
               refusal_since = NULL, refusal_reason = NULL, refusal_tries = NULL, refusal_next_try_at = NULL,
               ending_told = NULL",
            params![
                login.user,
                &login.client_id,
                login.epoch,
                login.generation,
                &login.account_id,
                login.login_at,
                &login.scope,
                &login.refresh_token,
                access_token,
                times.map(|t| t.sent_at),
                times.map(|t| t.lifetime),
                times.map(|t| t.expires_at),
                now,
            ],
        )
        .await?;
    session.run("UPDATE users SET blocked = NULL WHERE id = $1", params![login.user]).await?;
    refreshes::record_generation(session, login.user, login.epoch, login.generation, None).await?;
    Ok(true)
}

/// Whether the grant on record is the one that the login was prepared against, and the login's numbers rise over it.
async fn on_record_is(session: &mut Session, login: &NewLogin) -> Result<bool> {
    let on_record: Option<(Epoch, Generation)> = session
        .first("SELECT epoch, generation FROM grants WHERE user_id = $1", params![login.user], |row| {
            Ok((row.get("epoch")?, row.get("generation")?))
        })
        .await?;
    let rises = on_record.is_none_or(|(epoch, gen_)| epoch < login.epoch && gen_ < login.generation);
    Ok(on_record == login.replaces && rises)
}

/// Whether this very login is on record: its commit is repeated because the answer was lost. No two sealings are
/// alike, so the sealed token tells.
async fn stands(session: &mut Session, login: &NewLogin) -> Result<bool> {
    let found: Option<Sealed> = session
        .first(
            "SELECT refresh_token FROM grants
             WHERE user_id = $1 AND epoch = $2 AND generation = $3 AND refresh_token = $4",
            params![login.user, login.epoch, login.generation, &login.refresh_token],
            |row| row.get("refresh_token"),
        )
        .await?;
    Ok(found.is_some())
}

pub async fn set_account(session: &mut Session, user: UserId, epoch: Epoch, account: &str) -> Result<()> {
    session
        .run(
            "UPDATE grants SET account_id = $3 WHERE user_id = $1 AND epoch = $2 AND account_id IS NULL",
            params![user, epoch, account],
        )
        .await?;
    Ok(())
}
