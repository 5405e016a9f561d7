//! The store goes away between any two steps of a refresh, and comes back, as it was or as it had been: no token is lost,
//! none is given out that could be, and the daemon stays up and says so.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use longplay::sim::Rotation;
use sqlx::{Connection as _, Executor as _};

use crate::effort::say;
use crate::fixture::postgres::Cluster;
use crate::fixture::{Daemon, Host, Sent, at_once};
use crate::fleet::{STEPS, settled};

const USERS: [&str; 2] = ["alice", "bob"];
const FRESH: &str = "{\"fresh\":true}";
/// How long a refresh stands at its step: time enough to take the store away.
const STAND: Duration = Duration::from_millis(2_500);

/// A daemon whose users have fresh tokens, and whose next refreshes stand at a step for a while.
struct Scene {
    step: &'static str,
    host: Host,
    daemon: Daemon,
    asked: Vec<Sent<std::os::unix::net::UnixStream>>,
    /// Of each user, before the refreshes: the newest generation, and how many refreshes the provider had accepted.
    before: Vec<(u64, u64)>,
    /// The newest generation that anyone was given.
    seen: Vec<u64>,
}

impl Scene {
    fn at(step: &'static str, host: Host) -> Self {
        let daemon = host.serve();
        USERS.iter().for_each(|name| drop(host.add_user(name).ok()));
        let before = USERS.map(|name| {
            host.until("the run is over", || host.user(name)["last_run_result"] == "ok");
            // One refresh: the spool's other slot was never written to.
            let generation = host.token(name, "").ok()["generation"].as_u64().unwrap();
            (generation, host.spotify.refreshes(name).accepted)
        });
        assert_eq!(daemon.stop(), 0);
        let daemon = host.serve_with(|command| {
            let stand = format!("{step}={}*sleep({})", USERS.len(), STAND.as_millis());
            command.env("FAILPOINTS", stand).env("TOKIO_WORKER_THREADS", "8");
            command.env("LONGPLAY_LOG__LEVEL", "debug");
            that_survives_a_limit(command, &host.path("log"));
        });
        // In memory are their tokens from here on.
        USERS.iter().for_each(|name| drop(host.token(name, "").ok()));
        Self { step, host, daemon, asked: Vec::new(), before: before.to_vec(), seen: vec![0; USERS.len()] }
    }

    fn ask_for_fresh_tokens(&mut self) {
        let reached = |daemon: &Daemon| daemon.log().matches(&format!("step {}", self.step)).count();
        let before = reached(&self.daemon);
        let ask = |name| self.host.send("POST", &format!("/v1/users/{name}/token"), FRESH);
        self.asked = USERS.iter().map(ask).collect();
        self.host.until("a refresh stands at its step", || reached(&self.daemon) > before);
    }

    /// While the store is away: said, and what memory holds is still given out.
    fn is_said(&mut self, words: &str) {
        self.host.until(&format!("{words} is said at {}", self.step), || {
            // Who writes nothing misses nothing.
            let wanted = self.host.token(USERS[0], FRESH);
            let health = self.host.get("/healthz");
            wanted.status != 404 && health.status == 503 && health.text.contains(words)
        });
        let asked = std::mem::take(&mut self.asked);
        for (n, asked) in asked.into_iter().enumerate() {
            let answers = [asked.answer().unwrap(), self.host.token(USERS[n], "")];
            for answer in answers {
                assert!([200, 503].contains(&answer.status), "{} {answer:?}", self.step);
                if answer.status == 200 {
                    let generation = answer.json()["generation"].as_u64().unwrap();
                    self.seen[n] = self.seen[n].max(generation);
                }
            }
            assert!(self.seen[n] >= self.before[n].0, "{}: the present token is given out", self.step);
        }
        assert!(!self.daemon.has_ended(), "{}", self.step);
    }

    /// Whatever answer there is.
    fn wait_until_the_spool_has_it(&self) {
        let counts = || USERS.map(|name| self.host.spotify.refreshes(name));
        std::thread::sleep(STAND);
        self.host.until("nothing is under way", || counts().iter().all(|counts| counts.under_way == 0));
        for (n, counts) in counts().into_iter().enumerate() {
            let sent = counts.accepted > self.before[n].1;
            if sent && self.step != "refresh-after-commit" {
                self.host
                    .until("it waits for the store", || self.daemon.log().contains("waits for the store"));
            }
        }
    }

    /// The store is back: all are well by themselves, and nothing was lost.
    fn is_well(&mut self) {
        let host = &self.host;
        host.until("the daemon is well", || host.get("/healthz").status == 200);
        for (n, name) in USERS.iter().enumerate() {
            let what = format!("{} {name}", self.step);
            let (generation, token) = settled(host, name).expect(&what);
            let counts = host.spotify.refreshes(name);
            let (began, accepted) = self.before[n];
            assert_eq!((generation - began, counts.reused), (counts.accepted - accepted, 0), "{what}");
            assert!(host.spotify.login_alive(name) && host.spotify.access_valid(&token), "{what}");
            assert!(generation > self.seen[n], "{what}");
            assert_eq!(host.user(name)["state"], "ok", "{what}");
        }
        assert!(!self.daemon.has_ended(), "{}", self.step);
    }
}

/// Lets the daemon see an error where a file may grow no more, instead of a signal that ends it. Its log goes through a
/// pipe, since that is no file.
fn that_survives_a_limit(command: &mut Command, log: &Path) {
    let mut log = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    let (mut said, stderr) = std::io::pipe().unwrap();
    std::thread::spawn(move || std::io::copy(&mut said, &mut log));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    *command = shell;
}

