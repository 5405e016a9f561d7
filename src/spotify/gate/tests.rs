use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;
use tokio::sync::oneshot;

use super::*;
use crate::clock::SimulatedClock;
use crate::domain::Event;
use crate::store::watched::{Watched, Watcher};
use crate::store::{MemoryStore, Result};

/// Counts what is asked of the store; it can be out of reach, or slow.
#[derive(Default)]
struct Apps {
    reads: Mutex<usize>,
    saves: Mutex<usize>,
    away: Mutex<bool>,
    /// The next save takes until this is sent.
    slow: Mutex<Option<oneshot::Receiver<()>>>,
}

#[async_trait]
impl Watcher for Apps {
    async fn before(&self, method: &'static str) -> Result<()> {
        match method {
            "app_states" => *self.reads.lock().unwrap() += 1,
            "save_app_state" if *self.away.lock().unwrap() => {
                let doing = "saving an app".to_owned();
                return Err(StoreError::Unavailable { doing, source: "away".into() });
            }
            "save_app_state" => {
                *self.saves.lock().unwrap() += 1;
                let slow = self.slow.lock().unwrap().take();
                if let Some(over) = slow {
                    over.await.unwrap();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

struct Scene {
    clock: Arc<SimulatedClock>,
    store: Arc<Watched<MemoryStore, Apps>>,
    gate: Gate,
    events: Receiver<Event>,
    app: AppName,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(0)));
        let grants = Arc::new(MemoryStore::new(clock.clone()));
        let store = Arc::new(Watched { store: grants, watcher: Apps::default() });
        let events = Events::new(clock.clone());
        let heard = events.listen();
        let gate = Gate::new(clock.clone(), store.clone(), events);
        Self { clock, store, gate, events: heard, app: "default".parse().unwrap() }
    }

    /// The gate of a daemon that was started anew on the same store.
    async fn restarted(&self) -> Gate {
        let gate = Gate::new(self.clock.clone(), self.store.clone(), Events::new(self.clock.clone()));
        gate.load([&self.app]).await.unwrap();
        gate
    }

    fn apps(&self) -> &Apps {
        &self.store.watcher
    }

    async fn hold(&self, retry_after: Option<u64>) -> u64 {
        let until = self.gate.hold(&self.app, retry_after.map(Duration::from_secs)).await;
        until.since(self.clock.now()).as_secs()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn told(&mut self) -> Vec<EventKind> {
        std::iter::from_fn(|| self.events.try_recv().ok().map(|event| event.kind)).collect()
    }
}

#[tokio::test]
async fn an_app_is_held_for_as_long_as_it_was_told_and_over_a_restart() {
    let mut scene = Scene::new();
    assert_eq!(scene.gate.held_until(&scene.app), None);
    assert_eq!(scene.hold(Some(79_892)).await, 79_892);
    scene.pass(79_891);
    let restarted = scene.restarted().await;
    assert!(scene.gate.held_until(&scene.app).is_some() && restarted.held_until(&scene.app).is_some());
    scene.pass(1);
    assert!(scene.gate.held_until(&scene.app).is_none() && restarted.held_until(&scene.app).is_none());
    assert_eq!(scene.told(), [EventKind::RateLimited]);
    assert_eq!(scene.gate.held_until(&"other".parse().unwrap()), None);
}

#[tokio::test]
async fn a_hold_is_never_shortened_and_never_longer_than_a_week() {
    let mut scene = Scene::new();
    assert_eq!(scene.hold(Some(600)).await, 600);
    assert_eq!(scene.hold(Some(10)).await, 600);
    assert_eq!(scene.hold(None).await, 600);
    assert_eq!(scene.hold(Some(u64::MAX)).await, 7 * 24 * 3600);
    assert_eq!(scene.told(), [EventKind::RateLimited]);
}

#[tokio::test]
async fn without_a_usable_retry_after_holds_double_up_to_an_hour() {
    let scene = Scene::new();
    let mut holds = Vec::new();
    for retry_after in [None, Some(0), None, None, None, None, None, None, None] {
        let hold = scene.hold(retry_after).await;
        scene.pass(hold);
        holds.push(hold / 60);
    }
    assert_eq!(holds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    scene.gate.answered(&scene.app).await;
    assert_eq!(scene.hold(None).await, 60);
}

#[tokio::test]
async fn calls_that_were_under_way_together_count_as_one_429() {
    let scene = Scene::new();
    for _ in 0..16 {
        assert_eq!(scene.hold(None).await, 60);
    }
    scene.pass(60);
    assert_eq!(scene.hold(None).await, 120);
}

#[tokio::test]
async fn a_store_that_is_away_changes_nothing_of_a_hold() {
    let scene = Scene::new();
    *scene.apps().away.lock().unwrap() = true;
    assert_eq!(scene.hold(Some(600)).await, 600);
    assert!(scene.gate.held_until(&scene.app).is_some());
    *scene.apps().away.lock().unwrap() = false;
    scene.gate.load([&scene.app]).await.unwrap();
    assert!(scene.gate.held_until(&scene.app).is_some(), "reading the store again forgot the hold");
    scene.gate.refuse(&scene.app, "invalid_client").await;
    let restarted = scene.restarted().await;
    assert!(restarted.held_until(&scene.app).is_some());
}

#[tokio::test]
async fn an_app_that_is_refused_is_told_of_once_and_tried_rarely_by_one_caller() {
    let mut scene = Scene::new();
    assert!(scene.gate.try_refused(&scene.app).await);
    scene.gate.refuse(&scene.app, "invalid_client").await;
    scene.pass(60);
    scene.gate.refuse(&scene.app, "invalid_client").await;
    let fault = scene.gate.fault(&scene.app).unwrap();
    assert_eq!((fault.since, fault.reason.as_str()), (Timestamp::from_millis(0), "invalid_client"));
    assert!(!scene.gate.try_refused(&scene.app).await);
    scene.pass(6 * 3600);
    assert!(scene.gate.try_refused(&scene.app).await);
    assert!(!scene.gate.try_refused(&scene.app).await);
    let restarted = scene.restarted().await;
    assert!(restarted.try_refused(&scene.app).await, "the configuration has just been read");
    scene.gate.accept(&scene.app, Some(false)).await;
    assert_eq!(scene.gate.fault(&scene.app), None);
    assert_eq!(scene.told(), [EventKind::AppRefused, EventKind::AppAccepted]);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_moves_no_hold_and_no_fault() {
    for step in [-7_200_000, 7_200_000] {
        let scene = Scene::new();
        scene.hold(Some(3_600)).await;
        scene.gate.refuse(&scene.app, "invalid_client").await;
        scene.pass(600);
        scene.clock.step_wall(step);
        let left = |until: Timestamp| until.since(scene.clock.now()).as_secs();
        assert_eq!(scene.gate.held_until(&scene.app).map(left), Some(3_000));
        assert_eq!(left(scene.gate.fault(&scene.app).unwrap().retry_at), 6 * 3_600 - 600);
        scene.pass(3_000);
        assert_eq!(scene.gate.held_until(&scene.app), None);
        scene.clock.step_wall(-step);
        assert_eq!(scene.gate.held_until(&scene.app), None, "a hold that is over stays so");
        assert!(!scene.gate.try_refused(&scene.app).await);
        scene.pass(5 * 3_600);
        assert!(scene.gate.try_refused(&scene.app).await);
    }
}

#[tokio::test]
async fn what_was_read_while_the_wall_clock_was_wrong_is_not_moved_when_it_is_set_right() {
    let scene = Scene::new();
    scene.hold(Some(3_600)).await;
    scene.gate.refuse(&scene.app, "invalid_client").await;
    // A host without a clock of its own comes back after days, and believes that none of them have passed.
    let restarted = scene.restarted().await;
    assert!(restarted.held_until(&scene.app).is_some());
    scene.clock.step_wall(5 * 86_400_000);
    assert_eq!(restarted.held_until(&scene.app), None);
    assert!(restarted.try_refused(&scene.app).await);
}

#[tokio::test]
async fn a_hold_that_was_moved_is_saved_so_with_the_next_change() {
    let scene = Scene::new();
    scene.hold(Some(3_600)).await;
    scene.clock.step_wall(7_200_000);
    scene.gate.refuse(&scene.app, "invalid_client").await;
    let until = scene.restarted().await.held_until(&scene.app).unwrap();
    assert_eq!(until.since(scene.clock.now()).as_secs(), 3_600);
}

#[tokio::test]
async fn a_provider_that_has_rotated_once_counts_as_one_that_rotates() {
    let scene = Scene::new();
    assert_eq!(scene.gate.rotation(&scene.app), Rotation::Unknown);
    for (rotated, known) in [(false, Rotation::Keeps), (true, Rotation::Rotates), (false, Rotation::Rotates)]
    {
        scene.gate.accept(&scene.app, Some(rotated)).await;
        assert_eq!(scene.gate.rotation(&scene.app), known);
    }
    assert_eq!(scene.restarted().await.rotation(&scene.app), Rotation::Rotates);
}

#[tokio::test]
async fn what_is_known_already_is_not_written_again() {
    let scene = Scene::new();
    for _ in 0..10 {
        scene.gate.accept(&scene.app, Some(true)).await;
        scene.gate.accept(&scene.app, Some(false)).await;
        scene.gate.answered(&scene.app).await;
    }
    assert_eq!(*scene.apps().saves.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_older_state_never_overtakes_a_newer_one_on_its_way_to_the_store() {
    let scene = Scene::new();
    let (over, slow) = oneshot::channel();
    *scene.apps().slow.lock().unwrap() = Some(slow);
    let open = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        over.send(()).unwrap();
    };
    tokio::join!(scene.hold(Some(10)), scene.hold(Some(600)), open);
    let kept = scene.restarted().await.held_until(&scene.app).unwrap();
    assert_eq!(kept.since(scene.clock.now()).as_secs(), 600);
}

#[tokio::test]
async fn what_two_daemons_learn_at_once_is_kept_of_both() {
    let scene = Scene::new();
    let (here, there) = (scene.restarted().await, scene.restarted().await);
    let app = scene.app.clone();
    here.accept(&app, Some(true)).await;
    let until = there.hold(&app, Some(Duration::from_secs(100))).await;
    assert_eq!(there.rotation(&app), Rotation::Rotates, "its own change was made to the other's");
    assert_eq!(here.held_until(&app), None);
    here.reread(&app).await.unwrap();
    assert_eq!(here.held_until(&app), Some(until));
    // A hold that only memory knows, since the store was away, outlives what the other saves.
    *scene.apps().away.lock().unwrap() = true;
    let longer = here.hold(&app, Some(Duration::from_secs(200))).await;
    *scene.apps().away.lock().unwrap() = false;
    there.refuse(&app, "invalid_client").await;
    here.reread(&app).await.unwrap();
    assert_eq!((here.held_until(&app), here.fault(&app).is_some()), (Some(longer), true));
}

#[tokio::test]
async fn of_two_daemons_one_tries_a_refused_app() {
    let scene = Scene::new();
    let (here, there) = (scene.restarted().await, scene.restarted().await);
    here.refuse(&scene.app, "invalid_client").await;
    there.reread(&scene.app).await.unwrap();
    scene.pass(7 * 3_600);
    let tried = (here.try_refused(&scene.app).await, there.try_refused(&scene.app).await);
    assert_eq!(tried, (true, false));
}

#[tokio::test]
async fn what_is_stored_of_many_apps_is_read_at_once_and_memory_is_newer() {
    let scene = Scene::new();
    let apps: Vec<AppName> = (0..500).map(|n| format!("a{n}").parse().unwrap()).collect();
    let held = AppState { hold_until: Some(Timestamp::from_millis(9_000)), ..AppState::default() };
    assert!(scene.store.save_app_state(&apps[7], &held).await.unwrap());
    let gate = &scene.gate;
    *scene.apps().away.lock().unwrap() = true;
    scene.hold(Some(60)).await;
    *scene.apps().away.lock().unwrap() = false;
    let before = *scene.apps().reads.lock().unwrap();
    gate.load(apps.iter().chain([&scene.app])).await.unwrap();
    assert_eq!(*scene.apps().reads.lock().unwrap(), before + 1);
    assert_eq!(gate.held_until(&apps[7]), Some(Timestamp::from_millis(9_000)));
    assert_eq!(gate.held_until(&apps[8]), None);
    assert_eq!(gate.held_until(&scene.app), Some(Timestamp::from_millis(60_000)));
    gate.load(&apps).await.unwrap();
    assert_eq!(*scene.apps().reads.lock().unwrap(), before + 1, "all are known");
}

#[tokio::test]
async fn what_is_being_saved_is_not_lost_to_what_another_daemon_saved_meanwhile() {
    let scene = Scene::new();
    let (other, app) = (scene.restarted().await, scene.app.clone());
    let (over, slow) = oneshot::channel();
    *scene.apps().slow.lock().unwrap() = Some(slow);
    let meanwhile = async {
        // Both changes are made here, and the first is on its way to the store.
        tokio::task::yield_now().await;
        other.hold(&app, Some(Duration::from_secs(100))).await;
        scene.gate.reread(&app).await.unwrap();
        over.send(()).unwrap();
    };
    let first = scene.gate.accept(&app, Some(true));
    tokio::join!(first, scene.gate.refuse(&app, "invalid_client"), meanwhile);
    for gate in [&scene.gate, &scene.restarted().await] {
        assert_eq!(gate.rotation(&app), Rotation::Rotates);
        assert!(gate.fault(&app).is_some() && gate.held_until(&app).is_some());
    }
}

#[tokio::test]
async fn what_could_not_be_saved_outlives_what_is_learnt_and_goes_with_the_next_change() {
    let scene = Scene::new();
    let (other, app) = (scene.restarted().await, scene.app.clone());
    *scene.apps().away.lock().unwrap() = true;
    scene.gate.refuse(&app, "invalid_client").await;
    *scene.apps().away.lock().unwrap() = false;
    other.accept(&app, Some(true)).await;
    scene.gate.reread(&app).await.unwrap();
    assert_eq!((scene.gate.rotation(&app), scene.gate.fault(&app).is_some()), (Rotation::Rotates, true));
    other.hold(&app, Some(Duration::from_secs(100))).await;
    scene.hold(Some(200)).await;
    let kept = scene.restarted().await;
    assert!(kept.fault(&app).is_some() && kept.held_until(&app) == scene.gate.held_until(&app));
}

#[tokio::test]
async fn a_hold_that_another_daemons_change_crossed_is_told_of_and_counted() {
    let mut scene = Scene::new();
    scene.restarted().await.accept(&scene.app, Some(true)).await;
    assert_eq!(scene.hold(None).await, 60);
    assert_eq!(scene.told(), [EventKind::RateLimited]);
    scene.pass(60);
    assert_eq!(scene.hold(None).await, 120);
    // One that the other has told of already is no news.
    let other = scene.restarted().await;
    scene.pass(120);
    other.hold(&scene.app, Some(Duration::from_secs(500))).await;
    scene.told();
    assert_eq!(scene.hold(Some(300)).await, 500);
    assert_eq!(scene.told(), []);
}

#[tokio::test]
async fn a_hold_that_was_moved_outlives_another_daemons_change() {
    let scene = Scene::new();
    let other = scene.restarted().await;
    scene.hold(Some(3_600)).await;
    other.reread(&scene.app).await.unwrap();
    scene.clock.step_wall(-7_200_000);
    other.accept(&scene.app, Some(true)).await;
    scene.gate.refuse(&scene.app, "invalid_client").await;
    for gate in [&scene.gate, &scene.restarted().await] {
        let until = gate.held_until(&scene.app).unwrap();
        assert_eq!(until.since(scene.clock.now()).as_secs(), 3_600);
        assert_eq!(gate.rotation(&scene.app), Rotation::Rotates);
    }
}

#[tokio::test]
async fn while_the_store_is_away_what_is_to_be_saved_does_not_grow() {
    let scene = Scene::new();
    *scene.apps().away.lock().unwrap() = true;
    for n in 1..=100 {
        scene.hold(Some(n)).await;
        scene.hold(None).await;
        scene.pass(n);
        scene.gate.answered(&scene.app).await;
        scene.gate.refuse(&scene.app, "invalid_client").await;
        scene.gate.untried(&scene.app).await;
        scene.gate.try_refused(&scene.app).await;
        scene.gate.accept(&scene.app, Some(n % 2 == 0)).await;
    }
    assert!(locked(&scene.gate.apps).known[&scene.app].unsaved() <= 5);
    scene.hold(Some(3_600)).await;
    *scene.apps().away.lock().unwrap() = false;
    scene.gate.refuse(&scene.app, "invalid_client").await;
    assert_eq!(locked(&scene.gate.apps).known[&scene.app].unsaved(), 0);
    let kept = scene.restarted().await;
    assert_eq!(kept.held_until(&scene.app), scene.gate.held_until(&scene.app));
    assert!(kept.fault(&scene.app).is_some() && kept.rotation(&scene.app) == Rotation::Rotates);
}
