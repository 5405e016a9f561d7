//! What outlives every process: Spotify, the store's rows, the spool's files, true time; and what is known of everyone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longplay::clock::{Clock as _, PausedClock};
use longplay::config::{
    AppSettings, ArchiveSettings, Auth, ControlSettings, LogSettings, RefreshMode, Settings, StoreSettings,
    TokenKey, TokenSettings, WebSettings,
};
use longplay::domain::{AppName, Owner, Schedule, Timestamp, UserId, UserName};
use longplay::sim::{App, Call, Options, Rotation, SimulatedSpotify};
use longplay::store::{MemoryStore, Snapshot};
use longplay::tokens::{SpoolFiles, Vault};
use tokio::sync::Notify;
use uuid::Uuid;

use super::calendar::{Calendar, HOUR, MINUTE};
use super::dice::Dice;
use super::history::History;
use super::holds::Hold;
use super::time::TrueClock;
use super::{APP_SIZE, START, Setup, listening};

pub const SCOPES: [&str; 2] = ["user-read-recently-played", "user-top-read"];
pub const GRACE: Duration = Duration::from_secs(600);
pub const KEY: [u8; 32] = [7; 32];

/// A stretch in which something was wrong.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    pub from: Timestamp,
    pub to: Timestamp,
    pub why: &'static str,
}

/// Where the newest refresh token of a user is that Spotify has issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// In the spool, or in the store since the login.
    Durable,
    /// Spotify has committed it; nobody has heard of it.
    Unheard(Timestamp),
    /// The process has the answer in its hands.
    Delivered(Timestamp),
    /// The process ended before it could keep the answer.
    DiedWithIt(Timestamp),
    /// The disk refused the answer, and the store does not have it yet.
    Unspooled,
    /// The disk refused the answer; the store has it since then.
    StoredOnly(Timestamp),
}

/// Of what something is a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOf {
    Refresh,
    Run,
}

