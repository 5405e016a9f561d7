//! Two daemons on one archive: a user's run is made by one of them at a time, and taken over when it dies.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::archive::{Archiver, Dependencies, Outcome, Who, Yielded};
use crate::clock::Clock;
use crate::domain::{Owner, RunResult, Timestamp, Trigger};
use crate::sim::{Effect, Endpoint, Fault, Gate, Injection, LimitBody, Reply};
use crate::store::{PlannedRun, Store};

struct Two {
    scene: Scene,
    store: Arc<dyn Store>,
    first: Archiver,
    second: Archiver,
    who: Who,
    due: Timestamp,
}

impl Two {
    /// Alice is due now.
    async fn new() -> Self {
        let scene = Scene::without_top().await;
        let (store, who, due) = (scene.store.clone(), scene.who(), scene.clock.now());
        store.plan_runs(&[PlannedRun { user: who.id, seen: None, at: due }]).await.unwrap();
        scene.spotify.listen_until("alice", 5, due);
        let gate = crate::spotify::Gate::new(scene.clock.clone(), store.clone(), scene.with.events.clone());
        let daemon = |owner| {
            let (store, gate, owner) = (store.clone(), gate.clone(), Owner(uuid::Uuid::from_u128(owner)));
            let random = Arc::new(crate::random::Random::seeded(owner.0.as_u128() as u64));
            Archiver::new(Dependencies { store, gate, owner, random, ..scene.with.clone() }, LIMITS)
        };
        let (first, second) = (daemon(1), daemon(2));
        Self { who, scene, store, first, second, due }
    }

    /// The next call for the page hangs until the gate is opened.
    fn hang(&self) -> Gate {
        let gate = Gate::new();
        self.scene
            .spotify
            .inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Hang(gate.clone()))));
        gate
    }

    /// A run that is due, in a task of its own.
    fn fire(&self, archiver: &Archiver) -> JoinHandle<Result<Outcome, Yielded>> {
        let (archiver, who, due) = (archiver.clone(), self.who.clone(), self.due);
        tokio::spawn(async move { archiver.archive_due(&who, due).await })
    }

    /// Asks the second daemon, which begins to wait for the first one's run.
    async fn asks_the_second(&self) -> JoinHandle<Outcome> {
        self.scene.clock.hold();
        let (second, who) = (self.second.clone(), self.who.clone());
        let asked = tokio::spawn(async move { second.archive(who, Trigger::Manual).await.unwrap() });
        self.scene.clock.reach(1).await;
        asked
    }

    /// What came of it, at the next look.
    async fn told(&self, asked: JoinHandle<Outcome>) -> Outcome {
        self.scene.clock.pass(1);
        asked.await.unwrap()
    }

    async fn results(&self) -> Vec<Option<RunResult>> {
        self.store.runs(self.who.id, 9).await.unwrap().iter().map(|run| run.result).collect()
    }

    fn calls(&self) -> usize {
        self.scene.spotify.requests(Endpoint::Recent)
    }
}

#[tokio::test]
async fn a_run_that_is_due_at_two_daemons_is_made_by_one() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    let taken = two.fire(&two.second).await.unwrap().unwrap_err();
    assert_eq!(taken, Yielded::Later { next: Some(two.due + Duration::from_secs(90)), blocked: false });
    gate.open();
    assert_eq!(made.await.unwrap().unwrap().result, RunResult::Ok);
    let late = two.second.archive_due(&two.who, two.due).await;
    assert_eq!(late, Err(Yielded::Later { next: Some(NEXT), blocked: false }));
    assert_eq!((two.calls(), two.results().await.len()), (1, 1));
}

#[tokio::test]
async fn who_asks_during_another_daemons_run_gets_its_outcome() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    two.scene.clock.hold();
    let mut asks = tokio::spawn({
        let (second, who) = (two.second.clone(), two.who.clone());
        async move { second.archive(who, Trigger::Manual).await.unwrap() }
    });
    tokio::select! {
        () = two.scene.clock.reach(1) => {}
        _ = &mut asks => panic!("it did not wait for the other daemon's run"),
    }
    gate.open();
    let made = made.await.unwrap().unwrap();
    while !asks.is_finished() {
        two.scene.clock.pass(1);
        tokio::task::yield_now().await;
    }
    let told = asks.await.unwrap();
    assert_eq!((told.run, told.result, told.new_plays), (made.run, RunResult::Ok, 5));
    assert_eq!((two.calls(), told.next_run_at), (1, Some(NEXT)));
    // With nobody in the way a person's run is made though none is due.
    assert_eq!(two.second.archive(two.who.clone(), Trigger::Manual).await.unwrap().result, RunResult::Ok);
    assert_eq!(two.calls(), 2);
}

#[tokio::test]
async fn a_dead_daemons_run_is_taken_over_when_its_claim_lapses() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    made.abort();
    // It dies: nobody renews.
    two.scene.clock.pass(90);
    let over = two.second.archive_due(&two.who, two.due).await.unwrap();
    assert_eq!((over.result, over.new_plays), (RunResult::Ok, 5));
    assert_eq!(two.results().await, [Some(RunResult::Ok), None]);
}

#[tokio::test]
async fn a_run_that_goes_on_for_long_stays_with_its_daemon() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    for _ in 0..6 {
        two.scene.clock.pass(30);
        two.first.renew_claims().await.unwrap();
        assert!(matches!(two.fire(&two.second).await.unwrap(), Err(Yielded::Later { .. })));
    }
    gate.open();
    assert_eq!(made.await.unwrap().unwrap().result, RunResult::Ok);
    assert_eq!(two.results().await, [Some(RunResult::Ok)]);
}

