//! Tracks, albums and artists, each kept once for all users. A row is written only when it is new or has changed, and
//! many go in with one statement: as one JSON parameter.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::Result;
use super::sql::{Session, params};
use crate::domain::{Album, Artist, Track};

pub fn artist_key(artist: &Artist) -> String {
    key(artist.uri.as_deref(), &artist.name)
}

fn album_key(album: &Album) -> String {
    key(album.uri.as_deref(), &album.name)
}

fn key(uri: Option<&str>, name: &str) -> String {
    uri.map_or_else(|| format!("name:{name}"), str::to_owned)
}

/// Keeps these tracks with their albums and artists. Of two with one key the later counts.
pub async fn keep_tracks<'p>(
    session: &mut Session,
    tracks: impl Iterator<Item = (&'p str, &'p Track)>,
) -> Result<()> {
    // In the order of their keys, so that two transactions never wait for each other in a circle.
    let tracks: BTreeMap<&str, &Track> = tracks.collect();
    keep_artists(session, tracks.values().flat_map(|track| &track.artists)).await?;
    keep_albums(session, tracks.values().filter_map(|track| track.album.as_ref())).await?;
    let rows: Vec<Value> = tracks
        .iter()
        .map(|(key, track)| {
            json!({
                "key": key, "uri": track.uri, "name": track.name, "album": track.album.as_ref().map(album_key),
                "isrc": track.isrc, "duration_ms": track.duration_ms,
            })
        })
        .collect();
    session
        .run(
            "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
             SELECT value ->> 'key', value ->> 'uri', value ->> 'name',
               (SELECT id FROM albums WHERE key = value ->> 'album'),
               value ->> 'isrc', CAST(value ->> 'duration_ms' AS BIGINT)
             FROM json_each($1) WHERE TRUE
             ON CONFLICT (key) DO UPDATE SET
               name = excluded.name, album_id = COALESCE(excluded.album_id, tracks.album_id),
               isrc = COALESCE(excluded.isrc, tracks.isrc),
               duration_ms = COALESCE(excluded.duration_ms, tracks.duration_ms)
             WHERE tracks.name <> excluded.name
               OR tracks.album_id IS DISTINCT FROM COALESCE(excluded.album_id, tracks.album_id)
               OR tracks.isrc IS DISTINCT FROM COALESCE(excluded.isrc, tracks.isrc)
               OR tracks.duration_ms IS DISTINCT FROM COALESCE(excluded.duration_ms, tracks.duration_ms)",
            params![Value::Array(rows).to_string()],
        )
        .await?;
    keep_credits(session, &tracks).await
}

/// Keeps who made which track, in Spotify's order. An artist named twice on a track counts once.
async fn keep_credits(session: &mut Session, tracks: &BTreeMap<&str, &Track>) -> Result<()> {
    let mut credits = Vec::new();
    let mut lengths = Vec::new();
    for (key, track) in tracks {
        let mut seen = HashSet::new();
        let artists: Vec<String> =
            track.artists.iter().map(artist_key).filter(|artist| seen.insert(artist.clone())).collect();
        lengths.push(json!({ "track": key, "artists": artists.len() }));
        let positions = artists.iter().enumerate();
        credits.extend(positions.map(|(at, artist)| json!({ "track": key, "at": at, "artist": artist })));
    }
    session
        .run(
            "INSERT INTO track_artists (track_id, position, artist_id)
             SELECT tracks.id, CAST(value ->> 'at' AS BIGINT), artists.id
             FROM json_each($1)
               JOIN tracks ON tracks.key = value ->> 'track' JOIN artists ON artists.key = value ->> 'artist'
             WHERE TRUE
             ON CONFLICT (track_id, position) DO UPDATE SET artist_id = excluded.artist_id
             WHERE track_artists.artist_id <> excluded.artist_id",
            params![Value::Array(credits).to_string()],
        )
        .await?;
    session
        .run(
            "DELETE FROM track_artists WHERE (track_id, position) IN
               (SELECT track_artists.track_id, track_artists.position
                FROM json_each($1)
                  JOIN tracks ON tracks.key = value ->> 'track'
                  JOIN track_artists ON track_artists.track_id = tracks.id
                WHERE track_artists.position >= CAST(value ->> 'artists' AS BIGINT))",
            params![Value::Array(lengths).to_string()],
        )
        .await?;
    Ok(())
}

/// Keeps these artists.
pub async fn keep_artists(session: &mut Session, artists: impl Iterator<Item = &Artist>) -> Result<()> {
    let rows: BTreeMap<String, Value> = artists
        .map(|artist| {
            let key = artist_key(artist);
            (key.clone(), json!({ "key": key, "uri": artist.uri, "name": artist.name }))
        })
        .collect();
    session
        .run(
            "INSERT INTO artists (key, uri, name)
             SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
             ON CONFLICT (key) DO UPDATE SET name = excluded.name WHERE artists.name <> excluded.name",
            params![rows.into_values().collect::<Value>().to_string()],
        )
        .await?;
    Ok(())
}

async fn keep_albums(session: &mut Session, albums: impl Iterator<Item = &Album>) -> Result<()> {
    let rows: BTreeMap<String, Value> = albums
        .map(|album| {
            let key = album_key(album);
            (key.clone(), json!({ "key": key, "uri": album.uri, "name": album.name }))
        })
        .collect();
    session
        .run(
            "INSERT INTO albums (key, uri, name)
             SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
             ON CONFLICT (key) DO UPDATE SET name = excluded.name WHERE albums.name <> excluded.name",
            params![rows.into_values().collect::<Value>().to_string()],
        )
        .await?;
    Ok(())
}
