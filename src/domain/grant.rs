//! A grant: the chain of refresh tokens that grew out of one login, and the refresh that may be under way on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Timestamp, UserId};

/// Counts the tokens received for a user. It only rises, over logins too.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl Generation {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a user's login; a late answer to a refresh of an older login changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The one of a login that is committed now, by this host's clock. It has the time in it, in seconds, so that a store
    /// that was set back gives no number twice: a daemon that still has answers of the first login takes them for none of
    /// the second.
    pub fn next(self, now: Timestamp) -> Self {
        Self(self.0.saturating_add(1).max(now.as_millis() / 1_000))
    }
}

/// Names one try to refresh, in the store, the spool and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub Uuid);

impl std::fmt::Display for AttemptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a state directory, and so the daemon that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(pub Uuid);

/// A sealed token: ciphertext that only the token key opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// The id of a token key.
pub type KeyId = [u8; 8];

impl Sealed {
    /// The id of the key that it is sealed with, behind the byte of the format; `None` where it is cut.
    pub fn key_id(&self) -> Option<KeyId> {
        self.0.get(1..)?.first_chunk().copied()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Why a refresh was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The access token was not fresh enough, or there was none.
    Expiry,
    /// Somebody asked for a fresh one.
    Asked,
    /// Spotify answered 401 with the access token.
    Rejection,
}

/// The times of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessTimes {
    /// When the request that brought it was sent, by the sender's wall clock.
    pub sent_at: Timestamp,
    /// `expires_in` of the answer (RFC 6749, section 5.1).
    pub lifetime: Duration,
    /// `sent_at` corrected by the measured skew, plus `lifetime`: true time.
    pub expires_at: Timestamp,
}

/// A refresh that was announced and has no outcome on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its name.
    pub id: AttemptId,
    /// Who sends it.
    pub owner: Owner,
    /// Until when its owner may send, by the store's clock.
    pub lease_until: Timestamp,
    /// Why it was made.
    pub cause: Cause,
}

/// A refresh whose outcome is unknown: the provider may have rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// When the first lost answer was sent for.
    pub since: Timestamp,
    /// Who sent it: the one that may try again at once.
    pub owner: Owner,
    /// What was seen instead of an answer.
    pub reason: String,
}

/// The provider answered `invalid_grant`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When it first did.
    pub since: Timestamp,
    /// The sentence that the user reads, with the cure.
    pub reason: String,
    /// How many later tries were refused as well.
    pub tries: u32,
    /// When the next try is due; `None`: no more.
    pub next_try_at: Option<Timestamp>,
}

/// A grant as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose it is.
    pub user: UserId,
    /// The client id it was given to; a refresh token works for no other (RFC 6749, section 6).
    pub client_id: String,
    /// Which login it grew out of.
    pub epoch: Epoch,
    /// How many tokens were received so far.
    pub generation: Generation,
    /// Spotify's `account_id`, else `id`; `None` until it was asked for.
    pub account_id: Option<String>,
    /// When the user consented; `None` for a token from elsewhere.
    pub login_at: Option<Timestamp>,
    /// The scope that was granted, where the provider said so.
    pub scope: Option<String>,
    /// The present refresh token; `None` after the user was removed: the counters stay.
    pub refresh_token: Option<Sealed>,
    /// The present access token.
    pub access_token: Option<Sealed>,
    /// Its times.
    pub access_times: Option<AccessTimes>,
    /// When this generation was committed, by the store's clock.
    pub committed_at: Timestamp,
    /// Why the refresh that brought it was made; `None` for a login.
    pub born_of: Option<Cause>,
    /// The refresh under way.
    pub attempt: Option<Attempt>,
    /// Set while it is unknown whether the refresh token is spent.
    pub doubt: Option<Doubt>,
    /// Set while the provider refuses the refresh token.
    pub refusal: Option<Refusal>,
    /// When this was read, by the store's clock.
    pub read_at: Timestamp,
}

/// What `status` tells of a grant: no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The client id it was given to.
    pub client_id: String,
    /// When the user consented.
    pub login_at: Option<Timestamp>,
    /// Until when the present access token is valid, by the wall clock of who received it.
    pub access_expires_at: Option<Timestamp>,
    /// Until when the owner of the refresh under way may send, by the store's clock.
    pub lease_until: Option<Timestamp>,
    /// What was seen instead of an answer, while it is unknown whether the refresh token is spent.
    pub doubt: Option<String>,
    /// Why the provider refuses the refresh token, and the cure.
    pub refusal: Option<String>,
}

impl Login {
    /// What is told of a grant; `None` where the tokens are gone.
    pub fn of(grant: &Grant) -> Option<Self> {
        grant.refresh_token.as_ref()?;
        Some(Self {
            client_id: grant.client_id.clone(),
            login_at: grant.login_at,
            access_expires_at: grant.access_times.map(|times| times.sent_at + times.lifetime),
            lease_until: grant.attempt.map(|attempt| attempt.lease_until),
            doubt: grant.doubt.as_ref().map(|doubt| doubt.reason.clone()),
            refusal: grant.refusal.as_ref().map(|refusal| refusal.reason.clone()),
        })
    }
}
