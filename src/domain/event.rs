//! Events of note: what `longplay watch`, the journal and the store tell of.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AppName, Timestamp, UserName};

/// The namespace of the journal's message ids.
const MESSAGES: Uuid = Uuid::from_u128(0x5f0e_4c1d_9a5b_4f0e_8d53_6c6f_6e67_706c);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A run ended and stored Spotify's page.
    Archived,
    /// A run ended without it.
    RunFailed,
    /// A stretch in which plays may be missing was found.
    GapFound,
    /// A refresh brought a new generation.
    TokenRefreshed,
    /// A refresh failed and nothing was spent.
    RefreshFailed,
    /// A refresh has an unknown outcome.
    InDoubt,
    /// A login was given or renewed.
    LoggedIn,
    /// A login was refused by the provider.
    LoginLost,
    /// A login is about to end.
    LoginEnding,
    /// A login has come to its age.
    LoginEnded,
    /// Retry-After holds an app.
    RateLimited,
    /// The token endpoint refuses an app.
    AppRefused,
    /// An app is accepted again.
    AppAccepted,
    /// Spotify refuses a user (403).
    UserBlocked,
    /// Runs and refreshes were suspended.
    Paused,
    /// They go on.
    Resumed,
    /// A user was added.
    UserAdded,
    /// A user was removed or left their file.
    UserRemoved,
    /// The configuration was read again.
    Reloaded,
    /// Nothing is refreshed or archived: the store was restored or moved, or its key was changed elsewhere.
    StoreRefused,
    /// A store that was restored or moved was accepted.
    StoreAdopted,
    /// The stored tokens were sealed with another key.
    KeyRotated,
    /// Something is wrong with the daemon itself.
    Problem,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::Archived,
        Self::RunFailed,
        Self::GapFound,
        Self::TokenRefreshed,
        Self::RefreshFailed,
        Self::InDoubt,
        Self::LoggedIn,
        Self::LoginLost,
        Self::LoginEnding,
        Self::LoginEnded,
        Self::RateLimited,
        Self::AppRefused,
        Self::AppAccepted,
        Self::UserBlocked,
        Self::Paused,
        Self::Resumed,
        Self::UserAdded,
        Self::UserRemoved,
        Self::Reloaded,
        Self::StoreRefused,
        Self::StoreAdopted,
        Self::KeyRotated,
        Self::Problem,
    ];

    /// The word used in JSON, the store and the journal's `LONGPLAY_EVENT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::RunFailed => "run_failed",
            Self::GapFound => "gap_found",
            Self::TokenRefreshed => "token_refreshed",
            Self::RefreshFailed => "refresh_failed",
            Self::InDoubt => "in_doubt",
            Self::LoggedIn => "logged_in",
            Self::LoginLost => "login_lost",
            Self::LoginEnding => "login_ending",
            Self::LoginEnded => "login_ended",
            Self::RateLimited => "rate_limited",
            Self::AppRefused => "app_refused",
            Self::AppAccepted => "app_accepted",
            Self::UserBlocked => "user_blocked",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::UserAdded => "user_added",
            Self::UserRemoved => "user_removed",
            Self::Reloaded => "reloaded",
            Self::StoreRefused => "store_refused",
            Self::StoreAdopted => "store_adopted",
            Self::KeyRotated => "key_rotated",
            Self::Problem => "problem",
        }
    }

    /// Back from the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What the journal's `MESSAGE_ID` is for this kind of event (systemd.journal-fields(7)); it never changes.
    pub fn message_id(self) -> Uuid {
        Uuid::new_v5(&MESSAGES, self.as_str().as_bytes())
    }
}

/// Something worth telling a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Which app it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The run it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// The refresh it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// What happened, in a sentence, with the cure where there is one.
    pub message: String,
}
