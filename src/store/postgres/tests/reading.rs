//! What is counted beforehand while others write.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::{bench_on, on, server};
use crate::domain::{TopKind, UserId};
use crate::store::conformance::Bench;
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