pub struct Person {
    pub name: UserName,
    pub account: String,
    pub app: usize,
    pub rotation: Rotation,
    pub hourly: bool,
    /// When each play ended, and from when on Spotify shows it.
    pub plays: Vec<(Timestamp, Timestamp)>,
    pub id: Option<UserId>,
    pub under_way: u32,
    pub newest: Newest,
    pub revoked: bool,
    /// Since when the login is truly dead, and why that could not be helped.
    pub dead: Option<(Timestamp, &'static str)>,
    pub dead_requests: u32,
    pub troubles: Vec<Trouble>,
    /// The token that Spotify refused last, though it was good, in this life of the process.
    pub refused: Option<(String, Timestamp)>,
    /// Faults that met a request for this user.
    pub met: Vec<Trouble>,
    /// When the page was asked for that the run under way has.
    pub page_at: Option<Timestamp>,
    /// When pages were shown that are stored.
    pub pages: Vec<Timestamp>,
    pub failures: Vec<(Timestamp, String)>,
}

/// A token request on its way to Spotify's commit; it gets there whatever becomes of who sent it.
pub struct Flight {
    pub commit_at: Timestamp,
    pub call: Call,
    pub who: Option<usize>,
    pub fate: super::network::Fate,
}

pub struct State {
    pub people: Vec<Person>,
    pub names: HashMap<String, usize>,
    pub accounts: HashMap<String, usize>,
    pub ids: HashMap<UserId, usize>,
    pub history: History,
    pub calendar: Calendar,
    /// What was found that should not be.
    pub found: Vec<String>,
    /// Of everyone, and of apps.
    pub troubles: Vec<Trouble>,
    pub app_troubles: Vec<Vec<Trouble>>,
    /// Single calls of the store that failed.
    pub blips: Vec<Trouble>,
    pub troubled_until: Timestamp,
    pub flights: BTreeMap<u64, Flight>,
    pub next_flight: u64,
    pub spotify_down: Timestamp,
    pub false_grants: Timestamp,
    pub store_down: Timestamp,
    pub snapshot: Option<Snapshot>,
    pub rolled_back: Timestamp,
    /// What 429s have told the process, by app.
    pub holds: BTreeMap<usize, Hold>,
    /// The process ends at so many steps of this kind from here.
    pub armed: Option<(StepOf, usize)>,
    pub suspended: Timestamp,
    /// By how many milliseconds the host's wall clock is ahead, and when it last stepped.
    pub ahead: i64,
    pub stepped: Timestamp,
    /// What the process left for the next one, until the host boots.
    pub clock_note: Option<String>,
    pub lives: u64,
    pub steps: u64,
}

pub struct World {
    pub setup: Setup,
    pub clock: Arc<TrueClock>,
    pub spotify: SimulatedSpotify,
    pub store: Arc<MemoryStore>,
    pub files: SpoolFiles,
    pub vault: Arc<Vault>,
    pub settings: Arc<Settings>,
    pub owner: Owner,
    pub crash: Notify,
    pub network: Dice,
    pub disk: Dice,
    pub chance: Dice,
    pub programs: Dice,
    state: Mutex<State>,
}

impl World {
    pub fn new(setup: Setup, history: History) -> Self {
        let clock = Arc::new(TrueClock::new(START));
        let options = Options { clock: clock.clone(), seed: setup.seed, ..Options::default() };
        let spotify = SimulatedSpotify::in_process(options);
        let mut state = State {
            people: Vec::new(),
            names: HashMap::new(),
            accounts: HashMap::new(),
            ids: HashMap::new(),
            history,
            calendar: Calendar::draw(&setup),
            found: Vec::new(),
            troubles: Vec::new(),
            blips: Vec::new(),
            troubled_until: START,
            app_troubles: vec![Vec::new(); setup.users.div_ceil(APP_SIZE)],
            flights: BTreeMap::new(),
            next_flight: 0,
            spotify_down: START,
            false_grants: START,
            store_down: START,
            snapshot: None,
            rolled_back: START - HOUR * 24,
            holds: BTreeMap::new(),
            armed: None,
            suspended: START - HOUR * 24,
            ahead: 0,
            stepped: START - HOUR * 24,
            clock_note: None,
            lives: 0,
            steps: 0,
        };
        let dice = Dice::new(setup.seed, 2);
        for number in 0..setup.users {
            let app = number / APP_SIZE;
            let rotation = rotation(app);
            if number % APP_SIZE == 0 {
                let redirect = "http://127.0.0.1:8467/callback";
                spotify
                    .register_app(App::pkce(&format!("client{app}")).redirect(redirect).rotation(rotation));
            }
            let account = format!("account{number}");
            let plays = listening::draw(&setup, number);
            spotify.listen(&account, plays.iter().cloned());
            state.names.insert(format!("user{number}"), number);
            state.accounts.insert(account.clone(), number);
            state.people.push(Person {
                name: format!("user{number}").parse().expect("a good name"),
                account,
                app,
                rotation,
                hourly: dice.hits(super::HOURLY),
                plays: plays.iter().map(|listen| (listen.play.played_at, listen.visible_at)).collect(),
                id: None,
                under_way: 0,
                newest: Newest::Durable,
                revoked: false,
                dead: None,
                dead_requests: 0,
                troubles: Vec::new(),
                refused: None,
                met: Vec::new(),
                page_at: None,
                pages: Vec::new(),
                failures: Vec::new(),
            });
        }
        let store = MemoryStore::new(clock.clone());
        Self {
            settings: Arc::new(settings(setup.users.div_ceil(APP_SIZE))),
            vault: Arc::new(Vault::new(store.deployment(), &TokenKey::new(KEY), None)),
            store: Arc::new(store),
            owner: Owner(Uuid::from_u128(1)),
            files: SpoolFiles::default(),
            crash: Notify::new(),
            network: Dice::new(setup.seed, 3),
            disk: Dice::new(setup.seed, 4),
            chance: Dice::new(setup.seed, 5),
            programs: Dice::new(setup.seed, 6),
            state: Mutex::new(state),
            setup,
            clock,
            spotify,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether anything may go wrong now.
    pub fn is_rough(&self) -> bool {
        let now = self.now();
        now < self.state().calendar.calm_from && now > START + HOUR
    }

    pub fn note(&self, what: &str, more: std::fmt::Arguments<'_>) {
        let now = self.now();
        self.state().history.note(now, what, more);
    }

    /// Something that must not be.
    pub fn found(&self, what: &str) {
        self.note("FOUND", format_args!("{what}"));
        let now = self.now();
        self.state().found.push(format!("{now} {what}"));
    }

    /// Something was wrong for everyone.
    pub fn trouble(&self, from: Timestamp, to: Timestamp, why: &'static str) {
        let mut state = self.state();
        state.troubled_until = state.troubled_until.max(to);
        state.troubles.push(Trouble { from, to, why });
    }

    /// A fault that met this user.
    pub fn met(&self, who: Option<usize>, long: Duration, why: &'static str) {
        let from = self.now();
        self.note(why, format_args!("{who:?}"));
        if let Some(who) = who {
            self.state().people[who].met.push(Trouble { from, to: from + long, why });
        }
    }

    /// A step at which the process may end.
    pub async fn step(&self, of: StepOf, what: &str) {
        let ends = {
            let mut state = self.state();
            state.steps += 1;
            match &mut state.armed {
                Some((armed, 1)) if *armed == of => {
                    state.armed = None;
                    true
                }
                Some((armed, left)) if *armed == of => {
                    *left -= 1;
                    false
                }
                _ => false,
            }
        };
        if ends {
            self.note("crash", format_args!("{what}"));
            self.crash.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Steps the host's wall clock.
    pub fn step_clock(&self, host: &PausedClock, by: i64) {
        let now = self.now();
        host.step_wall(by);
        self.note("clock stepped", format_args!("{by}"));
        let mut state = self.state();
        (state.ahead, state.stepped) = (state.ahead + by, now);
        if by > 0 {
            // A hold is reckoned by the wall clock, which a restart leaves as it is.
            state.holds.clear();
        }
        let while_wrong = Duration::from_millis(by.unsigned_abs()) + MINUTE * 3;
        state.troubles.push(Trouble { from: now, to: now + while_wrong, why: "the clock stepped" });
    }
}

/// Each kind of provider in turn.
fn rotation(app: usize) -> Rotation {
    match app % 6 {
        0 => Rotation::Never,
        1 => Rotation::Rotate,
        2 => Rotation::RotateWithGrace(GRACE),
        3 => Rotation::Null,
        4 => Rotation::Same,
        _ => Rotation::Empty,
    }
}

fn settings(apps: usize) -> Settings {
    let app = |number: usize| {
        let name: AppName = format!("app{number}").parse().expect("a good name");
        let grace = matches!(rotation(number), Rotation::RotateWithGrace(_));
        let app = AppSettings {
            name: name.clone(),
            client_id: format!("client{number}"),
            auth: Auth::Pkce,
            redirect_uri: "http://127.0.0.1:8467/callback".to_owned(),
            authorize_url: "https://accounts.example/authorize".to_owned(),
            token_url: "https://accounts.example/api/token".to_owned(),
            api_url: "https://api.example/v1".to_owned(),
            rotation_grace: if grace { GRACE } else { Duration::ZERO },
            login_lifetime: Some(6),
            calls_per_day: 1_000_000,
            quota_group: "default".to_owned(),
        };
        (name, app)
    };
    let state_dir = std::path::PathBuf::from("/nowhere");
    Settings {
        store: StoreSettings { url: "sqlite:///nowhere/longplay.db".into(), state_dir: state_dir.clone() },
        apps: (0..apps).map(app).collect(),
        tokens: TokenSettings {
            buffer: super::BUFFER,
            refresh: RefreshMode::Ahead,
            concurrency: 8,
            key: Some(TokenKey::new(KEY)),
            old_key: None,
        },
        archive: ArchiveSettings {
            schedule: Schedule::Adaptive,
            timezone: chrono_tz::Tz::UTC,
            min_interval: MINUTE * 20,
            max_interval: HOUR * 3,
            raw_journal_days: 0,
            import_threshold: Duration::from_secs(30),
            concurrency: 16,
        },
        control: ControlSettings { socket: state_dir.join("socket"), state_dir },
        web: WebSettings { listen: None, password: None },
        log: LogSettings { level: "info".to_owned() },
        users: BTreeMap::new(),
        shown: Vec::new(),
    }
}
