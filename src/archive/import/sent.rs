//! Batches as they are sent, written without copies of what the rows say.

use serde::Serialize;
use serde_json::value::RawValue;

use super::row::Heading;
use crate::domain::{ImportId, ImportRow};

/// What is sent of a track.
#[derive(Serialize)]
pub struct SentTrack<'a> {
    number: u32,
    track: SentHeading<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exact: bool,
}

#[derive(Serialize)]
struct SentHeading<'a> {
    uri: Option<&'a str>,
    name: &'a str,
    artists: Vec<SentName<'a>>,
    album: Option<SentName<'a>>,
    isrc: Option<&'a str>,
    duration_ms: Option<i64>,
}

#[derive(Serialize)]
struct SentName<'a> {
    uri: Option<&'a str>,
    name: &'a str,
}

impl<'a> SentTrack<'a> {
    pub fn of(number: u32, heading: &'a Heading<'_>, exact: bool) -> Self {
        let track = SentHeading {
            uri: heading.uri.as_deref(),
            name: &heading.name,
            artists: heading
                .artists
                .iter()
                .map(|(uri, name)| SentName { uri: uri.as_deref(), name })
                .collect(),
            album: heading.album.as_ref().map(|(uri, name)| SentName { uri: uri.as_deref(), name }),
            isrc: heading.isrc.as_deref(),
            duration_ms: heading.duration_ms,
        };
        Self { number, track, exact }
    }
}

/// An `ImportRows` whose tracks are JSON already.
#[derive(Serialize)]
pub struct SentBatch<'a> {
    pub import: Option<ImportId>,
    pub reader: i64,
    pub tracks: Vec<&'a RawValue>,
    pub rows: Vec<ImportRow>,
}
