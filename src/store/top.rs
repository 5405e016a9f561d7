//! What was heard most, and when: counted of what is ready and of the plays around it.

use std::collections::BTreeMap;

use super::heard::{self, Piece, heard_ms, id_of, joined};
use super::sql::{Bind as _, Session, Value, params, table};
use super::{Result, catalogue};
use crate::domain::{Artist, Counted, Listening, Shift, Timestamp, TopArtist, TopEntry, TopKind, UserId};

/// The plays around what is counted beforehand, by what the list is of; and of the sums only those that can be among the
/// first: a sum that is less than the last of as many as are asked for can't, unless there are plays around it to be added.
/// What is left is named one by one, since PostgreSQL takes it for much, and would read every name there is.
macro_rules! list {
    ($kind:ident, $table:literal, $id:literal, $artists:literal) => {
        concat!(
            "WITH around AS MATERIALIZED (
               SELECT ",
            id_of!($kind),
            " AS id, count(*) AS plays, CAST(sum(",
            heard_ms!(),
            ") AS BIGINT) AS ms, max(plays.track_id) AS track
               FROM (SELECT track_id, ms_played FROM plays
                     WHERE user_id = $1 AND played_at >= $3 AND played_at < $4
                     UNION ALL
                     SELECT track_id, ms_played FROM plays WHERE user_id = $1 AND played_at >= $5) AS plays",
            joined!($kind),
            "GROUP BY ",
            id_of!($kind),
            "),
             least AS MATERIALIZED (
               SELECT COALESCE((SELECT heard_sums.plays FROM heard_sums WHERE ",
            summed!($kind),
            " AND heard_sums.plays > 0 ORDER BY heard_sums.plays DESC LIMIT 1 OFFSET $7), 1) AS plays),
             ranked AS MATERIALIZED (
               SELECT id, CAST(sum(plays) AS BIGINT) AS plays, CAST(sum(ms) AS BIGINT) AS ms, max(track) AS track
               FROM (SELECT heard_sums.id, heard_sums.plays, heard_sums.ms, 0 AS track FROM heard_sums
                     WHERE ",
            summed!($kind),
            " AND heard_sums.plays > 0 AND heard_sums.plays >= (SELECT plays FROM least)
                     UNION ALL
                     SELECT around.id,
                       around.plays + COALESCE((SELECT heard_sums.plays ",
            less!($kind),
            "), 0),
                       around.ms + COALESCE((SELECT heard_sums.ms ",
            less!($kind),
            "), 0), around.track
                     FROM around) AS parts
               GROUP BY id),
             likely AS (
               SELECT ",
            $id,
            " AS id, plays, ms FROM ranked
               WHERE plays >= COALESCE((SELECT plays FROM ranked ORDER BY plays DESC LIMIT 1 OFFSET $7), 1))
             SELECT best.name, named.uri, best.plays, best.ms, ",
            $artists,
            " AS artists
             FROM (SELECT likely.id, likely.plays, likely.ms,
                     (SELECT named.name FROM ",
            $table,
            " AS named WHERE named.id = likely.id) AS name
                   FROM likely ORDER BY plays DESC, name, id LIMIT $6) AS best
               JOIN ",
            $table,
            " AS named ON named.id = best.id
             ORDER BY best.plays DESC, best.name, best.id"
        )
    };
}

/// The sums of these weeks; none where there are no such weeks.
macro_rules! summed {
    ($kind:ident) => {
        concat!(
            "heard_sums.user_id = $1 AND heard_sums.weeks = $2 AND heard_sums.kind = '",
            stringify!($kind),
            "'"
        )
    };
}

/// What is to be added to plays around it, and is not taken for itself.
macro_rules! less {
    ($kind:ident) => {
        concat!(
            "FROM heard_sums WHERE $2 >= 0 AND ",
            summed!($kind),
            " AND heard_sums.id = around.id AND heard_sums.plays < (SELECT plays FROM least)"
        )
    };
}

const ARTISTS: &str = list!(artist, "artists", "CAST(ranked.id AS BIGINT)", "'[]'");

/// A recording is shown as the last made of the tracks that were heard of it.
const TRACKS: &str = list!(
    track,
    "tracks",
    "(SELECT max(track)
      FROM (SELECT ranked.track AS track
            UNION ALL
            SELECT heard.track_id FROM tracks CROSS JOIN heard
            WHERE (tracks.isrc = ranked.id OR tracks.key = ranked.id AND tracks.isrc IS NULL)
              AND heard.user_id = $1 AND heard.weeks = $2 AND heard.track_id = tracks.id) AS heard_of_it)",
    "(SELECT names(artists.name ORDER BY track_artists.position)
      FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
      WHERE track_artists.track_id = best.id)"
);

const ALBUMS: &str = list!(
    album,
    "albums",
    "CAST(ranked.id AS BIGINT)",
    "(SELECT names(leads.name ORDER BY leads.name)
      FROM (SELECT DISTINCT artists.name FROM tracks
              JOIN track_artists ON track_artists.track_id = tracks.id AND track_artists.position = 0
              JOIN artists ON artists.id = track_artists.artist_id
            WHERE tracks.album_id = best.id) AS leads)"
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

/// Plays one by one, where no weeks are ready.
macro_rules! by_clock {
    ($at:literal) => {
        concat!(
            "WITH pieces AS MATERIALIZED (
               SELECT piece.begins, piece.ends, piece.shift
               FROM rows($2 AS piece: begins BIGINT, ends BIGINT, shift BIGINT)),
             listed AS (
               SELECT plays.played_at + pieces.shift AS here, ",
            heard_ms!(),
            " AS ms FROM pieces CROSS JOIN plays CROSS JOIN tracks
               WHERE tracks.id = plays.track_id AND plays.user_id = $1
                 AND plays.played_at >= pieces.begins AND plays.played_at < pieces.ends)
             SELECT ",
            $at,
            " AS at, count(*) AS plays, CAST(sum(ms) AS BIGINT) AS ms
             FROM listed GROUP BY ",
            $at,
            " ORDER BY at"
        )
    };
}

/// By day since 1970, and by hour of the day.
pub(super) const BY_DAY: &str = by_clock!("here / 86400000");
pub(super) const BY_HOUR: &str = by_clock!("here / 3600000 % 24");

/// The pieces of which nothing is ready.
pub(super) fn one_by_one(pieces: &[Piece]) -> Value {
    let pieces: Vec<&Piece> = pieces.iter().filter(|piece| !piece.ready).collect();
    table![pieces; |piece| piece.begins, |piece| piece.ends, |piece| piece.shift]
}

pub async fn listening(session: &mut Session, user: UserId, shifts: &[Shift]) -> Result<Listening> {
    let ready = heard::ready(session, user).await?;
    let pieces = heard::pieces(ready, shifts);
    let mut counts = async |sql| {
        session
            .all(sql, vec![user.bind(), one_by_one(&pieces)], |row| {
                Ok((
                    row.get("at")?,
                    Counted { at: row.get("at")?, plays: row.get("plays")?, ms: row.get("ms")? },
                ))
            })
            .await
    };
    let mut days: BTreeMap<i64, Counted> = counts(BY_DAY).await?.into_iter().collect();
    let mut hours: BTreeMap<i64, Counted> = counts(BY_HOUR).await?.into_iter().collect();
    if let Some(ready) = ready {
        let weeks = heard::weeks(session, user, &pieces).await?;
        heard::each(&weeks, &pieces, ready.slot(), |here, plays, ms| {
            for (counts, at) in [(&mut days, here / 86_400_000), (&mut hours, here / 3_600_000 % 24)] {
                let counted = counts.entry(at).or_insert(Counted { at, ..Counted::default() });
                counted.plays += plays;
                counted.ms += ms;
            }
        });
    }
    Ok(Listening { days: days.into_values().collect(), hours: hours.into_values().collect() })
}

pub async fn save_top_artists(
    session: &mut Session,
    user: UserId,
    at: Timestamp,
    artists: &[Artist],
) -> Result<()> {
    // Before the artists, as whoever stores plays of theirs takes it.
    session.lock_user(user).await?;
    catalogue::keep_artists(session, artists.iter(), true).await?;
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