#[tokio::test]
async fn a_run_that_was_stopped_for_longer_than_its_claim_makes_no_further_call() {
    let two = Two::new().await;
    // Spotify drops the first call: the run waits to try again, and the process is stopped meanwhile.
    two.scene.spotify.inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Drop)));
    two.scene.clock.hold();
    let stopped = two.fire(&two.first);
    two.scene.clock.reach(1).await;
    assert_eq!(two.calls(), 1);
    two.scene.clock.pass(91);
    let outcome = stopped.await.unwrap().unwrap();
    assert_eq!(outcome.result, RunResult::Cancelled);
    assert!(outcome.reason.unwrap().contains("stood still"));
    assert_eq!(two.calls(), 1);
}

#[tokio::test]
async fn a_claim_that_another_daemon_took_ends_the_run_however_fresh_it_looks() {
    let two = Two::new().await;
    two.scene.spotify.inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Drop)));
    two.scene.clock.hold();
    let stopped = two.fire(&two.first);
    two.scene.clock.reach(1).await;
    // The store's clock is far ahead of this daemon's: to it the claim has lapsed.
    two.scene.clock.step_wall(91_000);
    let gate = two.hang();
    let over = two.fire(&two.second);
    gate.reached_by(1).await;
    two.first.renew_claims().await.unwrap();
    two.scene.clock.pass(6);
    assert_eq!(stopped.await.unwrap().unwrap().result, RunResult::Cancelled);
    assert_eq!(two.calls(), 2, "the first call, and the other daemon's");
    gate.open();
    assert_eq!(over.await.unwrap().unwrap().result, RunResult::Ok);
}

#[tokio::test]
async fn what_was_fetched_before_the_claim_lapsed_is_stored_all_the_same() {
    let two = Two::new().await;
    let gate = two.hang();
    let late = two.fire(&two.first);
    gate.reached_by(1).await;
    two.scene.clock.pass(91);
    let over = two.second.archive_due(&two.who, two.due).await.unwrap();
    assert_eq!(over.new_plays, 5);
    gate.open();
    let late = late.await.unwrap().unwrap();
    assert_eq!((late.result, late.new_plays), (RunResult::Ok, 0));
    let user = two.store.user(&two.who.name).await.unwrap().unwrap();
    assert_eq!((user.plays, user.next_run_at), (5, Some(NEXT)));
}

#[tokio::test]
async fn the_same_state_directory_takes_its_own_back_at_once() {
    let two = Two::new().await;
    let gate = two.hang();
    let broken = two.fire(&two.first);
    gate.reached_by(1).await;
    // Not while the run goes on.
    assert_eq!(two.first.take_back().await.unwrap(), []);
    broken.abort();
    let with = Dependencies {
        owner: Owner(uuid::Uuid::from_u128(1)),
        store: two.store.clone(),
        ..two.scene.with.clone()
    };
    let restarted = Archiver::new(with, LIMITS);
    assert_eq!(restarted.take_back().await.unwrap().len(), 1);
    assert_eq!(two.second.take_back().await.unwrap(), []);
    let due = two.store.user(&two.who.name).await.unwrap().unwrap().next_run_at;
    assert_eq!(due, Some(two.scene.clock.now()));
    assert_eq!(restarted.archive_due(&two.who, due.unwrap()).await.unwrap().result, RunResult::Ok);
}

#[tokio::test]
async fn who_asks_during_a_scheduled_run_that_another_daemon_makes_still_gets_one() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    // The second daemon's own run is about to find out that it is taken.
    let (who, second) = (two.who.clone(), two.second.clone());
    let (fired, asked, ()) =
        tokio::join!(second.archive_due(&two.who, two.due), second.archive(who, Trigger::Manual), async {
            tokio::task::yield_now().await;
            gate.open();
        });
    assert!(fired.is_err());
    assert!(asked.unwrap().result.archived());
    assert_eq!(made.await.unwrap().unwrap().result, RunResult::Ok);
}

#[tokio::test]
async fn who_asks_while_another_daemon_is_stopped_gets_a_run_here() {
    let two = Two::new().await;
    let gate = two.hang();
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    let asked = two.asks_the_second().await;
    two.first.stop().await;
    assert_eq!(made.await.unwrap().unwrap().result, RunResult::Cancelled);
    let told = two.told(asked).await;
    assert_eq!((told.result, told.new_plays), (RunResult::Ok, 5));
    assert_eq!(two.results().await, [Some(RunResult::Ok), Some(RunResult::Cancelled)]);
}

#[tokio::test]
async fn who_waits_for_another_daemons_run_hears_until_when_calls_are_held() {
    let two = Two::new().await;
    let gate = Gate::new();
    let limited = Effect::Answer(Reply::rate_limited(Some("7200"), LimitBody::Json));
    let fault = Fault::before(Effect::Hang(gate.clone())).and_after(limited);
    two.scene.spotify.inject(Injection::new(Endpoint::Recent, fault));
    let made = two.fire(&two.first);
    gate.reached_by(1).await;
    let asked = two.asks_the_second().await;
    gate.open();
    let made = made.await.unwrap().unwrap();
    let told = two.told(asked).await;
    assert_eq!((made.result, told.result), (RunResult::RateLimited, RunResult::RateLimited));
    assert!(made.retry_at.is_some());
    assert_eq!(told.retry_at, made.retry_at);
}
