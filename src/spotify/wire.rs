//! What Spotify's Web API answers, read tolerantly: anything may be null, absent, of another type or new, and an item
//! that can't be read never loses the others. Pure.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ApiError;
use super::lenient::{Lenient, List, read, read_body, told};
use crate::domain::{Album, Artist, ForeignText, Play, Timestamp, Track};

/// How many reasons for unreadable items are told.
const REASONS_TOLD: usize = 3;
/// How far ahead of the present a play may lie: clocks differ, but not by more. A play of next year would be the newest
/// for a year, and hide every gap until then.
const AHEAD: Duration = Duration::from_secs(24 * 3600);
/// 2006-01-01: Spotify is no older. The same impossible time on each page would always be known, and hide every gap.
const FIRST: Timestamp = Timestamp::from_millis(1_136_073_600_000);
/// How much of an answer is shown to people, in characters.
const SHOWN: usize = 60;

/// A page of `GET /v1/me/player/recently-played`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What could be read, in Spotify's order: the newest first.
    pub plays: Vec<Play>,
    /// What could not, in the same order.
    pub unreadable: Vec<Unreadable>,
}

/// An item of a page that could not be read: a play all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// How many of the page's plays come before it.
    pub follows: usize,
    /// When it was played, where that much could be read.
    pub played_at: Option<Timestamp>,
    /// What is wrong with it.
    pub why: String,
}

impl Page {
    /// Reads an answer given at `present`. [`ApiError::BadAnswer`] where it is no JSON object with a list of items.
    pub fn read(body: &str, present: Timestamp) -> Result<Self, ApiError> {
        let mut page = Self::default();
        for item in items(body, "a page of recently played tracks")? {
            let (played_at, track) = parts(item, present);
            match (played_at, track) {
                (Ok(played_at), Ok((track, context_uri))) => {
                    page.plays.push(Play { played_at, track, context_uri });
                }
                (played_at, track) => page.unreadable.push(Unreadable {
                    follows: page.plays.len(),
                    played_at: played_at.as_ref().ok().copied(),
                    why: played_at.err().or(track.err()).unwrap_or_default(),
                }),
            }
        }
        Ok(page)
    }

    /// How many items Spotify sent.
    pub fn items(&self) -> usize {
        self.plays.len() + self.unreadable.len()
    }

    /// The oldest moment on it, of items too that could not be read otherwise.
    pub fn oldest(&self) -> Option<Timestamp> {
        let plays = self.plays.iter().map(|play| play.played_at);
        plays.chain(self.unreadable.iter().filter_map(|item| item.played_at)).min()
    }

    /// What was wrong with the page, in a sentence; `None`: nothing.
    pub fn trouble(&self) -> Option<String> {
        let lost = self.unreadable.len();
        (lost > 0).then(|| {
            let told = self.unreadable.iter().enumerate().take(REASONS_TOLD);
            let told = told.map(|(nth, item)| format!("item {}: {}", item.follows + nth + 1, item.why));
            let more = if lost > REASONS_TOLD { "; and more" } else { "" };
            let why = told.collect::<Vec<_>>().join("; ");
            format!("{lost} of {} items could not be read: {why}{more}", self.items())
        })
    }
}

/// Whose account it is, of `GET /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `account_id`, which never changes; where there is none, `id`, which can.
    pub id: String,
}

/// Reads top artists, best first; those without name and URI are left out.
pub(super) fn top_artists(body: &str) -> Result<Vec<Artist>, ApiError> {
    let items = items(body, "a list of top artists")?;
    Ok(items.into_iter().filter_map(|item| read::<WireNamed>(item)?.artist()).collect())
}

/// Reads whose account it is.
pub(super) fn account(body: &str) -> Result<Account, ApiError> {
    let me: Option<WireMe> = read_body(body);
    let id = me.and_then(|me| me.account_id.text().or(me.id.text()));
    id.map(|id| Account { id }).ok_or_else(|| unexpected("an account with an id", body))
}

/// What an error answer says: `(message, reason)`, from Spotify's JSON or from plain text.
pub(super) fn error(body: &str) -> (String, Option<String>) {
    let json: Option<WireErrorBody> = read_body(body);
    match json.and_then(|json| json.error.0) {
        Some(error) => (error.message.text().unwrap_or_default(), error.reason.text()),
        None => (body.to_owned(), None),
    }
}

fn unexpected(wanted: &str, body: &str) -> ApiError {
    let message = match told(body, SHOWN) {
        got if got.is_empty() => format!("Spotify answered nothing instead of {wanted}"),
        got => format!("Spotify answered something else than {wanted}: {got}"),
    };
    ApiError::BadAnswer { message }
}

