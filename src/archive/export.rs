//! How exported plays are written: pure, and the bytes depend on nothing but the plays. A list of plays is brought into
//! the order that is the same for every store: by moment, then by the track's key.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::ExportedPlay;
use crate::store::export::Exportable;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON object a line: the fields of [`ExportedPlay`].
    Jsonl,
    /// The same fields as columns (RFC 4180, but for bare line feeds), with a header; lists are JSON texts.
    Csv,
    /// A listen a line, as ListenBrainz takes it in a zip
    /// (<https://listenbrainz.readthedocs.io/en/latest/users/json.html>).
    Listenbrainz,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl | Self::Listenbrainz => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What comes before the first play.
    pub fn head(self) -> Vec<u8> {
        match self {
            Self::Csv => format!("{}\n", ExportedPlay::columns().collect::<Vec<_>>().join(",")).into_bytes(),
            Self::Jsonl | Self::Listenbrainz => Vec::new(),
        }
    }

    /// These plays, a line each.
    pub fn lines<'p>(self, plays: impl Iterator<Item = &'p ExportedPlay>) -> Vec<u8> {
        match self {
            Self::Jsonl => plays.fold(Vec::new(), |mut text, play| {
                json_line(&mut text, play);
                text
            }),
            Self::Listenbrainz => plays.fold(Vec::new(), |mut text, play| {
                if let Some(listen) = listen(play) {
                    json_line(&mut text, &listen);
                }
                text
            }),
            Self::Csv => csv_lines(plays),
        }
    }
}

fn json_line(text: &mut Vec<u8>, value: &impl Serialize) {
    // Texts, numbers and lists of them can always be written, and so can memory.
    if serde_json::to_writer(&mut *text, value).is_ok() {
        text.push(b'\n');
    }
}

fn csv_lines<'p>(plays: impl Iterator<Item = &'p ExportedPlay>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for one in plays {
        let more = [
            json!(one.artist_uris).to_string(),
            one.album_uri.clone().unwrap_or_default(),
            one.ms_played.map(|ms| ms.to_string()).unwrap_or_default(),
        ];
        let record = one.play.cells(json!(one.play.artists).to_string()).into_iter().chain(more);
        // Every record has as many fields as the first, and memory can always be written.
        let _ = writer.write_record(record);
    }
    writer.into_inner().unwrap_or_default()
}

/// As ListenBrainz' own reader of Spotify submits it, so that it knows a play that it has already: the moment is the end
/// of the play. A play without the name of a track and of an artist is refused there, and left out here.
fn listen(one: &ExportedPlay) -> Option<Value> {
    let play = &one.play;
    if play.track.is_empty() || play.artists.iter().all(String::is_empty) {
        return None;
    }
    let mut info = Map::new();
    let mut tell = |name: &str, value: Value| {
        if !value.is_null() {
            info.insert(name.to_owned(), value);
        }
    };
    tell("submission_client", json!("longplay"));
    tell("music_service", json!("spotify.com"));
    let track = play.track_uri.as_deref().and_then(address);
    tell("origin_url", json!(track));
    tell("spotify_id", json!(track));
    let artists: Option<Vec<String>> = one.artist_uris.iter().map(|uri| address(uri.as_deref()?)).collect();
    tell("spotify_artist_ids", json!(artists.filter(|artists| !artists.is_empty())));
    tell("spotify_album_id", json!(one.album_uri.as_deref().and_then(address)));
    tell("isrc", json!(play.isrc));
    tell("duration_ms", json!(play.duration_ms.filter(|ms| *ms > 0)));
    tell("ms_played", json!(one.ms_played));
    let mut track = Map::new();
    track.insert("artist_name".to_owned(), json!(play.artists.join(", ")));
    track.insert("track_name".to_owned(), json!(play.track));
    if let Some(album) = play.album.as_deref().filter(|album| !album.is_empty()) {
        track.insert("release_name".to_owned(), json!(album));
    }
    track.insert("additional_info".to_owned(), Value::Object(info));
    Some(json!({ "listened_at": play.played_at.as_millis().div_euclid(1_000), "track_metadata": track }))
}

/// `https://open.spotify.com/track/...` for `spotify:track:...`; none for a file of the listener's own.
fn address(uri: &str) -> Option<String> {
    let mut parts = uri.strip_prefix("spotify:")?.split(':');
    let (kind, id) = (parts.next()?, parts.next()?);
    parts.next().is_none().then(|| format!("https://open.spotify.com/{kind}/{id}"))
}

/// Brings plays into the order in which they are written, as they are read page by page.
#[derive(Default)]
pub struct Ordered {
    /// The plays of the last moment: more of them may come with the next page.
    held: Vec<Exportable>,
}

impl Ordered {
    /// What can be written once this page is known.
    pub fn page(&mut self, page: Vec<Exportable>) -> Vec<Exportable> {
        self.held.extend(page);
        let last = self.held.last().map(|one| one.place.at);
        let known = self.held.partition_point(|one| Some(one.place.at) < last);
        let later = self.held.split_off(known);
        in_order(std::mem::replace(&mut self.held, later))
    }

    /// What is left once there are no more pages.
    pub fn rest(self) -> Vec<Exportable> {
        in_order(self.held)
    }
}

fn in_order(mut plays: Vec<Exportable>) -> Vec<Exportable> {
    plays.sort_by(|a, b| (a.place.at, &a.key).cmp(&(b.place.at, &b.key)));
    plays
}

#[cfg(test)]
mod tests;
