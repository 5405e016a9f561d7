//! Tracks, albums and artists in memory, and what is counted by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rows::{NamedRow, PlayRow, Rows, TrackRow};
use crate::domain::{Artist, StoredPlay, Timestamp, TopArtist, TopEntry, TopKind, Track, UserId};

fn key(uri: Option<&str>, name: &str) -> String {
    uri.map_or_else(|| format!("name:{name}"), str::to_owned)
}

fn keep(table: &mut BTreeMap<String, NamedRow>, uri: Option<&String>, name: &str) -> String {
    let key = key(uri.map(String::as_str), name);
    match table.get_mut(&key) {
        Some(row) if row.name == name => {}
        Some(row) => row.name = name.to_owned(),
        None => drop(table.insert(key.clone(), NamedRow { uri: uri.cloned(), name: name.to_owned() })),
    }
    key
}

/// Keeps a track with its album and artists; what Spotify leaves out stays. Answers its key.
pub fn keep_track(rows: &mut Rows, track: &Track) -> Arc<str> {
    let mut artists: Vec<String> = Vec::new();
    for artist in &track.artists {
        let key = keep(&mut rows.artists, artist.uri.as_ref(), &artist.name);
        if !artists.contains(&key) {
            artists.push(key);
        }
    }
    let album = track.album.as_ref().map(|album| keep(&mut rows.albums, album.uri.as_ref(), &album.name));
    let next = rows.tracks.len();
    let text = track.key();
    let known = rows.tracks.get_key_value(text.as_str());
    let (key, id, old) = match known {
        Some((key, row)) => (Arc::clone(key), row.id, Some(Arc::clone(row))),
        None => (Arc::from(text), next, None),
    };
    let old = old.as_deref();
    let row = TrackRow {
        id,
        uri: old.map_or_else(|| track.uri.clone(), |old| old.uri.clone()),
        name: track.name.clone(),
        album: album.or_else(|| old?.album.clone()),
        isrc: track.isrc.clone().or_else(|| old?.isrc.clone()),
        duration_ms: track.duration_ms.or_else(|| old?.duration_ms),
        artists,
    };
    rows.tracks.insert(Arc::clone(&key), Arc::new(row));
    key
}

fn names(table: &BTreeMap<String, NamedRow>, keys: &[String]) -> Vec<String> {
    keys.iter().filter_map(|key| table.get(key)).map(|row| row.name.clone()).collect()
}

pub fn stored_play(rows: &Rows, at: Timestamp, key: &str, play: &PlayRow) -> Option<StoredPlay> {
    let track = rows.tracks.get(key)?;
    let album = track.album.as_ref().and_then(|album| rows.albums.get(album));
    Some(StoredPlay {
        played_at: at,
        track: track.name.clone(),
        artists: names(&rows.artists, &track.artists),
        album: album.map(|album| album.name.clone()),
        track_uri: track.uri.clone(),
        isrc: track.isrc.clone(),
        duration_ms: track.duration_ms,
        context_uri: play.context_uri.clone(),
        source: play.source,
    })
}

/// Every artist of a track counts; the track ids of one recording (ISRC) count together.
pub fn top(rows: &Rows, user: UserId, kind: TopKind, since: Option<Timestamp>, limit: i64) -> Vec<TopEntry> {
    let Some(row) = rows.user(user) else { return Vec::new() };
    let heard = row.plays.keys().filter(|(at, _)| since.is_none_or(|since| *at >= since));
    // By what is counted together: how often and how long, and the newest track of it.
    let mut counts: BTreeMap<&str, (i64, i64, &TrackRow)> = BTreeMap::new();
    for track in heard.filter_map(|(_, key)| rows.tracks.get_key_value(key)) {
        let (key, track): (&str, &TrackRow) = (track.0, track.1);
        let together: Vec<&str> = match kind {
            TopKind::Artists => track.artists.iter().map(String::as_str).collect(),
            TopKind::Tracks => vec![track.isrc.as_deref().unwrap_or(key)],
            TopKind::Albums => track.album.as_deref().into_iter().collect(),
        };
        for one in together {
            let (count, ms, newest) = counts.entry(one).or_insert((0, 0, track));
            *count += 1;
            *ms += track.duration_ms.unwrap_or(0);
            if track.id > newest.id {
                *newest = track;
            }
        }
    }
    let entry = |(key, (plays, ms_played, track)): (&str, (i64, i64, &TrackRow))| {
        let (name, uri, artists) = match kind {
            TopKind::Tracks => (track.name.clone(), track.uri.clone(), names(&rows.artists, &track.artists)),
            TopKind::Artists => {
                let artist = rows.artists.get(key)?;
                (artist.name.clone(), artist.uri.clone(), Vec::new())
            }
            TopKind::Albums => {
                let album = rows.albums.get(key)?;
                (album.name.clone(), album.uri.clone(), leads(rows, key))
            }
        };
        Some(TopEntry { name, artists, uri, plays, ms_played })
    };
    let mut all: Vec<TopEntry> = counts.into_iter().filter_map(entry).collect();
    all.sort_by(|a, b| b.plays.cmp(&a.plays).then_with(|| a.name.cmp(&b.name)));
    all.truncate(usize::try_from(limit.max(0)).unwrap_or(usize::MAX));
    all
}

/// The first artists of an album's tracks, by name.
fn leads(rows: &Rows, album: &str) -> Vec<String> {
    let of = |track: &&Arc<TrackRow>| track.album.as_deref() == Some(album);
    let leads = rows.tracks.values().filter(of).filter_map(|track| rows.artists.get(track.artists.first()?));
    leads.map(|artist| artist.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

pub fn save_top_artists(rows: &mut Rows, user: UserId, at: Timestamp, artists: &[Artist]) {
    let keys: Vec<(String, Timestamp)> = artists
        .iter()
        .map(|artist| (keep(&mut rows.artists, artist.uri.as_ref(), &artist.name), at))
        .collect();
    if let Some(row) = rows.user_mut(user) {
        (row.top, row.top_fetched_at) = (keys, Some(at));
    }
}

pub fn top_artists(rows: &Rows, user: UserId) -> Vec<TopArtist> {
    let top = rows.user(user).map(|row| row.top.as_slice()).unwrap_or_default();
    let one = |(rank, (key, fetched_at)): (i64, &(String, Timestamp))| {
        let artist = rows.artists.get(key)?;
        Some(TopArtist { rank, name: artist.name.clone(), uri: artist.uri.clone(), fetched_at: *fetched_at })
    };
    (1..).zip(top).filter_map(one).collect()
}
