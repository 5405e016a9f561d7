//! What the daemon looks at from time to time: the store's coming and going, users that other programs add, the clock,
//! logins that end, what has had its time; and the status line that tells of it.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::kept_since;
use crate::clock::BootTime;
use crate::control::Service;
use crate::control::api::Problem;
use crate::domain::{AppName, EventKind, said};
use crate::schedule::Scheduler;
use crate::tokens::WRONG_CLOCK;

use super::core::{Core, CoreError, Ground, offer};
use super::door::Door;
use super::heard;
use super::key;
use super::notify;
use super::status;

mod store;

/// How often the store, the users, the clock and the status are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long the store is waited for before READY, and at a look while it was never reached. It goes on being opened.
/// Longer than PostgreSQL gets for a connection, so that the reason is told which that ends with.
pub(super) const STORE_PATIENCE: Duration = Duration::from_secs(6);
/// Events and runs are kept for so long.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3_600);
/// How often the logins' ends are looked at.
const LOGINS: Duration = Duration::from_secs(300);
/// How often what has had its time is forgotten.
const PRUNE: Duration = Duration::from_secs(3_600);
/// A clock that was set back by more makes every time that was reckoned doubtful.
const SET_BACK: i64 = 60_000;

/// So many events are kept in one commit.
const EVENTS_AT_ONCE: usize = 500;

/// What is looked after, and what was seen last. Each look is a job of the scheduler's: one that hangs holds up no other.
pub struct Upkeep {
    ground: Ground,
    door: Door,
    stop: CancellationToken,
    scheduler: Scheduler,
    page_problem: Option<String>,
    /// The store's opening, while it is under way.
    opening: tokio::sync::Mutex<Option<JoinHandle<Result<Core, CoreError>>>>,
    store_was_away: Arc<AtomicBool>,
    /// When the logins' ends were looked at.
    logins_seen: Mutex<Option<BootTime>>,
    /// By how many milliseconds the wall clock was ahead of the boot clock when last looked at.
    ahead: Mutex<Option<i64>>,
}

