//! What is said and heard of the raw journal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Timestamp;

/// `POST /v1/users/{name}/replay`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuestion {
    /// Only pages that were fetched then or later; absent: all that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What reading the raw journal again brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// How many pages were read.
    pub pages: u64,
    /// How many plays the archive lacked.
    pub new_plays: u64,
    /// How many gaps hold nothing more, and are closed.
    pub gaps_closed: u64,
    /// How many pages can't be read even now, wholly or in part.
    pub unreadable: u64,
    /// The first 20 of them.
    pub faults: Vec<ReplayFault>,
    /// How many pages were left alone, since a run must first put on record that plays may be missing before them.
    pub held_back: u64,
    /// For how many days pages are kept (`archive.raw_journal_days`); 0: they are not.
    pub raw_journal_days: u32,
}

/// A kept page that can't be read, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayFault {
    /// When it was fetched.
    pub at: Timestamp,
    /// What is wrong with it.
    pub why: String,
}
