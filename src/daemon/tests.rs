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

/// Another program's hand on the archive.
async fn by_hand(host: &Host) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let url = format!("sqlite://{}", host.folder.path().join("longplay.db").display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

async fn run_sql(connection: &mut sqlx::SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

const YEARLY: Option<&str> = Some("0 0 31 12 *");
const HOURLY: Option<&str> = Some("5 * * * *");

/// The next five past the hour, and the minute in which a user's own moment is.
fn within_the_hour(host: &Host, at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| at.since(host.clock.now()) < Duration::from_secs(3_660))
}

#[tokio::test]
async fn a_changed_schedule_holds_though_its_planning_failed_at_first() {
    let host = Host::new();
    let user = host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    assert!(!within_the_hour(&host, host.next("alice").await));
    host.add("alice", HOURLY).await;
    let mut other = by_hand(&host).await;
    run_sql(
        &mut other,
        "CREATE TRIGGER no BEFORE UPDATE OF next_run_at ON users BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    daemon.service.refresh_users().await.unwrap_err();
    run_sql(&mut other, "DROP TRIGGER no").await;
    daemon.service.refresh_users().await.unwrap();
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
    assert_eq!(daemon.scheduler.next_for(user), host.next("alice").await);
}

#[tokio::test]
async fn a_changed_schedule_holds_though_who_asked_left_before_it_was_planned() {
    let host = Host::new();
    host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    host.add("alice", HOURLY).await;
    let mut other = by_hand(&host).await;
    run_sql(&mut other, "BEGIN IMMEDIATE").await;
    let taken_in = async {
        let name: UserName = "alice".parse().unwrap();
        while daemon.service.user(&name).await.unwrap().schedule != HOURLY.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = daemon.service.refresh_users() => panic!("it was planned: {done:?}"),
        () = taken_in => {}
    }
    run_sql(&mut other, "ROLLBACK").await;
    daemon.service.refresh_users().await.unwrap();
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
}

#[tokio::test]
async fn a_schedule_that_was_changed_during_a_pause_holds_after_it() {
    let host = Host::new();
    let user = host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    let pause = async |paused| {
        host.store.set_paused(Some(user), paused).await.unwrap();
        daemon.service.refresh_users().await.unwrap();
    };
    pause(true).await;
    host.add("alice", HOURLY).await;
    daemon.service.refresh_users().await.unwrap();
    pause(false).await;
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
}

/// Ends a run of the user as the other daemon would: refused by Spotify, or with a page.
async fn ends(host: &Host, daemon: &Daemon, user: UserId, blocked: bool) {
    let run = daemon.claim(user).await;
    let (owner, at) = (daemon.ground.outside.owner(), host.clock.now());
    let next = Some(at + Duration::from_secs(6 * 3_600));
    let release = Release { owner, next };
    if blocked {
        let (result, blocked) = (RunResult::Blocked, Some("no Premium".to_owned()));
        let failed = RunFailed { user, run, result, reason: "no Premium".to_owned(), blocked, at, release };
        host.store.fail_run(&failed).await.unwrap();
    } else {
        let (plays, gaps) = (Vec::new(), Vec::new());
        let (result, reason, newest) = (RunResult::Ok, None, None);
        let page = PageStored { user, run, result, reason, plays, newest, gaps, at, release };
        host.store.store_page(&page).await.unwrap();
    }
}

/// Why a token is refused.
async fn refused(daemon: &Daemon, name: &str) -> Option<Word> {
    let asked = daemon.service.token(&name.parse().unwrap(), TokenQuestion::default()).await;
    let Err(problem) = asked else { panic!("a token without a login") };
    problem.word()
}

#[tokio::test]
async fn who_is_blocked_no_more_is_so_at_every_daemon_at_once() {
    let host = Host::new();
    let user = host.add("alice", HOURLY).await;
    let second = host.daemon("b").await;
    ends(&host, &second, user, true).await;
    let first = host.daemon("a").await;
    assert_eq!(refused(&first, "alice").await, Some(Word::Blocked));
    ends(&host, &second, user, false).await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin));
    ends(&host, &second, user, true).await;
    first.service.take_in_everyone(false).await.unwrap();
    ends(&host, &second, user, false).await;
    let rejected = first.service.rejected(&"alice".parse().unwrap(), Generation(1)).await;
    assert_ne!(rejected.unwrap_err().word(), Some(Word::Blocked));
}

