//! The refresh actor: one task owns every grant, and a caller only ever receives a token that is valid.

mod account;
mod actor;
mod exchange;
mod handle;
mod login;
mod seal;
mod set_back;
mod spool;
mod validity;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{AccessToken, Generation, Timestamp, UserId};

pub use actor::start;
pub use exchange::{Exchange, SpoolFault, Subject, login_ends, offer_spool, still_faulty};
pub use handle::{Health, Member, News, TokenKeeper};
pub use login::{LoginError, LoginGrant};
pub use seal::{Label, OpenError, Vault};
pub use set_back::ClockNote;
pub use spool::{FileSpool, Glance, Head, Kept, MemorySpool, Spool, SpoolFiles};
pub use validity::{WRONG_CLOCK, skew};

/// A valid access token, as a caller receives it.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub access_token: AccessToken,
    /// Until when it is valid, by this host's wall clock.
    pub expires_at: Timestamp,
    /// Which generation it is; to be named when Spotify rejects it.
    pub generation: Generation,
}

/// What a caller asks of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// The least validity; the buffer where that is more.
    pub valid_for: Duration,
    /// Only a generation committed after the request will do.
    pub fresh: bool,
    /// Try even while the app is refused: a person asked.
    pub insist: bool,
    /// A program asks, not a run: the token is kept fresh for the next hour.
    pub program: bool,
}

/// Why there is no token. Each message says why, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The login is dead or was never given.
    #[error("{0}")]
    NeedsLogin(String),
    /// The app is set up wrongly.
    #[error("{0}")]
    Blocked(String),
    /// The user is paused.
    #[error("paused: `longplay resume USER` lets it go on")]
    Paused,
    /// An outage or a rate limit.
    #[error("{reason}")]
    Waiting {
        /// What is waited for.
        reason: String,
        /// When to ask again.
        retry_after: Duration,
        /// What kind of trouble it is.
        trouble: Trouble,
    },
    /// A refresh has an unknown outcome, and nothing is fresh enough.
    #[error("{reason}")]
    InDoubt {
        /// What was seen instead of an answer.
        reason: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// More validity than half a lifetime was asked for.
    #[error("at most {} s of validity can be asked for: half of a token's lifetime", .at_most.as_secs())]
    TooLong {
        /// The most that can be asked for.
        at_most: Duration,
    },
    /// A generation born of a rejection was rejected within a minute.
    #[error("Spotify refuses a fresh access token too: nothing is refreshed again for that")]
    FreshRejected,
    /// A generation that was never given out.
    #[error("generation {0} was never given out")]
    NeverIssued(Generation),
    /// The actor knows no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// The actor has stopped.
    #[error("longplay is stopping")]
    Stopped,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Retry-After holds the app.
    RateLimited,
    /// The token endpoint can't be reached, or answered nonsense.
    Unreachable,
    /// The store can't be reached or written.
    Store,
}

/// Where tokens come from. A job holds one of these and nothing else of the login.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// A token that is valid for at least the buffer, refreshed first where it must be.
    async fn token(&self, user: UserId, need: Need) -> Result<Token, TokenError>;
    /// Spotify answered 401 with this generation. Answers when that is settled: ask for a token again then.
    async fn rejected(&self, user: UserId, generation: Generation) -> Result<(), TokenError>;
    /// How long the present access token is still valid, without refreshing, zero where there is none; `None`: there is no
    /// login that could have one.
    async fn left(&self, user: UserId) -> Option<Duration>;
}

#[cfg(test)]
mod tests;
