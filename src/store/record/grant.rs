//! What is taken and answered of grants: intents, new tokens, ends of tries, logins.

use std::time::Duration;

use crate::domain::{
    AccessTimes, AttemptId, Cause, Doubt, Epoch, Generation, Grant, KeyId, Owner, Refusal, Sealed, Timestamp,
    UserId,
};

/// Where a grant stands: all that tells whether an answer can still matter to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantHead {
    /// Whose.
    pub user: UserId,
    /// The login's number.
    pub epoch: Epoch,
    /// The newest generation.
    pub generation: Generation,
    /// The try that is on record.
    pub attempt: Option<AttemptId>,
}

impl From<&Grant> for GrantHead {
    fn from(grant: &Grant) -> Self {
        let attempt = grant.attempt.map(|attempt| attempt.id);
        Self { user: grant.user, epoch: grant.epoch, generation: grant.generation, attempt }
    }
}

/// Why a try that was replaced is in doubt.
pub const STOPPED: &str = "longplay was stopped before the answer to a refresh came";

/// Announces a refresh: step 1 of it. Where it replaces a lapsed try, that one is noted as a doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Whose grant.
    pub user: UserId,
    /// The login it is of.
    pub epoch: Epoch,
    /// The generation whose refresh token will be sent.
    pub generation: Generation,
    /// The name of this try.
    pub attempt: AttemptId,
    /// A lapsed try that this one replaces.
    pub replaces: Option<AttemptId>,
    /// Who sends.
    pub owner: Owner,
    /// How long the owner may send, from now on the store's clock.
    pub lease: Duration,
    /// Why.
    pub cause: Cause,
    /// How many tries the refusal that is known had; `None`: none is known. Where another daemon was refused since, the
    /// intent is refused too: a dead login costs one request.
    pub refused: Option<u32>,
    /// Whether an earlier try is known to be in doubt.
    pub in_doubt: bool,
    /// The keys that the sender has. Where the store is sealed with none of them it takes no intent: what such a one brings
    /// nobody else could open.
    pub keys: Vec<KeyId>,
}

/// What a refresh or a login brought, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTokens {
    /// Whose grant.
    pub user: UserId,
    /// The login it is of.
    pub epoch: Epoch,
    /// The number of the new generation.
    pub generation: Generation,
    /// The refresh token of the new generation.
    pub refresh_token: Sealed,
    /// The access token with its times; `None`: the answer brought none.
    pub access: Option<(Sealed, AccessTimes)>,
    /// The granted scope, where the answer names it; `None` leaves what is on record.
    pub scope: Option<String>,
    /// The try that brought it.
    pub attempt: AttemptId,
    /// Why that try was made.
    pub cause: Cause,
}

/// When new tokens may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitIf {
    /// The try is still the one on record.
    AttemptHolds,
    /// The store's generation is not newer than the one that was sent, whatever became of the try: for an answer
    /// offered again from the spool.
    NotNewerThan(Generation),
}

/// How a try ended that brought no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// Nothing happened at the provider; what was on record stays (an older doubt, a refusal).
    Nothing,
    /// It is unknown what happened.
    Doubt(Doubt),
    /// The provider refused the refresh token; ends doubt.
    Refused(Refusal),
}

/// A login's outcome, to be committed. The account check is the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogin {
    /// Whose.
    pub user: UserId,
    /// The grant on record when this was prepared; `None`: there was none. Anything else on record now refuses it.
    pub replaces: Option<(Epoch, Generation)>,
    /// The client id it was given to.
    pub client_id: String,
    /// The new epoch.
    pub epoch: Epoch,
    /// The new generation.
    pub generation: Generation,
    /// Spotify's `account_id`, else `id`.
    pub account_id: Option<String>,
    /// When the user consented.
    pub login_at: Option<Timestamp>,
    /// The granted scope.
    pub scope: Option<String>,
    /// The refresh token.
    pub refresh_token: Sealed,
    /// The access token and its times, where there is one.
    pub access: Option<(Sealed, AccessTimes)>,
}