impl Upkeep {
    /// Before anything was looked at. `page_problem`: why the page is not served.
    pub fn new(
        ground: Ground,
        door: Door,
        stop: CancellationToken,
        scheduler: Scheduler,
        page_problem: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            ground,
            door,
            stop,
            scheduler,
            page_problem,
            opening: tokio::sync::Mutex::default(),
            store_was_away: Arc::default(),
            logins_seen: Mutex::new(None),
            ahead: Mutex::new(None),
        })
    }

    /// Looks at everything from now on, as jobs of the scheduler, until `end`.
    pub fn start(self: &Arc<Self>, end: &CancellationToken) {
        self.every("store", LOOK, end, |upkeep| async move { upkeep.look_at_store().await });
        self.every("daemons", key::NOTE, end, |upkeep| async move { upkeep.tell_others().await });
        self.with_core("users", LOOK, end, |upkeep, service| async move {
            upkeep.look_at_users(&service).await;
        });
        self.with_core("clock", LOOK, end, |upkeep, service| async move {
            look_at_clock(&service).await;
            upkeep.look_for_a_step(&service).await;
        });
        self.with_core("claims", Service::RENEW, end, |_, service| async move {
            told("the claims of runs are not renewed", service.renew_claims().await);
        });
        self.with_core("sweep", Service::SWEEP, end, |_, service| async move {
            told("overdue runs are not looked for", service.sweep().await);
        });
        self.with_core("logins", LOOK, end, |upkeep, service| async move {
            upkeep.look_at_logins(&service).await;
        });
        self.with_core("prune", PRUNE, end, |upkeep, _| async move { upkeep.prune().await });
    }

    /// Tells systemd how things are, from now on.
    pub fn start_status(self: &Arc<Self>, end: &CancellationToken) {
        self.every("status", LOOK, end, |upkeep| async move { upkeep.tell_status().await });
        let (upkeep, end) = (Arc::clone(self), end.clone());
        let (events, clock) = (self.ground.events.listen(), Arc::clone(&self.ground.clock));
        tokio::spawn(async move {
            let told = status::after_events(events, &*clock, || upkeep.tell_status());
            let _ = end.run_until_cancelled(told).await;
        });
    }

    fn every<F>(
        self: &Arc<Self>,
        name: &'static str,
        period: Duration,
        end: &CancellationToken,
        look: impl Fn(Arc<Self>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (upkeep, end) = (Arc::clone(self), end.clone());
        self.scheduler.every(name, period, move || {
            let (look, end) = (look(Arc::clone(&upkeep)), end.clone());
            async move {
                // Cut off at the end: no look harms anything when it is dropped in the middle.
                let _ = end.run_until_cancelled(look).await;
            }
        });
    }

    /// A look that needs the service.
    fn with_core<F>(
        self: &Arc<Self>,
        name: &'static str,
        period: Duration,
        end: &CancellationToken,
        look: impl Fn(Arc<Self>, Service) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.every(name, period, end, move |upkeep| {
            let work = upkeep.door.core().map(|core| look(upkeep, core.service.clone()));
            async move {
                if let Some(work) = work {
                    work.await;
                }
            }
        });
    }

    /// Tries to reach the store and to build the core on it; a store that does not answer degrades the daemon. Patience
    /// ends the waiting alone: what is under way goes on, since a migration takes as long as it takes.
    ///
    /// # Errors
    /// What does not mend itself: a key or a schema that is not right.
    pub async fn reach_store(&self, patience: Duration) -> Result<(), CoreError> {
        let mut opening = self.opening.lock().await;
        let task = opening.get_or_insert_with(|| {
            let (ground, scheduler) = (self.ground.clone(), self.scheduler.clone());
            tokio::spawn(async move { Core::build(&ground, Some(scheduler)).await })
        });
        let Ok(ended) = tokio::time::timeout(patience, task).await else {
            let why = match self.ground.store.is_migrating() {
                true => "the store is being migrated; nothing is refreshed or archived until that is done",
                false => "the store does not answer; it is tried again",
            };
            self.degrade(why, true);
            return Ok(());
        };
        *opening = None;
        match ended {
            Ok(Ok(core)) => self.open(core).await,
            Ok(Err(error)) if error.passes() => {
                self.degrade(&format!("{}; it is tried again", said(&error)), true);
            }
            Ok(Err(error)) => return Err(error),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => tracing::debug!("the store's opening was cut off by the end"),
            },
        }
        Ok(())
    }

    /// What passes by itself is no error.
    fn degrade(&self, why: &str, passes: bool) {
        let mut problems = vec![why.to_owned()];
        problems.extend(self.page_problem.clone());
        if self.door.why() != problems {
            match passes {
                true => tracing::warn!("degraded: {why}"),
                false => tracing::error!("degraded: {why}"),
            }
        }
        self.door.closed(problems);
    }

    async fn open(&self, core: Core) {
        let service = core.service.clone();
        service.set_problems("page", self.page_problem.clone().into_iter().collect());
        keep_events(&service, &self.ground);
        // Whoever asks first already finds the users of the files.
        let taken = service.take_file_users(&service.settings()).await;
        self.door.open(core, self.stop.clone());
        let started = async {
            taken?;
            // A reload may have come while this was being built.
            let current = self.ground.settings.get();
            if !Arc::ptr_eq(&current, &service.settings()) {
                service.apply(current).await?;
            }
            service.take_back().await?;
            service.refresh_users().await?;
            service.retry_blocked();
            service.wake_troubled().await
        };
        if let Err(problem) = started.await {
            service.owe();
            self.store_is_away(&service, &problem);
        }
        let (store, clock) = (Arc::clone(&self.ground.store), Arc::clone(&self.ground.clock));
        heard::start(service, store, clock, Arc::clone(&self.store_was_away));
    }

    /// How things are, in words.
    pub async fn status_line(&self) -> String {
        status::line(&self.door, self.ground.clock.now()).await
    }

    async fn tell_status(&self) {
        notify::status(&self.status_line().await);
    }

    async fn look_at_users(&self, service: &Service) {
        if self.store_was_away.load(Ordering::SeqCst) {
            return;
        }
        let looked = async {
            service.refresh_users().await?;
            service.catch_up().await
        };
        if let Err(problem) = looked.await {
            self.store_is_away(service, &problem);
        }
    }

    /// A clock that was set back leaves the next runs as far in the future as it was ahead: all are reckoned anew.
    async fn look_for_a_step(&self, service: &Service) {
        let clock = &self.ground.clock;
        let boot = i64::try_from(clock.boot().0.as_millis()).unwrap_or(i64::MAX);
        let ahead = clock.now().as_millis().saturating_sub(boot);
        let before = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(back) = before.map(|before| before - ahead).filter(|back| *back > SET_BACK) {
            if let Err(problem) = service.take_in_everyone(true).await {
                // The next look finds the same step.
                return self.store_is_away(service, &problem);
            }
            tracing::warn!("the clock was set back by {} s: the next runs are reckoned anew", back / 1_000);
        }
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
    }

    async fn look_at_logins(&self, service: &Service) {
        let now = self.ground.clock.boot();
        let seen = || self.logins_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen().is_some_and(|at| now.since(at) < LOGINS) {
            return;
        }
        match service.look_at_ending_logins().await {
            Ok(()) => *seen() = Some(now),
            Err(problem) => tracing::debug!("logins are not looked at: {}", problem.detail),
        }
    }

    async fn prune(&self) {
        let (now, days) = (self.ground.clock.now(), self.ground.settings.get().archive.raw_journal_days);
        if let Err(error) = self.ground.store.prune_raw_pages(kept_since(now, days)).await {
            tracing::warn!("old pages of the raw journal are not forgotten: {}", said(&error));
        }
        if let Err(error) = self.ground.store.prune(self.ground.clock.now() - KEEP).await {
            tracing::warn!("what has had its time is not forgotten: {}", said(&error));
        }
    }
}

