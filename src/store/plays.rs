//! Plays as they are read, and the top lists made of them.

use super::sql::{Bind as _, Session, params, table};
use super::{PlayQuery, Result, catalogue};
use crate::domain::{Artist, StoredPlay, Timestamp, TopArtist, TopEntry, TopKind, UserId};

pub async fn read(session: &mut Session, user: UserId, query: PlayQuery) -> Result<Vec<StoredPlay>> {
    session
        .all(
            "SELECT plays.played_at, tracks.name AS track, albums.name AS album, tracks.uri, tracks.isrc,
               tracks.duration_ms, plays.context_uri, plays.source,
               (SELECT names(artists.name ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artists
             FROM plays JOIN tracks ON tracks.id = plays.track_id LEFT JOIN albums ON albums.id = tracks.album_id
             WHERE plays.user_id = $1 AND plays.played_at >= $2 AND plays.played_at < $3
             ORDER BY plays.played_at DESC, plays.track_id DESC LIMIT $4",
            params![
                user,
                query.since.unwrap_or(Timestamp::from_millis(i64::MIN)),
                query.until.unwrap_or(Timestamp::from_millis(i64::MAX)),
                query.limit.max(0),
            ],
            |row| {
                Ok(StoredPlay {
                    played_at: row.get("played_at")?,
                    track: row.get("track")?,
                    artists: row.list("artists")?,
                    album: row.maybe("album")?,
                    track_uri: row.maybe("uri")?,
                    isrc: row.maybe("isrc")?,
                    duration_ms: row.maybe("duration_ms")?,
                    context_uri: row.maybe("context_uri")?,
                    source: row.get("source")?,
                })
            },
        )
        .await
}

/// Every artist of a track counts; the track ids of one recording (ISRC) count together.
pub async fn top(
    session: &mut Session,
    user: UserId,
    kind: TopKind,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<TopEntry>> {
    let sql = match kind {
        TopKind::Artists => {
            "SELECT artists.name, artists.uri, heard.plays, '[]' AS artists
             FROM (SELECT track_artists.artist_id, count(*) AS plays
                   FROM plays JOIN track_artists ON track_artists.track_id = plays.track_id
                   WHERE plays.user_id = $1 AND plays.played_at >= $2
                   GROUP BY track_artists.artist_id) AS heard
               JOIN artists ON artists.id = heard.artist_id
             ORDER BY heard.plays DESC, artists.name, artists.id LIMIT $3"
        }
        TopKind::Tracks => {
            "SELECT tracks.name, tracks.uri, heard.plays,
               (SELECT names(artists.name ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artists
             FROM (SELECT max(plays.track_id) AS track_id, count(*) AS plays
                   FROM plays JOIN tracks ON tracks.id = plays.track_id
                   WHERE plays.user_id = $1 AND plays.played_at >= $2
                   GROUP BY COALESCE(tracks.isrc, tracks.key)) AS heard
               JOIN tracks ON tracks.id = heard.track_id
             ORDER BY heard.plays DESC, tracks.name, tracks.id LIMIT $3"
        }
        TopKind::Albums => {
            "SELECT albums.name, albums.uri, heard.plays,
               (SELECT names(leads.name ORDER BY leads.name)
                FROM (SELECT DISTINCT artists.name FROM tracks
                        JOIN track_artists ON track_artists.track_id = tracks.id AND track_artists.position = 0
                        JOIN artists ON artists.id = track_artists.artist_id
                      WHERE tracks.album_id = albums.id) AS leads) AS artists
             FROM (SELECT tracks.album_id, count(*) AS plays
                   FROM plays JOIN tracks ON tracks.id = plays.track_id
                   WHERE plays.user_id = $1 AND plays.played_at >= $2 AND tracks.album_id IS NOT NULL
                   GROUP BY tracks.album_id) AS heard
               JOIN albums ON albums.id = heard.album_id
             ORDER BY heard.plays DESC, albums.name, albums.id LIMIT $3"
        }
    };
    let since = since.unwrap_or(Timestamp::from_millis(i64::MIN));
    session
        .all(sql, params![user, since, limit.max(0)], |row| {
            Ok(TopEntry {
                name: row.get("name")?,
                artists: row.list("artists")?,
                uri: row.maybe("uri")?,
                plays: row.get("plays")?,
            })
        })
        .await
}

pub async fn save_top_artists(
    session: &mut Session,
    user: UserId,
    at: Timestamp,
    artists: &[Artist],
) -> Result<()> {
    catalogue::keep_artists(session, artists.iter()).await?;
    session.run("UPDATE users SET top_fetched_at = $2 WHERE id = $1", params![user, at]).await?;
    session.run("DELETE FROM top_artists WHERE user_id = $1", params![user]).await?;
    let rows: Vec<(i64, String)> = (1..).zip(artists.iter().map(catalogue::artist_key)).collect();
    session
        .run(
            "INSERT INTO top_artists (user_id, fetched_at, rank, artist_id)
             SELECT $1, $2, listed.rank, artists.id
             FROM rows($3 AS listed: rank BIGINT, artist TEXT) JOIN artists ON artists.key = listed.artist",
            vec![user.bind(), at.bind(), table![rows; |(rank, _)| *rank, |(_, artist)| artist]],
        )
        .await?;
    Ok(())
}

pub async fn top_artists(session: &mut Session, user: UserId) -> Result<Vec<TopArtist>> {
    session
        .all(
            "SELECT top_artists.rank, artists.name, artists.uri, top_artists.fetched_at
             FROM top_artists JOIN artists ON artists.id = top_artists.artist_id
             WHERE top_artists.user_id = $1 ORDER BY top_artists.rank",
            params![user],
            |row| {
                Ok(TopArtist {
                    rank: row.get("rank")?,
                    name: row.get("name")?,
                    uri: row.maybe("uri")?,
                    fetched_at: row.get("fetched_at")?,
                })
            },
        )
        .await
}
