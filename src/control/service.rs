//! What the local API does. The daemon serves it on its socket; where no daemon runs, a command has one of its own on
//! the store. Scheduled and manual runs meet here, and are the same.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use crate::archive::{Archiver, Outcome};
use crate::clock::Clock;
use crate::config::{AppSettings, Faults, Settings};
use crate::domain::{EventKind, Origin, Owner, RunResult, Timestamp, Trigger, User, UserId, UserName};
use crate::oauth::Transport;
use crate::random::Random;
use crate::schedule::Scheduler;
use crate::spotify::{ApiError, Client, Gate};
use crate::store::{NewUser, Store};
use crate::telemetry::{Events, Metrics, Note};
use crate::tokens::{Member, Need, Spool, TokenKeeper, TokenSource as _, Vault};
use tokio_util::task::TaskTracker;

use super::api::{Archived, Problem, Reloaded};
use super::roster::{Plan, Roster};

/// After a rate limit's end the users of an app come back spread over this.
const AFTER_HOLD: Duration = Duration::from_secs(30);
/// How soon a user that Spotify refuses (403) is looked at again.
const BLOCKED_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// How long runs may take to come to their end when longplay stops.
const RUNS_END: Duration = Duration::from_secs(3);
/// How long the store may take to close.
const STORE_CLOSES: Duration = Duration::from_secs(1);

/// What reloads the configuration; the daemon's. `None`: it is stopping.
pub type Reload =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Result<Reloaded, Faults>>> + Send>> + Send + Sync>;

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
    /// One reading of the changes at a time.
    refreshing: tokio::sync::Mutex<()>,
    /// What is wrong, by what it is about; shown until it is mended.
    problems: Mutex<std::collections::BTreeMap<&'static str, Vec<String>>>,
    pub reload: OnceLock<Reload>,
    /// Runs that nobody waits for.
    soon: TaskTracker,
    stopping: AtomicBool,
}

