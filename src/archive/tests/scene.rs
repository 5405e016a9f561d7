//! A user, a simulated Spotify, a source of tokens that does as it is told, and a clock on which nobody waits.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use reqwest::StatusCode;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use super::faults::Faults;
use crate::archive::*;
use crate::clock::{BootTime, SimulatedClock, Sleep};
use crate::domain::{AccessToken, Event, EventKind, Generation, Owner, Run, User};
use crate::random::Random;
use crate::sim::{App, Call, Endpoint, Fault, Injection, Options, Outcome as Sent, SimulatedSpotify};
use crate::spotify::{Answer, NoAnswer, Transport};
use crate::store::watched::Watched;
use crate::store::{NewUser, Store};
use crate::telemetry::UsersSeen;
use crate::tokens::{Need, Token, TokenError};

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A clock on which every sleep is over at once, and has taken its time; unless sleepers are held.
pub struct Naps {
    clock: SimulatedClock,
    hold: AtomicBool,
    taken: watch::Sender<Vec<u64>>,
}

impl Naps {
    /// From now on whoever sleeps sleeps on.
    pub fn hold(&self) {
        self.hold.store(true, Ordering::SeqCst);
    }

    pub async fn reach(&self, count: usize) {
        self.taken.subscribe().wait_for(|taken| taken.len() >= count).await.unwrap();
    }

    /// How long everyone slept, in seconds.
    pub fn taken(&self) -> Vec<u64> {
        self.taken.send_replace(Vec::new())
    }

