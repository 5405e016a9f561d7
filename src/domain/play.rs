//! Plays, and the tracks, albums and artists they are of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Where a play is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Spotify's Web API.
    Api,
    /// A privacy export.
    Import,
}

/// An artist. The key is the URI, or the name where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Artist {
    /// `spotify:artist:...`
    pub uri: Option<String>,
    /// As Spotify writes it.
    pub name: String,
}

/// An album. The key is the URI, or the name where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Album {
    /// `spotify:album:...`
    pub uri: Option<String>,
    /// As Spotify writes it.
    pub name: String,
}

/// A track. The key is the URI, or names and artists where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Track {
    /// `spotify:track:...`
    pub uri: Option<String>,
    /// As Spotify writes it.
    pub name: String,
    /// In Spotify's order.
    pub artists: Vec<Artist>,
    /// The album it was played from.
    pub album: Option<Album>,
    /// International Standard Recording Code: the same over several track ids of one recording.
    pub isrc: Option<String>,
    /// Length of the track in milliseconds.
    pub duration_ms: Option<i64>,
}

impl Track {
    /// What tells this track from others: the URI, else its names.
    pub fn key(&self) -> String {
        match &self.uri {
            Some(uri) => uri.clone(),
            None => {
                let artists: Vec<&str> = self.artists.iter().map(|a| a.name.as_str()).collect();
                let album = self.album.as_ref().map_or("", |a| a.name.as_str());
                format!("name:{}\u{1f}{}\u{1f}{album}", self.name, artists.join("\u{1e}"))
            }
        }
    }
}

/// One track heard once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// The END of the play, as Spotify says it since 2018.
    pub played_at: Timestamp,
    /// What was heard.
    pub track: Track,
    /// The playlist, album or artist it was played from.
    pub context_uri: Option<String>,
}

/// A play as it is read from the archive; the fields of `longplay plays --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoredPlay {
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
}

impl StoredPlay {
    /// The names of its fields, in their order: the columns of CSV.
    pub const COLUMNS: [&str; 9] = [
        "played_at",
        "track",
        "artists",
        "album",
        "track_uri",
        "isrc",
        "duration_ms",
        "context_uri",
        "source",
    ];

    /// What stands in these columns, with the artists written as the reader of the file wants them.
    pub fn cells(&self, artists: String) -> [String; 9] {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let source = match self.source {
            Source::Api => "api",
            Source::Import => "import",
        };
        [
            self.played_at.to_string(),
            self.track.clone(),
            artists,
            or_empty(&self.album),
            or_empty(&self.track_uri),
            or_empty(&self.isrc),
            self.duration_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            or_empty(&self.context_uri),
            source.to_owned(),
        ]
    }
}

/// A play's place among a user's, newest first: what is read next comes after it. Plays of one moment are told apart by
/// the store's number of their track. For others it is a text without a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlayCursor {
    /// When the play ended.
    pub at: Timestamp,
    /// The track's number in this store.
    pub track: i64,
}

impl fmt::Display for PlayCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_millis(), self.track)
    }
}

impl FromStr for PlayCursor {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let parts =
            given.split_once('.').and_then(|(at, track)| Some((at.parse().ok()?, track.parse().ok()?)));
        let (at, track) =
            parts.ok_or_else(|| "use what the Link header of the page before says".to_owned())?;
        Ok(Self { at: Timestamp::from_millis(at), track })
    }
}

/// What a top list is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopKind {
    /// By artist.
    Artists,
    /// By track.
    Tracks,
    /// By album.
    Albums,
}

/// A line of a top list made from the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopEntry {
    /// The artist's, track's or album's name.
    pub name: String,
    /// The artists of a track or album.
    pub artists: Vec<String>,
    /// Its Spotify URI.
    pub uri: Option<String>,
    /// How often it was heard.
    pub plays: i64,
    /// For how long, in milliseconds: what was played where that is known, else the track's whole length.
    #[serde(default)]
    pub ms_played: i64,
}

/// A line of Spotify's own top artists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopArtist {
    /// 1 is the first.
    pub rank: i64,
    /// The artist's name.
    pub name: String,
    /// `spotify:artist:...`
    pub uri: Option<String>,
    /// When Spotify said so.
    pub fetched_at: Timestamp,
}
