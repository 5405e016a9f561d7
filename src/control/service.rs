//! What the local API does. The daemon serves it on its socket; where no daemon runs, a command has one of its own on
//! the store. Scheduled and manual runs meet here, and are the same.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::archive::Archiver;
use crate::clock::Clock;
use crate::config::{AppSettings, Settings};
use crate::domain::{EventKind, Origin, Owner, Timestamp, UserName};
use crate::oauth::Transport;
use crate::random::Random;
use crate::schedule::Scheduler;
use crate::spotify::{Client, Gate};
use crate::store::{NewUser, Store};
use crate::telemetry::{Events, Metrics, Note};
use crate::tokens::{Spool, TokenKeeper, Vault};

use super::api::{Problem, Word};
use super::attention::Attention;
use super::care::Caretaker;
use super::plan::Schedules;
use super::quota::share_quotas;
use super::roster::{Known, Roster};
use super::tally::LastTally;

/// How long the refresh actor may take to hear that longplay stops.
const ACTOR_HEARS: Duration = Duration::from_secs(5);
/// How long runs may take to come to their end when longplay stops.
const RUNS_END: Duration = Duration::from_secs(3);
/// How long the store may take to close.
const STORE_CLOSES: Duration = Duration::from_secs(1);

/// What a service works with.
pub struct Parts {
    /// The archive.
    pub store: Arc<dyn Store>,
    /// The refresh actor.
    pub tokens: TokenKeeper,
    /// Runs.
    pub archiver: Archiver,
    /// When users run; `None` where nothing is scheduled.
    pub scheduler: Option<Scheduler>,
    /// The apps' gates.
    pub gate: Gate,
    /// The Web API.
    pub client: Client,
    /// The token endpoint.
    pub transport: Arc<dyn Transport>,
    /// Seals.
    pub vault: Arc<Vault>,
    /// Where answers are kept.
    pub spool: Arc<dyn Spool>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<Random>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub events: Events,
    /// Which state directory.
    pub owner: Owner,
}

/// The service; clones share it.
#[derive(Clone)]
pub struct Service(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub parts: Parts,
    pub since: Timestamp,
    settings: RwLock<Arc<Settings>>,
    roster: Mutex<Roster>,
    pub schedules: Schedules,
    /// One reading of the changes at a time.
    pub refreshing: tokio::sync::Mutex<()>,
    /// What is wrong, by what it is about; shown until it is mended.
    problems: Mutex<std::collections::BTreeMap<&'static str, Vec<String>>>,
    pub caretaker: OnceLock<Arc<dyn Caretaker>>,
    /// Runs that nobody waits for.
    soon: TaskTracker,
    /// Logins that are being taken: each spends what a person gave, a code or a refresh token.
    logins: TaskTracker,
    /// Copies of the store that are being made, or given up.
    pub copies: TaskTracker,
    pub stopping: AtomicBool,
    applying: tokio::sync::Mutex<()>,
    owes: AtomicBool,
    /// Whether the default schedule or zone is another since the next runs were reckoned.
    reckon: AtomicBool,
    /// Until when, by the store's clock, what others did is known; `None`: from the start on.
    pub(super) caught_up: tokio::sync::Mutex<Option<Timestamp>>,
    pub tally: tokio::sync::Mutex<LastTally>,
    pub attention: Attention,
}

