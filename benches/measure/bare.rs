//! A page of plays put into the store's tables by somebody who keeps nothing else: what is known is left out, and the
//! rest goes in with one set-based statement a table, in one transaction.

use std::collections::HashSet;

use longplay::domain::{Artist, Play};
use serde_json::{Value, json};

use super::database::Connections;

const KNOWN: &str = "SELECT played_at FROM plays WHERE user_id = $1 AND played_at >= $2";
const ARTISTS: &str = "INSERT INTO artists (key, uri, name)
    SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
    ON CONFLICT (key) DO NOTHING";
const ALBUMS: &str = "INSERT INTO albums (key, uri, name)
    SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
    ON CONFLICT (key) DO NOTHING";
const TRACKS: &str = "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
    SELECT value ->> 'key', value ->> 'uri', value ->> 'name',
      (SELECT id FROM albums WHERE key = value ->> 'album'), value ->> 'isrc', value ->> 'length'
    FROM json_each($1) WHERE TRUE
    ON CONFLICT (key) DO NOTHING";
const CREDITS: &str = "INSERT INTO track_artists (track_id, position, artist_id)
    SELECT tracks.id, value ->> 'at', artists.id FROM json_each($1)
      JOIN tracks ON tracks.key = value ->> 'track' JOIN artists ON artists.key = value ->> 'artist' WHERE TRUE
    ON CONFLICT (track_id, position) DO NOTHING";
const PLAYS: &str = "INSERT INTO plays (user_id, played_at, track_id, context_uri, source)
    SELECT value ->> 'user', value ->> 'at', tracks.id, value ->> 'context', 'api'
    FROM json_each($1) JOIN tracks ON tracks.key = value ->> 'track' WHERE TRUE
    ON CONFLICT (user_id, played_at, track_id) DO NOTHING";

impl Connections {
    /// Stores what is new of a page.
    pub async fn store_page(&self, user: i64, plays: &[Play]) -> Result<(), sqlx::Error> {
        let oldest = plays.iter().map(|play| play.played_at.as_millis()).min().unwrap_or(i64::MAX);
        let known: Vec<i64> =
            sqlx::query_scalar(KNOWN).bind(user).bind(oldest).fetch_all(&self.readers).await?;
        let known: HashSet<i64> = known.into_iter().collect();
        let new: Vec<&Play> =
            plays.iter().filter(|play| !known.contains(&play.played_at.as_millis())).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (sql, rows) in [
            (ARTISTS, new.iter().flat_map(|play| &play.track.artists).map(artist).collect::<Value>()),
            (ALBUMS, new.iter().filter_map(|play| album(play)).collect()),
            (TRACKS, new.iter().map(|play| track(play)).collect()),
            (CREDITS, new.iter().flat_map(|play| credits(play)).collect()),
            (PLAYS, new.iter().map(|play| row(user, play)).collect()),
        ] {
            sqlx::query(sql).bind(rows.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

fn artist(artist: &Artist) -> Value {
    json!({ "key": artist.uri, "uri": artist.uri, "name": artist.name })
}

fn album(play: &Play) -> Option<Value> {
    let album = play.track.album.as_ref()?;
    Some(json!({ "key": album.uri, "uri": album.uri, "name": album.name }))
}

fn track(play: &Play) -> Value {
    let track = &play.track;
    json!({
        "key": track.uri, "uri": track.uri, "name": track.name, "isrc": track.isrc, "length": track.duration_ms,
        "album": track.album.as_ref().map(|album| &album.uri),
    })
}

fn credits(play: &Play) -> impl Iterator<Item = Value> {
    let artists = play.track.artists.iter().enumerate();
    artists.map(|(at, artist)| json!({ "track": play.track.uri, "at": at, "artist": artist.uri }))
}

fn row(user: i64, play: &Play) -> Value {
    json!({ "user": user, "at": play.played_at.as_millis(), "track": play.track.uri, "context": play.context_uri })
}
