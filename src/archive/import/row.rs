//! What a row says, in the words of no particular file.

use std::borrow::Cow;

use crate::domain::merge::Precision;
use crate::domain::{LONGEST_ISRC, OLDEST_PLAY, Source, Timestamp, findable};

/// How far ahead of the present a play may lie, in milliseconds: a day.
const AHEAD: i64 = 24 * 3600 * 1_000;
/// No play is longer: 40 days.
const LONGEST: i64 = 40 * 24 * 3600 * 1_000;

/// Which kind of file a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The extended streaming history.
    Extended,
    /// The account data.
    Account,
    /// Longplay's own, or one for ListenBrainz.
    Own,
}

/// What a row is about.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most rows are the large one, and one is held at a time")]
pub enum Row<'a> {
    /// A track was played.
    Played(Played<'a>),
    /// An episode of a podcast.
    Podcast(Timestamp),
    /// A chapter of an audiobook.
    Audiobook(Timestamp),
    /// It names nothing that was played.
    WithoutTrack(Timestamp),
}

/// A track that was played.
#[derive(Debug, PartialEq)]
pub struct Played<'a> {
    pub at: Timestamp,
    pub precision: Precision,
    pub ms_played: Option<i64>,
    pub source: Source,
    pub context_uri: Option<Cow<'a, str>>,
    /// Whether it is a play however short.
    pub play: bool,
    /// Whether the track is to be kept as it stands there.
    pub exact: bool,
    pub track: Heading<'a>,
}

/// What is told of the track.
#[derive(Debug, Default, PartialEq, Hash)]
pub struct Heading<'a> {
    pub uri: Option<Cow<'a, str>>,
    pub name: Cow<'a, str>,
    /// URI and name.
    pub artists: Vec<(Option<Cow<'a, str>>, Cow<'a, str>)>,
    pub album: Option<(Option<Cow<'a, str>>, Cow<'a, str>)>,
    pub isrc: Option<Cow<'a, str>>,
    pub duration_ms: Option<i64>,
}

impl Heading<'_> {
    /// Whether the archive can keep it.
    pub fn is_findable(&self) -> bool {
        if self.isrc.as_ref().is_some_and(|isrc| isrc.len() > LONGEST_ISRC) {
            return false;
        }
        let others = self.artists.iter().chain(&self.album);
        let others = others.map(|(uri, name)| (uri.as_deref(), name.as_ref()));
        findable(others.chain([(self.uri.as_deref(), self.name.as_ref())]))
    }
}

impl Row<'_> {
    /// As it is, if it can be kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn findable(self) -> Result<Self, &'static str> {
        match &self {
            Self::Played(played) if !played.track.is_findable() => Err("its names or its ISRC are too long"),
            _ => Ok(self),
        }
    }

    pub fn at(&self) -> Timestamp {
        match self {
            Self::Played(played) => played.at,
            Self::Podcast(at) | Self::Audiobook(at) | Self::WithoutTrack(at) => *at,
        }
    }
}

/// A time that a play can have.
pub fn possible(at: Option<Timestamp>, present: Timestamp) -> Result<Timestamp, &'static str> {
    match at {
        None => Err("its time can't be read"),
        Some(at) if at < OLDEST_PLAY => Err("its time is before Spotify was"),
        Some(at) if at > present.offset_millis(AHEAD) => Err("its time lies in the future"),
        Some(at) => Ok(at),
    }
}

/// A length that a play can have.
pub fn length(ms: Option<i64>) -> Result<Option<i64>, &'static str> {
    match ms {
        Some(ms) if !(0..LONGEST).contains(&ms) => Err("nothing is played for so long"),
        ms => Ok(ms),
    }
}

/// Of longplay's own files, which don't say so.
pub fn precision_of(at: Timestamp, source: Source, has_uri: bool) -> Precision {
    let within = |precision: Precision| at.as_millis().rem_euclid(precision.millis());
    match source {
        Source::Api => Precision::Millisecond,
        // Plays in one minute, or second, are told apart by the milliseconds.
        Source::Import if !has_uri && within(Precision::Minute) < 1_000 => Precision::Minute,
        Source::Import if within(Precision::Second) < 100 => Precision::Second,
        Source::Import => Precision::Millisecond,
    }
}
