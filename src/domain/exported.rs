//! A play as it leaves the archive, with all that is known of it: what can be read back as the same play.

use serde::{Deserialize, Serialize};

use super::StoredPlay;

/// A play as `longplay export` writes it; the fields, in this order, are those of a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPlay {
    /// What `longplay plays` shows of it.
    #[serde(flatten)]
    pub play: StoredPlay,
    /// `spotify:artist:...`, one for each of the artists; null where it is not known.
    pub artist_uris: Vec<Option<String>>,
    /// `spotify:album:...`
    pub album_uri: Option<String>,
    /// For how long it was heard, in milliseconds, where that is known.
    pub ms_played: Option<i64>,
}

impl ExportedPlay {
    /// The names of its fields, in their order: the columns of CSV.
    pub fn columns() -> impl Iterator<Item = &'static str> {
        StoredPlay::COLUMNS.into_iter().chain(["artist_uris", "album_uri", "ms_played"])
    }
}
