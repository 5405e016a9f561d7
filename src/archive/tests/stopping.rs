//! How runs end when the daemon stops.

use super::*;
use crate::archive::{Limits, Outcome};
use crate::domain::{RunResult, Trigger, UserId};
use crate::sim::{Effect, Endpoint, Fault, Gate, Injection};
use tokio::task::JoinHandle;

fn begin(scene: &Scene, id: i64) -> JoinHandle<Outcome> {
    let who = crate::archive::Who { id: UserId(id), ..scene.who() };
    let archiver = scene.archiver.clone();
    tokio::spawn(async move { archiver.archive(who, Trigger::Schedule).await.unwrap() })
}

#[tokio::test]
async fn a_run_that_waits_to_try_again_is_cancelled_and_on_record() {
    let scene = Scene::without_top().await;
    scene.clock.hold();
    scene.fault(Fault::before(Effect::Drop), 1);
    let run = begin(&scene, 1);
    scene.clock.reach(1).await;
    scene.archiver.stop().await;
    assert_eq!(run.await.unwrap().result, RunResult::Cancelled);
    assert_eq!(scene.results().await, [Some(RunResult::Cancelled)]);
    assert_eq!(scene.metric("longplay_runs_total{result=\"cancelled\"}"), 1.0);
}

#[tokio::test]
async fn a_call_under_way_is_not_waited_for() {
    let scene = Scene::without_top().await;
    let gate = Gate::new();
    let fault = Fault::before(Effect::Hang(gate.clone()));
    scene.spotify.inject(Injection::new(Endpoint::Recent, fault));
    scene.archiver.set_limits(Limits { concurrency: 1, ..LIMITS });
    let called = begin(&scene, 1);
    gate.reached_by(1).await;
    let queued: Vec<_> = (2..66).map(|id| begin(&scene, id)).collect();
    scene.let_others_work().await;
    scene.archiver.stop().await;
    assert_eq!(called.await.unwrap().result, RunResult::Cancelled);
    for run in queued {
        let queued = run.await.unwrap();
        assert_eq!((queued.result, queued.run), (RunResult::Cancelled, None));
    }
    assert_eq!(scene.results().await, [Some(RunResult::Cancelled)], "what never began needs no end");
}

#[tokio::test]
async fn nothing_begins_after_a_stop() {
    let scene = Scene::without_top().await;
    scene.archiver.stop().await;
    let outcome = scene.run().await;
    assert_eq!((outcome.result, outcome.run), (RunResult::Cancelled, None));
    assert_eq!(scene.journal.take(), [""; 0]);
}

#[tokio::test]
async fn top_artists_are_not_waited_for_either() {
    let scene = Scene::new().await;
    let gate = Gate::new();
    let fault = Fault::before(Effect::Hang(gate.clone()));
    scene.spotify.inject(Injection::new(Endpoint::Top, fault));
    assert_eq!(scene.run().await.result, RunResult::Ok);
    gate.reached_by(1).await;
    scene.archiver.stop().await;
    assert_eq!(scene.results().await, [Some(RunResult::Ok)]);
}
