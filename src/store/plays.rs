//! Plays as they are read, page by page.

use super::sql::{Row, Session, params};
use super::{PlayPage, PlayQuery, Result};
use crate::domain::{PlayCursor, StoredPlay, Timestamp, UserId};

/// A page begins where the primary key says, however far back that is.
pub(super) const PAGE: &str =
    "SELECT page.played_at, page.track_id, tracks.name AS track, albums.name AS album, tracks.uri, tracks.isrc,
       tracks.duration_ms, page.context_uri, page.source,
       (SELECT names(artists.name ORDER BY track_artists.position)
        FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
        WHERE track_artists.track_id = tracks.id) AS artists
     FROM (SELECT played_at, track_id, context_uri, source FROM plays
           WHERE user_id = $1 AND played_at >= $2 AND (played_at, track_id) < ($3, $4)
           ORDER BY played_at DESC, track_id DESC LIMIT $5) AS page
       JOIN tracks ON tracks.id = page.track_id LEFT JOIN albums ON albums.id = tracks.album_id
     ORDER BY page.played_at DESC, page.track_id DESC";

/// The columns are called as above.
pub(super) fn stored(row: &Row) -> std::result::Result<StoredPlay, sqlx::Error> {
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
}

pub async fn page(session: &mut Session, user: UserId, query: PlayQuery) -> Result<PlayPage> {
    let since = query.since.map_or(i64::MIN, Timestamp::as_millis);
    // No track has the number 0.
    let until = query.until.map_or((i64::MAX, i64::MAX), |until| (until.as_millis(), 0));
    let before = query.before.map_or(until, |before| (before.at.as_millis(), before.track).min(until));
    let limit = query.limit.max(0);
    let rows = session
        .all(PAGE, params![user, since, before.0, before.1, limit], |row| {
            let play = stored(row)?;
            Ok((PlayCursor { at: play.played_at, track: row.get("track_id")? }, play))
        })
        .await?;
    let full = limit > 0 && i64::try_from(rows.len()).is_ok_and(|read| read == limit);
    let next = rows.last().map(|(cursor, _)| *cursor).filter(|_| full);
    Ok(PlayPage { plays: rows.into_iter().map(|(_, play)| play).collect(), next })
}

/// From when until when the archive claims to be whole.
pub async fn claimed(session: &mut Session, user: UserId) -> Result<Option<(Timestamp, Timestamp)>> {
    let claimed = session
        .first("SELECT shown_since, last_archived_at FROM users WHERE id = $1", params![user], |row| {
            Ok((row.maybe("shown_since")?, row.maybe("last_archived_at")?))
        })
        .await?;
    Ok(claimed.and_then(|(since, until): (Option<Timestamp>, Option<Timestamp>)| since.zip(until)))
}

pub async fn first(
    session: &mut Session,
    user: UserId,
    since: Option<Timestamp>,
) -> Result<Option<Timestamp>> {
    session
        .first(
            "SELECT played_at FROM plays WHERE user_id = $1 AND played_at >= $2 ORDER BY played_at LIMIT 1",
            params![user, since.map_or(i64::MIN, Timestamp::as_millis)],
            |row| row.get("played_at"),
        )
        .await
}
