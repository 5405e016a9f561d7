//! Imports that meet others, and what they remember of the database.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::{bench_on, server, waits_for_a_lock};
use crate::domain::merge::Precision;
use crate::domain::{Artist, ImportId, ImportRow, ImportedTrack, Source, Track, UserId};
use crate::store::conformance::{Bench, START};
use crate::store::{ImportBatch, StoreError};

/// A track that longplay's own file tells something of.
fn track(uri: &str, duration_ms: Option<i64>) -> ImportedTrack {
    let (uri, name) = (Some(uri.to_owned()), uri.to_owned());
    let track = Track { uri, name, artists: Vec::new(), album: None, isrc: None, duration_ms };
    ImportedTrack { number: 0, track, exact: true }
}

/// A batch of one play a track, an hour apart, from that hour on.
fn batch(user: UserId, import: ImportId, hour: i64, tracks: Vec<ImportedTrack>) -> ImportBatch {
    let number = |(n, track): (u32, ImportedTrack)| {
        // Every batch has other tracks than those before.
        let number = u32::try_from(hour).unwrap() * 100 + n;
        ImportedTrack { number, ..track }
    };
    let tracks: Vec<ImportedTrack> = (0..).zip(tracks).map(number).collect();
    let row = |track: &ImportedTrack| ImportRow {
        at: 1_600_000_000_000 + 3_600_000 * (hour + i64::from(track.number % 100)),
        precision: Precision::Second,
        track: track.number,
        ms_played: Some(200_000),
        part: 0,
        source: Source::Import,
        context_uri: None,
        play: true,
    };
    let rows = tracks.iter().map(row).collect();
    ImportBatch { user, import: Some(import), reader: 1, threshold: Duration::from_secs(30), tracks, rows }
}

/// A user with an open import.
async fn importing(bench: &Bench, user: &str) -> (UserId, ImportId) {
    let user = bench.add(user).await.id;
    (user, bench.store.begin_import(user, "files", START).await.unwrap().0)
}

#[tokio::test]
async fn a_batch_that_had_to_give_way_is_taken_again_once() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    // The numbers of a sequence outlast the transactions that take them.
    other
        .execute(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION gives_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF nextval('tries') = 1 THEN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END IF; RETURN NULL;
             END $$;
             CREATE TRIGGER gives_way BEFORE INSERT ON plays FOR EACH STATEMENT EXECUTE FUNCTION gives_way()",
        )
        .await
        .unwrap();
    let taken = bench.store.import_rows(&batch(alice, import, 0, vec![track("a", None)])).await.unwrap();
    assert_eq!(taken.unwrap().imported, 1);
    other
        .execute(
            "CREATE OR REPLACE FUNCTION gives_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM nextval('tries'); RAISE EXCEPTION 'no' USING ERRCODE = '40001';
             END $$",
        )
        .await
        .unwrap();
    let refused = bench.store.import_rows(&batch(alice, import, 9, vec![track("a", None)])).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let tries: i64 = sqlx::query_scalar("SELECT last_value FROM tries").fetch_one(&mut other).await.unwrap();
    assert_eq!(tries, 4, "each batch is tried twice at most");
}