/// A look that failed is made again; what a store that is away means is told elsewhere.
fn told(what: &str, outcome: Result<(), Problem>) {
    if let Err(problem) = outcome {
        tracing::warn!("{what}: {}", problem.detail);
    }
}

async fn look_at_clock(service: &Service) {
    let Ok(health) = service.tokens_health().await else { return };
    let wrong = |(app, skew): (&AppName, &i64)| {
        let (by, way) = (skew.abs() / 1_000, if *skew > 0 { "ahead of" } else { "behind" });
        (skew.abs() > WRONG_CLOCK).then(|| {
            format!("this host's clock is {by} s {way} the one of app {app}'s provider: set it right (timedatectl)")
        })
    };
    service.set_problems("clock", health.skew.iter().filter_map(wrong).collect());
}

/// Keeps events of note in the store: those that came during one commit go with the next.
fn keep_events(service: &Service, ground: &Ground) {
    let (mut events, store) = (service.events(), Arc::clone(&ground.store));
    tokio::spawn(async move {
        loop {
            let mut kept = Vec::new();
            match events.recv().await {
                Ok(event) => kept.push(event),
                Err(RecvError::Lagged(missed)) => tracing::warn!("{missed} events are not kept"),
                Err(RecvError::Closed) => return,
            }
            while kept.len() < EVENTS_AT_ONCE {
                match events.try_recv() {
                    Ok(event) => kept.push(event),
                    Err(TryRecvError::Lagged(missed)) => tracing::warn!("{missed} events are not kept"),
                    Err(_) => break,
                }
            }
            kept.retain(|event| event.kind != EventKind::TokenRefreshed);
            if kept.is_empty() {
                continue;
            }
            if let Err(error) = store.add_events(&kept).await {
                tracing::debug!("{} events are not kept: {}", kept.len(), said(&error));
            }
        }
    });
}

#[cfg(test)]
mod tests;
