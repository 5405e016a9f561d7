//! A page of plays put into the store's tables by somebody who keeps nothing else: what is known is left out, and the
//! rest goes in with one set-based statement a table, in one transaction.

use std::collections::HashSet;

use longplay::domain::{Artist, Play};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::sqlite::SqlitePool;

use super::database::Connections;

const KNOWN: &str = "SELECT played_at FROM plays WHERE user_id = $1 AND played_at >= $2";

/// SQLite's statements: one parameter each, a list in JSON.
mod sqlite {
    pub const ARTISTS: &str = "INSERT INTO artists (key, uri, name)
        SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
        ON CONFLICT (key) DO NOTHING";
    pub const ALBUMS: &str = "INSERT INTO albums (key, uri, name)
        SELECT value ->> 'key', value ->> 'uri', value ->> 'name' FROM json_each($1) WHERE TRUE
        ON CONFLICT (key) DO NOTHING";
    pub const TRACKS: &str = "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
        SELECT value ->> 'key', value ->> 'uri', value ->> 'name',
          (SELECT id FROM albums WHERE key = value ->> 'album'), value ->> 'isrc', value ->> 'length'
        FROM json_each($1) WHERE TRUE
        ON CONFLICT (key) DO NOTHING";
    pub const CREDITS: &str = "INSERT INTO track_artists (track_id, position, artist_id)
        SELECT tracks.id, value ->> 'at', artists.id FROM json_each($1)
          JOIN tracks ON tracks.key = value ->> 'track' JOIN artists ON artists.key = value ->> 'artist'
        WHERE TRUE
        ON CONFLICT (track_id, position) DO NOTHING";
    pub const PLAYS: &str = "INSERT INTO plays (user_id, played_at, track_id, context_uri, source)
        SELECT value ->> 'user', value ->> 'at', tracks.id, value ->> 'context', 'api'
        FROM json_each($1) JOIN tracks ON tracks.key = value ->> 'track' WHERE TRUE
        ON CONFLICT (user_id, played_at, track_id) DO NOTHING";
}

/// PostgreSQL's: an array a column. What several transactions may insert goes in the order of its keys, so that none
/// waits for another in a circle.
mod postgres {
    pub const ARTISTS: &str = "INSERT INTO artists (key, uri, name)
        SELECT DISTINCT uri, uri, name FROM UNNEST($1::text[], $2::text[]) AS given(uri, name) ORDER BY uri
        ON CONFLICT (key) DO NOTHING";
    pub const ALBUMS: &str = "INSERT INTO albums (key, uri, name)
        SELECT DISTINCT uri, uri, name FROM UNNEST($1::text[], $2::text[]) AS given(uri, name) ORDER BY uri
        ON CONFLICT (key) DO NOTHING";
    pub const TRACKS: &str = "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
        SELECT DISTINCT ON (given.uri) given.uri, given.uri, given.name, albums.id, isrc, length
        FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
          AS given(uri, name, album, isrc, length) LEFT JOIN albums ON albums.key = album
        ORDER BY given.uri
        ON CONFLICT (key) DO NOTHING";
    pub const CREDITS: &str = "INSERT INTO track_artists (track_id, position, artist_id)
        SELECT tracks.id, at, artists.id FROM UNNEST($1::text[], $2::bigint[], $3::text[]) AS given(track, at, artist)
          JOIN tracks ON tracks.key = track JOIN artists ON artists.key = artist ORDER BY tracks.id, at
        ON CONFLICT (track_id, position) DO NOTHING";
    pub const PLAYS: &str = "INSERT INTO plays (user_id, played_at, track_id, context_uri, source)
        SELECT $1, at, tracks.id, context, 'api'
        FROM UNNEST($2::bigint[], $3::text[], $4::text[]) AS given(at, track, context)
          JOIN tracks ON tracks.key = track
        ON CONFLICT (user_id, played_at, track_id) DO NOTHING";
}

impl Connections {
    /// Stores what is new of a page.
    pub async fn store_page(&self, user: i64, plays: &[Play]) -> Result<(), sqlx::Error> {
        let oldest = plays.iter().map(|play| play.played_at.as_millis()).min().unwrap_or(i64::MAX);
        let known: Vec<i64> = match self {
            Self::Sqlite { readers, .. } => {
                sqlx::query_scalar(KNOWN).bind(user).bind(oldest).fetch_all(readers).await?
            }
            Self::Postgres(pool) => sqlx::query_scalar(KNOWN).bind(user).bind(oldest).fetch_all(pool).await?,
        };
        let known: HashSet<i64> = known.into_iter().collect();
        let new: Vec<&Play> =
            plays.iter().filter(|play| !known.contains(&play.played_at.as_millis())).collect();
        match self {
            _ if new.is_empty() => Ok(()),
            Self::Sqlite { writer, .. } => into_sqlite(writer, user, &new).await,
            Self::Postgres(pool) => into_postgres(pool, user, &new).await,
        }
    }
}

async fn into_sqlite(writer: &SqlitePool, user: i64, new: &[&Play]) -> Result<(), sqlx::Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    for (sql, rows) in [
        (sqlite::ARTISTS, new.iter().flat_map(|play| &play.track.artists).map(artist).collect::<Value>()),
        (sqlite::ALBUMS, new.iter().filter_map(|play| album(play)).collect()),
        (sqlite::TRACKS, new.iter().map(|play| track(play)).collect()),
        (sqlite::CREDITS, new.iter().flat_map(|play| credits(play)).collect()),
        (sqlite::PLAYS, new.iter().map(|play| row(user, play)).collect()),
    ] {
        sqlx::query(sql).bind(rows.to_string()).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn into_postgres(pool: &PgPool, user: i64, new: &[&Play]) -> Result<(), sqlx::Error> {
    let artists = || new.iter().flat_map(|play| &play.track.artists);
    let albums = || new.iter().filter_map(|play| play.track.album.as_ref());
    let tracks = || new.iter().map(|play| &play.track);
    let credits = || {
        tracks().flat_map(|track| {
            track.artists.iter().enumerate().map(|(at, artist)| (&track.uri, at as i64, &artist.uri))
        })
    };
    let mut transaction = pool.begin().await?;
    sqlx::query(postgres::ARTISTS)
        .bind(artists().map(|artist| artist.uri.clone()).collect::<Vec<_>>())
        .bind(artists().map(|artist| artist.name.clone()).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(postgres::ALBUMS)
        .bind(albums().map(|album| album.uri.clone()).collect::<Vec<_>>())
        .bind(albums().map(|album| album.name.clone()).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(postgres::TRACKS)
        .bind(tracks().map(|track| track.uri.clone()).collect::<Vec<_>>())
        .bind(tracks().map(|track| track.name.clone()).collect::<Vec<_>>())
        .bind(tracks().map(|track| track.album.as_ref()?.uri.clone()).collect::<Vec<_>>())
        .bind(tracks().map(|track| track.isrc.clone()).collect::<Vec<_>>())
        .bind(tracks().map(|track| track.duration_ms).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(postgres::CREDITS)
        .bind(credits().map(|(track, ..)| track.clone()).collect::<Vec<_>>())
        .bind(credits().map(|(_, at, _)| at).collect::<Vec<_>>())
        .bind(credits().map(|(.., artist)| artist.clone()).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(postgres::PLAYS)
        .bind(user)
        .bind(new.iter().map(|play| play.played_at.as_millis()).collect::<Vec<_>>())
        .bind(tracks().map(|track| track.uri.clone()).collect::<Vec<_>>())
        .bind(new.iter().map(|play| play.context_uri.clone()).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
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
