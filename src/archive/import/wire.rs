//! The rows of all JSON files: the extended history of every year, the account data, and longplay's own exports. What
//! else stands in a row (addresses, devices) is never read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::extended::{Extended, ended};
use super::row::{Heading, Kind, Played, Row, length, possible, precision_of};
use crate::domain::merge::Precision;
use crate::domain::{Source, Timestamp};

/// Text that is not copied where it stands in the file as it is. Half a surrogate pair is replaced, a NUL left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since serde_json lets half a surrogate pair pass there.
        deserializer.deserialize_bytes(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(Cow::Borrowed(text)),
            _ => self.visit_bytes(bytes),
        }
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(bytes).replace('\0', "")))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.visit_borrowed_bytes(text.as_bytes())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_bytes(text.as_bytes())
    }
}

pub(super) type Maybe<'a> = Option<Text<'a>>;

/// A row of any of the files; which one shows in the field that has the time.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct Wire<'a> {
    // The extended history.
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
    // The account data.
    #[serde(default, rename = "endTime")]
    pub(super) end_time: Maybe<'a>,
    #[serde(default, rename = "artistName")]
    pub(super) artist_name: Maybe<'a>,
    #[serde(default, rename = "trackName")]
    pub(super) track_name: Maybe<'a>,
    #[serde(default, rename = "msPlayed")]
    pub(super) account_ms_played: Option<i64>,
    #[serde(default, rename = "podcastName")]
    pub(super) podcast_name: Maybe<'a>,
    #[serde(default, rename = "episodeName")]
    pub(super) podcast_episode_name: Maybe<'a>,
    #[serde(default, rename = "audiobookName")]
    pub(super) audiobook_name: Maybe<'a>,
    #[serde(default, rename = "chapterName")]
    pub(super) chapter_name: Maybe<'a>,
    // Longplay's own.
    #[serde(default)]
    pub(super) played_at: Maybe<'a>,
    #[serde(default)]
    pub(super) track: Maybe<'a>,
    #[serde(default)]
    pub(super) artists: Vec<Text<'a>>,
    #[serde(default)]
    pub(super) artist_uris: Vec<Maybe<'a>>,
    #[serde(default)]
    pub(super) album: Maybe<'a>,
    #[serde(default)]
    pub(super) album_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) track_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) isrc: Maybe<'a>,
    #[serde(default)]
    pub(super) duration_ms: Option<i64>,
    #[serde(default)]
    pub(super) context_uri: Maybe<'a>,
    #[serde(default)]
    pub(super) source: Option<Source>,
    // ListenBrainz.
    #[serde(default)]
    pub(super) listened_at: Option<i64>,
    #[serde(default)]
    pub(super) track_metadata: Option<Metadata<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Metadata<'a> {
    #[serde(default)]
    artist_name: Maybe<'a>,
    #[serde(default)]
    track_name: Maybe<'a>,
    #[serde(default)]
    release_name: Maybe<'a>,
    #[serde(default)]
    additional_info: Option<Info<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Info<'a> {
    #[serde(default)]
    artist_names: Vec<Text<'a>>,
    #[serde(default)]
    spotify_id: Maybe<'a>,
    #[serde(default)]
    isrc: Maybe<'a>,
    #[serde(default)]
    duration_ms: Option<i64>,
    #[serde(default)]
    submission_client: Maybe<'a>,
}

pub(super) fn text<'a>(text: Maybe<'a>) -> Option<Cow<'a, str>> {
    text.map(|Text(text)| text).filter(|text| !text.is_empty())
}

