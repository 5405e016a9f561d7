//! Tracks, albums and artists, each kept once for all users. A row is touched only when it is new or has changed, and
//! many go in with one statement.

use std::collections::{BTreeMap, HashSet};

use super::Result;
use super::sql::{Row, Session, params, table};
use crate::domain::{Album, Artist, LONGEST_ISRC, Track};

pub fn artist_key(artist: &Artist) -> String {
    key(artist.uri.as_deref(), &artist.name)
}

fn album_key(album: &Album) -> String {
    key(album.uri.as_deref(), &album.name)
}

fn key(uri: Option<&str>, name: &str) -> String {
    uri.map_or_else(|| format!("name:{name}"), str::to_owned)
}

/// A track as it is kept, with its album and its artists.
pub struct Kept {
    name: String,
    isrc: Option<String>,
    duration_ms: Option<i64>,
    /// Key and name.
    album: Option<(String, String)>,
    /// Key and name, a line each.
    artists: Vec<String>,
}

impl Kept {
    pub fn read(row: &Row) -> std::result::Result<Self, sqlx::Error> {
        let album: (Option<String>, Option<String>) = (row.maybe("album_key")?, row.maybe("album_name")?);
        Ok(Self {
            name: row.get("name")?,
            isrc: row.maybe("isrc")?,
            duration_ms: row.maybe("duration_ms")?,
            album: album.0.zip(album.1),
            artists: row.list("artists")?,
        })
    }

    /// Whether this is it, as Spotify shows it now: there is nothing to be kept of it. What Spotify leaves out stays.
    pub fn is(&self, track: &Track) -> bool {
        let album = track.album.as_ref().map(|album| (album_key(album), album.name.clone()));
        let artists = track.artists.iter().map(|artist| format!("{}\n{}", artist_key(artist), artist.name));
        self.name == track.name
            && (track.isrc.is_none() || self.isrc == track.isrc)
            && (track.duration_ms.is_none() || self.duration_ms == track.duration_ms)
            && (album.is_none() || self.album == album)
            && artists.eq(self.artists.iter().cloned())
    }
}

/// Keeps these tracks with their albums and artists. Of two with one key the later counts. `changed`: some of them are
/// kept already, and may have had more artists. `by_name`: there may be artists who are known by name alone.
pub async fn keep_tracks<'p>(
    session: &mut Session,
    tracks: impl Iterator<Item = (&'p str, &'p Track)>,
    changed: bool,
    by_name: bool,
) -> Result<()> {
    // In the order of their keys, so that two transactions never wait for each other in a circle.
    let tracks: BTreeMap<&str, &Track> = tracks.collect();
    if tracks.is_empty() {
        return Ok(());
    }
    if changed {
        session.lock_counts().await?;
    }
    keep_artists(session, tracks.values().flat_map(|track| &track.artists), by_name).await?;
    keep_albums(session, tracks.values().filter_map(|track| track.album.as_ref())).await?;
    let rows: Vec<(&str, &Track)> = tracks.iter().map(|(key, track)| (*key, *track)).collect();
    session
        .run(
            "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
             SELECT listed.key, listed.uri, listed.name, albums.id, listed.isrc, listed.duration_ms
             FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT, album TEXT, isrc TEXT, duration_ms BIGINT)
               LEFT JOIN albums ON albums.key = listed.album LEFT JOIN tracks ON tracks.key = listed.key
             WHERE tracks.id IS NULL OR tracks.name <> listed.name
               OR tracks.album_id IS DISTINCT FROM COALESCE(albums.id, tracks.album_id)
               OR tracks.isrc IS DISTINCT FROM COALESCE(listed.isrc, tracks.isrc)
               OR tracks.duration_ms IS DISTINCT FROM COALESCE(listed.duration_ms, tracks.duration_ms)
             ORDER BY listed.key
             ON CONFLICT (key) DO UPDATE SET
               name = excluded.name, album_id = COALESCE(excluded.album_id, tracks.album_id),
               isrc = COALESCE(excluded.isrc, tracks.isrc),
               duration_ms = COALESCE(excluded.duration_ms, tracks.duration_ms)",
            vec![table![
                rows;
                |(key, _)| *key,
                |(_, track)| track.uri.as_deref(),
                |(_, track)| track.name.as_str(),
                |(_, track)| track.album.as_ref().map(album_key),
                |(_, track)| track.isrc.as_deref().filter(|isrc| isrc.len() <= LONGEST_ISRC),
                |(_, track)| track.duration_ms,
            ]],
        )
        .await?;
    keep_credits(session, &tracks, changed).await
}