#[tokio::test]
async fn what_an_import_tells_of_known_tracks_is_told_in_the_order_of_their_keys() {
    let url = server::shared().database();
    // As the server joins large tables: in the order in which they stand.
    let name = url.split(['/', '?']).nth(3).unwrap();
    for way in ["enable_nestloop", "enable_mergejoin"] {
        server::shared().sql("postgres", &format!("ALTER DATABASE {name} SET {way} = off"));
    }
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    // In the table they stand in another order.
    for (hour, uri) in [(0, "b"), (1, "a")] {
        let batch = batch(alice, import, hour, vec![track(uri, None)]);
        bench.store.import_rows(&batch).await.unwrap().unwrap();
    }
    let (bob, import) = importing(&bench, "bob").await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute("BEGIN; SET lock_timeout = '5s'").await.unwrap();
    other.execute("SELECT id FROM tracks WHERE key = 'a' FOR NO KEY UPDATE").await.unwrap();
    let store = bench.store.clone();
    let told = batch(bob, import, 0, vec![track("a", Some(1_000)), track("b", Some(2_000))]);
    let importing = tokio::spawn(async move { store.import_rows(&told).await });
    waits_for_a_lock(&url).await;
    // Whoever took the first may have the others too.
    other.execute("SELECT id FROM tracks WHERE key = 'b' FOR NO KEY UPDATE").await.unwrap();
    other.execute("COMMIT").await.unwrap();
    assert_eq!(importing.await.unwrap().unwrap().unwrap().imported, 2);
    let lengths: Vec<i64> = sqlx::query_scalar("SELECT duration_ms FROM tracks ORDER BY key")
        .fetch_all(&mut other)
        .await
        .unwrap();
    assert_eq!(lengths, [1_000, 2_000]);
}

#[tokio::test]
async fn an_artist_whose_name_a_page_told_meanwhile_is_credited_all_the_same() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let by_name = |uri: &str, names: &[&str]| {
        let mut made = track(uri, None);
        let artist = |name: &&str| Artist { uri: None, name: (*name).to_owned() };
        made.track.artists = names.iter().map(artist).collect();
        made.exact = false;
        made
    };
    bench.store.import_rows(&batch(alice, import, 0, vec![by_name("a", &["Z"])])).await.unwrap().unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    // As pages that are committed between two statements: one tells whose name Z is, and before X is kept, another whose
    // that is.
    other
        .execute(
            "CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               UPDATE artists SET key = 'uz', uri = 'uz' WHERE key = 'name:Z';
               INSERT INTO artists (key, uri, name) VALUES ('ux', 'ux', 'X'); RETURN NULL;
             END $$;
             CREATE TRIGGER tells BEFORE INSERT ON artists FOR EACH ROW WHEN (NEW.key = 'name:X')
               EXECUTE FUNCTION tells()",
        )
        .await
        .unwrap();
    let tracks = vec![by_name("b", &["Z", "Y", "X"])];
    bench.store.import_rows(&batch(alice, import, 9, tracks)).await.unwrap().unwrap();
    let credited = "SELECT tracks.key || ' ' || artists.key FROM track_artists
         JOIN tracks ON tracks.id = track_id JOIN artists ON artists.id = artist_id ORDER BY tracks.key, position";
    let credited: Vec<String> = sqlx::query_scalar(credited).fetch_all(&mut other).await.unwrap();
    assert_eq!(credited, ["a uz", "b uz", "b name:Y", "b ux"]);
}

#[tokio::test]
async fn what_an_import_has_found_holds_only_in_the_database_that_it_was_found_in() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let lost = batch(alice, import, 0, vec![track("a", None)]);
    bench.store.import_rows(&lost).await.unwrap().unwrap();
    // A replica took over that had not seen the batch.
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute("DELETE FROM plays; DELETE FROM tracks; UPDATE imports SET rows_read = 0").await.unwrap();
    let next = batch(alice, import, 9, vec![track("a", None), track("b", None)]);
    let refused = bench.store.import_rows(&next).await.unwrap_err();
    assert!(crate::domain::said(&refused).contains("run the same import command again"), "{refused}");
    assert_eq!(bench.store.import_rows(&next).await.unwrap().unwrap().imported, 2, "as if begun anew");
    let named = "SELECT count(*) FROM plays JOIN tracks ON tracks.id = plays.track_id";
    let named: i64 = sqlx::query_scalar(named).fetch_one(&mut other).await.unwrap();
    assert_eq!(named, 2);
}

