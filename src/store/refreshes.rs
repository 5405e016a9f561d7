//! One refresh on a grant: intent, commit, close. Each statement names what must still be on record, so that a
//! repetition after a lost answer, a late answer and a second daemon change nothing they should not.

use super::sql::{Session, params};
use super::{Close, CommitIf, Intent, NewTokens, Result, STOPPED};
use crate::domain::{AttemptId, Epoch, Generation, UserId};

/// How many generations are kept with their attempts.
const KEPT_GENERATIONS: i64 = 5;

pub async fn begin(session: &mut Session, intent: &Intent) -> Result<bool> {
    let now = session.now().await?;
    let begun = session
        .run(
            // A try that is replaced had no outcome: it leaves a doubt, until an answer ends it.
            "UPDATE grants SET attempt = $4, attempt_owner = $6, attempt_lease_until = $7, attempt_cause = $8,
               doubt_since = CASE WHEN attempt IS NULL THEN doubt_since
                 ELSE COALESCE(doubt_since, attempt_lease_until - $10) END,
               doubt_owner = CASE WHEN attempt IS NULL THEN doubt_owner
                 ELSE COALESCE(doubt_owner, attempt_owner) END,
               doubt_reason = CASE WHEN attempt IS NULL THEN doubt_reason ELSE COALESCE(doubt_reason, $11) END
             WHERE user_id = $1 AND epoch = $2 AND generation = $3
               AND (attempt IS NULL OR (attempt = $5 AND (attempt_lease_until < $9 OR attempt_owner = $6)))
               AND refusal_tries IS NOT DISTINCT FROM $12 AND ((doubt_since IS NOT NULL) = $13)",
            params![
                intent.user,
                intent.epoch,
                intent.generation,
                intent.attempt,
                intent.replaces,
                intent.owner,
                now + intent.lease,
                intent.cause,
                now,
                intent.lease,
                STOPPED,
                intent.refused,
                intent.in_doubt,
            ],
        )
        .await?;
    Ok(begun > 0 || holds(session, intent).await?)
}

/// Whether this very intent is on record already, with its first lease.
async fn holds(session: &mut Session, intent: &Intent) -> Result<bool> {
    let found: Option<AttemptId> = session
        .first(
            "SELECT attempt FROM grants
             WHERE user_id = $1 AND epoch = $2 AND generation = $3 AND attempt = $4",
            params![intent.user, intent.epoch, intent.generation, intent.attempt],
            |row| row.get("attempt"),
        )
        .await?;
    Ok(found.is_some())
}

pub async fn commit(session: &mut Session, tokens: &NewTokens, when: CommitIf) -> Result<bool> {
    // Of the two conditions one is null and so never true.
    let (attempt, sent) = match when {
        CommitIf::AttemptHolds => (Some(tokens.attempt), None),
        CommitIf::NotNewerThan(sent) => (None, Some(sent)),
    };
    // What is kept of the generation takes the user's row, and it comes first.
    session.lock_user(tokens.user).await?;
    let now = session.now().await?;
    let (access_token, times) = tokens.access.clone().unzip();
    let committed = session
        .run(
            "UPDATE grants SET generation = $3, refresh_token = $6, access_token = $7, access_sent_at = $8,
               access_lifetime = $9, access_expires_at = $10, scope = COALESCE($11, scope), born_of = $12,
               committed_at = $13,
               attempt = NULL, attempt_owner = NULL, attempt_lease_until = NULL, attempt_cause = NULL,
               doubt_since = NULL, doubt_owner = NULL, doubt_reason = NULL,
               refusal_since = NULL, refusal_reason = NULL, refusal_tries = NULL, refusal_next_try_at = NULL
             WHERE user_id = $1 AND epoch = $2 AND generation < $3 AND (attempt = $4 OR generation <= $5)",
            params![
                tokens.user,
                tokens.epoch,
                tokens.generation,
                attempt,
                sent,
                &tokens.refresh_token,
                access_token,
                times.map(|t| t.sent_at),
                times.map(|t| t.lifetime),
                times.map(|t| t.expires_at),
                &tokens.scope,
                tokens.cause,
                now,
            ],
        )
        .await?;
    if committed == 0 {
        return recorded(session, tokens).await;
    }
    record_generation(session, tokens.user, tokens.epoch, tokens.generation, Some(tokens.attempt)).await?;
    Ok(true)
}

