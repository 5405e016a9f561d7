//! What the spool keeps, offered to the store. Whether an answer counts is judged by [`Exchange::offer`] alone. To offer
//! everything, some hundred users at a time are looked at and compared with their grants by one statement; only whose
//! answers could change something are opened.

use std::collections::{HashMap, HashSet};

use crate::domain::{UserId, said};
use crate::oauth::{Reading, read};
use crate::store::{CommitIf, GrantHead, Result as Stored, StoreError};

use super::super::account::Outcome;
use super::super::spool::{Glance, Head, Kept};
use super::outcome::Case;
use super::{Exchange, Subject, login_ends};

/// How many users are looked at together.
pub(in super::super) const BITE: usize = 512;

/// What of the spool can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolFault {
    /// Whose answers; `None`: the spool itself.
    pub user: Option<UserId>,
    /// What is wrong, and the cure.
    pub what: String,
}

/// Offers every answer that the spool keeps to the store, before the actor starts and whenever the store comes back
/// within reach. `who` tells of whom it is asked; whoever it leaves out is passed over. Answers what the spool could not
/// read of theirs.
///
/// # Errors
/// Where the store can't be reached.
pub async fn offer_spool<W>(
    exchange: &Exchange,
    who: impl Fn(Vec<UserId>) -> W,
) -> Result<Vec<SpoolFault>, StoreError>
where
    W: Future<Output = Stored<Vec<Subject>>>,
{
    let unreadable = |error| SpoolFault { user: None, what: format!("the spool can't be read: {error}") };
    let users = match exchange.spool.users().await {
        Ok(users) => users,
        Err(error) => return Ok(vec![unreadable(error)]),
    };
    let mut faults = Vec::new();
    for bite in users.chunks(BITE) {
        let seen = match exchange.spool.glance(bite).await {
            Ok(seen) => seen,
            Err(error) => {
                faults.push(unreadable(error));
                continue;
            }
        };
        let open = exchange.to_open(&seen).await?;
        if open.is_empty() {
            continue;
        }
        let subjects = who(open.clone()).await?;
        let subjects: HashMap<UserId, Subject> = subjects.into_iter().map(|s| (s.user, s)).collect();
        for user in open {
            let Some(subject) = subjects.get(&user) else { continue };
            let (kept, damaged) = match exchange.spool.kept_of(user).await {
                Ok(kept) => kept,
                Err(error) => (Vec::new(), vec![error.to_string()]),
            };
            let cure = format!("the next refresh of {} replaces it", subject.name);
            let fault = |what| SpoolFault { user: Some(user), what: format!("{what}; {cure}") };
            faults.extend(damaged.into_iter().map(fault));
            for answer in kept {
                if exchange.offer(subject, answer).await? {
                    tracing::info!(user = %subject.name, "an answer from the spool was applied");
                }
            }
        }
    }
    Ok(faults)
}

/// Which of these faults of users' answers are still there. What is whole by now was replaced, or was mended and will be
/// offered at the next occasion.
pub async fn still_faulty(exchange: &Exchange, mut faults: Vec<SpoolFault>) -> Vec<SpoolFault> {
    let users: Vec<UserId> = faults.iter().filter_map(|fault| fault.user).collect();
    // Where nobody can look, nothing was mended.
    if let Ok(seen) = exchange.spool.glance(&users).await {
        let whole: HashSet<UserId> = seen.iter().filter(|glance| glance.sound).map(|g| g.user).collect();
        faults.retain(|fault| fault.user.is_none_or(|user| !whole.contains(&user)));
    }
    faults
}

impl Exchange {
    /// Offers an answer from the spool: applied where the login is the same and the store's generation is not newer
    /// than the one that was sent, whatever became of the attempt. True where it changed something.
    pub async fn offer(&self, subject: &Subject, kept: Kept) -> Stored<bool> {
        let Some(grant) = self.store.grant(subject.user).await? else { return Ok(false) };
        let reading = read(&kept.answer, kept.received_at);
        let success = matches!(reading, Reading::Granted(_) | Reading::NewRefreshToken(_));
        if !counts(Head { success, ..kept.head() }, &GrantHead::from(&grant)) {
            return Ok(false);
        }
        let holds = grant.attempt.is_some_and(|attempt| attempt.id == kept.attempt);
        let commit_if = if holds { CommitIf::AttemptHolds } else { CommitIf::NotNewerThan(kept.sent) };
        let case = Case {
            subject,
            login_ends: login_ends(&subject.app, grant.login_at),
            lost: grant.doubt.map(|doubt| doubt.reason),
            refusal: grant.refusal,
            kept,
            commit_if,
            sent_boot: None,
        };
        let (outcome, _) = self.conclude(&case, true, &|_| {}).await;
        Ok(!matches!(outcome, Outcome::Superseded))
    }

    /// Whose answers must be opened: something in them could count, or can't be told without.
    async fn to_open(&self, seen: &[Glance]) -> Stored<Vec<UserId>> {
        let users: Vec<UserId> = seen.iter().map(|glance| glance.user).collect();
        let grants = self.store.grant_heads(&users).await?;
        let grants: HashMap<UserId, GrantHead> = grants.into_iter().map(|g| (g.user, g)).collect();
        let open = |glance: &&Glance| {
            let grant = grants.get(&glance.user);
            !glance.sound || grant.is_some_and(|grant| glance.heads.iter().any(|head| counts(*head, grant)))
        };
        Ok(seen.iter().filter(open).map(|glance| glance.user).collect())
    }

    /// Offers the user's own answers: a store that lost its last commits must not be believed that an older refresh
    /// token is the newest.
    pub(super) async fn offer_kept(&self, subject: &Subject) {
        let kept = match self.spool.kept_of(subject.user).await {
            Ok((kept, _)) => kept,
            Err(error) => return tracing::warn!(user = %subject.name, "the spool can't be read: {error}"),
        };
        for answer in kept {
            if let Err(error) = self.offer(subject, answer).await {
                tracing::warn!(user = %subject.name, "an answer from the spool waits: {}", said(&error));
            }
        }
    }
}

/// Whether an answer counts: it is of the present login, and either the try is on record, or it brings tokens and the
/// store has none that are newer than the one that was sent.
fn counts(answer: Head, grant: &GrantHead) -> bool {
    answer.epoch == grant.epoch
        && (grant.attempt == Some(answer.attempt) || answer.success && grant.generation <= answer.sent)
}
