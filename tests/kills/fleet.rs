//! A daemon with several users on one store, whose provider rotates in one way. It is killed, started again and judged:
//! the provider's record and the spool tell what each user may have lost, and what not.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use longplay::sim::{App, Options, Rotation};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::fixture::{Answer, Daemon, Host, PATIENCE, SCOPES, at_once, postgres};

/// How many users a daemon has: as many as it refreshes at once.
pub const USERS: usize = 8;
const FRESH: &str = "{\"fresh\":true}";
/// The steps of a refresh, as src/tokens/exchange.rs names them.
pub const STEPS: [&str; 5] = [
    "refresh-before-intent",
    "refresh-after-intent",
    "refresh-after-post",
    "refresh-after-spool",
    "refresh-after-commit",
];
/// So long after it is asked for tokens a daemon is killed at the latest.
const LATEST: Duration = Duration::from_millis(120);
/// How long the other users' refreshes are waited for when one stands at its step.
const OTHERS: Duration = Duration::from_millis(150);

/// How the provider rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Keeps,
    Grace,
    Strict,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Keeps, Self::Grace, Self::Strict];

    fn app(self) -> App {
        App::pkce("client").rotation(match self {
            Self::Keeps => Rotation::Never,
            Self::Grace => Rotation::RotateWithGrace(Duration::from_secs(120)),
            Self::Strict => Rotation::Rotate,
        })
    }
}

/// When a daemon is killed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// While refreshes of all users stand at this step.
    Step(&'static str),
    /// Some time after all users' tokens began to be asked for, again and again.
    Asked,
    /// And once more while it starts again.
    Starting,
}

/// What happened to a fleet.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// How often the daemon was killed.
    pub kills: usize,
    /// How many of these while refreshes were under way: at named steps, and at random.
    pub named: usize,
    pub random: usize,
    /// How many while it started again after one at random, and how many with nothing under way, to go on to a step.
    pub starting: usize,
    pub at_rest: usize,
    /// Refreshes that the provider committed.
    pub commits: u64,
    /// Logins lost, by kills at named steps and at random.
    pub lost_named: usize,
    pub lost_random: usize,
}

struct User {
    name: String,
    spool: PathBuf,
    /// When last settled: the newest generation, how many refreshes the provider had accepted, and had refused because the
    /// token was spent.
    generation: u64,
    accepted: u64,
    reused: u64,
}

pub struct Fleet {
    pub host: Host,
    pub mode: Mode,
    daemon: Option<Daemon>,
    users: Vec<User>,
    random: StdRng,
    pub tally: Tally,
}

impl Fleet {
    /// A daemon that runs, and users whose tokens are fresh.
    pub fn start(mode: Mode, on_postgres: bool, seed: u64) -> Self {
        let host = Host::with(Options::default(), mode.app());
        let host = if on_postgres { host.on(&postgres::shared().database()) } else { host };
        if mode == Mode::Grace {
            host.configure("rotation_grace = \"120s\"");
        }
        let mut fleet = Self {
            host,
            mode,
            daemon: None,
            users: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            tally: Tally::default(),
        };
        fleet.daemon = Some(fleet.host.serve());
        for number in 0..USERS {
            fleet.add(format!("u{number}"));
        }
        fleet
    }

    fn add(&mut self, name: String) {
        let before = self.spools();
        self.host.spotify.add_account(&name);
        self.give_login(&name);
        let (generation, _) = settled(&self.host, &name).unwrap();
        let spool = self.spools().into_iter().find(|file| !before.contains(file)).unwrap();
        let counts = self.host.spotify.refreshes(&name);
        self.users.push(User { name, spool, generation, accepted: counts.accepted, reused: counts.reused });
    }

    fn give_login(&self, name: &str) {
        let token = self.host.spotify.grant(name, "client", &SCOPES);
        let body = serde_json::json!({"refresh_token": token, "schedule": "0 0 1 1 *"});
        self.host.ask("PUT", &format!("/v1/users/{name}"), &body.to_string()).ok();
    }

    fn spools(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.host.path("state/spool")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }

    /// Kills the daemon at this moment, starts it again, and judges what became of the logins.
    pub fn kill(&mut self, moment: Moment) {
        let mut stood = 0;
        let seen = match moment {
            Moment::Step(step) => {
                let seen;
                (stood, seen) = self.kill_at(step);
                seen
            }
            Moment::Asked => self.kill_while_asked(),
            Moment::Starting => {
                let seen = self.kill_while_asked();
                self.kill_while_starting();
                seen
            }
        };
        self.daemon = Some(self.host.serve());
        let lost = self.judge(&seen, moment);
        if let Moment::Step(step) = moment
            && self.mode == Mode::Strict
        {
            // Who did not get as far as the step may be anywhere before it.
            let expected = if step == "refresh-after-post" { stood..=USERS } else { 0..=USERS - stood };
            assert!(expected.contains(&lost), "{stood} stood at {step}, and {lost} are lost");
        }
        match moment {
            Moment::Step(_) => {
                (self.tally.named, self.tally.lost_named) =
                    (self.tally.named + 1, self.tally.lost_named + lost)
            }
            _ => {
                (self.tally.random, self.tally.lost_random) =
                    (self.tally.random + 1, self.tally.lost_random + lost)
            }
        }
    }

    fn end_daemon(&mut self) {
        // Dropped is killed.
        drop(self.daemon.take());
        self.tally.kills += 1;
    }

    /// Answers how many refreshes stood there, and the newest generation that anyone was given, by user.
    fn kill_at(&mut self, step: &str) -> (usize, Vec<u64>) {
        self.end_daemon();
        self.tally.at_rest += 1;
        let daemon = self.host.serve_with(|command| {
            // A refresh that stands still takes a thread with it.
            command.env("FAILPOINTS", format!("{step}=pause")).env("TOKIO_WORKER_THREADS", "16");
            command.env("LONGPLAY_LOG__LEVEL", "debug");
        });
        let reached = || daemon.log().matches(&format!("step {step}")).count();
        let before = reached();
        let asked: Vec<_> =
            self.users.iter().map(|user| self.host.send("POST", &token_of(&user.name), FRESH)).collect();
        self.host.until("one stands at the step", || reached() > before);
        // Who waits for a thread that stands still comes no further.
        let began = Instant::now();
        while reached() < before + USERS && began.elapsed() < OTHERS {
            std::thread::sleep(Duration::from_millis(10));
        }
        let stood = reached() - before;
        self.daemon = Some(daemon);
        self.end_daemon();
        // What was answered before the end can still be read.
        let came = asked.into_iter().map(|asked| asked.answer().map_or(0, |answer| given_out(&answer)));
        (stood, came.collect())
    }