#[test]
fn a_postgresql_that_crashes_between_any_two_steps_of_a_refresh_costs_no_login() {
    let mut cluster = Cluster::start("");
    let urls: Vec<String> = (0..2 * STEPS.len()).map(|_| cluster.database()).collect();
    // Of each step one daemon that goes on, and one that is killed while the server is away.
    let mut scenes = at_once(urls.len(), |n| {
        Scene::at(STEPS[n % STEPS.len()], Host::rotating(Rotation::Rotate).on(&urls[n]))
    });
    scenes.iter_mut().for_each(Scene::ask_for_fresh_tokens);
    cluster.stop(true);
    scenes.iter_mut().for_each(|scene| scene.is_said("PostgreSQL"));
    for scene in &mut scenes[STEPS.len()..] {
        scene.wait_until_the_spool_has_it();
        scene.daemon.end();
    }
    cluster.start_again();
    for scene in &mut scenes[STEPS.len()..] {
        for (n, name) in USERS.iter().enumerate() {
            let stored = format!(
                "SELECT generation FROM grants JOIN users ON users.id = user_id WHERE name = '{name}'"
            );
            let url = &urls[STEPS.iter().position(|step| *step == scene.step).unwrap() + STEPS.len()];
            let database = url.split(['/', '?']).nth(3).unwrap();
            let stored: u64 = cluster.sql(database, &stored).parse().unwrap();
            assert!(stored >= scene.seen[n], "{} {name}: given out, and not durable", scene.step);
        }
        scene.daemon = scene.host.serve();
    }
    at_once_mut(&mut scenes, Scene::is_well);
}

fn at_once_mut<T: Send>(many: &mut [T], work: impl Fn(&mut T) + Sync) {
    std::thread::scope(|scope| {
        for one in many {
            let work = &work;
            scope.spawn(move || work(one));
        }
    });
}

/// What happens to SQLite and the spool, for as long as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Another program keeps the database to itself.
    Locked,
    /// No file may grow beyond what is preallocated for the spool.
    Full,
    /// The same, and the daemon is killed meanwhile.
    FullAndKilled,
    /// No file may be written at all.
    AllFull,
    /// The filesystem is filled to the brim.
    NoRoom,
}

/// The host's state directory on a small filesystem of its own; `None` where the host lets nobody make one.
struct Small(PathBuf);

impl Small {
    fn under(host: &Host) -> Option<Self> {
        let folder = host.path("state");
        std::fs::create_dir(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=700", "longplay-test"]).arg(&folder);
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        for size in [64 * 1024, 1] {
            let bytes = vec![0; size];
            while filler.write_all(&bytes).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whatever still uses it, it goes with its last user.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        // The host could not remove what was in use.
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn a_sqlite_that_is_locked_or_has_no_room_between_any_two_steps_of_a_refresh_costs_no_login() {
    let troubles =
        [Trouble::Locked, Trouble::Full, Trouble::FullAndKilled, Trouble::AllFull, Trouble::NoRoom];
    at_once(STEPS.len() * troubles.len(), |n| {
        let (step, trouble) = (STEPS[n % STEPS.len()], troubles[n / STEPS.len()]);
        let host = Host::rotating(Rotation::Rotate);
        let small = if trouble == Trouble::NoRoom { Small::under(&host) } else { None };
        if trouble == Trouble::NoRoom && small.is_none() {
            return say("nobody may mount a small filesystem here: one filled to the brim is not tried");
        }
        let mut scene = Scene::at(step, host);
        scene.ask_for_fresh_tokens();
        let mut lock = None;
        match trouble {
            Trouble::Locked => lock = Some(locked(&scene.host)),
            Trouble::Full | Trouble::FullAndKilled => no_file_grows_beyond(&scene.daemon, "16384"),
            Trouble::AllFull => no_file_grows_beyond(&scene.daemon, "0"),
            Trouble::NoRoom => small.iter().for_each(Small::fill),
        }
        scene.is_said("the store can't be reached");
        let spool_failed = scene.daemon.log().contains("the spool can't be written");
        // Who was not at the step yet may have failed elsewhere.
        let may_fail = trouble == Trouble::AllFull;
        let must_fail = may_fail && ["refresh-after-intent", "refresh-after-post"].contains(&step);
        assert!(
            if spool_failed { may_fail } else { !must_fail },
            "{step} {trouble:?}: what is preallocated can be written, and nothing else"
        );
        drop(lock);
        small.iter().for_each(Small::make_room);
        if trouble == Trouble::FullAndKilled {
            scene.wait_until_the_spool_has_it();
            scene.daemon.end();
            scene.daemon = scene.host.serve();
        } else {
            no_file_grows_beyond(&scene.daemon, "unlimited");
        }
        scene.is_well();
    });
}

fn no_file_grows_beyond(daemon: &Daemon, bytes: &str) {
    let mut command = Command::new("prlimit");
    let set = command.args(["--pid", &daemon.pid().to_string(), &format!("--fsize={bytes}:")]).status();
    assert!(set.unwrap().success());
}

/// Another program that keeps the store to itself until this is dropped.
struct Locked(tokio::runtime::Runtime, Option<sqlx::SqliteConnection>);

fn locked(host: &Host) -> Locked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite://{}", host.path("state/longplay.db").display());
    let store = runtime.block_on(async {
        let mut store = sqlx::SqliteConnection::connect(&url).await?;
        store.execute("PRAGMA busy_timeout = 20000; BEGIN EXCLUSIVE").await?;
        Ok::<_, sqlx::Error>(store)
    });
    Locked(runtime, Some(store.unwrap()))
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(store) = self.1.take() {
            self.0.block_on(store.close()).unwrap();
        }
    }
}
