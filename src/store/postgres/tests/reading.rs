//! What is counted beforehand while others write.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::task::JoinHandle;

use super::{bench_on, on, server};
use crate::domain::{TopEntry, TopKind, UserId};
use crate::store::conformance::{Bench, START, archive};
use crate::store::{ReadStore as _, heard};

const HOUR: Duration = Duration::from_secs(3_600);
/// An old play of the one user's one track.
const HEAR: &str = "INSERT INTO plays (user_id, played_at, track_id, source)
     SELECT user_id, played_at + 1, track_id, source FROM plays ORDER BY played_at DESC LIMIT 1";

/// A user who heard one track, once, a month ago.
async fn heard_once(bench: &Bench) -> UserId {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &[bench.play(1, 1)]).await;
    bench.clock.advance(HOUR * 24 * 30);
    alice
}

async fn plays(bench: &Bench, user: UserId) -> i64 {
    bench.store.top(user, TopKind::Tracks, None, 1).await.unwrap()[0].plays
}

/// What is learnt of the one track: each statement changes what a list shows.
const LEARNT: [&str; 6] = [
    "UPDATE tracks SET duration_ms = 77",
    "UPDATE tracks SET isrc = 'ANOTHER'",
    "UPDATE tracks SET album_id = NULL",
    "UPDATE track_artists SET artist_id = (SELECT max(id) FROM artists) WHERE position = 0",
    "INSERT INTO track_artists (track_id, position, artist_id) SELECT id, 7, (SELECT max(id) FROM artists) FROM tracks",
    "DELETE FROM track_artists WHERE position = 0",
];

async fn lists(bench: &Bench, user: UserId) -> Vec<Vec<TopEntry>> {
    let mut lists = Vec::new();
    for kind in [TopKind::Artists, TopKind::Tracks, TopKind::Albums] {
        lists.push(bench.store.top(user, kind, None, 9).await.unwrap());
    }
    lists
}

/// Whether lists are what a look at each play says.
async fn is_right(bench: &Bench, user: UserId) -> bool {
    let counted = lists(bench, user).await;
    (bench.by_hand)("DELETE FROM counted").await;
    lists(bench, user).await == counted
}

/// Waits until somebody waits for a lock in this database, or does not have to.
async fn waits_or_ends<T>(url: &str, work: &JoinHandle<T>) {
    tokio::select! {
        () = somebody_waits(url) => {}
        () = async { while !work.is_finished() { tokio::task::yield_now().await } } => {}
    }
}

/// Waits until somebody waits for a lock in this database.
async fn somebody_waits(url: &str) {
    let mut watcher = PgConnection::connect(url).await.unwrap();
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watcher).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_count_waits_for_plays_that_are_not_committed_yet() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let alice = heard_once(&bench).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute(HEAR).await.unwrap();
    let store = on(&url, bench.clock.clone());
    let counting = tokio::spawn(async move { store.count(alice, HOUR).await });
    somebody_waits(&url).await;
    other.execute("COMMIT").await.unwrap();
    counting.await.unwrap().unwrap();
    assert_eq!(plays(&bench, alice).await, 2);
}

#[tokio::test]
async fn plays_that_come_or_go_during_a_count_end_it() {
    let delete = "DELETE FROM plays WHERE played_at = (SELECT max(played_at) FROM plays)";
    for (sql, left) in [(HEAR, 3), (delete, 1)] {
        let url = server::shared().database();
        let bench = bench_on(url.clone());
        let alice = heard_once(&bench).await;
        (bench.by_hand)(HEAR).await;
        let store = on(&url, bench.clock.clone());
        let mut session = store.writing("counting").await.unwrap();
        heard::count(&mut session, alice, HOUR).await.unwrap();
        let changing = tokio::spawn((bench.by_hand)(sql));
        somebody_waits(&url).await;
        session.commit(()).await.unwrap();
        changing.await.unwrap();
        assert_eq!(plays(&bench, alice).await, left, "{sql}");
    }
}

#[tokio::test]
async fn a_count_never_misses_what_is_learnt_of_tracks_and_is_not_committed_yet() {
    for sql in LEARNT {
        let url = server::shared().database();
        let bench = bench_on(url.clone());
        let alice = heard_once(&bench).await;
        let mut other = PgConnection::connect(&url).await.unwrap();
        other.execute("BEGIN").await.unwrap();
        other.execute(sql).await.unwrap();
        let store = on(&url, bench.clock.clone());
        let counting = tokio::spawn(async move { store.count(alice, HOUR).await });
        waits_or_ends(&url, &counting).await;
        other.execute("COMMIT").await.unwrap();
        counting.await.unwrap().unwrap();
        assert!(is_right(&bench, alice).await, "{sql}");
    }
}

