//! A play as it leaves the archive, with all that is known of it: what can be read back as the same play.

use serde::{Deserialize, Serialize};

use super::{Source, Timestamp};

/// A play as `longplay export` writes it; the fields, in this order, are those of a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPlay {
    /// The end of the play.
    pub played_at: Timestamp,
    /// The track's name.
    pub track: String,
    /// The artists' names, in Spotify's order.
    pub artists: Vec<String>,
    /// The album's name.
    pub album: Option<String>,
    /// `spotify:track:...`
    pub track_uri: Option<String>,
    /// International Standard Recording Code.
    pub isrc: Option<String>,
    /// Length of the track in milliseconds.
    pub duration_ms: Option<i64>,
    /// The playlist, album or artist it was played from.
    pub context_uri: Option<String>,
    /// Where the play is known from.
    pub source: Source,
    /// `spotify:artist:...`, one for each of the artists; null where it is not known.
    pub artist_uris: Vec<Option<String>>,
    /// `spotify:album:...`
    pub album_uri: Option<String>,
    /// For how long it was heard, in milliseconds, where that is known.
    pub ms_played: Option<i64>,
}
