//! One user's run: fetch the page, store the plays, find gaps, decide when to look again. The [`Archiver`] promises
//! that a user has at most one run at a time: who asks during one joins it, and gets its outcome.

mod claim;
pub mod coverage;
pub mod export;
mod fault;
mod flight;
pub mod import;
mod look;
pub mod overlap;
pub mod pace;
mod raw;
mod record;
mod replay;
mod run;
mod top;
pub mod unreadable;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::claim::Claims;
pub use self::claim::{Gone, Yielded};
use self::flight::{Flight, Waiting};
pub use self::raw::kept_since;
pub use self::replay::{ReplayError, Replayed};
use self::top::Tried;
use crate::clock::Clock;
use crate::domain::{AppName, Gap, Owner, RunId, RunResult, Timestamp, Trigger, UserId, UserName};
use crate::random::Random;
use crate::spotify::{Client, Gate};
use crate::store::Store;
use crate::telemetry::{Events, Metrics};
use crate::tokens::TokenSource;

/// How many runs that are due may wait for a place.
const MOST_WAITING: usize = 1_024;
/// How many users may be run or tried again at a time before those that are due wait in the schedule.
const MOST_RUNS: usize = 10_000;

/// Spreads waits: gives numbers from 0 to 1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What a run works with.
#[derive(Clone)]
pub struct Dependencies {
    /// Where access tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// The archive.
    pub store: Arc<dyn Store>,
    /// Whether an app may call.
    pub gate: Gate,
    /// The Web API.
    pub client: Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub events: Events,
    /// What spreads the waits of runs that failed together.
    pub jitter: Jitter,
    /// Whose claims are made.
    pub owner: Owner,
    /// What names them.
    pub random: Arc<Random>,
}

/// What the configuration says of runs (`[archive]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many runs work at once; those that wait to try again don't count.
    pub concurrency: usize,
    /// The least pause between two looks at an adaptive user.
    pub min_interval: Duration,
    /// The longest.
    pub max_interval: Duration,
    /// Whether Spotify's pages are kept as they come.
    pub raw_journal: bool,
}

/// What the time of the next run depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How the run went.
    pub result: RunResult,
    /// How long an adaptive user may wait for the next look; `None` where nothing was learnt.
    pub look_again_in: Option<Duration>,
    /// Until when calls are held.
    pub retry_at: Option<Timestamp>,
}

/// Says when a user is due after a run; `None` for one who is not to run. It is put on record with the run's end.
pub type NextRun = Arc<dyn Fn(&Ended) -> Option<Timestamp> + Send + Sync>;

/// Whom a run is for.
#[derive(Clone)]
pub struct Who {
    /// The store's number.
    pub id: UserId,
    /// The short name.
    pub name: UserName,
    /// The app of the user's login.
    pub app: AppName,
    /// That app's `api_url`.
    pub api_url: String,
    /// The longest time that the user's schedule leaves between two runs; adaptive: `max_interval`.
    pub longest_pause: Duration,
    /// Where the user lives.
    pub zone: Tz,
    /// When the user is due after the run.
    pub next_run: NextRun,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In a word.
    pub result: RunResult,
    /// Why, and the cure; `None` where all is well.
    pub reason: Option<String>,
    /// How many plays were new.
    pub new_plays: usize,
    /// Where plays may be missing that nobody knew of.
    pub gaps: Vec<Gap>,
    /// Which run it was; `None` where it never came on record.
    pub run: Option<RunId>,
    /// Until when calls are held.
    pub retry_at: Option<Timestamp>,
    /// When the user is due next, as it is on record where the store could be written.
    pub next_run_at: Option<Timestamp>,
}

/// What became of a run that was to be made.
type Landed = Result<Outcome, Yielded>;

impl Outcome {
    /// A run that was over before it began.
    pub(crate) fn never_begun(reason: &str) -> Self {
        Self {
            result: RunResult::Cancelled,
            reason: Some(reason.to_owned()),
            new_plays: 0,
            gaps: Vec::new(),
            run: None,
            retry_at: None,
            next_run_at: None,
        }
    }
}

/// Archives users; clones share their runs.
#[derive(Clone)]
pub struct Archiver(Arc<Shared>);

struct Shared {
    with: Dependencies,
    limits: Mutex<Limits>,
    permits: Semaphore,
    flights: Mutex<HashMap<UserId, Flight>>,
    claims: Claims,
    /// How many runs wait for their first place.
    waiting: AtomicUsize,
    tried: Tried,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Archiver {
    /// Without runs.
    pub fn new(with: Dependencies, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            with,
            limits: Mutex::new(limits),
            permits: Semaphore::new(limits.concurrency),
            flights: Mutex::default(),
            claims: Claims::default(),
            waiting: AtomicUsize::new(0),
            tried: Tried::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Runs, or joins the run under way, also another daemon's. The run goes on if the caller leaves.
    pub async fn archive(&self, who: Who, trigger: Trigger) -> Result<Outcome, Gone> {
        loop {
            match self.join_or_start(&who, trigger, None).await {
                Ok(outcome) => return Ok(outcome),
                Err(Yielded::Gone) => return Err(Gone),
                // It was one by schedule that was joined, and that was not made here.
                Err(Yielded::Later { .. }) => {}
            }
        }
    }

    /// Makes a run that was due then, unless another daemon does.
    pub async fn archive_due(&self, who: &Who, due: Timestamp) -> Result<Outcome, Yielded> {
        self.join_or_start(who, Trigger::Schedule, Some(due)).await
    }

    /// How many more runs that are due should be asked for: what is due keeps cheaper than what waits here.
    pub fn room(&self) -> usize {
        let waiting = MOST_WAITING.saturating_sub(self.0.waiting.load(Ordering::Relaxed));
        waiting.min(MOST_RUNS.saturating_sub(self.0.flights().len()))
    }

    /// Whether the user has a run, or one that waits for its place.
    pub fn is_busy_with(&self, user: UserId) -> bool {
        self.0.flights().contains_key(&user)
    }

    /// Sets new limits, for runs from now on.
    pub fn set_limits(&self, new: Limits) {
        let old = std::mem::replace(&mut *self.0.limits(), new);
        self.0.permits.add_permits(new.concurrency.saturating_sub(old.concurrency));
        let fewer = old.concurrency.saturating_sub(new.concurrency);
        let fewer = fewer - self.0.permits.forget_permits(fewer);
        if fewer > 0 {
            // The rest go when their runs give them back.
            let shared = Arc::clone(&self.0);
            self.0.tasks.spawn(async move {
                for _ in 0..fewer {
                    match shared.or_stop(shared.permits.acquire()).await {
                        Some(Ok(permit)) => permit.forget(),
                        _ => return,
                    }
                }
            });
        }
    }

    /// Starts nothing new, ends what only waits or calls, and returns when what is being stored is stored. A run that
    /// is on record ends as `cancelled`.
    pub async fn stop(&self) {
        {
            // No run comes between this and the wait.
            let _flights = self.0.flights();
            self.0.stop.cancel();
            self.0.tasks.close();
        }
        self.0.tasks.wait().await;
    }
}

impl Shared {
    fn flights(&self) -> MutexGuard<'_, HashMap<UserId, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes first: the end of this, or of the daemon (`None`). To be dropped in the middle must harm nothing.
    async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // Else a run that waits for a place gets that of one that was stopped, and begins.
            biased;
            () = self.stop.cancelled() => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests;
