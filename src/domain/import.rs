//! What an import of somebody's own data is made of: its rows and the tracks they are of, and what became of them.

use serde::{Deserialize, Serialize};

use super::merge::Precision;
use super::{Source, Timestamp, Track};

/// 2006-01-01: Spotify is no older.
pub const OLDEST_PLAY: Timestamp = Timestamp::from_millis(1_136_073_600_000);

/// The names of one track, its artists' and its album's among them, have so many bytes together at most, and so has each
/// of its URIs: they are found by indexes, and PostgreSQL's hold no text of more than a third of a page of 8 KiB.
pub const LONGEST_NAMES: usize = 2_500;

/// An ISRC has 12 characters (ISO 3901). What is longer than this many bytes is none, and would fit into no index.
pub const LONGEST_ISRC: usize = 64;

/// Of an import's tracks so many are remembered from batch to batch: those with lower numbers.
pub const REMEMBERED_TRACKS: u32 = 100_000;

/// The number of an import, over all users.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ImportId(pub i64);

/// A track that rows are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportedTrack {
    /// What the rows call it, from 0: whoever reads the files has another one for each track.
    pub number: u32,
    /// All that the file tells of it.
    pub track: Track,
    /// Whether longplay itself wrote the file: it is kept as it stands there, and nothing is added.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exact: bool,
}

impl ImportedTrack {
    /// Whether every database can find it: see [`findable`].
    pub fn is_findable(&self) -> bool {
        let Track { uri, name, artists, album, isrc, .. } = &self.track;
        if isrc.as_ref().is_some_and(|isrc| isrc.len() > LONGEST_ISRC) {
            return false;
        }
        let artists = artists.iter().map(|artist| (artist.uri.as_deref(), artist.name.as_str()));
        let album = album.iter().map(|album| (album.uri.as_deref(), album.name.as_str()));
        findable(artists.chain(album).chain([(uri.as_deref(), name.as_str())]))
    }

    /// Leaves out every NUL.
    pub fn leave_out_nul(&mut self) {
        let Track { uri, name, artists, album, isrc, .. } = &mut self.track;
        let artists = artists.iter_mut().map(|artist| (&mut artist.uri, &mut artist.name));
        let album = album.iter_mut().map(|album| (&mut album.uri, &mut album.name));
        for (uri, name) in artists.chain(album).chain([(uri, name)]) {
            uri.iter_mut().for_each(leave_out_nul);
            leave_out_nul(name);
        }
        isrc.iter_mut().for_each(leave_out_nul);
    }
}

/// Whether the URIs and names of a track, its artists and its album are short enough: see [`LONGEST_NAMES`].
pub fn findable<'a>(all: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> bool {
    let mut bytes = 0;
    for (uri, name) in all {
        // What stands between two names counts too.
        bytes += name.len() + 1;
        if uri.is_some_and(|uri| uri.len() > LONGEST_NAMES) {
            return false;
        }
    }
    bytes <= LONGEST_NAMES
}

/// Leaves out every NUL of a text: PostgreSQL keeps none, and SQLite takes it for the end.
pub fn leave_out_nul(text: &mut String) {
    if text.contains('\0') {
        text.retain(|c| c != '\0');
    }
}

/// A row: one play, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportRow {
    /// The end of the play, in milliseconds since 1970; what is finer than the precision tells plays of a track apart.
    pub at: i64,
    /// How exact that is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// The number of its track.
    pub track: u32,
    /// For how long it was played; absent where the file doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms_played: Option<i64>,
    /// Which part of the import it stands in, from 0: rows that are alike in one part, to the minute, are two
    /// plays where so much fits into a minute.
    #[serde(default, skip_serializing_if = "is_default")]
    pub part: u32,
    /// Where the play is known from; a privacy export's are `import`.
    #[serde(default = "import", skip_serializing_if = "is_import")]
    pub source: Source,
    /// The playlist, album or artist it was played from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_uri: Option<String>,
    /// Whether it is a play however short it is: longplay's own files hold nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub play: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn import() -> Source {
    Source::Import
}

fn is_import(source: &Source) -> bool {
    *source == Source::Import
}

/// What became of a batch of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Taken {
    /// New plays.
    pub imported: i64,
    /// Plays that the archive has, from the API or from an import.
    pub already_there: i64,
    /// Rows shorter than `archive.import_threshold`, kept apart.
    pub below_threshold: i64,
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.imported += other.imported;
        self.already_there += other.already_there;
        self.below_threshold += other.below_threshold;
    }
}

/// What became of every row of an import; but for those of gaps the numbers add up to `read`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportCounts {
    /// Rows of all files.
    pub read: i64,
    /// New plays.
    pub imported: i64,
    /// Plays that the archive has, from the API, from an import, or from another row.
    pub already_there: i64,
    /// Rows shorter than `archive.import_threshold`, kept apart.
    pub below_threshold: i64,
    /// Episodes of podcasts.
    pub podcasts: i64,
    /// Chapters of audiobooks.
    pub audiobooks: i64,
    /// Rows that name nothing that was played.
    pub without_track: i64,
    /// Rows that can't be read.
    pub unreadable: i64,
    /// Gaps that lie wholly within what the files cover.
    pub gaps_closed: i64,
    /// Gaps of which the files cover a part: the rest is left.
    #[serde(default)]
    pub gaps_narrowed: i64,
}

/// A stretch of which an export has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Covered {
    /// The first row.
    pub from: Timestamp,
    /// The last row.
    pub to: Timestamp,
}

/// What an undone import took with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Undone {
    /// Plays that it had added.
    pub plays: i64,
    /// Short rows that it had added.
    pub short_plays: i64,
    /// Plays of which it had told more, and that are as they were before.
    pub restored: i64,
    /// Gaps that are open again, or as wide as before.
    pub gaps: i64,
    /// Later imports that found plays there, some of which may have gone with this one: their files bring them back.
    #[serde(default)]
    pub also_in: Vec<ImportId>,
}