impl Service {
    /// Over its parts; knows nobody yet.
    pub fn new(parts: Parts, settings: Arc<Settings>) -> Self {
        let since = parts.clock.now();
        let tally = LastTally::new(parts.events.listen());
        Self(Arc::new(Inner {
            parts,
            since,
            settings: RwLock::new(settings),
            roster: Mutex::default(),
            schedules: Schedules::default(),
            refreshing: tokio::sync::Mutex::default(),
            problems: Mutex::default(),
            caretaker: OnceLock::new(),
            soon: TaskTracker::new(),
            logins: TaskTracker::new(),
            copies: TaskTracker::new(),
            stopping: AtomicBool::new(false),
            applying: tokio::sync::Mutex::default(),
            owes: AtomicBool::new(false),
            reckon: AtomicBool::new(false),
            caught_up: tokio::sync::Mutex::default(),
            tally: tokio::sync::Mutex::new(tally),
            attention: Attention::default(),
        }))
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts().clock.now()
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.0.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is wrong with one thing; nothing: it is well.
    pub fn set_problems(&self, about: &'static str, problems: Vec<String>) {
        self.set_problems_as(EventKind::Problem, about, problems);
    }

    /// The same, told as that kind of event; true where there was something to tell.
    pub(super) fn set_problems_as(
        &self,
        kind: EventKind,
        about: &'static str,
        problems: Vec<String>,
    ) -> bool {
        let mut all = self.0.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.insert(about, problems.clone()).unwrap_or_default();
        drop(all);
        let news: Vec<String> = problems.into_iter().filter(|problem| !known.contains(problem)).collect();
        let any = !news.is_empty();
        for news in news {
            // A store that is away is tried again by itself; of all else a person must know.
            let note = Note { passes: about == "store", ..Note::default() };
            self.parts().events.tell(kind, note, news);
        }
        any
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> Vec<String> {
        let all = self.0.problems.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().flatten().cloned().collect()
    }

    /// Takes new settings into use: apps, schedules, limits, and the users of the files. What fails half-way is owed: see
    /// [`Service::settle_debt`].
    pub async fn apply(&self, settings: Arc<Settings>) -> Result<(), Problem> {
        let defaults =
            |settings: &Settings| (settings.archive.schedule.to_string(), settings.archive.timezone);
        if defaults(&settings) != defaults(&self.settings()) {
            self.0.reckon.store(true, Ordering::SeqCst);
        }
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.owe();
        self.settle_debt().await
    }

    /// Notes that the settings in force were not wholly taken into use.
    pub fn owe(&self) {
        self.0.owes.store(true, Ordering::SeqCst);
    }

    /// Whether the settings in force were not wholly taken into use.
    pub fn owes(&self) -> bool {
        self.0.owes.load(Ordering::SeqCst)
    }

    /// Takes the settings in force into use, one at a time and always the newest.
    pub async fn settle_debt(&self) -> Result<(), Problem> {
        let _one = self.0.applying.lock().await;
        let (parts, settings) = (self.parts(), self.settings());
        parts.archiver.set_limits(limits(&settings));
        parts.tokens.configure(settings.apps.clone(), settings.tokens.clone()).await;
        parts.gate.load(settings.apps.keys()).await?;
        share_quotas(&parts.gate, &settings);
        self.take_file_users(&settings).await?;
        // Everyone anew: defaults may have changed.
        self.take_in_everyone(self.0.reckon.load(Ordering::SeqCst)).await?;
        if Arc::ptr_eq(&settings, &self.settings()) {
            self.0.owes.store(false, Ordering::SeqCst);
            self.0.reckon.store(false, Ordering::SeqCst);
        }
        self.retry_blocked();
        Ok(())
    }

    /// Makes the users of this daemon's files exactly those of the settings.
    pub async fn take_file_users(&self, settings: &Settings) -> Result<(), Problem> {
        let users: Vec<NewUser> = settings
            .users
            .iter()
            .map(|(name, user)| NewUser {
                name: name.clone(),
                app: user.app.clone(),
                schedule: user.schedule.clone(),
                timezone: user.timezone.clone(),
            })
            .collect();
        let parts = self.parts();
        let changes = parts.store.sync_file_users(parts.owner, &users).await?;
        for (names, kind, what) in [
            (&changes.added, EventKind::UserAdded, "is declared by a file"),
            (&changes.removed, EventKind::UserRemoved, "left the files: the archive stays"),
        ] {
            for name in names {
                let note = Note { user: Some(name.clone()), ..Note::default() };
                parts.events.tell(kind, note, format!("{name} {what}"));
            }
        }
        Ok(())
    }

    /// The active user of this name.
    pub(super) async fn find(&self, name: &UserName) -> Result<Arc<Known>, Problem> {
        if let Some(user) = self.roster().find(name) {
            return Ok(user);
        }
        // Another program may just have added them.
        self.refresh_users().await?;
        self.roster().find(name).ok_or_else(|| Problem::unknown_user(name))
    }

    /// The app of a user, or why there is none.
    pub(super) fn app_of(&self, user: &Known) -> Result<AppSettings, Problem> {
        self.settings().apps.get(&*user.app).cloned().ok_or_else(|| no_app(user))
    }

    /// The same for whoever needs no more than to know that it is there.
    pub(super) fn has_app(&self, user: &Known) -> Result<(), Problem> {
        if self.settings().apps.contains_key(&*user.app) { Ok(()) } else { Err(no_app(user)) }
    }

    /// Does something that nobody waits for, but for [`Service::settle`].
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.soon.spawn(work);
    }

    /// Lets the actor look after the grants that need it without being asked.
    pub async fn wake_troubled(&self) -> Result<(), Problem> {
        for user in self.parts().store.troubled_users().await? {
            self.parts().tokens.reread(user).await;
        }
        Ok(())
    }

    /// The store can be written again: refreshes that waited for it may start.
    pub async fn store_is_back(&self) {
        self.parts().tokens.store_is_back().await;
    }

    /// Held by whoever takes a login, from before anything is spent until the login is saved: a stop waits for it.
    pub(super) fn taking_login(&self) -> Result<TaskTrackerToken, Problem> {
        let taking = self.0.logins.token();
        // Either this is seen, or the stop sees what is held.
        if self.0.stopping.load(Ordering::SeqCst) {
            return Err(crate::tokens::TokenError::Stopped.into());
        }
        // Nor does a copy miss it.
        self.unless_shut()?;
        Ok(taking)
    }

    /// How many logins are being taken.
    pub fn logins_under_way(&self) -> usize {
        self.0.logins.len()
    }

    async fn logins_taken(&self) {
        self.0.logins.close();
        self.0.logins.wait().await;
    }

    /// Waits for logins under way, and for the runs that nobody else waits for.
    pub async fn settle(&self) {
        self.logins_taken().await;
        self.0.soon.close();
        self.0.soon.wait().await;
    }

    /// Starts nothing new, finishes every refresh and login under way within `drain`, and closes the store. True where
    /// nothing was left behind.
    pub async fn finish(&self, drain: Duration) -> bool {
        self.0.stopping.store(true, Ordering::SeqCst);
        let parts = self.parts();
        // An actor that hangs starts nothing either.
        let _ = tokio::time::timeout(ACTOR_HEARS, parts.tokens.start_nothing_new()).await;
        if let Some(scheduler) = &parts.scheduler {
            scheduler.stop().await;
        }
        // A login is the actor's to save.
        let last = async {
            self.0.copies.close();
            self.0.copies.wait().await;
            self.logins_taken().await;
            parts.tokens.stop().await;
        };
        let (runs, last) = tokio::join!(
            tokio::time::timeout(RUNS_END, parts.archiver.stop()),
            tokio::time::timeout(drain, last)
        );
        // What is not given back stays counted: a few calls of a day.
        let _ = tokio::time::timeout(STORE_CLOSES, parts.gate.ledger().close()).await;
        let closed = tokio::time::timeout(STORE_CLOSES, parts.store.close()).await;
        runs.is_ok() && last.is_ok() && closed.is_ok()
    }

    /// Suspends or lets go on; `None`: everyone.
    pub async fn set_paused(&self, name: Option<&UserName>, paused: bool) -> Result<(), Problem> {
        self.unless_moving()?;
        let user = match name {
            Some(name) => Some(self.find(name).await?),
            None => None,
        };
        self.parts().store.set_paused(user.as_ref().map(|user| user.id), paused).await?;
        let (kind, what) =
            if paused { (EventKind::Paused, "paused") } else { (EventKind::Resumed, "resumed") };
        let whom = name.map_or("everyone".to_owned(), ToString::to_string);
        let note = Note { user: name.cloned(), ..Note::default() };
        self.parts().events.tell(kind, note, format!("{whom} {what}"));
        self.refresh_users().await
    }

    /// Refuses a change of a user that a file declares, naming the file.
    pub(super) fn not_of_a_file(&self, user: &Known) -> Result<(), Problem> {
        if user.origin != Origin::File {
            return Ok(());
        }
        let settings = self.settings();
        let file =
            settings.users.get(&user.name).map_or("another daemon's configuration", |u| u.file.as_str());
        let detail = format!(
            "{} is declared in {file}, and the file wins: change it there, then `longplay reload`",
            user.name
        );
        Err(Problem::new(Word::FileUser, 409, detail))
    }
}

fn no_app(user: &Known) -> Problem {
    let app = &user.app;
    Problem::new(Word::Blocked, 409, format!("app {app} is not configured: add [apps.{app}] and reload"))
}

/// What the settings say of runs.
pub fn limits(settings: &Settings) -> crate::archive::Limits {
    crate::archive::Limits {
        concurrency: settings.archive.concurrency,
        min_interval: settings.archive.min_interval,
        max_interval: settings.archive.max_interval,
        raw_journal: settings.archive.raw_journal_days > 0,
    }
}
