//! What is said of a store that is copied.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;

/// `POST /v1/copy`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyQuestion {
    /// The URL of an empty store; it may hold a password.
    pub to: String,
}

/// A line of the answer to `POST /v1/copy`. The last one is `done` or `problem`; without that the copy broke off.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyLine {
    /// How far it is.
    Progress(CopyProgress),
    /// It is complete.
    Done(StoreCopied),
    /// It was given up, and nothing was copied.
    Problem(Box<Problem>),
}

/// How far a copy is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CopyProgress {
    /// Which table.
    pub table: String,
    /// How many rows are done.
    pub rows: u64,
    /// Of how many: each is read twice, once in either store.
    pub of: u64,
}

/// The store was copied.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StoreCopied {
    /// What and where the store is that was copied.
    pub from: String,
    /// What and where the other is.
    pub to: String,
    /// Each table.
    pub tables: Vec<TableCopied>,
}

/// A table that was copied.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TableCopied {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// A digest of all that is in them, the same in both stores.
    pub digest: String,
}
