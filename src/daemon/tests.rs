//! The cores of two daemons, each with a state directory of its own, on one store and in simulated time. Nobody has a
//! login, so that every run ends without a call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Request;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::core::{Core, Current, Ground};
use super::state::StateDir;
use crate::clock::{Clock, SimulatedClock, SystemClock};
use crate::config::{Place, load};
use crate::control::api::{TokenQuestion, Word};
use crate::control::{Service, routes};
use crate::domain::{Generation, RunId, RunResult, Timestamp, UserId, UserName};
use crate::random::Random;
use crate::schedule::Scheduler;
use crate::store::{Claimed, NewUser, PageStored, Release, RunClaim, RunFailed, Store};
use crate::telemetry::{Events, Metrics};

mod changed;
mod consent;
mod guard;

const START: &str = "2026-01-01T00:00:00Z";

pub(super) struct Daemon {
    ground: Ground,
    service: Service,
    scheduler: Scheduler,
    fired: Arc<Mutex<Vec<(UserId, Timestamp)>>>,
}

pub(super) struct Host {
    pub folder: tempfile::TempDir,
    pub clock: Arc<SimulatedClock>,
    pub store: Arc<dyn Store>,
}

impl Host {
    pub fn new() -> Self {
        // Another test may have done so; one is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::new(Timestamp::parse(START).unwrap()));
        let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
        let store = crate::store::open(&url, clock.clone()).unwrap();
        let file = "[apps.default]\nclient_id = \"client\"\n[tokens]\nkey_file = \"key\"\n";
        std::fs::write(folder.path().join("longplay.toml"), file).unwrap();
        std::fs::write(folder.path().join("key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        Self { folder, clock, store }
    }

    /// What a daemon stands on, with the configuration as it is now.
    pub async fn ground(&self, name: &str) -> Ground {
        let path = self.folder.path().join(name);
        let file = self.folder.path().join("longplay.toml");
        let place = Place { config: Some(file.clone()), env: BTreeMap::new(), root: true, system_file: file };
        let (clock, random) = (self.clock.clone() as Arc<dyn Clock>, Arc::new(Random::host()));
        Ground {
            events: Events::new(clock.clone()),
            metrics: Arc::new(Metrics::new()),
            outside: Arc::new(lock(&path, &*clock, &random).await),
            settings: Current::new(Arc::new(load(&place).unwrap())),
            store: self.store.clone(),
            clock,
            random,
        }
    }

    async fn daemon(&self, name: &str) -> Daemon {
        let ground = self.ground(name).await;
        let clock = ground.clock.clone();
        let fired = Arc::new(Mutex::new(Vec::new()));
        let told = fired.clone();
        let scheduler =
            Scheduler::by_hand(clock, move |user, due| told.lock().unwrap().push((user, due)), || usize::MAX);
        let service = Core::build(&ground, Some(scheduler.clone())).await.unwrap().service;
        service.take_back().await.unwrap();
        service.refresh_users().await.unwrap();
        Daemon { ground, service, scheduler, fired }
    }

    pub async fn add(&self, name: &str, schedule: Option<&str>) -> UserId {
        let (name, app) = (name.parse().unwrap(), "default".parse().unwrap());
        let new = NewUser { name, app, schedule: schedule.map(str::to_owned), timezone: None };
        self.store.put_user(&new).await.unwrap().id
    }

    pub async fn next(&self, name: &str) -> Option<Timestamp> {
        self.store.user(&name.parse().unwrap()).await.unwrap().unwrap().next_run_at
    }

    async fn runs(&self, user: UserId) -> usize {
        self.store.runs(user, 1_000).await.unwrap().len()
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

async fn lock(path: &Path, clock: &dyn Clock, random: &Random) -> StateDir {
    StateDir::lock(path, Duration::ZERO, clock, random).await.unwrap()
}

impl Daemon {
    /// Makes the runs that are due; how many.
    async fn tick(&self) -> usize {
        self.scheduler.tick();
        let fired = std::mem::take(&mut *self.fired.lock().unwrap());
        for (user, due) in &fired {
            self.service.run_due(*user, *due).await;
        }
        fired.len()
    }

    /// As another process would claim a user.
    async fn claim(&self, user: UserId) -> RunId {
        let claim = RunClaim {
            user,
            owner: self.ground.outside.owner(),
            claim: self.ground.random.uuid(),
            lease: Duration::from_secs(90),
            due: None,
            trigger: crate::domain::Trigger::Schedule,
            at: self.ground.clock.now(),
        };
        let claimed = self.ground.store.begin_run(&claim).await.unwrap();
        let Claimed::Begun(run) = claimed else { panic!("{claimed:?}") };
        run
    }
}

#[tokio::test]
async fn two_daemons_make_each_run_of_a_day_once() {
    let host = Host::new();
    let mut users = Vec::new();
    for n in 0..12 {
        users.push(host.add(&format!("user{n}"), Some("5 * * * *")).await);
    }
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    for _ in 0..24 * 60 {
        host.pass(60);
        tokio::join!(first.tick(), second.tick());
    }
    for user in users {
        assert_eq!(host.runs(user).await, 24);
    }
}

#[tokio::test]
async fn users_of_one_hour_keep_their_own_moment_in_it() {
    let host = Host::new();
    for n in 0..50 {
        host.add(&format!("user{n}"), Some("5 * * * *")).await;
    }
    let daemon = host.daemon("a").await;
    let mut moments = std::collections::BTreeSet::new();
    for n in 0..50 {
        moments.insert(host.next(&format!("user{n}")).await.unwrap().as_millis() % 3_600_000);
    }
    assert!(moments.len() > 45, "{moments:?}");
    assert!(moments.iter().all(|moment| (300_000..360_000).contains(moment)), "{moments:?}");
    let before = host.next("user7").await.unwrap();
    host.add("somebody-else", Some("5 * * * *")).await;
    daemon.service.refresh_users().await.unwrap();
    host.pass(400);
    daemon.tick().await;
    assert_eq!(host.next("user7").await, Some(before + Duration::from_secs(3_600)));
}

#[tokio::test]
async fn a_dead_daemons_runs_are_taken_over_and_its_own_are_taken_back_at_once() {
    let host = Host::new();
    let user = host.add("alice", Some("5 * * * *")).await;
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    host.pass(360);
    first.claim(user).await;
    // The second daemon finds out, and comes back when the claim lapses.
    assert_eq!(second.tick().await, 1);
    assert_eq!((host.runs(user).await, second.scheduler.next_for(user)), (1, host.next("alice").await));
    host.pass(89);
    assert_eq!(second.tick().await, 0);
    host.pass(1);
    assert_eq!(second.tick().await, 1);
    assert_eq!(host.runs(user).await, 2);
    // The same state directory, started again: it is known by the name that is in it.
    first.claim(user).await;
    let restarted = host.folder.path().join("restarted");
    std::fs::create_dir(&restarted).unwrap();
    std::fs::copy(host.folder.path().join("a/instance"), restarted.join("instance")).unwrap();
    let back = host.daemon("restarted").await;
    assert_eq!(host.next("alice").await, Some(host.clock.now()));
    assert_eq!(back.tick().await, 1);
    assert_eq!(host.runs(user).await, 4);
}

#[tokio::test]
async fn whatever_is_overdue_is_swept_up_within_two_minutes_by_whoever_is_there() {
    let host = Host::new();
    let user = host.add("alice", Some("5 * * * *")).await;
    let daemon = host.daemon("a").await;
    let due = host.next("alice").await.unwrap();
    // The schedule has lost it.
    daemon.scheduler.remove(user);
    host.pass(due.since(host.clock.now()).as_secs() + 30);
    daemon.service.sweep().await.unwrap();
    assert_eq!(daemon.tick().await, 0, "not yet");
    host.pass(60);
    daemon.service.sweep().await.unwrap();
    assert_eq!((daemon.tick().await, host.runs(user).await), (1, 1));
    // One whom another daemon runs is not swept up.
    let other = host.daemon("b").await;
    host.pass(3_700);
    other.claim(user).await;
    host.pass(61);
    daemon.scheduler.remove(user);
    daemon.service.sweep().await.unwrap();
    assert_eq!(daemon.tick().await, 0);
}

#[tokio::test]
async fn users_come_and_go_by_the_thousand_and_every_daemon_hears_of_it() {
    let host = Host::new();
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    for n in 0..2_300 {
        host.add(&format!("user{n}"), (n % 2 == 0).then_some("5 * * * *")).await;
    }
    for daemon in [&first, &second] {
        daemon.service.refresh_users().await.unwrap();
        assert_eq!(daemon.service.users().await.unwrap().len(), 2_300);
    }
    let name: UserName = "user0".parse().unwrap();
    let user = host.store.user(&name).await.unwrap().unwrap().id;
    assert_eq!(first.scheduler.next_for(user), second.scheduler.next_for(user));
    first.service.remove_user(&name, true).await.unwrap();
    second.service.refresh_users().await.unwrap();
    assert_eq!((second.scheduler.next_for(user), second.service.users().await.unwrap().len()), (None, 2_299));
}
