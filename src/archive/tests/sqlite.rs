//! Runs on a real archive.

use std::sync::Arc;

use super::*;
use crate::archive::{Archiver, Dependencies, Who};
use crate::clock::Clock;
use crate::domain::{GapCause, RunResult, Trigger};
use crate::sim::{Effect, Endpoint, Fault, Injection};
use crate::spotify::Gate;
use crate::store::{NewUser, PlayQuery, Store};

async fn on_sqlite(scene: &Scene, folder: &tempfile::TempDir) -> (Arc<dyn Store>, Archiver, Who) {
    let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
    let store = crate::store::open(&url, scene.clock.clone()).unwrap();
    store.open().await.unwrap();
    let who = scene.who();
    let new = NewUser { name: who.name.clone(), app: who.app.clone(), schedule: None, timezone: None };
    let user = store.put_user(&new).await.unwrap();
    let gate = Gate::new(scene.clock.clone(), store.clone(), scene.with.events.clone());
    let with = Dependencies { store: store.clone(), gate, ..scene.with.clone() };
    (store, Archiver::new(with, LIMITS), Who { id: user.id, ..who })
}

#[tokio::test]
async fn a_day_of_listening_is_archived_once_with_the_gap_in_it() {
    let (scene, folder) = (Scene::new(), tempfile::tempdir().unwrap());
    let (store, archiver, who) = on_sqlite(&scene, &folder).await;
    let run = || archiver.archive(who.clone(), Trigger::Schedule);

    scene.spotify.listen_until("alice", 50, scene.clock.now());
    let first = run().await;
    assert_eq!((first.result, first.new_plays, first.gap), (RunResult::Ok, 50, None));
    assert_eq!(run().await.new_plays, 0);

    scene.clock.pass(20 * 3600);
    let newest = scene.clock.now();
    scene.spotify.listen_until("alice", 60, newest);
    scene.spotify.inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Drop)).times(4));
    assert_eq!(run().await.result, RunResult::Unreachable);
    let last = run().await;
    assert_eq!((last.result, last.new_plays), (RunResult::Ok, 50));
    let gap = last.gap.unwrap();
    assert_eq!(gap.cause, GapCause::Unreachable);
    archiver.stop().await;

    let query = PlayQuery { limit: 1_000, ..PlayQuery::default() };
    let plays = store.plays(who.id, query).await.unwrap();
    let heard = scene.spotify.heard("alice");
    assert_eq!((plays.len(), heard.len()), (100, 110));
    let missing = heard.iter().filter(|play| plays.iter().all(|kept| kept.played_at != play.played_at));
    assert!(missing.clone().all(|play| gap.from < play.played_at && play.played_at < gap.to));
    assert_eq!((missing.count(), store.gaps(who.id).await.unwrap()), (10, vec![gap]));
    let results: Vec<_> = store.runs(who.id, 9).await.unwrap().iter().map(|run| run.result).collect();
    let (ok, unreachable) = (Some(RunResult::Ok), Some(RunResult::Unreachable));
    assert_eq!(results, [ok, unreachable, ok, ok]);
    let user = store.user(&who.name).await.unwrap().unwrap();
    assert_eq!((user.plays, user.gaps, user.last_run_result), (100, 1, ok));
    assert!(user.last_archived_at >= Some(newest));
    store.close().await;
}

#[tokio::test]
async fn a_403_is_on_record_until_the_next_page_and_top_artists_are_kept() {
    let (scene, folder) = (Scene::new(), tempfile::tempdir().unwrap());
    let (store, archiver, who) = on_sqlite(&scene, &folder).await;
    let run = || archiver.archive(who.clone(), Trigger::Manual);
    scene.spotify.set_premium("app", false);
    let outcome = run().await;
    let blocked = store.user(&who.name).await.unwrap().unwrap().blocked;
    assert_eq!((outcome.result, outcome.reason), (RunResult::Blocked, blocked));
    scene.spotify.set_premium("app", true);
    scene.spotify.listen_until("alice", 40, scene.clock.now());
    assert_eq!(run().await.result, RunResult::Ok);
    // The next run waits for what comes after this one.
    run().await;
    let user = store.user(&who.name).await.unwrap().unwrap();
    assert_eq!((user.blocked, user.top_fetched_at), (None, Some(scene.clock.now())));
    assert_eq!(store.top_artists(who.id).await.unwrap().len(), 5);
    archiver.stop().await;
    store.close().await;
}
