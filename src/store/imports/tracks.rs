//! The tracks that an import names: found by their keys, and kept where they are new. What the API has told of a track
//! stays: an export knows less.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::super::catalogue::artist_key;
use super::super::sql::{Dialect, Session, Value, table};
use super::super::{Result, StoreError};
use super::{Batch, Known};
use crate::domain::merge::Recording;
use crate::domain::{Album, Artist, ImportedTrack, Track};

/// What becomes of tracks that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They have negative numbers.
    Not,
    /// They are kept, and whoever meets somebody else at it fails: that costs less.
    Alone,
    /// They are kept.
    WithOthers,
}

/// The database's numbers of these tracks, in their order.
pub async fn numbers(session: &mut Session, tracks: &[&ImportedTrack], keep: Keep) -> Result<Vec<i64>> {
    let keyed: Vec<(String, &ImportedTrack)> =
        tracks.iter().map(|track| (track.track.key(), *track)).collect();
    let known = look_up(session, &keyed, keep).await?;
    // A track too few would give all that follow to others.
    let number = |(key, _): &(String, _)| {
        known.get(key).copied().ok_or_else(|| StoreError::Broken {
            doing: "keeping the tracks of an import".to_owned(),
            source: format!("the database has {key:?} under another key").into(),
        })
    };
    keyed.iter().map(number).collect()
}

/// Whether the database still has the tracks of a batch. On SQLite what was committed is there as long as this process is.
pub async fn are_there(session: &mut Session, batch: &Batch<'_>) -> Result<bool> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    let unsure = |known: &Known| !known.is_sure.load(Ordering::Relaxed);
    let told = batch.told.iter().zip(&batch.sent.tracks);
    let tracks: HashMap<i64, String> =
        told.filter(|(known, _)| unsure(known)).map(|(known, track)| (known.id, track.track.key())).collect();
    // Whose batch was not kept, and which this one only names.
    if batch.tracks.iter().any(|known| unsure(known) && !tracks.contains_key(&known.id)) {
        return Ok(false);
    }
    if tracks.is_empty() {
        return Ok(true);
    }
    let there: i64 = session
        .one(
            "SELECT count(*) AS there FROM rows($1 AS listed: id BIGINT, key TEXT)
               JOIN tracks ON tracks.id = listed.id AND tracks.key = listed.key",
            vec![table![tracks; |(id, _)| *id, |(_, key)| key.as_str()]],
            |row| row.get("there"),
        )
        .await?;
    Ok(usize::try_from(there) == Ok(tracks.len()))
}

/// The numbers of tracks by their keys; those that are not there are kept, or told apart.
async fn look_up(
    session: &mut Session,
    tracks: &[(String, &ImportedTrack)],
    keep: Keep,
) -> Result<HashMap<String, i64>> {
    let mut known = find(session, TRACKS.find, tracks.iter().map(|(key, _)| key.as_str())).await?;
    let missing: BTreeMap<&str, &ImportedTrack> = tracks
        .iter()
        .filter(|(key, _)| !known.contains_key(key))
        .map(|(key, track)| (key.as_str(), *track))
        .collect();
    if keep != Keep::Not {
        // First: rows of new tracks are nobody else's to wait for before the lock that this takes.
        fill(session, tracks.iter().filter(|(key, _)| !missing.contains_key(key.as_str()))).await?;
        if !missing.is_empty() {
            known.extend(insert(session, &missing, keep == Keep::WithOthers).await?);
        }
    } else {
        known.extend((1..).zip(missing.keys()).map(|(n, key)| ((*key).to_owned(), -n)));
    }
    Ok(known)
}

