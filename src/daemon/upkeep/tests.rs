//! A daemon's looks, made by hand, on a store that refuses to be written, or was set back, and on a clock that steps.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::Semaphore;

use super::super::core::Current;
use super::super::tests::Host;
use super::*;
use crate::clock::Clock as _;
use crate::config::{Settings, UserSettings};
use crate::domain::{RunId, UserId};
use crate::store::watched::{Watched, Watcher};
use crate::store::{RawPage, StoreError};

struct Scene {
    host: Host,
    upkeep: Arc<Upkeep>,
    settings: Current,
}

impl Scene {
    /// The store is not reached yet.
    async fn new() -> Self {
        let host = Host::new();
        let ground = host.ground("a").await;
        let settings = ground.settings.clone();
        let scheduler = Scheduler::by_hand(ground.clock.clone(), |_, _| {}, || usize::MAX);
        let upkeep = Upkeep::new(ground, Door::new(), CancellationToken::new(), scheduler, None);
        Self { host, upkeep, settings }
    }

    /// One that stands and is well.
    async fn started() -> Self {
        let scene = Self::new().await;
        scene.upkeep.reach_store(STORE_PATIENCE).await.unwrap();
        assert_eq!(scene.problems(), Vec::<String>::new());
        scene
    }

    /// As a reload has just set them: with this user.
    fn declare(&self, name: &str) -> Arc<Settings> {
        let user = UserSettings {
            app: "default".parse().unwrap(),
            schedule: Some("5 * * * *".to_owned()),
            timezone: None,
            file: "longplay.toml".to_owned(),
        };
        let mut settings = Settings::clone(&self.settings.get());
        settings.users.insert(name.parse().unwrap(), user);
        let settings = Arc::new(settings);
        self.settings.set(settings.clone());
        settings
    }

    /// Another program's statement, such as a trigger that refuses what would be written.
    async fn sql(&self, statement: &'static str) {
        let url = format!("sqlite://{}", self.host.folder.path().join("longplay.db").display());
        let mut store = sqlx::SqliteConnection::connect(&url).await.unwrap();
        store.execute(statement).await.unwrap();
        store.close().await.unwrap();
    }

    fn core(&self) -> Arc<Core> {
        self.upkeep.door.core().unwrap()
    }

    fn problems(&self) -> Vec<String> {
        self.core().service.problems()
    }

    async fn users(&self) -> Vec<String> {
        let users = self.core().service.users().await.unwrap();
        users.into_iter().map(|user| user.name.to_string()).collect()
    }

    /// Looks at the store until nothing is wrong any more.
    async fn mends(&self) {
        for _ in 0..3 {
            self.upkeep.look_at_store().await;
        }
        assert_eq!(self.problems(), Vec::<String>::new());
    }
}