/// Keeps who made which track, in Spotify's order. An artist named twice on a track counts once.
async fn keep_credits(session: &mut Session, tracks: &BTreeMap<&str, &Track>, changed: bool) -> Result<()> {
    let mut credits = Vec::new();
    let mut lengths = Vec::new();
    for (key, track) in tracks {
        let mut seen = HashSet::new();
        let artists: Vec<String> =
            track.artists.iter().map(artist_key).filter(|artist| seen.insert(artist.clone())).collect();
        lengths.push((*key, count(artists.len())));
        credits.extend(artists.into_iter().enumerate().map(|(at, artist)| (*key, count(at), artist)));
    }
    session
        .run(
            "INSERT INTO track_artists (track_id, position, artist_id)
             SELECT tracks.id, listed.position, artists.id
             FROM rows($1 AS listed: track TEXT, position BIGINT, artist TEXT)
               JOIN tracks ON tracks.key = listed.track JOIN artists ON artists.key = listed.artist
             WHERE NOT EXISTS (SELECT 1 FROM track_artists AS credited
               WHERE credited.track_id = tracks.id AND credited.position = listed.position
                 AND credited.artist_id = artists.id)
             ORDER BY listed.track, listed.position
             ON CONFLICT (track_id, position) DO UPDATE SET artist_id = excluded.artist_id",
            vec![table![credits; |(track, _, _)| *track, |(_, position, _)| *position, |(_, _, artist)| artist]],
        )
        .await?;
    if !changed {
        return Ok(());
    }
    session
        .run(
            "DELETE FROM track_artists WHERE (track_id, position) IN
               (SELECT track_artists.track_id, track_artists.position
                FROM rows($1 AS listed: track TEXT, artists BIGINT)
                  JOIN tracks ON tracks.key = listed.track
                  JOIN track_artists ON track_artists.track_id = tracks.id
                WHERE track_artists.position >= listed.artists)",
            vec![table![lengths; |(track, _)| *track, |(_, artists)| *artists]],
        )
        .await?;
    Ok(())
}

/// Keeps these artists. One whom an import knew by name alone (`by_name`: there may be some) is the one of that name, if
/// there is one only.
pub async fn keep_artists(
    session: &mut Session,
    artists: impl Iterator<Item = &Artist>,
    by_name: bool,
) -> Result<()> {
    let rows: BTreeMap<String, &Artist> = artists.map(|artist| (artist_key(artist), artist)).collect();
    let rows: Vec<_> = rows.into_iter().collect();
    if by_name {
        name_artists(session, rows.iter().map(|(_, artist)| *artist)).await?;
    }
    session
        .run(
            "INSERT INTO artists (key, uri, name)
             SELECT listed.key, listed.uri, listed.name FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT)
               LEFT JOIN artists ON artists.key = listed.key
             WHERE artists.id IS NULL OR artists.name <> listed.name
             ORDER BY listed.key
             ON CONFLICT (key) DO UPDATE SET name = excluded.name",
            vec![table![rows; |(key, _)| key, |(_, artist)| artist.uri.as_deref(), |(_, artist)| artist.name.as_str()]],
        )
        .await?;
    Ok(())
}

/// Gives artists without an id the one that Spotify shows now: whoever was credited with them is credited with it.
async fn name_artists(session: &mut Session, shown: impl Iterator<Item = &Artist>) -> Result<()> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for artist in shown {
        by_name.entry(&artist.name).or_default().extend(artist.uri.as_deref());
    }
    let only: Vec<(&str, &str)> = by_name
        .into_iter()
        .filter_map(|(name, uris)| if let [uri] = uris[..] { Some((name, uri)) } else { None })
        .collect();
    let bare: Vec<(i64, String)> = session
        .all(
            "SELECT artists.id, listed.uri FROM rows($1 AS listed: name TEXT, uri TEXT)
               JOIN artists ON artists.key = 'name:' || listed.name
             WHERE artists.uri IS NULL
               AND NOT EXISTS (SELECT 1 FROM artists AS known WHERE known.name = listed.name AND known.uri IS NOT NULL)
               AND NOT EXISTS (SELECT 1 FROM artists AS known WHERE known.key = listed.uri)
             ORDER BY artists.key",
            vec![table![only; |(name, _)| *name, |(_, uri)| *uri]],
            |row| Ok((row.get("id")?, row.get("uri")?)),
        )
        .await?;
    for (id, uri) in bare {
        let sql = "UPDATE artists SET key = $2, uri = $2 WHERE id = $1 AND uri IS NULL";
        session.run(sql, params![id, uri]).await?;
    }
    Ok(())
}

async fn keep_albums(session: &mut Session, albums: impl Iterator<Item = &Album>) -> Result<()> {
    let rows: BTreeMap<String, &Album> = albums.map(|album| (album_key(album), album)).collect();
    let rows: Vec<_> = rows.into_iter().collect();
    session
        .run(
            "INSERT INTO albums (key, uri, name)
             SELECT listed.key, listed.uri, listed.name FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT)
               LEFT JOIN albums ON albums.key = listed.key
             WHERE albums.id IS NULL OR albums.name <> listed.name
             ORDER BY listed.key
             ON CONFLICT (key) DO UPDATE SET name = excluded.name",
            vec![table![rows; |(key, _)| key, |(_, album)| album.uri.as_deref(), |(_, album)| album.name.as_str()]],
        )
        .await?;
    Ok(())
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