/// By what these tracks are recognised.
pub async fn recordings(session: &mut Session, tracks: &[i64]) -> Result<HashMap<i64, Recording>> {
    if tracks.is_empty() {
        return Ok(HashMap::new());
    }
    let found = session
        .all(
            "SELECT tracks.id, tracks.uri, tracks.isrc, tracks.name,
               (SELECT names(artists.name ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artists
             FROM rows($1 AS listed: id BIGINT) JOIN tracks ON tracks.id = listed.id",
            vec![table![tracks; |id| *id]],
            |row| {
                let (name, artists): (String, Vec<String>) = (row.get("name")?, row.list("artists")?);
                let (uri, isrc): (Option<String>, Option<String>) = (row.maybe("uri")?, row.maybe("isrc")?);
                let artists = artists.iter().map(String::as_str);
                Ok((row.get("id")?, Recording::new(uri.as_deref(), isrc.as_deref(), &name, artists)))
            },
        )
        .await?;
    Ok(found.into_iter().collect())
}

/// An album without an id is told from others of its name by whose it is.
fn album_key(album: &Album, track: &Track) -> String {
    let artist = track.artists.first().map_or("", |artist| &artist.name);
    album.uri.clone().unwrap_or_else(|| format!("name:{}\u{1f}{artist}", album.name))
}

/// The statements for one of the tables whose rows have keys.
struct Keyed {
    find: &'static str,
    /// Whoever else inserts the same is waited for, and then first.
    insert: &'static str,
}

macro_rules! keyed {
    ($table:literal, ($($column:literal $type:literal),+)) => {
        Keyed {
            find: concat!(
                "SELECT found.key, found.id FROM rows($1 AS listed: key TEXT) JOIN ", $table,
                " AS found ON found.key = listed.key"
            ),
            insert: concat!(
                "INSERT INTO ", $table, " (key", $(", ", $column),+, ")
                 SELECT listed.key", $(", listed.", $column),+, "
                 FROM rows($1 AS listed: key TEXT", $(", ", $column, " ", $type),+, ")
                 WHERE TRUE ORDER BY listed.key ON CONFLICT (key) DO NOTHING RETURNING key, id"
            ),
        }
    };
}

const ARTISTS: Keyed = keyed!("artists", ("uri" "TEXT", "name" "TEXT"));
const ALBUMS: Keyed = keyed!("albums", ("uri" "TEXT", "name" "TEXT"));
const TRACKS: Keyed = keyed!(
    "tracks",
    ("uri" "TEXT", "name" "TEXT", "album_id" "BIGINT", "isrc" "TEXT", "duration_ms" "BIGINT")
);
/// Somebody else who inserts the same makes it fail.
const INSERT_TRACKS: &str = "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
     SELECT listed.key, listed.uri, listed.name, listed.album_id, listed.isrc, listed.duration_ms
     FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT, album_id BIGINT, isrc TEXT, duration_ms BIGINT)
     ORDER BY listed.key RETURNING key, id";

/// The numbers of what is there of these.
async fn find(
    session: &mut Session,
    sql: &'static str,
    keys: impl Iterator<Item = &str>,
) -> Result<HashMap<String, i64>> {
    let keys: Vec<&str> = keys.collect();
    numbered(session, sql, table![keys; |key| *key]).await
}

async fn numbered(session: &mut Session, sql: &'static str, rows: Value) -> Result<HashMap<String, i64>> {
    let numbered = session.all(sql, vec![rows], |row| Ok((row.get("key")?, row.get("id")?))).await?;
    Ok(numbered.into_iter().collect())
}

/// The numbers of artists or albums by their keys, with URI and name; those that are new are kept. One that has got another
/// key meanwhile is missing.
async fn named(
    session: &mut Session,
    table: &Keyed,
    all: &BTreeMap<&str, (Option<&str>, &str)>,
) -> Result<HashMap<String, i64>> {
    let mut known = find(session, table.find, all.keys().copied()).await?;
    let new: Vec<_> = all.iter().filter(|(key, _)| !known.contains_key(**key)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    let rows = table![new; |(key, _)| **key, |(_, (uri, _))| *uri, |(_, (_, name))| *name];
    let kept = numbered(session, table.insert, rows).await?;
    let others = new.iter().map(|(key, _)| **key).filter(|key| !kept.contains_key(*key));
    let others: Vec<&str> = others.collect();
    known.extend(kept);
    if !others.is_empty() {
        known.extend(find(session, table.find, others.into_iter()).await?);
    }
    Ok(known)
}

/// Keeps tracks that were not there; answers their numbers. In the order of their keys, so that two transactions never wait
/// for each other in a circle.
async fn insert(
    session: &mut Session,
    tracks: &BTreeMap<&str, &ImportedTrack>,
    meets_others: bool,
) -> Result<HashMap<String, i64>> {
    let mut credits = credits(session, tracks).await?;
    let mut artists = keep_artists(session, &credits).await?;
    if !credits.values().flatten().all(|(key, _)| artists.contains_key(key)) {
        // A page has told whose name one of them is: that is who made it.
        credits = self::credits(session, tracks).await?;
        artists = keep_artists(session, &credits).await?;
    }
    let made: Vec<Option<(String, &Album)>> = tracks
        .values()
        .map(|track| {
            let album = track.track.album.as_ref()?;
            Some((album_key(album, &track.track), album))
        })
        .collect();
    let albums = made.iter().flatten();
    let albums = albums.map(|(key, album)| (key.as_str(), (album.uri.as_deref(), album.name.as_str())));
    let albums = named(session, &ALBUMS, &albums.collect()).await?;
    let rows: Vec<(&str, &Track, Option<i64>)> = tracks
        .iter()
        .zip(&made)
        .map(|((key, track), made)| {
            let album = made.as_ref().and_then(|(key, _)| albums.get(key));
            (*key, &track.track, album.copied())
        })
        .collect();
    let rows = table![
        rows;
        |(key, ..)| *key,
        |(_, track, _)| track.uri.as_deref(),
        |(_, track, _)| track.name.as_str(),
        |(_, _, album)| *album,
        |(_, track, _)| track.isrc.as_deref(),
        |(_, track, _)| track.duration_ms,
    ];
    let sql = if meets_others { TRACKS.insert } else { INSERT_TRACKS };
    let mut numbers = numbered(session, sql, rows).await?;
    let mut listed: Vec<(i64, i64, i64)> = Vec::new();
    for (key, made) in &credits {
        let Some(track) = numbers.get(*key) else { continue };
        let ids = made.iter().filter_map(|(key, _)| artists.get(key));
        listed.extend((0..).zip(ids).map(|(position, artist)| (*track, position, *artist)));
    }
    session
        .run(
            "INSERT INTO track_artists (track_id, position, artist_id)
             SELECT listed.track, listed.position, listed.artist
             FROM rows($1 AS listed: track BIGINT, position BIGINT, artist BIGINT)",
            vec![table![listed; |(track, _, _)| *track, |(_, position, _)| *position, |(_, _, artist)| *artist]],
        )
        .await?;
    let others: Vec<&str> = tracks.keys().copied().filter(|key| !numbers.contains_key(*key)).collect();
    if !others.is_empty() {
        // Somebody else has kept them meanwhile.
        numbers.extend(find(session, TRACKS.find, others.into_iter()).await?);
    }
    Ok(numbers)
}

async fn keep_artists(
    session: &mut Session,
    credits: &BTreeMap<&str, Vec<(String, &Artist)>>,
) -> Result<HashMap<String, i64>> {
    let artists = credits.values().flatten();
    let artists = artists.map(|(key, artist)| (key.as_str(), (artist.uri.as_deref(), artist.name.as_str())));
    named(session, &ARTISTS, &artists.collect()).await
}

/// Who made which track, by the artists' keys. An artist whom a privacy export names alone is the one of that name, if
/// there is one only.
async fn credits<'t>(
    session: &mut Session,
    tracks: &BTreeMap<&'t str, &'t ImportedTrack>,
) -> Result<BTreeMap<&'t str, Vec<(String, &'t Artist)>>> {
    let bare = tracks.values().filter(|track| !track.exact).flat_map(|track| &track.track.artists);
    let names: HashSet<&str> =
        bare.filter(|artist| artist.uri.is_none()).map(|artist| &*artist.name).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let only: HashMap<String, String> = session
        .all(
            "SELECT artists.name, max(artists.key) AS key
             FROM rows($1 AS listed: name TEXT)
               JOIN artists ON artists.name = listed.name AND artists.uri IS NOT NULL
             GROUP BY artists.name HAVING count(*) = 1",
            vec![table![names; |name| *name]],
            |row| Ok((row.get("name")?, row.get("key")?)),
        )
        .await?
        .into_iter()
        .collect();
    let of = |track: &'t ImportedTrack| {
        let mut seen = HashSet::new();
        let key = |artist: &Artist| match &artist.uri {
            None if !track.exact => only.get(&artist.name).cloned().unwrap_or_else(|| artist_key(artist)),
            _ => artist_key(artist),
        };
        let artists = track.track.artists.iter().map(|artist| (key(artist), artist));
        artists.filter(|(key, _)| seen.insert(key.clone())).collect::<Vec<_>>()
    };
    Ok(tracks.iter().map(|(key, track)| (*key, of(track))).collect())
}