#[tokio::test]
async fn rows_of_tracks_that_the_server_lost_meanwhile_are_refused() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    // As a server that came back without the last commit, which was that of the tracks.
    other
        .execute(
            "CREATE FUNCTION loses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               UPDATE tracks SET key = 'others'; RETURN NULL;
             END $$;
             CREATE TRIGGER loses AFTER UPDATE ON imports FOR EACH STATEMENT EXECUTE FUNCTION loses()",
        )
        .await
        .unwrap();
    let batch = batch(alice, import, 0, vec![track("a", None)]);
    let refused = bench.store.import_rows(&batch).await.unwrap_err();
    assert!(crate::domain::said(&refused).contains("run the same import command again"), "{refused}");
    other.execute("DROP TRIGGER loses ON imports").await.unwrap();
    let plays = "SELECT count(*) FROM plays";
    assert_eq!(sqlx::query_scalar::<_, i64>(plays).fetch_one(&mut other).await.unwrap(), 0);
    assert_eq!(bench.store.import_rows(&batch).await.unwrap().unwrap().imported, 1);
}

#[tokio::test]
async fn the_batches_of_one_import_may_come_at_the_same_time() {
    let bench = bench_on(server::shared().database());
    let (alice, import) = importing(&bench, "alice").await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, batch) =
                (bench.store.clone(), batch(alice, import, 10 * n, vec![track("a", None), track("b", None)]));
            tokio::spawn(async move { store.import_rows(&batch).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().unwrap().imported, 2);
    }
}

#[tokio::test]
async fn what_is_sent_for_no_open_import_leaves_no_tracks() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let bob = bench.add("bob").await.id;
    let batch = batch(alice, import, 0, vec![track("a", None)]);
    let closed = ImportBatch { import: Some(ImportId(import.0 + 7)), ..batch.clone() };
    for other in [closed, ImportBatch { user: bob, ..batch.clone() }] {
        assert_eq!(bench.store.import_rows(&other).await.unwrap(), None);
    }
    let dry = ImportBatch { import: None, ..batch.clone() };
    assert_eq!(bench.store.import_rows(&dry).await.unwrap().unwrap().imported, 1);
    let mut other = PgConnection::connect(&url).await.unwrap();
    let tracks = "SELECT count(*) FROM tracks";
    assert_eq!(sqlx::query_scalar::<_, i64>(tracks).fetch_one(&mut other).await.unwrap(), 0);
    bench.store.import_rows(&batch).await.unwrap().unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(tracks).fetch_one(&mut other).await.unwrap(), 1);
}

#[tokio::test]
async fn others_may_keep_the_same_tracks_more_than_once() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, import) = importing(&bench, "alice").await;
    let mut others = Vec::new();
    for key in ["a", "b"] {
        let mut other = PgConnection::connect(&url).await.unwrap();
        other.execute("BEGIN").await.unwrap();
        let sql = "INSERT INTO tracks (key, name) VALUES ($1, $1)";
        sqlx::query(sql).bind(key).execute(&mut other).await.unwrap();
        others.push(other);
    }
    let store = bench.store.clone();
    let batch = batch(alice, import, 0, vec![track("a", None), track("b", None)]);
    let importing = tokio::spawn(async move { store.import_rows(&batch).await });
    for mut other in others {
        waits_for_a_lock(&url).await;
        other.execute("COMMIT").await.unwrap();
    }
    assert_eq!(importing.await.unwrap().unwrap().unwrap().imported, 2);
}

#[tokio::test]
async fn imports_of_the_same_tracks_may_come_at_the_same_time() {
    let bench = bench_on(server::shared().database());
    let mut tasks = Vec::new();
    for name in ["alice", "bob", "carol", "dora"] {
        let (user, import) = importing(&bench, name).await;
        let store = bench.store.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..6 {
                let tracks = (0..40).map(|track| self::track(&format!("{}", 20 * n + track), None)).collect();
                let batch = batch(user, import, 100 * n, tracks);
                assert_eq!(store.import_rows(&batch).await.unwrap().unwrap().imported, 40);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
