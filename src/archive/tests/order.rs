//! In which order a run does what it does, and who shares it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::archive::Limits;
use crate::clock::Clock;
use crate::domain::{RunResult, Trigger, UserId};
use crate::sim::{Effect, Endpoint, Fault, Gate, Injection};
use crate::tokens::Need;

fn hang(scene: &Scene, endpoint: Endpoint) -> Gate {
    let gate = Gate::new();
    scene.spotify.inject(Injection::new(endpoint, Fault::before(Effect::Hang(gate.clone()))));
    gate
}

/// Alice and three others.
async fn four(scene: &Scene) -> [UserId; 4] {
    [scene.who().id, scene.add("bob").await, scene.add("carol").await, scene.add("dave").await]
}

#[tokio::test]
async fn a_token_is_asked_for_before_every_call() {
    let scene = Scene::new().await;
    scene.run().await;
    scene.idle().await;
    assert_eq!(
        scene.journal.take(),
        [
            "begin_run",
            "left",
            "token",
            "/v1/me/player/recently-played",
            "page_facts",
            "hours_heard",
            "keep_habits",
            "store_page",
            "user",
            "token",
            "/v1/me/top/artists",
            "save_top_artists",
        ]
    );
    assert_eq!(*scene.tokens.needs.lock().unwrap(), [Need::default(); 2]);
}

#[tokio::test]
async fn habits_are_counted_once_a_day_with_what_the_page_brings() {
    let scene = Scene::without_top().await;
    let counted = |journal: Vec<String>| journal.contains(&"keep_habits".to_owned());
    scene.spotify.listen_until("alice", 12, Clock::now(&*scene.clock) - Duration::from_secs(7_200));
    scene.run().await;
    assert!(counted(scene.journal.take()));
    let habits = scene.store.habits(&[scene.who().id]).await.unwrap().remove(0).1;
    assert!(habits.counts.iter().any(|plays| *plays > 0), "{habits:?}");
    scene.journal.take();
    scene.clock.pass(23 * 3_600);
    scene.run().await;
    assert!(!counted(scene.journal.take()));
    scene.clock.pass(3_600);
    scene.run().await;
    assert!(counted(scene.journal.take()));
}

#[tokio::test]
async fn a_person_who_asks_insists() {
    let scene = Scene::without_top().await;
    scene.archiver.archive(scene.who(), Trigger::Manual).await.unwrap();
    assert_eq!(*scene.tokens.needs.lock().unwrap(), [Need { insist: true, ..Need::default() }]);
    assert_eq!(scene.runs_of(scene.who().id).await[0].trigger, Trigger::Manual);
}

#[tokio::test]
async fn who_asks_during_a_run_joins_it() {
    let scene = Scene::without_top().await;
    let gate = hang(&scene, Endpoint::Recent);
    let open = async {
        gate.reached_by(1).await;
        gate.open();
    };
    let joins = scene.archiver.archive(scene.who(), Trigger::Manual);
    let (first, second, ()) = tokio::join!(scene.run(), joins, open);
    assert_eq!((first.result, &first), (RunResult::Ok, &second.unwrap()));
    assert_eq!(scene.spotify.requests(Endpoint::Recent), 1);
    scene.run().await;
    assert_eq!(scene.spotify.requests(Endpoint::Recent), 2, "a run that is over can't be joined");
}

#[tokio::test]
async fn a_run_goes_on_when_who_asked_leaves() {
    let scene = Scene::without_top().await;
    let gate = hang(&scene, Endpoint::Recent);
    tokio::select! {
        _ = scene.run() => panic!("the call is held"),
        () = gate.reached_by(1) => {}
    }
    gate.open();
    scene.idle().await;
    assert_eq!(scene.results().await, [Some(RunResult::Ok)]);
}

