//! What Spotify allows a developer account in a day.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// What is left of a day's calls of the Web API, for all apps of one Spotify developer account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// The `quota_group` of its apps.
    pub group: String,
    /// How many calls it may make within 24 hours.
    pub calls_per_day: u32,
    /// How many of them can still be made now.
    pub left: u32,
    /// When they will be spent, should as many be made as in the last hour; null where they last for the day to come.
    #[schema(value_type = Option<String>)]
    pub lasts_until: Option<Timestamp>,
}

/// How much a call matters. When a day's calls run low, those that matter most are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A login hangs on it: it is made in any case.
    Login,
    /// A person waits for it.
    Asked,
    /// A run by schedule: the fuller the user's page of 50 plays is, the more urgent.
    Due {
        /// When the page was last looked at.
        since: Timestamp,
        /// When 50 plays can have come since.
        full_at: Timestamp,
    },
    /// Nothing is lost without it.
    Spare,
}