    /// Answers the newest generation that anyone was given, by user.
    fn kill_while_asked(&mut self) -> Vec<u64> {
        let wait = self.random.random_range(Duration::ZERO..LATEST);
        let (host, users) = (&self.host, &self.users);
        let daemon = self.daemon.take();
        let seen = std::thread::scope(|scope| {
            let asking: Vec<_> =
                users.iter().map(|user| scope.spawn(move || asked_until_the_end(host, &user.name))).collect();
            std::thread::sleep(wait);
            drop(daemon);
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        self.tally.kills += 1;
        seen
    }

    fn kill_while_starting(&mut self) {
        let wait = self.random.random_range(Duration::ZERO..LATEST * 3);
        let daemon = self.host.start(|_| {});
        std::thread::sleep(wait);
        self.daemon = Some(daemon);
        self.end_daemon();
        self.tally.starting += 1;
    }

    /// How many logins are lost; each only where the provider leaves no way to keep it, and told with its reason.
    fn judge(&mut self, seen: &[u64], moment: Moment) -> usize {
        let host = &self.host;
        let settled = at_once(USERS, |n| settled(host, &self.users[n].name));
        let mut lost = 0;
        for (n, settled) in settled.into_iter().enumerate() {
            let user = &self.users[n];
            let counts = host.spotify.refreshes(&user.name);
            let (commits, reused) = (counts.accepted - user.accepted, counts.reused - user.reused);
            let what = format!(
                "{} {:?} {moment:?}: {commits} commits since generation {}",
                user.name, self.mode, user.generation
            );
            self.tally.commits += commits;
            assert_eq!(counts.most_at_once, 1, "{what}: {counts:?}");
            match settled {
                Some((generation, token)) => {
                    assert!(
                        host.spotify.login_alive(&user.name) && host.spotify.access_valid(&token),
                        "{what}"
                    );
                    assert!(generation > seen[n], "{what}: {} was given out, and then {generation}", seen[n]);
                    let applied = generation - user.generation;
                    assert!(applied <= commits, "{what}: {applied} applied");
                    if self.mode == Mode::Strict {
                        assert_eq!((applied, reused), (commits, 0), "{what}: an answer was lost unseen");
                    }
                }
                None => {
                    lost += 1;
                    assert_eq!(self.mode, Mode::Strict, "{what}: lost");
                    let spooled = spooled(&user.spool).map_or(0, |sent| sent + 1).max(user.generation);
                    assert_eq!(
                        spooled - user.generation + 1,
                        commits,
                        "{what}: lost though the spool has generation {spooled}"
                    );
                    assert!(seen[n] <= spooled, "{what}: {} was given out, and is not in the spool", seen[n]);
                    assert_eq!(reused, 1, "{what}: one request told it");
                    told(host, &user.name, &what);
                }
            }
        }
        self.begin_anew();
        lost
    }

    /// Everyone has a login and a fresh token, from which the next kill is counted.
    fn begin_anew(&mut self) {
        let host = &self.host;
        let dead = |user: &User| host.user(&user.name)["state"] == "needs_login";
        for user in &mut self.users {
            if dead(user) {
                let token = host.spotify.grant(&user.name, "client", &SCOPES);
                let body = serde_json::json!({"refresh_token": token}).to_string();
                host.until("a new login is taken", || {
                    host.ask("PUT", &format!("/v1/users/{}", user.name), &body).status == 200
                });
            }
            (user.generation, _) = settled(host, &user.name).unwrap();
            let counts = host.spotify.refreshes(&user.name);
            (user.accepted, user.reused) = (counts.accepted, counts.reused);
        }
    }
}

fn token_of(name: &str) -> String {
    format!("/v1/users/{name}/token")
}

/// Asks for fresh tokens until the daemon is gone; the newest generation that was given out.
fn asked_until_the_end(host: &Host, name: &str) -> u64 {
    let mut newest = 0;
    loop {
        let answer = host.token(name, FRESH);
        match answer.status {
            0 => return newest,
            _ => newest = given_out(&answer).max(newest),
        }
    }
}

/// The generation of the token in an answer; 0: there is none.
fn given_out(answer: &Answer) -> u64 {
    if answer.status == 200 { answer.json()["generation"].as_u64().unwrap() } else { 0 }
}

/// Asks until an answer decides: a fresh token with its generation, or that the user must log in.
pub fn settled(host: &Host, name: &str) -> Option<(u64, String)> {
    let began = Instant::now();
    loop {
        let answer = host.token(name, FRESH);
        match (answer.status, &answer.json()) {
            (200, token) => {
                let access = token["access_token"].as_str().unwrap().to_owned();
                return Some((token["generation"].as_u64().unwrap(), access));
            }
            (409, problem) if problem["type"] == "urn:longplay:needs_login" => return None,
            _ => assert!(began.elapsed() < PATIENCE, "nothing decides about {name}: {answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The generation whose refresh token the newest successful answer in the spool came for: it stands in the clear in front
/// of each answer (src/tokens/spool/slot.rs).
fn spooled(file: &PathBuf) -> Option<u64> {
    let bytes = std::fs::read(file).unwrap();
    let head = |at: usize| -> Option<u64> {
        let head = bytes.get(at..at + 49)?;
        let success = head.starts_with(b"lpspool1") && head[48] == 1;
        success.then(|| u64::from_le_bytes(head[24..32].try_into().unwrap()))
    };
    head(0).max(head(8 * 1024))
}

/// The user reads why, and how to mend it, wherever they look.
fn told(host: &Host, name: &str, what: &str) {
    let is_true = |reason: &Value| {
        let reason = reason.as_str().unwrap_or_default();
        reason.contains("an answer was lost") && reason.contains(&format!("longplay login {name}"))
    };
    let user = host.user(name);
    assert!(user["state"] == "needs_login" && is_true(&user["reason"]), "{what}: {user}");
    let answer = host.token(name, "");
    assert!(answer.problem(409) == "needs_login" && is_true(&answer.json()["detail"]), "{what}: {answer:?}");
    let log = std::fs::read_to_string(host.path("log")).unwrap();
    assert!(log.contains(&format!("{name} must log in: an answer was lost")), "{what}: not in the journal");
}
