//! Runs (one archiving of one user) and gaps (stretches in which plays may be missing).

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserId};

/// The number of a run, per user.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The user's schedule, or a missed run made up.
    Schedule,
    /// `longplay archive`.
    Manual,
    /// A new or renewed login.
    Login,
}

impl Trigger {
    /// The word kept in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
            Self::Login => "login",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// The whole page is stored.
    Ok,
    /// Stored, but for items that could not be read.
    Partial,
    /// The login is dead.
    NeedsLogin,
    /// Retry-After holds the app.
    RateLimited,
    /// The app or the user is refused, or paused.
    Blocked,
    /// Spotify could not be reached or answered 5xx.
    Unreachable,
    /// Spotify answered something that is no page.
    BadAnswer,
    /// The archive could not be read or written.
    StoreError,
    /// Broken off: the daemon stopped, the claim lapsed, or the user was gone.
    Cancelled,
}

impl RunResult {
    /// Every result, for metrics and parsing.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Partial,
        Self::NeedsLogin,
        Self::RateLimited,
        Self::Blocked,
        Self::Unreachable,
        Self::BadAnswer,
        Self::StoreError,
        Self::Cancelled,
    ];

    /// The word used in JSON, in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::NeedsLogin => "needs_login",
            Self::RateLimited => "rate_limited",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad_answer",
            Self::StoreError => "store_error",
            Self::Cancelled => "cancelled",
        }
    }

    /// Back from the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }

    /// Whether a page was stored.
    pub fn archived(self) -> bool {
        matches!(self, Self::Ok | Self::Partial)
    }
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Whose run it is.
    pub user: UserId,
    /// What started it.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it goes on, or where the daemon died in it.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub result: Option<RunResult>,
    /// Why it ended so, and the cure.
    pub reason: Option<String>,
    /// How many plays were new.
    pub new_plays: i64,
}

/// Why plays may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No run was made in it.
    DaemonDown,
    /// The login was dead.
    LoginDead,
    /// The app was held by Retry-After.
    RateLimited,
    /// The day's calls were spent.
    Quota,
    /// The app or the user was refused, or paused.
    Blocked,
    /// Spotify could not be reached, or answered nonsense.
    Unreachable,
    /// The archive could not be written.
    StoreError,
    /// More than 50 plays came between two runs.
    ListenedTooFast,
    /// Spotify showed plays long after they were made.
    SpotifyLate,
    /// Spotify showed a play that could not be read.
    Unreadable,
}

impl GapCause {
    /// Every cause.
    pub const ALL: [Self; 10] = [
        Self::DaemonDown,
        Self::LoginDead,
        Self::RateLimited,
        Self::Quota,
        Self::Blocked,
        Self::Unreachable,
        Self::StoreError,
        Self::ListenedTooFast,
        Self::SpotifyLate,
        Self::Unreadable,
    ];

    /// The word used in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DaemonDown => "daemon_down",
            Self::LoginDead => "login_dead",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::StoreError => "store_error",
            Self::ListenedTooFast => "listened_too_fast",
            Self::SpotifyLate => "spotify_late",
            Self::Unreadable => "unreadable",
        }
    }

    /// Back from the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }
}

/// How much of a year is archived without a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Coverage {
    /// The year, in the user's zone.
    pub year: i32,
    /// The part of it, from the oldest play that Spotify showed to the last look, in which no open gap lies; from 0 to 1.
    pub covered: f64,
    /// How many open gaps touch it.
    pub gaps: u64,
    /// The most plays that can have been lost in those.
    pub at_most: i64,
}

/// A stretch in which plays may be missing; the fields of `longplay gaps --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gap {
    /// The newest play known before it; of an unreadable play whose time is known, that time.
    pub from: Timestamp,
    /// The oldest play known after it, or that same time.
    pub to: Timestamp,
    /// Why plays may be missing.
    pub cause: GapCause,
    /// The most plays that can have been lost.
    pub at_most: i64,
    /// When it was found to hold nothing more; null while open.
    pub closed_at: Option<Timestamp>,
}
