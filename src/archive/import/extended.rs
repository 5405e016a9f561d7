//! A row of the extended history, read where it begins: most rows are of that kind, and so nobody has to look for their ends
//! first.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::row::{Heading, Played, Row, length, possible};
use super::wire::{Maybe, Text, text};
use crate::domain::merge::Precision;
use crate::domain::{Source, Timestamp};

/// Rows have half as many bytes.
const LONGEST_READ_AHEAD: usize = 2 * 1024;

/// A row of the extended history, which most rows are.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Extended<'a> {
    #[serde(default)]
    pub(super) ts: Maybe<'a>,
    #[serde(default)]
    pub(super) ms_played: Option<i64>,
    #[serde(default)]
    pub(super) master_metadata_track_name: Maybe<'a>,
    #[serde(default)]
    pub(super) master_metadata_album_artist_name: Maybe<'a>,
    #[serde(default)]
    pub(super) master_metadata_album_album_name: Maybe<'a>,
    #[serde(default)]
    pub(super) spotify_track_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) episode_name: Maybe<'a>,
    #[serde(default)]
    pub(super) episode_show_name: Maybe<'a>,
    #[serde(default)]
    pub(super) spotify_episode_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) audiobook_title: Maybe<'a>,
    #[serde(default)]
    pub(super) audiobook_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) audiobook_chapter_uri: Maybe<'a>,
    // Which other kinds of rows have their times in.
    #[serde(default)]
    pub(super) played_at: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) listened_at: Option<IgnoredAny>,
    #[serde(default, rename = "endTime")]
    pub(super) end_time: Option<IgnoredAny>,
}

impl<'a> Extended<'a> {
    /// Reads the row that begins here, and how long it is; `None`: it is of another kind, makes no sense, is very long, or
    /// isn't there to its end.
    pub fn begins(bytes: &'a [u8]) -> Option<(Self, usize)> {
        Self::read(&bytes[..bytes.len().min(LONGEST_READ_AHEAD)])
    }

    /// The same for one that has these bytes.
    pub fn is(bytes: &'a [u8]) -> Option<Self> {
        let (row, length) = Self::read(bytes)?;
        bytes[length..].trim_ascii().is_empty().then_some(row)
    }

    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let text = std::str::from_utf8(bytes)
            .or_else(|e| std::str::from_utf8(&bytes[..e.valid_up_to()]))
            .unwrap_or_default();
        let mut rows = serde_json::Deserializer::from_str(text).into_iter::<Self>();
        let row = rows.next()?.ok()?;
        let is_other = row.played_at.is_some() || row.listened_at.is_some() || row.end_time.is_some();
        let is_whole = row.ts.is_some() && row.ms_played.is_some();
        (is_whole && !is_other).then(|| (row, rows.byte_offset()))
    }

    /// What the row says. `present`: nothing is played after that.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn row(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        self.told(present)?.findable()
    }

    /// The same of one whose names may be too long.
    pub fn told(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let at = possible(ended(&self.ts), present)?;
        let ms_played = length(self.ms_played)?;
        let (uri, name) = (text(self.spotify_track_uri), text(self.master_metadata_track_name));
        if uri.is_none() && name.is_none() {
            let is = |fields: [&Maybe<'_>; 3]| fields.into_iter().any(|field| field.is_some());
            return Ok(match () {
                () if is([&self.audiobook_title, &self.audiobook_uri, &self.audiobook_chapter_uri]) => {
                    Row::Audiobook(at)
                }
                () if is([&self.spotify_episode_uri, &self.episode_name, &self.episode_show_name]) => {
                    Row::Podcast(at)
                }
                () => Row::WithoutTrack(at),
            });
        }
        let artist = text(self.master_metadata_album_artist_name);
        Ok(Row::Played(Played {
            at,
            precision: Precision::Second,
            ms_played,
            source: Source::Import,
            context_uri: None,
            play: false,
            exact: false,
            track: Heading {
                uri,
                name: name.unwrap_or_default(),
                artists: artist.into_iter().map(|name| (None, name)).collect(),
                album: text(self.master_metadata_album_album_name).map(|name| (None, name)),
                ..Heading::default()
            },
        }))
    }
}

/// When a row ended.
pub fn ended(ts: &Maybe<'_>) -> Option<Timestamp> {
    ts.as_ref().and_then(|Text(ts)| Timestamp::parse(ts))
}
