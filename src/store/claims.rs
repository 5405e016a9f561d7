//! Who runs when, and which daemon does it. A user's next time is the lease too: whoever runs a user owns the row, and
//! moves the time to when the claim lapses. Each statement names what must still be on record, so that of several
//! daemons one succeeds, and a repetition after a lost answer changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use super::sql::{Bind as _, Dialect, Session, params, table};
use super::{Claimed, PlannedRun, Release, Result, RunClaim, runs};
use crate::domain::{Owner, RunId, Timestamp, UserId};

/// Takes the user, if it is to be had; the number of the run.
macro_rules! claim {
    () => {
        "UPDATE users SET run_owner = $2, run_claim = $3, next_run_at = clock($4) + $5, last_run_at = $6, runs = runs + 1
         WHERE id = $1 AND active AND NOT paused AND run_claim IS DISTINCT FROM $3
           AND (run_owner IS NULL OR run_owner = $2 OR next_run_at <= clock($4))
           AND ($7 IS NULL OR next_run_at = $7 OR next_run_at <= clock($4))
         RETURNING runs"
    };
}

pub async fn begin(session: &mut Session, claim: &RunClaim) -> Result<Claimed> {
    if let Some(run) = take(session, claim).await? {
        return Ok(Claimed::Begun(run));
    }
    match repeated(session, claim).await? {
        Some(run) => Ok(Claimed::Begun(run)),
        None => refused(session, claim).await,
    }
}

/// The claim and the run that it opens. PostgreSQL does both in one statement, which is one journey.
async fn take(session: &mut Session, claim: &RunClaim) -> Result<Option<RunId>> {
    let lease = i64::try_from(claim.lease.as_millis()).unwrap_or(i64::MAX);
    let now = session.given_now();
    let mut params = params![claim.user, claim.owner, claim.claim, now, lease, claim.at, claim.due];
    if session.dialect() == Dialect::Postgres {
        params.push(claim.trigger.bind());
        let sql = concat!(
            "WITH claimed AS (",
            claim!(),
            ") INSERT INTO runs (user_id, run_id, cause, started_at) SELECT $1, runs, $8, $6 FROM claimed RETURNING run_id"
        );
        return session.first(sql, params, |row| row.get("run_id")).await;
    }
    let run = session.first(claim!(), params, |row| row.get("runs")).await?;
    if let Some(run) = run {
        runs::open(session, claim.user, run, claim.trigger, claim.at).await?;
    }
    Ok(run)
}

/// The run of this very claim, where it is on record already.
async fn repeated(session: &mut Session, claim: &RunClaim) -> Result<Option<RunId>> {
    let until = session.now().await? + claim.lease;
    session
        .first(
            "UPDATE users SET next_run_at = $4 WHERE id = $1 AND run_owner = $2 AND run_claim = $3 RETURNING runs",
            params![claim.user, claim.owner, claim.claim, until],
            |row| row.get("runs"),
        )
        .await
}

async fn refused(session: &mut Session, claim: &RunClaim) -> Result<Claimed> {
    let (owner, now) = (claim.owner, session.now().await?);
    let found = session
        .first(
            "SELECT run_owner, next_run_at, runs, blocked IS NOT NULL AS blocked FROM users WHERE id = $1 AND active AND NOT paused",
            params![claim.user],
            |row| {
                let next: Option<Timestamp> = row.maybe("next_run_at")?;
                let by: Option<Owner> = row.maybe("run_owner")?;
                let blocked = row.get("blocked")?;
                Ok(match next {
                    Some(until) if until > now && by.is_some_and(|by| by != owner) => {
                        Claimed::Taken { run: row.get("runs")?, until, blocked }
                    }
                    next => Claimed::NotDue { next, blocked },
                })
            },
        )
        .await?;
    Ok(found.unwrap_or(Claimed::Gone))
}

pub async fn renew(
    session: &mut Session,
    owner: Owner,
    users: &[UserId],
    lease: Duration,
) -> Result<Vec<UserId>> {
    session.lock_many().await?;
    let until = session.now().await? + lease;
    session
        .all(
            "UPDATE users SET next_run_at = $2 FROM rows($3 AS listed: user_id BIGINT)
             WHERE users.id = listed.user_id AND run_owner = $1 RETURNING id",
            vec![owner.bind(), until.bind(), table![users; |user| *user]],
            |row| row.get("id"),
        )
        .await
}

pub async fn release(session: &mut Session, user: UserId, release: Release) -> Result<()> {
    session
        .run(
            "UPDATE users SET run_owner = NULL, run_claim = NULL, next_run_at = $3 WHERE id = $1 AND run_owner = $2",
            params![user, release.owner, release.next],
        )
        .await?;
    Ok(())
}

pub async fn release_all(session: &mut Session, owner: Owner, but: &[UserId]) -> Result<Vec<UserId>> {
    session.lock_many().await?;
    let now = session.now().await?;
    session
        .all(
            "UPDATE users SET run_owner = NULL, run_claim = NULL, next_run_at = $2 WHERE run_owner = $1
               AND id NOT IN (SELECT listed.user_id FROM rows($3 AS listed: user_id BIGINT))
             RETURNING id",
            vec![owner.bind(), now.bind(), table![but; |user| *user]],
            |row| row.get("id"),
        )
        .await
}

pub async fn plan(session: &mut Session, planned: &[PlannedRun]) -> Result<Vec<(UserId, Option<Timestamp>)>> {
    session.lock_many().await?;
    let set: Vec<UserId> = session
        .all(
            "UPDATE users SET next_run_at = listed.planned
             FROM rows($1 AS listed: user_id BIGINT, seen BIGINT, planned BIGINT)
             WHERE users.id = listed.user_id AND active AND run_owner IS NULL
               AND next_run_at IS NOT DISTINCT FROM listed.seen
             RETURNING id",
            vec![table![planned; |run| run.user, |run| run.seen, |run| run.at]],
            |row| row.get("id"),
        )
        .await?;
    let set: HashSet<UserId> = set.into_iter().collect();
    let others: Vec<UserId> = planned.iter().map(|run| run.user).filter(|user| !set.contains(user)).collect();
    if others.is_empty() {
        return Ok(Vec::new());
    }
    session
        .all(
            "SELECT users.id, users.next_run_at FROM users JOIN rows($1 AS listed: user_id BIGINT)
               ON users.id = listed.user_id
             WHERE users.active",
            vec![table![others; |user| *user]],
            |row| Ok((row.get("id")?, row.maybe("next_run_at")?)),
        )
        .await
}

pub async fn overdue(
    session: &mut Session,
    by: Duration,
    after: Option<(Timestamp, UserId)>,
    limit: i64,
) -> Result<Vec<(Timestamp, UserId)>> {
    let now = session.now().await?;
    let (at, user) = after.unwrap_or((Timestamp::from_millis(i64::MIN), UserId(0)));
    session
        .all(
            "SELECT next_run_at, id FROM users
             WHERE active AND NOT paused AND next_run_at < $1 AND (next_run_at, id) > ($2, $3)
               AND (run_owner IS NOT NULL OR next_run_at < $4)
             ORDER BY next_run_at, id LIMIT $5",
            params![now, at, user, now - by, limit.max(0)],
            |row| Ok((row.get("next_run_at")?, row.get("id")?)),
        )
        .await
}
