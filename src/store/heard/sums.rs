//! What was heard, summed by what top lists are of: recordings, artists and albums. Here is what a track belongs to in
//! each, for whoever counts and for whoever reads. Triggers keep the sums in step with what tracks belong to.

use super::super::Result;
use super::super::sql::{Session, params};
use super::{Step, heard_ms};
use crate::domain::UserId;

/// What a track is summed under.
macro_rules! id_of {
    (track) => {
        "COALESCE(tracks.isrc, tracks.key)"
    };
    (artist) => {
        "CAST(track_artists.artist_id AS TEXT)"
    };
    (album) => {
        "CAST(tracks.album_id AS TEXT)"
    };
}
pub(in super::super) use id_of;

/// Brings `plays` together with it. With CROSS JOIN SQLite takes the tables in the order in which they stand: it would
/// sooner go through everybody's tracks.
macro_rules! joined {
    (track) => {
        " CROSS JOIN tracks WHERE tracks.id = plays.track_id "
    };
    (artist) => {
        " CROSS JOIN tracks CROSS JOIN track_artists
          WHERE tracks.id = plays.track_id AND track_artists.track_id = tracks.id "
    };
    (album) => {
        " CROSS JOIN tracks WHERE tracks.id = plays.track_id AND tracks.album_id IS NOT NULL "
    };
}
pub(in super::super) use joined;

/// All of what is counted by track.
macro_rules! anew {
    ($kind:ident) => {
        concat!(
            "INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
             SELECT $1, $2, '",
            stringify!($kind),
            "', ",
            id_of!($kind),
            ", CAST(sum(plays.plays) AS BIGINT), CAST(sum(plays.ms) AS BIGINT)
             FROM (SELECT track_id, plays, ms FROM heard WHERE user_id = $1 AND weeks = $2) AS plays",
            joined!($kind),
            "GROUP BY ",
            id_of!($kind)
        )
    };
}

/// Some plays more, or fewer.
macro_rules! moved {
    ($kind:ident) => {
        concat!(
            "INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
             SELECT $1, $2, '",
            stringify!($kind),
            "', ",
            id_of!($kind),
            ", $5 * count(*), $5 * CAST(sum(",
            heard_ms!(),
            ") AS BIGINT)
             FROM (SELECT track_id, ms_played FROM plays
                   WHERE user_id = $1 AND played_at >= $3 AND played_at < $4) AS plays",
            joined!($kind),
            "GROUP BY ",
            id_of!($kind),
            " ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET
               plays = heard_sums.plays + excluded.plays, ms = heard_sums.ms + excluded.ms"
        )
    };
}

/// Sums what is counted by track over so many weeks; there are no such sums yet.
pub async fn sum(session: &mut Session, user: UserId, weeks: i64) -> Result<()> {
    for sql in [anew!(track), anew!(artist), anew!(album)] {
        session.run(sql, params![user, weeks]).await?;
    }
    Ok(())
}

/// Tells PostgreSQL how much there is now, which it would notice in a minute: until then it would plan as for nothing.
pub async fn analyze(session: &mut Session) -> Result<()> {
    session.run("ANALYZE heard_sums", params![]).await.map(drop)
}

/// Adds to the sums, or takes away from them.
pub async fn step(session: &mut Session, user: UserId, step: Step) -> Result<()> {
    for sql in [moved!(track), moved!(artist), moved!(album)] {
        session.run(sql, params![user, step.weeks, step.from, step.until, step.sign]).await?;
    }
    if step.sign < 0 {
        let sql = "DELETE FROM heard_sums
             WHERE user_id = $1 AND weeks = $2 AND kind IN ('track', 'artist', 'album') AND plays = 0";
        session.run(sql, params![user, step.weeks]).await?;
    }
    Ok(())
}