/// Whether these tokens were committed before.
async fn recorded(session: &mut Session, tokens: &NewTokens) -> Result<bool> {
    let found: Option<Generation> = session
        .first(
            "SELECT generation FROM grant_generations
             WHERE user_id = $1 AND epoch = $2 AND generation = $3 AND attempt = $4",
            params![tokens.user, tokens.epoch, tokens.generation, tokens.attempt],
            |row| row.get("generation"),
        )
        .await?;
    Ok(found.is_some())
}

/// Keeps which attempt brought a generation (`None`: a login), and forgets the oldest.
pub async fn record_generation(
    session: &mut Session,
    user: UserId,
    epoch: Epoch,
    generation: Generation,
    attempt: Option<AttemptId>,
) -> Result<()> {
    let now = session.now().await?;
    session
        .run(
            "INSERT INTO grant_generations (user_id, generation, epoch, attempt, committed_at)
             VALUES ($1, $2, $3, $4, $5)",
            params![user, generation, epoch, attempt, now],
        )
        .await?;
    session
        .run(
            "DELETE FROM grant_generations WHERE user_id = $1 AND generation <
               (SELECT min(generation) FROM (SELECT generation FROM grant_generations
                 WHERE user_id = $1 ORDER BY generation DESC LIMIT $2) AS kept)",
            params![user, KEPT_GENERATIONS],
        )
        .await?;
    Ok(())
}

pub async fn close(
    session: &mut Session,
    user: UserId,
    epoch: Epoch,
    attempt: AttemptId,
    close: &Close,
) -> Result<bool> {
    let closed = match close {
        Close::Nothing => {
            session
                .run(
                    "UPDATE grants SET
                       attempt = NULL, attempt_owner = NULL, attempt_lease_until = NULL, attempt_cause = NULL
                     WHERE user_id = $1 AND epoch = $2 AND attempt = $3",
                    params![user, epoch, attempt],
                )
                .await?
        }
        Close::Doubt(doubt) => {
            session
                .run(
                    "UPDATE grants SET
                       attempt = NULL, attempt_owner = NULL, attempt_lease_until = NULL, attempt_cause = NULL,
                       doubt_since = COALESCE(doubt_since, $4), doubt_owner = $5, doubt_reason = $6
                     WHERE user_id = $1 AND epoch = $2 AND attempt = $3",
                    params![user, epoch, attempt, doubt.since, doubt.owner, &doubt.reason],
                )
                .await?
        }
        Close::Refused(refusal) => {
            session
                .run(
                    "UPDATE grants SET
                       attempt = NULL, attempt_owner = NULL, attempt_lease_until = NULL, attempt_cause = NULL,
                       doubt_since = NULL, doubt_owner = NULL, doubt_reason = NULL,
                       refusal_since = $4, refusal_reason = $5, refusal_tries = $6, refusal_next_try_at = $7
                     WHERE user_id = $1 AND epoch = $2 AND attempt = $3",
                    params![
                        user,
                        epoch,
                        attempt,
                        refusal.since,
                        &refusal.reason,
                        refusal.tries,
                        refusal.next_try_at,
                    ],
                )
                .await?
        }
    };
    Ok(closed > 0 || was_closed(session, user, epoch, close).await?)
}

/// Whether this very end is on record already: it is repeated because the answer was lost.
async fn was_closed(session: &mut Session, user: UserId, epoch: Epoch, close: &Close) -> Result<bool> {
    let found: Option<UserId> = match close {
        Close::Nothing => None,
        Close::Doubt(doubt) => {
            session
                .first(
                    "SELECT user_id FROM grants WHERE user_id = $1 AND epoch = $2 AND attempt IS NULL
                       AND doubt_owner = $3 AND doubt_reason = $4 AND doubt_since <= $5",
                    params![user, epoch, doubt.owner, &doubt.reason, doubt.since],
                    |row| row.get("user_id"),
                )
                .await?
        }
        Close::Refused(refusal) => {
            session
                .first(
                    "SELECT user_id FROM grants WHERE user_id = $1 AND epoch = $2 AND attempt IS NULL
                       AND refusal_since = $3 AND refusal_tries = $4 AND refusal_reason = $5",
                    params![user, epoch, refusal.since, refusal.tries, &refusal.reason],
                    |row| row.get("user_id"),
                )
                .await?
        }
    };
    Ok(found.is_some())
}
