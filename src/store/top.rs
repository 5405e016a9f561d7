//! What was heard most, and when: counted of what is ready and of the plays around it.

use super::heard::{self, heard_ms};
use super::sql::{Bind as _, Session, params, table};
use super::{Result, catalogue};
use crate::domain::{Artist, Counted, Listening, Shift, Timestamp, TopArtist, TopEntry, TopKind, UserId};

/// Tracks with how often and how long they were heard, some more than once; then what is counted by them. Only what may
/// be among the first is looked up by name. With CROSS JOIN SQLite takes the tables in the order in which they stand: it
/// would sooner go through everybody's tracks.
macro_rules! ranked {
    ($id:literal, $from:literal, $by:literal) => {
        concat!(
            "WITH listed AS (
               SELECT track_id, plays, ms FROM heard WHERE user_id = $1 AND weeks = $2
               UNION ALL
               SELECT plays.track_id, CAST(1 AS BIGINT), ",
            heard_ms!(),
            " FROM plays CROSS JOIN tracks
               WHERE tracks.id = plays.track_id
                 AND plays.user_id = $1 AND plays.played_at >= $3 AND plays.played_at < $4
               UNION ALL
               SELECT plays.track_id, CAST(1 AS BIGINT), ",
            heard_ms!(),
            " FROM plays CROSS JOIN tracks
               WHERE tracks.id = plays.track_id AND plays.user_id = $1 AND plays.played_at >= $5),
             ranked AS MATERIALIZED (
               SELECT ",
            $id,
            " AS id, CAST(sum(listed.plays) AS BIGINT) AS plays, CAST(sum(listed.ms) AS BIGINT) AS ms
               FROM listed CROSS JOIN ",
            $from,
            " GROUP BY ",
            $by,
            "),
             likely AS (
               SELECT id, plays, ms FROM ranked
               WHERE plays >= COALESCE((SELECT plays FROM ranked ORDER BY plays DESC LIMIT 1 OFFSET $7), 0)) "
        )
    };
}

/// What is left is named one by one, since PostgreSQL takes it for much, and would read every name there is.
const ARTISTS: &str = concat!(
    ranked!(
        "track_artists.artist_id",
        "track_artists WHERE track_artists.track_id = listed.track_id",
        "track_artists.artist_id"
    ),
    "SELECT best.name, artists.uri, best.plays, best.ms, '[]' AS artists
     FROM (SELECT likely.id, likely.plays, likely.ms,
             (SELECT artists.name FROM artists WHERE artists.id = likely.id) AS name
           FROM likely ORDER BY plays DESC, name, id LIMIT $6) AS best
       JOIN artists ON artists.id = best.id
     ORDER BY best.plays DESC, best.name, best.id"
);

const TRACKS: &str = concat!(
    ranked!(
        "max(listed.track_id)",
        "tracks WHERE tracks.id = listed.track_id",
        "COALESCE(tracks.isrc, tracks.key)"
    ),
    "SELECT best.name, tracks.uri, best.plays, best.ms,
       (SELECT names(artists.name ORDER BY track_artists.position)
        FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
        WHERE track_artists.track_id = best.id) AS artists
     FROM (SELECT likely.id, likely.plays, likely.ms,
             (SELECT tracks.name FROM tracks WHERE tracks.id = likely.id) AS name
           FROM likely ORDER BY plays DESC, name, id LIMIT $6) AS best
       JOIN tracks ON tracks.id = best.id
     ORDER BY best.plays DESC, best.name, best.id"
);

const ALBUMS: &str = concat!(
    ranked!(
        "tracks.album_id",
        "tracks WHERE tracks.id = listed.track_id AND tracks.album_id IS NOT NULL",
        "tracks.album_id"
    ),
    "SELECT best.name, albums.uri, best.plays, best.ms,
       (SELECT names(leads.name ORDER BY leads.name)
        FROM (SELECT DISTINCT artists.name FROM tracks
                JOIN track_artists ON track_artists.track_id = tracks.id AND track_artists.position = 0
                JOIN artists ON artists.id = track_artists.artist_id
              WHERE tracks.album_id = best.id) AS leads) AS artists
     FROM (SELECT likely.id, likely.plays, likely.ms,
             (SELECT albums.name FROM albums WHERE albums.id = likely.id) AS name
           FROM likely ORDER BY plays DESC, name, id LIMIT $6) AS best
       JOIN albums ON albums.id = best.id
     ORDER BY best.plays DESC, best.name, best.id"
);

/// The statement of a kind.
pub(super) fn sql(kind: TopKind) -> &'static str {
    match kind {
        TopKind::Artists => ARTISTS,
        TopKind::Tracks => TRACKS,
        TopKind::Albums => ALBUMS,
    }
}

/// Every artist of a track counts; the track ids of one recording (ISRC) count together.
pub async fn top(
    session: &mut Session,
    user: UserId,
    kind: TopKind,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<TopEntry>> {
    let read = heard::tracks(heard::ready(session, user).await?, since);
    let limit = limit.max(0);
    session
        .all(
            sql(kind),
            params![user, read.weeks, read.from, read.until, read.after, limit, (limit - 1).max(0)],
            |row| {
                Ok(TopEntry {
                    name: row.get("name")?,
                    artists: row.list("artists")?,
                    uri: row.maybe("uri")?,
                    plays: row.get("plays")?,
                    ms_played: row.get("ms")?,
                })
            },
        )
        .await
}

macro_rules! by_clock {
    ($at:literal) => {
        concat!(
            "WITH pieces AS MATERIALIZED (
               SELECT piece.ready, piece.begins, piece.ends, piece.shift
               FROM rows($2 AS piece: ready BIGINT, begins BIGINT, ends BIGINT, shift BIGINT)),
             listed AS (
               SELECT heard_slots.at + pieces.shift AS here, heard_slots.plays, heard_slots.ms
               FROM pieces CROSS JOIN heard_slots
               WHERE pieces.ready = 1 AND heard_slots.user_id = $1
                 AND heard_slots.at >= pieces.begins AND heard_slots.at < pieces.ends
               UNION ALL
               SELECT plays.played_at + pieces.shift, CAST(1 AS BIGINT), ",
            heard_ms!(),
            " FROM pieces CROSS JOIN plays CROSS JOIN tracks
               WHERE pieces.ready = 0 AND tracks.id = plays.track_id AND plays.user_id = $1
                 AND plays.played_at >= pieces.begins AND plays.played_at < pieces.ends)
             SELECT ",
            $at,
            " AS at, CAST(sum(plays) AS BIGINT) AS plays, CAST(sum(ms) AS BIGINT) AS ms
             FROM listed GROUP BY ",
            $at,
            " ORDER BY at"
        )
    };
}

/// By day since 1970, and by hour of the day.
pub(super) const BY_DAY: &str = by_clock!("here / 86400000");
pub(super) const BY_HOUR: &str = by_clock!("here / 3600000 % 24");

pub async fn listening(session: &mut Session, user: UserId, shifts: &[Shift]) -> Result<Listening> {
    let pieces = heard::pieces(heard::ready(session, user).await?, shifts);
    let mut counts = async |sql| {
        let table = table![
            pieces;
            |piece| i64::from(piece.ready),
            |piece| piece.begins,
            |piece| piece.ends,
            |piece| piece.shift
        ];
        session
            .all(sql, vec![user.bind(), table], |row| {
                Ok(Counted { at: row.get("at")?, plays: row.get("plays")?, ms: row.get("ms")? })
            })
            .await
    };
    Ok(Listening { days: counts(BY_DAY).await?, hours: counts(BY_HOUR).await? })
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