impl Service {
    /// Over its parts; knows nobody yet.
    pub fn new(parts: Parts, settings: Arc<Settings>) -> Self {
        let since = parts.clock.now();
        Self(Arc::new(Inner {
            parts,
            since,
            settings: RwLock::new(settings),
            roster: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            problems: Mutex::default(),
            reload: OnceLock::new(),
            soon: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// Sets what reloads the configuration.
    pub fn on_reload(&self, reload: Reload) {
        // Set once, by whoever starts the service.
        let _ = self.0.reload.set(reload);
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
        let mut all = self.0.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.insert(about, problems.clone()).unwrap_or_default();
        drop(all);
        for news in problems.into_iter().filter(|problem| !known.contains(problem)) {
            self.parts().events.tell(EventKind::Problem, Note::default(), news);
        }
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> Vec<String> {
        let all = self.0.problems.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().flatten().cloned().collect()
    }

    /// Takes new settings into use: apps, schedules, limits, and the users of the files.
    pub async fn apply(&self, settings: Arc<Settings>) -> Result<(), Problem> {
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        let parts = self.parts();
        parts.gate.load(settings.apps.keys()).await?;
        parts.archiver.set_limits(limits(&settings));
        parts.tokens.configure(settings.apps.clone(), settings.tokens.clone()).await;
        self.take_file_users(&settings).await?;
        // Everyone anew: defaults may have changed.
        self.take_in(true).await?;
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

    /// Takes in who was added, changed or removed, by whichever program.
    pub async fn refresh_users(&self) -> Result<(), Problem> {
        self.take_in(false).await
    }

    async fn take_in(&self, everyone: bool) -> Result<(), Problem> {
        let _one = self.0.refreshing.lock().await;
        let since = if everyone { 0 } else { self.roster().upto };
        let changes = self.parts().store.users_changed(since).await?;
        let (settings, now) = (self.settings(), self.now());
        let mut faults = changes.refused;
        for user in changes.users {
            self.roster().put(user.clone());
            let member =
                Member { id: user.id, name: user.name.clone(), app: user.app.clone(), paused: user.paused };
            if !user.active {
                self.parts().tokens.remove(user.id).await;
                self.unschedule(user.id);
                continue;
            }
            self.parts().tokens.members(vec![member]).await;
            let (plan, fault) = Plan::of(&user, &settings);
            faults.extend(fault);
            if user.paused {
                self.unschedule(user.id);
            } else {
                let next = plan.resume(user.next_run_at, now, settings.archive.max_interval);
                match user.next_run_at == Some(next) {
                    true => self.plan_run(user.id, next).await,
                    false => self.run_at(user.id, next).await,
                }
            }
        }
        self.roster().upto = changes.upto;
        if since == 0 || !faults.is_empty() {
            self.set_problems("users", faults);
        }
        Ok(())
    }

    fn unschedule(&self, user: UserId) {
        if let Some(scheduler) = &self.parts().scheduler {
            scheduler.remove(user);
        }
    }

    async fn plan_run(&self, user: UserId, at: Timestamp) {
        if let Some(scheduler) = &self.parts().scheduler {
            scheduler.set(user, at);
            self.parts().tokens.run_due(user, Some(at)).await;
        }
    }

    /// Puts the user's next run on record and into the schedule.
    pub(super) async fn run_at(&self, user: UserId, at: Timestamp) {
        if let Err(error) = self.parts().store.set_next_run(user, Some(at)).await {
            tracing::warn!("the next run of user {} is not on record: {error}", user.0);
        }
        self.plan_run(user, at).await;
    }

    /// The active user of this name.
    pub(super) async fn find(&self, name: &UserName) -> Result<User, Problem> {
        if let Some(user) = self.roster().find(name) {
            return Ok(user.clone());
        }
        // Another program may just have added them.
        self.refresh_users().await?;
        self.roster().find(name).cloned().ok_or_else(|| Problem::unknown_user(name))
    }

    /// The app of a user, or why there is none.
    pub(super) fn app_of(&self, user: &User) -> Result<AppSettings, Problem> {
        self.settings().apps.get(&user.app).cloned().ok_or_else(|| {
            let app = &user.app;
            Problem::new("blocked", 409, format!("app {app} is not configured: add [apps.{app}] and reload"))
        })
    }

    /// Runs now and waits.
    pub async fn archive(&self, name: &UserName) -> Result<Archived, Problem> {
        let user = self.find(name).await?;
        if user.paused {
            return Err(crate::tokens::TokenError::Paused.into());
        }
        let outcome = self.run(&user, Trigger::Manual).await?;
        if outcome.result.archived() {
            let Outcome { result, reason, new_plays, gaps, .. } = outcome;
            return Ok(Archived { result, reason, new_plays, gaps });
        }
        Err(Problem::of_run(outcome, self.now()))
    }

    /// A run that is due.
    pub async fn run_due(&self, id: UserId, due: Timestamp) {
        let Some(user) = self.roster().get(id).cloned() else { return };
        if user.paused {
            return;
        }
        self.parts().metrics.run_late(self.now().since(due));
        if let Err(problem) = self.run(&user, Trigger::Schedule).await {
            tracing::warn!(user = %user.name, "no run: {}", problem.detail);
            self.run_at(id, self.now() + self.settings().archive.max_interval).await;
        }
    }

    /// A run for whatever reason; then the next one is planned.
    pub(super) async fn run(&self, user: &User, trigger: Trigger) -> Result<Outcome, Problem> {
        let app = self.app_of(user)?;
        let settings = self.settings();
        let (plan, _) = Plan::of(user, &settings);
        let who = plan.who(user, &app, self.now(), settings.archive.max_interval);
        let outcome = self.parts().archiver.archive(who, trigger).await;
        if !self.0.stopping.load(Ordering::Relaxed) {
            self.run_at(user.id, self.next_after(&outcome, &plan)).await;
        }
        Ok(outcome)
    }

    /// Does something that nobody waits for, but for [`Service::settle`].
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.soon.spawn(work);
    }

    /// Archives a new login at once, without anyone waiting for it.
    pub(super) fn run_soon(&self, user: User) {
        let service = self.clone();
        self.spawn(async move {
            let mut outcome = service.run(&user, Trigger::Login).await;
            // It may have joined a run that still had the old login.
            if matches!(&outcome, Ok(outcome) if outcome.result == RunResult::NeedsLogin) {
                outcome = service.run(&user, Trigger::Login).await;
            }
            match outcome {
                Ok(outcome) if outcome.result.archived() => service.identify(&user).await,
                Ok(_) => {}
                Err(problem) => tracing::warn!(user = %user.name, "no run: {}", problem.detail),
            }
        });
    }

    /// Notes whose account a login is that came as a bare token, so that a renewal by another can be refused.
    async fn identify(&self, user: &User) {
        let parts = self.parts();
        let Ok(Some(grant)) = parts.store.grant(user.id).await else { return };
        let Ok(app) = self.app_of(user) else { return };
        if grant.account_id.is_some() || parts.gate.held_until(&app.name).is_some() {
            return;
        }
        let Ok(token) = parts.tokens.token(user.id, Need::default()).await else { return };
        parts.metrics.api_called(&app.name);
        let noted = match parts.client.me(&app.api_url, &token.access_token).await {
            Ok(account) => parts.store.set_account(user.id, grant.epoch, &account.id).await,
            Err(ApiError::RateLimited { retry_after, .. }) => {
                parts.gate.hold(&app.name, retry_after).await;
                return;
            }
            Err(error) => {
                return tracing::info!(user = %user.name, "whose account it is can't be told yet: {error}");
            }
        };
        if let Err(error) = noted {
            tracing::warn!(user = %user.name, "whose account it is could not be noted: {error}");
        }
    }

    /// Lets the actor look after the grants that need it without being asked.
    pub async fn wake_troubled(&self) -> Result<(), Problem> {
        for grant in self.parts().store.troubled_grants().await? {
            self.parts().tokens.reread(grant.user).await;
        }
        Ok(())
    }

    /// Waits for the runs that nobody else waits for.
    pub async fn settle(&self) {
        self.0.soon.close();
        self.0.soon.wait().await;
    }

    /// Starts nothing new, finishes every refresh under way within `drain`, and closes the store. True where nothing
    /// was left behind.
    pub async fn finish(&self, drain: Duration) -> bool {
        self.0.stopping.store(true, Ordering::Relaxed);
        let parts = self.parts();
        if let Some(scheduler) = &parts.scheduler {
            scheduler.stop().await;
        }
        let (runs, refreshes) = tokio::join!(
            tokio::time::timeout(RUNS_END, parts.archiver.stop()),
            tokio::time::timeout(drain, parts.tokens.stop())
        );
        let closed = tokio::time::timeout(STORE_CLOSES, parts.store.close()).await;
        runs.is_ok() && refreshes.is_ok() && closed.is_ok()
    }

    fn next_after(&self, outcome: &Outcome, plan: &Plan) -> Timestamp {
        let (now, settings) = (self.now(), self.settings());
        if let Some(at) = outcome.retry_at.filter(|at| *at > now) {
            return at + self.parts().random.upto(AFTER_HOLD);
        }
        let adaptive = match outcome.result {
            RunResult::Ok | RunResult::Partial => {
                outcome.look_again_in.unwrap_or(settings.archive.max_interval)
            }
            RunResult::NeedsLogin | RunResult::Blocked => settings.archive.max_interval,
            _ => settings.archive.min_interval,
        };
        let next = plan.schedule.next_after(now, plan.zone).unwrap_or(now + adaptive);
        match outcome.result {
            RunResult::Blocked => next.max(now + BLOCKED_PAUSE),
            _ => next,
        }
    }

    /// Suspends or lets go on; `None`: everyone.
    pub async fn set_paused(&self, name: Option<&UserName>, paused: bool) -> Result<(), Problem> {
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

    /// Loads the configuration again.
    pub async fn reload(&self) -> Result<Reloaded, Problem> {
        match self.0.reload.get() {
            Some(reload) => match reload().await {
                Some(outcome) => Ok(outcome?),
                None => Err(crate::tokens::TokenError::Stopped.into()),
            },
            None => Err(Problem::bad_request("no daemon runs: the next command reads the files anew")),
        }
    }

    /// Refuses a change of a user that a file declares, naming the file.
    pub(super) fn not_of_a_file(&self, user: &User) -> Result<(), Problem> {
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
        Err(Problem::new("file_user", 409, detail))
    }
}

/// What the settings say of runs.
pub fn limits(settings: &Settings) -> crate::archive::Limits {
    crate::archive::Limits {
        concurrency: settings.archive.concurrency,
        min_interval: settings.archive.min_interval,
        max_interval: settings.archive.max_interval,
    }
}