#[tokio::test]
async fn nobody_waits_for_top_artists_but_the_users_next_run() {
    let scene = Scene::new().await;
    let gate = hang(&scene, Endpoint::Top);
    assert_eq!(scene.run().await.result, RunResult::Ok);
    gate.reached_by(1).await;
    let archiver = scene.archiver.clone();
    let next = tokio::spawn({
        let who = scene.who();
        async move { archiver.archive(who, Trigger::Manual).await.unwrap() }
    });
    scene.let_others_work().await;
    assert_eq!(scene.results().await.len(), 1, "two tasks work for one user");
    gate.open();
    assert_eq!(next.await.unwrap().result, RunResult::Ok);
    assert_eq!(scene.results().await.len(), 2);
    scene.idle().await;
}

#[tokio::test]
async fn no_more_runs_work_at_once_than_the_limit_allows_and_one_that_waits_takes_no_place() {
    let scene = Scene::without_top().await;
    let all = four(&scene).await;
    scene.archiver.set_limits(Limits { concurrency: 1, ..LIMITS });
    let gate = hang(&scene, Endpoint::Recent);
    let other = |n: usize| {
        let who = crate::archive::Who { id: all[n], ..scene.who() };
        let archiver = scene.archiver.clone();
        tokio::spawn(async move { archiver.archive(who, Trigger::Schedule).await.unwrap() })
    };
    let first = other(0);
    gate.reached_by(1).await;
    let second = other(1);
    scene.let_others_work().await;
    assert_eq!((scene.spotify.requests(Endpoint::Recent), scene.runs_of(all[1]).await), (1, vec![]));
    scene.archiver.set_limits(LIMITS);
    assert_eq!(second.await.unwrap().result, RunResult::Ok, "a place was added");
    gate.open();
    assert_eq!(first.await.unwrap().result, RunResult::Ok);

    scene.archiver.set_limits(Limits { concurrency: 1, ..LIMITS });
    scene.clock.hold();
    scene.fault(Fault::before(Effect::Drop), 1);
    let waits = other(2);
    scene.clock.reach(1).await;
    assert_eq!(other(3).await.unwrap().result, RunResult::Ok);
    scene.clock.pass(5);
    assert_eq!(waits.await.unwrap().result, RunResult::Ok);
}

#[tokio::test]
async fn a_run_that_panics_is_told_of_and_the_next_one_runs() {
    let scene = Scene::without_top().await;
    scene.tokens.panics.store(true, Ordering::SeqCst);
    let outcome = scene.run().await;
    assert_eq!((outcome.result, outcome.run), (RunResult::Cancelled, None));
    assert!(outcome.reason.unwrap().contains("fault of longplay"));
    scene.idle().await;
    assert_eq!(scene.run().await.result, RunResult::Ok);
    assert_eq!(scene.results().await, [None, Some(RunResult::Ok)]);
}

#[tokio::test]
async fn a_hold_that_comes_while_the_token_is_fetched_still_counts() {
    let scene = Scene::without_top().await;
    scene.tokens.holds.store(true, Ordering::SeqCst);
    assert_eq!(scene.run().await.result, RunResult::RateLimited);
    assert_eq!(scene.spotify.seen().len(), 0);
}

#[tokio::test]
async fn there_is_less_room_while_runs_wait_for_a_place() {
    let scene = Scene::without_top().await;
    scene.archiver.set_limits(Limits { concurrency: 1, ..LIMITS });
    let room = scene.archiver.room();
    let gate = hang(&scene, Endpoint::Recent);
    let runs = four(&scene).await.map(|id| {
        let who = crate::archive::Who { id, ..scene.who() };
        let archiver = scene.archiver.clone();
        tokio::spawn(async move { archiver.archive(who, Trigger::Schedule).await.unwrap() })
    });
    gate.reached_by(1).await;
    while scene.archiver.room() != room - 3 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for run in runs {
        assert_eq!(run.await.unwrap().result, RunResult::Ok);
    }
    scene.idle().await;
    assert_eq!(scene.archiver.room(), room);
}
