//! The tracks that an import names: found by their keys, and kept where they are new. What the API has told of a track
//! stays: an export knows less.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::catalogue::artist_key;
use super::super::sql::{Dialect, Session, table};
use super::super::{Result, StoreError};
use super::Seen;
use crate::domain::merge::Recording;
use crate::domain::{Album, Artist, ImportedTrack, Track};

/// The numbers of these tracks, and which of them were looked up. Where `keep` is false, those that are not there have
/// negative ones.
pub async fn numbers(
    session: &mut Session,
    tracks: &[ImportedTrack],
    seen: &Seen,
    keep: bool,
) -> Result<(Vec<i64>, Vec<usize>)> {
    let mut numbers: Vec<Option<i64>> = tracks.iter().map(|track| seen.number(track)).collect();
    let unseen: Vec<usize> = (0..tracks.len()).filter(|n| numbers[*n].is_none()).collect();
    if !unseen.is_empty() {
        let keyed: Vec<(String, &ImportedTrack)> =
            unseen.iter().map(|n| (tracks[*n].track.key(), &tracks[*n])).collect();
        let found = look_up(session, &keyed, keep).await?;
        for (n, (key, _)) in unseen.iter().zip(&keyed) {
            numbers[*n] = found.get(key).copied();
        }
    }
    // A track too few would give all that follow to others.
    let number = |(number, track): (Option<i64>, &ImportedTrack)| {
        number.ok_or_else(|| StoreError::Broken {
            doing: "keeping the tracks of an import".to_owned(),
            source: format!("the database has {:?} under another key", track.track.key()).into(),
        })
    };
    let numbers = numbers.into_iter().zip(tracks).map(number).collect::<Result<_>>()?;
    Ok((numbers, unseen))
}

/// The numbers of tracks by their keys; those that are not there are kept, or told apart.
async fn look_up(
    session: &mut Session,
    tracks: &[(String, &ImportedTrack)],
    keep: bool,
) -> Result<HashMap<String, i64>> {
    let mut known = found(session, tracks.iter().map(|(key, _)| key.as_str())).await?;
    let missing: BTreeMap<&str, &ImportedTrack> = tracks
        .iter()
        .filter(|(key, _)| !known.contains_key(key))
        .map(|(key, track)| (key.as_str(), *track))
        .collect();
    if keep {
        // First: rows of new tracks are nobody else's to wait for before the lock that this takes.
        fill(session, tracks.iter().filter(|(key, _)| !missing.contains_key(key.as_str()))).await?;
        if !missing.is_empty() {
            insert(session, &missing).await?;
            known.extend(found(session, missing.keys().copied()).await?);
        }
    } else {
        known.extend((1..).zip(missing.keys()).map(|(n, key)| ((*key).to_owned(), -n)));
    }
    Ok(known)
}

async fn found(session: &mut Session, keys: impl Iterator<Item = &str>) -> Result<HashMap<String, i64>> {
    let keys: Vec<&str> = keys.collect();
    let found = session
        .all(
            "SELECT tracks.key, tracks.id FROM rows($1 AS listed: key TEXT) JOIN tracks ON tracks.key = listed.key",
            vec![table![keys; |key| *key]],
            |row| Ok((row.get("key")?, row.get("id")?)),
        )
        .await?;
    Ok(found.into_iter().collect())
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
                let artists = artists.iter().map(String::as_str);
                Ok((row.get("id")?, Recording::new(row.maybe("uri")?, row.maybe("isrc")?, &name, artists)))
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

/// Keeps the artists or albums that are new.
macro_rules! insert_named {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (key, uri, name)
             SELECT listed.key, listed.uri, listed.name FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT)
             WHERE TRUE ORDER BY listed.key ON CONFLICT (key) DO NOTHING"
        )
    };
}

/// In the order of their keys, so that two transactions never wait for each other in a circle.
async fn insert(session: &mut Session, tracks: &BTreeMap<&str, &ImportedTrack>) -> Result<()> {
    let mut credits = credits(session, tracks).await?;
    if !keep_artists(session, &credits).await? {
        // A page has told whose name one of them is: that is who made it.
        credits = self::credits(session, tracks).await?;
        keep_artists(session, &credits).await?;
    }
    let albums: BTreeMap<String, &Album> = tracks
        .values()
        .filter_map(|track| {
            Some((album_key(track.track.album.as_ref()?, &track.track), track.track.album.as_ref()?))
        })
        .collect();
    let albums: Vec<_> = albums.into_iter().collect();
    let named =
        table![albums; |(key, _)| key, |(_, album)| album.uri.as_deref(), |(_, album)| album.name.as_str()];
    session.run(insert_named!("albums"), vec![named]).await?;
    let rows: Vec<(&str, &Track)> = tracks.iter().map(|(key, track)| (*key, &track.track)).collect();
    session
        .run(
            "INSERT INTO tracks (key, uri, name, album_id, isrc, duration_ms)
             SELECT listed.key, listed.uri, listed.name, albums.id, listed.isrc, listed.duration_ms
             FROM rows($1 AS listed: key TEXT, uri TEXT, name TEXT, album TEXT, isrc TEXT, duration_ms BIGINT)
               LEFT JOIN albums ON albums.key = listed.album
             WHERE TRUE ORDER BY listed.key ON CONFLICT (key) DO NOTHING",
            vec![table![
                rows;
                |(key, _)| *key,
                |(_, track)| track.uri.as_deref(),
                |(_, track)| track.name.as_str(),
                |(_, track)| track.album.as_ref().map(|album| album_key(album, track)),
                |(_, track)| track.isrc.as_deref(),
                |(_, track)| track.duration_ms,
            ]],
        )
        .await?;
    let listed: Vec<(&str, i64, &str)> = credits
        .iter()
        .flat_map(|(track, artists)| (0..).zip(artists).map(|(n, (artist, _))| (*track, n, artist.as_str())))
        .collect();
    session
        .run(
            "INSERT INTO track_artists (track_id, position, artist_id)
             SELECT tracks.id, listed.position, artists.id
             FROM rows($1 AS listed: track TEXT, position BIGINT, artist TEXT)
               JOIN tracks ON tracks.key = listed.track JOIN artists ON artists.key = listed.artist
             WHERE TRUE ORDER BY listed.track, listed.position ON CONFLICT (track_id, position) DO NOTHING",
            vec![table![listed; |(track, _, _)| *track, |(_, position, _)| *position, |(_, _, artist)| *artist]],
        )
        .await?;
    Ok(())
}

/// Keeps the artists that are new; false where one of them has another key by now. From here on none gets another.
async fn keep_artists(
    session: &mut Session,
    credits: &BTreeMap<&str, Vec<(String, &Artist)>>,
) -> Result<bool> {
    let artists: BTreeMap<&str, &Artist> =
        credits.values().flatten().map(|(key, artist)| (key.as_str(), *artist)).collect();
    let artists: Vec<_> = artists.into_iter().collect();
    let named = table![artists; |(key, _)| *key, |(_, artist)| artist.uri.as_deref(), |(_, artist)| artist.name.as_str()];
    session.run(insert_named!("artists"), vec![named]).await?;
    if session.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    let held: Vec<i64> = session
        .all(
            "SELECT artists.id FROM rows($1 AS listed: key TEXT) JOIN artists ON artists.key = listed.key
             ORDER BY artists.key FOR KEY SHARE OF artists",
            vec![table![artists; |(key, _)| *key]],
            |row| row.get("id"),
        )
        .await?;
    Ok(held.len() == artists.len())
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
