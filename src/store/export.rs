//! Plays as they are exported: oldest first, page by page, each page beginning where the last one ended, so that what is
//! stored meanwhile neither doubles a play nor drops another.

use async_trait::async_trait;

use super::Result;
use super::sql::{Row, Session, params};
use super::transfer::Moving;
use crate::domain::{ExportedPlay, Timestamp, UserId};

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// With the first play.
    First,
    /// With the first play that is not older than this.
    Since(Timestamp),
    /// After a page's last play.
    After(Place),
}

/// Where a play stands among the user's. It means something to the store that told it, and as long as the track is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The end of the play.
    pub at: Timestamp,
    /// The track's number.
    pub(super) track: i64,
}

/// A play with its place, and the track's key, which orders plays of one moment alike in every store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exportable {
    /// Where it stands.
    pub place: Place,
    /// What tells the track from others.
    pub key: String,
    /// All that is known of it.
    pub play: ExportedPlay,
}

/// Reading the archive as a whole.
#[async_trait]
pub trait ExportStore: Send + Sync {
    /// The next plays, `limit` at most, oldest first; only those before `until`. Of one moment they come in an order that
    /// is this store's own.
    async fn exportable(
        &self,
        user: UserId,
        from: PageStart,
        until: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<Exportable>>;

    /// The store itself as a whole, to be copied or backed up; `None` for one in memory.
    fn moving(&self) -> Option<&dyn Moving> {
        None
    }
}

/// The numbers of tracks begin after this.
const NO_TRACK: i64 = i64::MIN;

impl PageStart {
    /// The place that the page begins after.
    pub(super) fn after(self) -> Place {
        match self {
            Self::First => Place { at: Timestamp::from_millis(i64::MIN), track: NO_TRACK },
            Self::Since(at) => Place { at, track: NO_TRACK },
            Self::After(place) => place,
        }
    }
}

pub(super) async fn read(
    session: &mut Session,
    user: UserId,
    from: PageStart,
    until: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<Exportable>> {
    let after = from.after();
    session
        .all(
            "SELECT page.played_at, page.track_id, page.context_uri, page.source, page.ms_played,
               tracks.key, tracks.name AS track, tracks.uri, tracks.isrc, tracks.duration_ms,
               albums.name AS album, albums.uri AS album_uri,
               (SELECT names(artists.name ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artists,
               (SELECT names(artists.uri ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artist_uris
             FROM (SELECT played_at, track_id, context_uri, source, ms_played FROM plays
                   WHERE user_id = $1 AND (played_at, track_id) > ($2, $3) AND played_at < $4
                   ORDER BY played_at, track_id LIMIT $5) AS page
               JOIN tracks ON tracks.id = page.track_id LEFT JOIN albums ON albums.id = tracks.album_id
             ORDER BY page.played_at, page.track_id",
            params![
                user,
                after.at,
                after.track,
                until.unwrap_or(Timestamp::from_millis(i64::MAX)),
                limit.max(0),
            ],
            exportable,
        )
        .await
}

fn exportable(row: &Row) -> std::result::Result<Exportable, sqlx::Error> {
    let play = super::plays::stored(row)?;
    Ok(Exportable {
        place: Place { at: play.played_at, track: row.get("track_id")? },
        key: row.get("key")?,
        play: ExportedPlay {
            play,
            artist_uris: row.list("artist_uris")?,
            album_uri: row.maybe("album_uri")?,
            ms_played: row.maybe("ms_played")?,
        },
    })
}

/// A place, for tests.
#[cfg(test)]
pub fn place(at: Timestamp, track: i64) -> Place {
    Place { at, track }
}
