//! What is remembered of an app (a Spotify client id) over restarts.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What is known of an app: when it may call again, whether it is set up wrongly, how its provider rotates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// No call before this moment (Retry-After).
    pub hold_until: Option<Timestamp>,
    /// How many answers in a row said 429 without a usable Retry-After.
    #[serde(default)]
    pub holds_in_a_row: u32,
    /// When a call was last refused for the day's quota, here or by Spotify; to within ten minutes.
    #[serde(default)]
    pub quota_spent_at: Option<Timestamp>,
    /// Set while the token endpoint refuses the app itself.
    pub fault: Option<AppFault>,
    /// Whether its refresh answers bring new refresh tokens.
    #[serde(default)]
    pub rotation: Rotation,
    /// The store's number of this state, which rises with each change by any daemon; 0: it is not in the store.
    #[serde(skip)]
    pub version: i64,
}

/// The token endpoint refused the client: `invalid_client`, `unauthorized_client` or another fault of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppFault {
    /// What was refused, and the cure.
    pub reason: String,
    /// When it was first refused.
    pub since: Timestamp,
    /// When one request may try again.
    pub retry_at: Timestamp,
}

/// Whether a provider replaces the refresh token at a refresh, learnt from its answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// No refresh was answered yet.
    #[default]
    Unknown,
    /// The last refresh brought a new refresh token.
    Rotates,
    /// The last refresh brought none, or the same one.
    Keeps,
}
