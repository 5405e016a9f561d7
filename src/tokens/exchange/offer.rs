//! What the spool keeps, offered to the store. Whether an answer counts is judged by [`Exchange::offer`] alone. To offer
//! everything, some hundred users at a time are looked at and compared with their grants by one statement; only whose
//! answers could change something are opened.

use std::collections::{HashMap, HashSet};

use crate::domain::{UserId, said};
use crate::oauth::{Reading, read};
use crate::store::{CommitIf, GrantHead, Result as Stored, StoreError};

use super::super::account::{Outcome, View};
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

    /// Whose answers in the spool are newer than the store by more than one: the token that was sent is one that the
    /// store does not have yet, or of a login that it does not have. Only a store that was set back is like that.
    pub async fn ahead_of_store(&self) -> Stored<Vec<UserId>> {
        let mut ahead = Vec::new();
        // What can't be read is told by whoever offers it.
        let users = self.spool.users().await.unwrap_or_default();
        for bite in users.chunks(BITE) {
            let Ok(seen) = self.spool.glance(bite).await else { continue };
            let grants = self.store.grant_heads(bite).await?;
            let grants: HashMap<UserId, GrantHead> = grants.into_iter().map(|g| (g.user, g)).collect();
            let is_ahead = |glance: &&Glance| {
                let Some(grant) = grants.get(&glance.user) else { return false };
                let newer = |head: &Head| (head.epoch, head.sent) > (grant.epoch, grant.generation);
                glance.heads.iter().any(newer)
            };
            ahead.extend(seen.iter().filter(is_ahead).map(|glance| glance.user));
        }
        Ok(ahead)
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
    /// token is the newest. Whether one was applied.
    ///
    /// # Errors
    /// The store did not take one, and whether it counts is not known.
    pub(super) async fn offer_kept(&self, subject: &Subject) -> Stored<bool> {
        let kept = match self.spool.kept_of(subject.user).await {
            Ok((kept, _)) => kept,
            Err(error) => {
                tracing::warn!(user = %subject.name, "the spool can't be read: {error}");
                return Ok(false);
            }
        };
        let mut changed = Ok(false);
        for answer in kept {
            match self.offer(subject, answer).await {
                Ok(true) => changed = Ok(true),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(user = %subject.name, "an answer from the spool waits: {}", said(&error));
                    changed = changed.and_then(|changed| if changed { Ok(true) } else { Err(error) });
                }
            }
        }
        changed
    }

    /// The last look before a token is spent: whether the spool has an answer to it, or to a newer one, which the store
    /// has lost and now gets back. The store may have been another for a moment without anyone having asked it.
    ///
    /// # Errors
    /// It has, and the store can't take it now: the token may be spent, and is not sent.
    pub(super) async fn spool_knows_better(&self, subject: &Subject, view: &View) -> Stored<bool> {
        let Ok(seen) = self.spool.glance(&[subject.user]).await else { return Ok(false) };
        let newer = |head: &Head| head.success && (head.epoch, head.sent) >= (view.epoch, view.generation);
        match seen.iter().flat_map(|glance| &glance.heads).any(newer) {
            true => self.offer_kept(subject).await,
            false => Ok(false),
        }
    }
}

/// Whether an answer counts: it is of the present login, and either the try is on record, or it brings tokens and the
/// store has none that are newer than the one that was sent.
fn counts(answer: Head, grant: &GrantHead) -> bool {
    answer.epoch == grant.epoch
        && (grant.attempt == Some(answer.attempt) || answer.success && grant.generation <= answer.sent)
}
