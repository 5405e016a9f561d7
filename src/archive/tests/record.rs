//! What is on record after runs.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::domain::{EventKind, Gap, GapCause, RunResult, Trigger};
use crate::sim::{Effect, Endpoint, Fault, Injection, Reply};
use crate::store::PlayQuery;

#[tokio::test]
async fn a_day_of_listening_is_archived_once_with_the_gap_in_it() {
    let scene = Scene::new().await;
    let (store, archiver, who) = (scene.store.clone(), scene.archiver.clone(), scene.who());
    let run = async || archiver.archive(who.clone(), Trigger::Schedule).await.unwrap();

    scene.spotify.listen_until("alice", 50, scene.clock.now());
    let first = run().await;
    assert_eq!((first.result, first.new_plays, first.gaps), (RunResult::Ok, 50, vec![]));
    assert_eq!(run().await.new_plays, 0);

    scene.clock.pass(20 * 3600);
    let newest = scene.clock.now();
    scene.spotify.listen_until("alice", 60, newest);
    scene.spotify.inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Drop)).times(4));
    assert_eq!(run().await.result, RunResult::Unreachable);
    let last = run().await;
    assert_eq!((last.result, last.new_plays), (RunResult::Ok, 50));
    let [gap] = last.gaps.try_into().unwrap();
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

/// A page of these items, newest first: how many minutes ago each was played, and whether its track is there.
fn page(scene: &Scene, items: &[(Option<u64>, bool)]) -> Fault {
    let items: Vec<Value> = items
        .iter()
        .map(|(ago, whole)| {
            let played_at = ago.map(|ago| (scene.clock.now() - Duration::from_secs(60 * ago)).to_string());
            let track = whole.then(|| json!({"name": "Marzipan", "uri": "spotify:track:M"}));
            json!({"played_at": played_at, "track": track})
        })
        .collect();
    Fault::answer(Reply::new(200, "application/json", json!({ "items": items }).to_string()))
}

#[tokio::test]
async fn what_cannot_be_read_is_a_gap_once_until_it_can_be_read() {
    let mut scene = Scene::without_top().await;
    let (store, archiver, who) = (scene.store.clone(), scene.archiver.clone(), scene.who());
    let ago = |minutes: u64| scene.clock.now() - Duration::from_secs(60 * minutes);
    let (newest, lost, oldest) = (ago(10), ago(25), ago(50));
    let run = async |scene: &Scene, items: &[(Option<u64>, bool)]| {
        scene.fault(page(scene, items), 1);
        archiver.archive(who.clone(), Trigger::Schedule).await.unwrap()
    };
    let items = [
        (Some(10), true),
        (Some(25), false),
        (Some(30), true),
        (None, true),
        (None, false),
        (Some(50), true),
    ];
    let first = run(&scene, &items).await;
    let gap = |from, to, at_most| Gap { from, to, cause: GapCause::Unreadable, at_most, closed_at: None };
    let found = [gap(oldest, ago(30), 2), gap(lost, lost, 1)];
    assert_eq!((first.result, first.new_plays), (RunResult::Partial, 3));
    assert_eq!(first.gaps, found);
    let told = |scene: &mut Scene| -> Vec<_> {
        let told = scene.told().into_iter().filter(|(kind, _)| *kind == EventKind::GapFound);
        told.map(|(_, message)| message).collect()
    };
    let messages = told(&mut scene);
    assert_eq!(messages.len(), 2);
    assert!(messages[0].ends_with("(unreadable), 2 at most"), "{messages:?}");
    let open = async || store.user(&who.name).await.unwrap().unwrap().gaps;
    assert_eq!((open().await, scene.metric("longplay_gaps_total")), (2, 2.0));

    scene.clock.pass(3600);
    let slid =
        [(Some(5), true), (Some(70), true), (Some(85), false), (Some(90), true), (None, true), (None, false)];
    let again = run(&scene, &slid).await;
    assert_eq!((again.result, again.new_plays, again.gaps), (RunResult::Partial, 1, vec![]));
    assert_eq!((told(&mut scene), open().await, scene.metric("longplay_gaps_total")), (vec![], 2, 2.0));

    let healed = [(Some(5), true), (Some(70), true), (Some(85), true), (Some(90), true)];
    let last = run(&scene, &healed).await;
    assert_eq!((last.result, last.new_plays, last.gaps), (RunResult::Ok, 1, vec![]));
    let closed = Gap { closed_at: Some(scene.clock.now()), ..found[1].clone() };
    assert_eq!(store.gaps(who.id).await.unwrap(), [closed, found[0].clone()]);
    let alike = store.tally().await.unwrap();
    assert_eq!((open().await, alike[0].newest_played > Some(newest)), (1, true));
    archiver.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_play_of_the_far_future_blinds_nobody() {
    let scene = Scene::without_top().await;
    let (store, archiver, who) = (scene.store.clone(), scene.archiver.clone(), scene.who());
    let track = json!({"name": "Marzipan", "uri": "spotify:track:M"});
    let items = json!({"items": [{"played_at": "9999-01-01T00:00:00Z", "track": track}]});
    scene.fault(Fault::answer(Reply::new(200, "application/json", items.to_string())), 1);
    let run = async || archiver.archive(who.clone(), Trigger::Schedule).await.unwrap();
    let outcome = run().await;
    assert_eq!((outcome.result, outcome.gaps.len()), (RunResult::Partial, 1));
    scene.spotify.listen_until("alice", 50, scene.clock.now());
    assert_eq!(run().await.new_plays, 50);
    scene.clock.pass(24 * 3600);
    scene.spotify.listen_until("alice", 60, scene.clock.now());
    assert_eq!(run().await.gaps.len(), 1, "the gap before the page is found all the same");
    archiver.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_403_is_on_record_until_the_next_page_and_top_artists_are_kept() {
    let scene = Scene::new().await;
    let (store, archiver, who) = (scene.store.clone(), scene.archiver.clone(), scene.who());
    let run = async || archiver.archive(who.clone(), Trigger::Manual).await.unwrap();
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