#[tokio::test]
async fn whom_another_daemon_found_blocked_gets_no_token_here_after_the_time_of_that_run() {
    let host = Host::new();
    let user = host.add("alice", HOURLY).await;
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    host.pass(360);
    ends(&host, &second, user, true).await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin), "as far as it knows");
    assert_eq!(first.tick().await, 1);
    assert_eq!(refused(&first, "alice").await, Some(Word::Blocked));
    // And back, though nobody asks.
    host.pass(6 * 3_600);
    ends(&host, &second, user, false).await;
    assert_eq!(first.tick().await, 1);
    let mut other = by_hand(&host).await;
    run_sql(&mut other, "UPDATE users SET blocked = 'x'").await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin));
}

#[tokio::test]
async fn what_follows_a_run_does_not_depend_on_who_asked_for_it() {
    let host = Host::new();
    let user = host.add("alice", None).await;
    let daemon = host.daemon("a").await;
    assert_eq!(daemon.scheduler.next_for(user), Some(host.clock.now()));
    let router = routes(daemon.service.clone(), CancellationToken::new());
    let request = Request::post("/v1/users/alice/archive").body(axum::body::Body::empty()).unwrap();
    let mut asked = Box::pin(router.oneshot(request));
    assert!(futures_util::poll!(&mut asked).is_pending());
    drop(asked);
    let planned = async {
        while host.next("alice").await.is_none_or(|next| next <= host.clock.now())
            || daemon.scheduler.next_for(user) != host.next("alice").await
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), planned).await.expect("the next run is in the schedule");
}

#[tokio::test]
async fn who_was_paused_or_removed_elsewhere_is_told_so_and_not_that_longplay_stops() {
    let host = Host::new();
    let (alice, bob) = (host.add("alice", HOURLY).await, host.add("bob", HOURLY).await);
    let daemon = host.daemon("a").await;
    host.store.set_paused(Some(alice), true).await.unwrap();
    host.store.remove_user(bob, false).await.unwrap();
    let archive = async |name: &str| {
        let problem = daemon.service.archive(&name.parse().unwrap()).await.unwrap_err();
        (problem.word(), problem.status)
    };
    assert_eq!(archive("alice").await, (Some(Word::Paused), 409));
    assert_eq!(archive("bob").await, (Some(Word::UnknownUser), 404));
}

#[tokio::test]
async fn whatever_is_in_the_path_of_the_archive_the_store_opens_that_file() {
    for name in ["100%", "100%25", "a#b", "a b", "\u{e4}"] {
        let host = tempfile::tempdir().unwrap();
        let (folder, file) = (host.path().join(name), host.path().join("longplay.toml"));
        std::fs::create_dir(&folder).unwrap();
        let own = format!("sqlite://{}/own.db", folder.display());
        let stores =
            [(format!("state_dir = {folder:?}"), "longplay.db"), (format!("url = {own:?}"), "own.db")];
        for (said, archive) in stores {
            std::fs::write(&file, format!("[store]\n{said}\n")).unwrap();
            let place = Place {
                config: Some(file.clone()),
                env: BTreeMap::new(),
                root: true,
                system_file: file.clone(),
            };
            let url = load(&place).unwrap().store.url;
            let store = crate::store::open(url.expose_secret(), Arc::new(SystemClock)).unwrap();
            store.open().await.unwrap();
            store.close().await;
            assert!(folder.join(archive).is_file(), "{name}: {said}");
        }
    }
}