    pub fn step_wall(&self, millis: i64) {
        self.clock.step_wall(millis);
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Clock for Naps {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn boot(&self) -> BootTime {
        self.clock.boot()
    }
    fn sleep(&self, duration: Duration) -> Sleep {
        self.taken.send_modify(|taken| taken.push(duration.as_secs()));
        if !self.hold.load(Ordering::SeqCst) {
            self.clock.advance(duration);
        }
        self.clock.sleep(if self.hold.load(Ordering::SeqCst) { duration } else { Duration::ZERO })
    }
}

/// Gives the simulated Spotify's tokens, unless it is told to fail.
pub struct FakeTokens {
    spotify: SimulatedSpotify,
    journal: Journal,
    generation: AtomicI64,
    pub errors: Mutex<VecDeque<TokenError>>,
    pub rejections: Mutex<VecDeque<TokenError>>,
    pub needs: Mutex<Vec<Need>>,
    /// Whether the next one panics.
    pub panics: AtomicBool,
    /// Whether there is no login whose token could be measured.
    pub no_login: AtomicBool,
    /// Whether the app is held meanwhile, as by another user's 429.
    pub holds: AtomicBool,
    gate: Gate,
}

#[async_trait]
impl TokenSource for FakeTokens {
    async fn token(&self, _: UserId, need: Need) -> Result<Token, TokenError> {
        self.journal.note("token");
        self.needs.lock().unwrap().push(need);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "as the test wants it");
        if self.holds.swap(false, Ordering::SeqCst) {
            self.gate.hold(&"default".parse().unwrap(), None).await;
        }
        if let Some(error) = self.errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        Ok(Token {
            access_token: AccessToken::from(self.spotify.access_token("alice").unwrap()),
            expires_at: Timestamp::MAX,
            generation: Generation(self.generation.load(Ordering::SeqCst)),
        })
    }
    async fn rejected(&self, _: UserId, generation: Generation) -> Result<(), TokenError> {
        self.journal.note(format!("rejected {generation}"));
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.rejections.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
    async fn left(&self, _: UserId) -> Option<Duration> {
        self.journal.note("left");
        (!self.no_login.load(Ordering::SeqCst)).then_some(Duration::ZERO)
    }
}

/// Asks the simulated Spotify without a socket.
struct InProcess {
    spotify: SimulatedSpotify,
    journal: Journal,
}

#[async_trait]
impl Transport for InProcess {
    async fn get(&self, url: &str, token: &AccessToken) -> Result<Answer, NoAnswer> {
        let target = url.strip_prefix("https://spotify.example").unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.journal.note(path);
        let call = Call {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: Some(format!("Bearer {}", token.expose())),
            ..Call::default()
        };
        match self.spotify.answer(call).await {
            Sent::Whole(reply) => {
                let header =
                    |(name, value): &(String, String)| (name.parse().unwrap(), value.parse().unwrap());
                Ok(Answer {
                    status: StatusCode::from_u16(reply.status).unwrap(),
                    headers: reply.headers.iter().map(header).collect(),
                    body: Some(reply.body),
                })
            }
            Sent::Half(_) | Sent::Endless(..) | Sent::Cut => {
                Err(NoAnswer { seen: "the answer broke off", source: "cut".into() })
            }
        }
    }
}

pub struct Scene {
    pub spotify: SimulatedSpotify,
    pub clock: Arc<Naps>,
    /// SQLite, as it is.
    pub store: Arc<dyn Store>,
    /// What fails of it.
    pub faults: Arc<Watched<dyn Store, Faults>>,
    pub tokens: Arc<FakeTokens>,
    pub journal: Journal,
    pub archiver: Archiver,
    pub with: Dependencies,
    /// What the next run was reckoned from.
    pub ended: Arc<Mutex<Vec<Ended>>>,
    metrics: Arc<Metrics>,
    events: Receiver<Event>,
    _folder: tempfile::TempDir,
}

pub const LIMITS: Limits = Limits {
    concurrency: 2,
    min_interval: Duration::from_secs(20 * 60),
    max_interval: Duration::from_secs(3 * 3600),
    raw_journal: false,
};

/// When everyone is due after a run.
pub const NEXT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

impl Scene {
    pub async fn new() -> Self {
        let journal = Journal::default();
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let clock = Arc::new(Naps {
            clock: SimulatedClock::new(now),
            hold: AtomicBool::new(false),
            taken: watch::Sender::default(),
        });
        let spotify = SimulatedSpotify::in_process(Options { clock: clock.clone(), ..Options::default() });
        spotify.register_app(App::pkce("app"));
        spotify.grant("alice", "app", &["user-read-recently-played", "user-top-read"]);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
        let store = crate::store::open(&url, clock.clone()).unwrap();
        let faults = Arc::new(Watched { store: store.clone(), watcher: Faults::new(journal.clone()) });
        let events = Events::new(clock.clone());
        let gate = Gate::new(clock.clone(), faults.clone(), events.clone());
        let tokens = Arc::new(FakeTokens {
            spotify: spotify.clone(),
            journal: journal.clone(),
            generation: AtomicI64::new(1),
            errors: Mutex::default(),
            rejections: Mutex::default(),
            needs: Mutex::default(),
            panics: AtomicBool::new(false),
            no_login: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            gate: gate.clone(),
        });
        let metrics = Arc::new(Metrics::new());
        let with = Dependencies {
            tokens: tokens.clone(),
            store: faults.clone(),
            gate,
            client: Client::over(InProcess { spotify: spotify.clone(), journal: journal.clone() }),
            clock: clock.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
            jitter: Arc::new(|| 0.0),
            owner: Owner(uuid::Uuid::from_u128(1)),
            random: Arc::new(Random::seeded(1)),
        };
        let (archiver, events) = (Archiver::new(with.clone(), LIMITS), events.listen());
        let scene = Self {
            spotify,
            clock,
            store,
            faults,
            tokens,
            journal,
            archiver,
            with,
            ended: Arc::default(),
            metrics,
            events,
            _folder: folder,
        };
        assert_eq!(scene.add("alice").await, scene.who().id);
        scene
    }

    /// Another user of the store.
    pub async fn add(&self, name: &str) -> UserId {
        let (name, app) = (name.parse().unwrap(), self.who().app);
        self.store.put_user(&NewUser { name, app, schedule: None, timezone: None }).await.unwrap().id
    }

    /// A scene in which the top artists were fetched just now.
    pub async fn without_top() -> Self {
        let scene = Self::new().await;
        scene.store.save_top_artists(scene.who().id, scene.clock.now(), &[]).await.unwrap();
        scene
    }

    pub fn who(&self) -> Who {
        let ended = Arc::clone(&self.ended);
        Who {
            id: UserId(1),
            name: "alice".parse().unwrap(),
            app: "default".parse().unwrap(),
            api_url: "https://spotify.example/v1".to_owned(),
            longest_pause: LIMITS.max_interval,
            zone: chrono_tz::UTC,
            next_run: Arc::new(move |how| {
                ended.lock().unwrap().push(*how);
                Some(NEXT)
            }),
        }
    }

    pub async fn run(&self) -> Outcome {
        self.archiver.archive(self.who(), Trigger::Schedule).await.unwrap()
    }

    /// Waits until nobody works.
    pub async fn idle(&self) {
        while !self.archiver.0.flights().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Lets the next so many requests for the page meet a fault.
    pub fn fault(&self, fault: Fault, times: u32) {
        self.spotify.inject(Injection::new(Endpoint::Recent, fault).times(times));
    }

    pub fn token_errors(&self, error: &TokenError, times: usize) {
        self.tokens.errors.lock().unwrap().extend(std::iter::repeat_n(error.clone(), times));
    }

    /// Events that came since it was last asked.
    pub fn told(&mut self) -> Vec<(EventKind, String)> {
        std::iter::from_fn(|| self.events.try_recv().ok().map(|event| (event.kind, event.message))).collect()
    }

    /// The value of a series.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render(&UsersSeen::default());
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
    }

    pub async fn user(&self) -> User {
        self.store.user(&self.who().name).await.unwrap().unwrap()
    }

    /// The runs of a user, oldest first, as the store has them.
    pub async fn runs_of(&self, user: UserId) -> Vec<Run> {
        let mut runs = self.store.runs(user, 100).await.unwrap();
        runs.reverse();
        runs
    }

    /// How alice's ended.
    pub async fn results(&self) -> Vec<Option<RunResult>> {
        self.runs_of(self.who().id).await.iter().map(|run| run.result).collect()
    }

    /// Lets whoever wants something of the store have it: it does this many times over, one thing after the other.
    pub async fn let_others_work(&self) {
        for _ in 0..20 {
            self.store.probe().await.unwrap();
        }
    }
}