/// What longplay's own files tell of known tracks, where nobody has told it yet.
async fn fill<'t>(
    session: &mut Session,
    known: impl Iterator<Item = &'t (String, &'t ImportedTrack)>,
) -> Result<()> {
    let told = |track: &ImportedTrack| track.track.isrc.is_some() || track.track.duration_ms.is_some();
    let rows: BTreeMap<&str, &Track> = known
        .filter(|(_, track)| track.exact && told(track))
        .map(|(key, track)| (key.as_str(), &track.track))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().collect();
    if session.dialect() == Dialect::Postgres {
        session.lock_counts().await?;
        // In the order of their keys, which an UPDATE has not.
        session
            .run(
                "SELECT tracks.id FROM rows($1 AS listed: key TEXT) JOIN tracks ON tracks.key = listed.key
                 ORDER BY tracks.key FOR NO KEY UPDATE OF tracks",
                vec![table![rows; |(key, _)| *key]],
            )
            .await?;
    }
    session
        .run(
            "UPDATE tracks SET isrc = COALESCE(tracks.isrc, listed.isrc),
               duration_ms = COALESCE(tracks.duration_ms, listed.duration_ms)
             FROM rows($1 AS listed: key TEXT, isrc TEXT, duration_ms BIGINT)
             WHERE tracks.key = listed.key AND ((tracks.isrc IS NULL AND listed.isrc IS NOT NULL)
               OR (tracks.duration_ms IS NULL AND listed.duration_ms IS NOT NULL))",
            vec![table![rows; |(key, _)| *key, |(_, track)| track.isrc.as_deref(), |(_, track)| track.duration_ms]],
        )
        .await?;
    Ok(())
}