/// The items of a page, unread. Fields that come twice, and whatever stands beside the items, don't matter.
fn items<'a>(body: &'a str, wanted: &str) -> Result<Vec<&'a RawValue>, ApiError> {
    let fields: Option<HashMap<ForeignText, &'a RawValue>> = serde_json::from_str(body).ok();
    let items = fields.and_then(|fields| fields.get("items").copied());
    let items = items.and_then(|items| serde_json::from_str(items.get()).ok());
    items.ok_or_else(|| unexpected(wanted, body))
}

/// What a play is made of, each part read on its own: when, and the track with its context.
type Parts = (Result<Timestamp, String>, Result<(Track, Option<String>), String>);

fn parts(item: &RawValue, present: Timestamp) -> Parts {
    let Some(item) = read::<WireItem>(item) else {
        let why = format!("not an object: {}", told(item.get(), SHOWN));
        return (Err(why.clone()), Err(why));
    };
    let played_at =
        item.played_at.0.ok_or_else(|| "no played_at".to_owned()).and_then(|ForeignText(text)| {
            let fault = |what| format!("played_at {:?} {what}", told(&text, SHOWN));
            let time = Timestamp::parse(&text).ok_or_else(|| fault("is no time"))?;
            match () {
                () if time > present + AHEAD => Err(fault("lies in the future")),
                () if time < FIRST => Err(fault("is older than Spotify")),
                () => Ok(time),
            }
        });
    let context_uri = item.context.0.and_then(|context| context.uri.text());
    let track = item.track.0.ok_or("no track").and_then(|t| t.track().ok_or("a track without name and URI"));
    (played_at, track.map(|track| (track, context_uri)).map_err(str::to_owned))
}

#[derive(Deserialize)]
struct WireItem {
    #[serde(default)]
    played_at: Lenient<ForeignText>,
    #[serde(default)]
    track: Lenient<WireTrack>,
    #[serde(default)]
    context: Lenient<WireContext>,
}

#[derive(Deserialize)]
struct WireContext {
    #[serde(default)]
    uri: Lenient<ForeignText>,
}

#[derive(Deserialize)]
struct WireTrack {
    #[serde(default)]
    uri: Lenient<ForeignText>,
    #[serde(default)]
    id: Lenient<ForeignText>,
    #[serde(default)]
    name: Lenient<ForeignText>,
    #[serde(default)]
    artists: List<WireNamed>,
    #[serde(default)]
    album: Lenient<WireNamed>,
    #[serde(default)]
    external_ids: Lenient<WireExternalIds>,
    #[serde(default)]
    duration_ms: Lenient<i64>,
}

impl WireTrack {
    fn track(self) -> Option<Track> {
        let named = WireNamed { uri: self.uri, id: self.id, name: self.name };
        let (uri, name) = named.uri_and_name("track")?;
        Some(Track {
            uri,
            name,
            artists: self.artists.0.into_iter().filter_map(WireNamed::artist).collect(),
            album: self.album.0.and_then(WireNamed::album),
            isrc: self.external_ids.0.and_then(|ids| ids.isrc.text()),
            duration_ms: self.duration_ms.0.filter(|length| *length >= 0),
        })
    }
}

/// An album or an artist, and what a track has in common with them.
#[derive(Deserialize)]
struct WireNamed {
    #[serde(default)]
    uri: Lenient<ForeignText>,
    #[serde(default)]
    id: Lenient<ForeignText>,
    #[serde(default)]
    name: Lenient<ForeignText>,
}

impl WireNamed {
    /// The URI, or the one that the id makes, and the name, empty where there is none; `None` without both.
    fn uri_and_name(self, kind: &str) -> Option<(Option<String>, String)> {
        let uri = self.uri.text().or_else(|| Some(format!("spotify:{kind}:{}", self.id.text()?)));
        let name = self.name.text();
        (uri.is_some() || name.is_some()).then(|| (uri, name.unwrap_or_default()))
    }

    fn artist(self) -> Option<Artist> {
        self.uri_and_name("artist").map(|(uri, name)| Artist { uri, name })
    }

    fn album(self) -> Option<Album> {
        self.uri_and_name("album").map(|(uri, name)| Album { uri, name })
    }
}

#[derive(Deserialize)]
struct WireExternalIds {
    #[serde(default)]
    isrc: Lenient<ForeignText>,
}

#[derive(Deserialize)]
struct WireMe {
    #[serde(default)]
    account_id: Lenient<ForeignText>,
    #[serde(default)]
    id: Lenient<ForeignText>,
}

#[derive(Deserialize)]
struct WireErrorBody {
    #[serde(default)]
    error: Lenient<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    message: Lenient<ForeignText>,
    #[serde(default)]
    reason: Lenient<ForeignText>,
}

#[cfg(test)]
mod tests;
