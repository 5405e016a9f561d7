//! Imports of a user's own data: begun, fed with rows in the order of their times, ended, undone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Covered, ImportCounts, ImportId, ImportRow, ImportedTrack};

/// The most rows of one batch.
pub const MOST_ROWS: usize = 10_000;
/// No batch is longer, in bytes.
pub const LONGEST_BATCH: usize = 8 * 1024 * 1024;

/// `POST /v1/users/{name}/imports`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportQuestion {
    /// Tells these files from others: the same ones again go on with an import that was broken off.
    pub digest: String,
}

/// The answer: an import is open.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportBegun {
    /// Its number.
    pub import: ImportId,
    /// Whether it was broken off before.
    pub resumed: bool,
}

/// `POST /v1/users/{name}/imports/rows`: rows in the order of their times. Those of other batches lie more than 62 s off,
/// since rows that may be one play must come together. A track of a number below 100,000 is told once: batches that are sent
/// after that one was answered name it by its number. Where it is no longer known by then, the import is begun again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRows {
    /// Which import; null: nothing is kept, and it is answered what would become of the rows.
    pub import: Option<ImportId>,
    /// A number that whoever reads the files has drawn: the tracks' numbers are theirs.
    pub reader: i64,
    /// What the rows are of, as far as it was not told before. Where nothing is kept, all of it.
    pub tracks: Vec<ImportedTrack>,
    /// The rows.
    pub rows: Vec<ImportRow>,
}

/// `POST /v1/users/{name}/imports/end`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportFinish {
    /// Which import; null: it is answered what it would have come to.
    pub import: Option<ImportId>,
    /// What became of the rows, as far as the answers told.
    pub counts: ImportCounts,
    /// What the files have everything of.
    pub covered: Vec<Covered>,
}

/// What an import came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportDone {
    /// Its number; null where nothing was to be kept.
    pub import: Option<ImportId>,
    /// What became of its rows.
    #[serde(flatten)]
    pub counts: ImportCounts,
}