impl<'a> Wire<'a> {
    /// Reads a row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        // Looked at as a whole it is faster than text by text, and mostly it is UTF-8.
        let read = match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(bytes),
        };
        read.map_err(|e| match e.classify() {
            serde_json::error::Category::Data => "a field has another type than it should".to_owned(),
            _ => "it is no JSON object".to_owned(),
        })
    }

    /// Which kind of file it is of; `None`: of none that is known.
    pub fn kind(&self) -> Option<Kind> {
        if self.played_at.is_some() && self.track.is_some() {
            return Some(Kind::Own);
        }
        if self.listened_at.is_some() && self.track_metadata.is_some() {
            return Some(Kind::Own);
        }
        if self.end_time.is_some() && self.account_ms_played.is_some() {
            return Some(Kind::Account);
        }
        let told = self.ms_played.is_some() || self.master_metadata_track_name.is_some();
        (self.ts.is_some() && told).then_some(Kind::Extended)
    }

    /// When a row of the extended history ended.
    pub fn ended(&self) -> Option<Timestamp> {
        ended(&self.ts)
    }

    /// What the row says. `present`: nothing is played after that.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn row(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let row = match () {
            () if self.played_at.is_some() => self.own(present)?,
            () if self.listened_at.is_some() => self.listen(present)?,
            () if self.end_time.is_some() => self.account(present)?,
            () if self.ts.is_some() => self.extended(present)?,
            () => return Err("it has no time"),
        };
        row.findable()
    }

    fn extended(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let extended = Extended {
            ts: self.ts,
            ms_played: self.ms_played,
            master_metadata_track_name: self.master_metadata_track_name,
            master_metadata_album_artist_name: self.master_metadata_album_artist_name,
            master_metadata_album_album_name: self.master_metadata_album_album_name,
            spotify_track_uri: self.spotify_track_uri,
            episode_name: self.episode_name,
            episode_show_name: self.episode_show_name,
            spotify_episode_uri: self.spotify_episode_uri,
            audiobook_title: self.audiobook_title,
            audiobook_uri: self.audiobook_uri,
            audiobook_chapter_uri: self.audiobook_chapter_uri,
            ..Extended::default()
        };
        extended.told(present)
    }

    fn account(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let minute = |Text(text): &Text<'_>| {
            let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").ok()?;
            Some(Timestamp::from(time.and_utc()))
        };
        let at = possible(self.end_time.as_ref().and_then(minute), present)?;
        let ms_played = length(self.account_ms_played)?;
        match text(self.track_name) {
            Some(name) => Ok(Row::Played(Played {
                at,
                precision: Precision::Minute,
                ms_played,
                source: Source::Import,
                context_uri: None,
                play: false,
                exact: false,
                track: Heading {
                    name,
                    artists: text(self.artist_name).into_iter().map(|name| (None, name)).collect(),
                    ..Heading::default()
                },
            })),
            None if self.audiobook_name.is_some() || self.chapter_name.is_some() => Ok(Row::Audiobook(at)),
            None if self.podcast_name.is_some() || self.podcast_episode_name.is_some() => {
                Ok(Row::Podcast(at))
            }
            None => Ok(Row::WithoutTrack(at)),
        }
    }

    /// Longplay's own, kept as it was.
    fn own(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let at = possible(self.played_at.as_ref().and_then(|Text(at)| Timestamp::parse(at)), present)?;
        let ms_played = length(self.ms_played)?;
        let source = self.source.unwrap_or(Source::Import);
        let mut uris = self.artist_uris.into_iter();
        let artists =
            self.artists.into_iter().map(|Text(name)| (uris.next().flatten().map(|uri| uri.0), name));
        let album = match (self.album_uri, self.album) {
            (None, None) => None,
            (uri, name) => Some((uri.map(|uri| uri.0), name.map(|name| name.0).unwrap_or_default())),
        };
        let uri = text(self.track_uri);
        let name = self.track.map(|name| name.0).unwrap_or_default();
        if uri.is_none() && name.is_empty() {
            return Ok(Row::WithoutTrack(at));
        }
        Ok(Row::Played(Played {
            at,
            precision: precision_of(at, source, uri.is_some()),
            ms_played,
            source,
            context_uri: text(self.context_uri),
            play: true,
            exact: true,
            track: Heading {
                uri,
                name,
                artists: artists.collect(),
                album,
                isrc: text(self.isrc),
                duration_ms: self.duration_ms.filter(|ms| *ms >= 0),
            },
        }))
    }

    /// A line for ListenBrainz: longplay writes there the end of a play, others its start.
    fn listen(self, present: Timestamp) -> Result<Row<'a>, &'static str> {
        let metadata = self.track_metadata.ok_or("it has no track_metadata")?;
        let info = metadata.additional_info.unwrap_or_default();
        let is_ours = info.submission_client.as_ref().is_some_and(|Text(client)| client == "longplay");
        let (later, precision) = match is_ours {
            true => (0, Precision::Second),
            false => (info.duration_ms.unwrap_or(0).clamp(0, 24 * 3600 * 1_000), Precision::Minute),
        };
        let began =
            self.listened_at.and_then(|seconds| seconds.checked_mul(1_000)).map(Timestamp::from_millis);
        let at = possible(began.map(|at| at.offset_millis(later)), present)?;
        let Some(name) = text(metadata.track_name) else { return Ok(Row::WithoutTrack(at)) };
        let artists: Vec<_> = match info.artist_names.is_empty() {
            true => text(metadata.artist_name).into_iter().map(|name| (None, name)).collect(),
            false => info.artist_names.into_iter().map(|Text(name)| (None, name)).collect(),
        };
        Ok(Row::Played(Played {
            at,
            precision,
            ms_played: None,
            source: Source::Import,
            context_uri: None,
            play: true,
            exact: false,
            track: Heading {
                uri: text(info.spotify_id).map(track_uri),
                name,
                artists,
                album: text(metadata.release_name).map(|name| (None, name)),
                isrc: text(info.isrc),
                duration_ms: info.duration_ms.filter(|ms| *ms >= 0),
            },
        }))
    }
}

/// `https://open.spotify.com/track/X` as a URI.
fn track_uri(id: Cow<'_, str>) -> Cow<'_, str> {
    match id.rsplit_once("open.spotify.com/track/") {
        Some((_, id)) => Cow::Owned(format!("spotify:track:{}", id.split('?').next().unwrap_or(id))),
        None => id,
    }
}