/// Holds up whoever opens the store.
struct Held {
    opened: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Watcher for Held {
    async fn before(&self, method: &'static str) -> Result<(), StoreError> {
        if method == "open" {
            self.opened.fetch_add(1, Ordering::SeqCst);
            let _ = self.gate.acquire().await.unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_store_takes_as_long_to_open_as_it_takes_and_is_opened_once() {
    let host = Host::new();
    let mut ground = host.ground("a").await;
    let held = Held { opened: AtomicUsize::new(0), gate: Semaphore::new(0) };
    let store = Arc::new(Watched { store: host.store.clone(), watcher: held });
    ground.store = store.clone();
    let scheduler = Scheduler::by_hand(ground.clock.clone(), |_, _| {}, || usize::MAX);
    let upkeep = Upkeep::new(ground, Door::new(), CancellationToken::new(), scheduler, None);
    for _ in 0..3 {
        upkeep.reach_store(Duration::from_millis(5)).await.unwrap();
        assert_eq!(upkeep.door.problems(), ["the store does not answer; it is tried again"]);
    }
    store.watcher.gate.add_permits(9);
    upkeep.reach_store(Duration::MAX).await.unwrap();
    assert!(upkeep.door.core().is_some());
    assert_eq!(store.watcher.opened.load(Ordering::SeqCst), 1);
}

const FULL: &str = "CREATE TRIGGER full_i BEFORE INSERT ON users BEGIN SELECT RAISE(FAIL, 'full'); END;
                    CREATE TRIGGER full_u BEFORE UPDATE ON users BEGIN SELECT RAISE(FAIL, 'full'); END;";
const ROOM: &str = "DROP TRIGGER full_i; DROP TRIGGER full_u;";

#[tokio::test]
async fn a_store_that_is_full_at_the_start_gets_the_users_of_the_files_when_it_is_not() {
    let scene = Scene::new().await;
    scene.host.store.open().await.unwrap();
    scene.sql(FULL).await;
    scene.declare("alice");
    scene.upkeep.reach_store(STORE_PATIENCE).await.unwrap();
    assert!(!scene.problems().is_empty() && scene.users().await.is_empty());
    scene.sql(ROOM).await;
    scene.mends().await;
    assert_eq!(scene.users().await, ["alice"]);
}

#[tokio::test]
async fn a_reload_that_came_while_the_store_failed_is_taken_in_with_it() {
    let scene = Scene::started().await;
    scene.upkeep.store_was_away.store(true, Ordering::SeqCst);
    scene.declare("alice");
    scene.mends().await;
    assert_eq!(scene.users().await, ["alice"]);
    assert!(Arc::ptr_eq(&scene.core().service.settings(), &scene.settings.get()));
}

#[tokio::test]
async fn a_store_that_was_set_back_before_a_user_of_a_file_was_there_gets_the_user_again() {
    let scene = Scene::started().await;
    let settings = scene.declare("bob");
    scene.core().service.apply(settings).await.unwrap();
    assert_eq!(scene.users().await, ["bob"]);
    scene
        .sql("DELETE FROM users; DELETE FROM purged_users; DELETE FROM sqlite_sequence WHERE name = 'users'")
        .await;
    scene.upkeep.store_was_away.store(true, Ordering::SeqCst);
    scene.mends().await;
    assert_eq!(scene.users().await, ["bob"]);
    assert!(scene.host.store.user(&"bob".parse().unwrap()).await.unwrap().unwrap().active);
}

#[tokio::test]
async fn a_reload_that_the_store_refused_is_owed_and_settled_when_it_does_not() {
    let scene = Scene::started().await;
    scene.sql(FULL).await;
    let settings = scene.declare("alice");
    scene.core().service.apply(settings).await.unwrap_err();
    scene.sql(ROOM).await;
    scene.mends().await;
    assert_eq!((scene.users().await, scene.core().service.owes()), (vec!["alice".to_owned()], false));
    // A debt alone needs no store that was away.
    scene.core().service.owe();
    scene.upkeep.look_at_store().await;
    assert!(!scene.core().service.owes());
}

const HOUR: i64 = 3_600_000;

/// Alice is to run within the hour.
async fn planned() -> Scene {
    let scene = Scene::started().await;
    scene.host.add("alice", Some("5 * * * *")).await;
    let service = scene.core().service.clone();
    service.refresh_users().await.unwrap();
    scene.upkeep.look_for_a_step(&service).await;
    assert!(scene.waits().await <= HOUR);
    scene
}

impl Scene {
    /// For how many milliseconds alice waits.
    async fn waits(&self) -> i64 {
        self.host.next("alice").await.unwrap().as_millis() - self.host.clock.now().as_millis()
    }
}

#[tokio::test]
async fn after_a_clock_was_set_back_the_next_runs_are_reckoned_anew() {
    let scene = planned().await;
    let service = scene.core().service.clone();
    for (step, within) in [(-30_000, HOUR + 30_000), (-24 * HOUR, HOUR)] {
        scene.host.clock.step_wall(step);
        scene.host.pass(5);
        scene.upkeep.look_for_a_step(&service).await;
        assert!(scene.waits().await <= within, "{step}: {} ms", scene.waits().await);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_the_store_could_not_be_written_is_not_forgotten() {
    let scene = planned().await;
    let service = scene.core().service.clone();
    scene.host.clock.step_wall(-24 * HOUR);
    scene.sql(FULL).await;
    scene.upkeep.look_for_a_step(&service).await;
    assert!(scene.waits().await > 23 * HOUR && !scene.problems().is_empty());
    scene.sql(ROOM).await;
    scene.mends().await;
    scene.upkeep.look_for_a_step(&service).await;
    assert!(scene.waits().await <= HOUR, "{} ms", scene.waits().await);
}

#[tokio::test]
async fn logins_that_end_are_looked_at_again_within_the_hour_after_the_clock_was_set_back() {
    let scene = planned().await;
    let service = scene.core().service.clone();
    scene.upkeep.look_at_logins(&service).await;
    scene.host.clock.step_wall(-24 * 30 * HOUR);
    scene.upkeep.look_for_a_step(&service).await;
    scene.host.pass(3_600);
    scene.upkeep.look_at_logins(&service).await;
    assert_eq!(*scene.upkeep.logins_seen.lock().unwrap(), Some(scene.host.clock.boot()));
}

/// The file of a user in the spool.
fn spooled(scene: &Scene, user: UserId) -> std::path::PathBuf {
    scene.host.folder.path().join("a/spool").join(user.0.to_string())
}

/// A file of the usual length with one answer, which can't be read.
fn one_damaged() -> Vec<u8> {
    let mut file = vec![b'x'; 200];
    file.resize(16 * 1024, 0);
    file
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_problem_until_the_next_one_has_replaced_it() {
    let scene = Scene::new().await;
    scene.host.store.open().await.unwrap();
    let alice = scene.host.add("alice", None).await;
    let gone = UserId(77);
    for user in [alice, gone] {
        std::fs::write(spooled(&scene, user), one_damaged()).unwrap();
    }
    scene.upkeep.reach_store(STORE_PATIENCE).await.unwrap();
    let problems = scene.problems();
    assert!(problems.len() == 1 && problems[0].contains("refresh of alice replaces it"), "{problems:?}");
    scene.upkeep.look_at_store().await;
    assert_eq!(scene.problems(), problems);
    std::fs::write(spooled(&scene, alice), []).unwrap();
    scene.upkeep.look_at_store().await;
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_no_problem_once_its_user_is_removed() {
    let scene = Scene::new().await;
    scene.host.store.open().await.unwrap();
    let alice = scene.host.add("alice", None).await;
    std::fs::write(spooled(&scene, alice), one_damaged()).unwrap();
    scene.upkeep.reach_store(STORE_PATIENCE).await.unwrap();
    assert_eq!(scene.problems().len(), 1);
    scene.host.store.remove_user(alice, false).await.unwrap();
    scene.upkeep.look_at_store().await;
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn kept_pages_are_forgotten_by_the_setting_in_force() {
    let scene = Scene::started().await;
    scene.declare("alice");
    scene.core().service.apply(scene.settings.get()).await.unwrap();
    let (store, clock) = (&scene.upkeep.ground.store, &scene.upkeep.ground.clock);
    let user = store.user(&"alice".parse().unwrap()).await.unwrap().unwrap().id;
    for days in [0, 2, 6] {
        let fetched_at = clock.now() - Duration::from_secs(days * 86_400 + 1);
        let page = RawPage { fetched_at, run: RunId(1), body: vec![1] };
        store.keep_raw_page(user, &page).await.unwrap();
    }
    // Made shorter, and turned off.
    for (days, left) in [(7, 3), (6, 2), (1, 1), (0, 0)] {
        let mut settings = Settings::clone(&scene.settings.get());
        settings.archive.raw_journal_days = days;
        scene.settings.set(Arc::new(settings));
        scene.upkeep.prune().await;
        assert_eq!(store.raw_pages(user, None, None, 9).await.unwrap().len(), left, "{days} days");
    }
}