#[tokio::test]
async fn what_is_learnt_of_tracks_during_a_count_changes_it() {
    for sql in LEARNT {
        let url = server::shared().database();
        let bench = bench_on(url.clone());
        let alice = heard_once(&bench).await;
        let store = on(&url, bench.clock.clone());
        let mut session = store.writing("counting").await.unwrap();
        heard::count(&mut session, alice, HOUR).await.unwrap();
        let learning = tokio::spawn((bench.by_hand)(sql));
        waits_or_ends(&url, &learning).await;
        session.commit(()).await.unwrap();
        learning.await.unwrap();
        assert!(is_right(&bench, alice).await, "{sql}");
    }
}

#[tokio::test]
async fn a_length_ends_no_count_of_plays_that_say_themselves_how_long_they_were() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let alice = heard_once(&bench).await;
    let store = on(&url, bench.clock.clone());
    for (sql, holds) in
        [("UPDATE plays SET ms_played = 7", true), ("UPDATE plays SET ms_played = NULL", false)]
    {
        (bench.by_hand)(sql).await;
        store.count(alice, HOUR).await.unwrap();
        (bench.by_hand)("UPDATE tracks SET duration_ms = COALESCE(duration_ms, 0) + 1").await;
        let mut session = store.writing("looking").await.unwrap();
        assert_eq!(heard::ready(&mut session, alice).await.unwrap().is_some(), holds, "{sql}");
    }
}

#[tokio::test]
async fn two_who_learn_of_what_others_have_heard_never_wait_for_each_other_in_a_circle() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    for (user, tracks) in [(alice, [1, 4]), (bob, [2, 3])] {
        bench.store_page(user, &tracks.map(|track| bench.play(u64::from(track), track))).await;
    }
    bench.clock.advance(HOUR * 24 * 30);
    for user in [alice, bob] {
        bench.store.count(user, HOUR).await.unwrap();
    }
    let learn = |track: u32| format!("UPDATE tracks SET duration_ms = 77 WHERE name = 'Track {track}'");
    let (mut one, mut two) =
        (PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap());
    one.execute("BEGIN").await.unwrap();
    one.execute(sqlx::AssertSqlSafe(learn(1))).await.unwrap();
    let other = tokio::spawn(async move {
        two.execute("BEGIN").await?;
        two.execute(sqlx::AssertSqlSafe(learn(2))).await?;
        two.execute(sqlx::AssertSqlSafe(learn(4))).await?;
        two.execute("COMMIT").await
    });
    somebody_waits(&url).await;
    one.execute(sqlx::AssertSqlSafe(learn(3))).await.unwrap();
    one.execute("COMMIT").await.unwrap();
    other.await.unwrap().unwrap();
}

#[tokio::test]
async fn top_artists_are_saved_while_an_import_names_them_and_neither_waits_in_a_circle() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let alice = bench.add("alice").await.id;
    let mut artist = archive::artist(1);
    bench.store.save_top_artists(alice, START, &[artist.clone()]).await.unwrap();
    // As an import does it, a step at a time.
    let mut import = PgConnection::connect(&url).await.unwrap();
    import.execute("BEGIN").await.unwrap();
    import.execute("SELECT id FROM users FOR NO KEY UPDATE").await.unwrap();
    artist.name = "Renamed".to_owned();
    let store = on(&url, bench.clock.clone());
    let saving =
        tokio::spawn(
            async move { crate::store::Store::save_top_artists(&store, alice, START, &[artist]).await },
        );
    somebody_waits(&url).await;
    import.execute("UPDATE artists SET name = 'Named'").await.unwrap();
    import.execute("COMMIT").await.unwrap();
    saving.await.unwrap().unwrap();
    assert_eq!(bench.store.top_artists(alice).await.unwrap()[0].name, "Renamed");
}

#[tokio::test]
async fn who_reads_while_somebody_else_counts_waits_for_nobody() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let alice = heard_once(&bench).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute("BEGIN; SELECT pg_advisory_xact_lock(1819307131)").await.unwrap();
    bench.store.count(alice, HOUR).await.unwrap();
    assert_eq!(plays(&bench, alice).await, 1, "each play is counted");
    let counted = "SELECT count(*) FROM counted";
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&mut other).await.unwrap(), 0);
    other.execute("COMMIT").await.unwrap();
    bench.store.count(alice, HOUR).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&mut other).await.unwrap(), 1);
}
