//! When users run, and the daemon's own periodic work: what is due by the injected clock is handed to
//! tokio-cron-scheduler as jobs, comes back from its runner, and only then leaves the plan, so no firing is lost in it.
//! Users go by wall time; periodic work goes by boot time, so that a stepped clock neither stops nor floods it.

mod library;
mod plan;
pub mod spread;
mod times;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Instrument;

use self::library::Library;
use self::plan::{Job, Plan};
use crate::clock::{BootTime, Clock};
use crate::domain::{Timestamp, UserId};

/// How often the beat goes that [`Scheduler::last_tick`] tells of.
const BEAT: Duration = Duration::from_secs(1);

/// The library that ticks could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the scheduler")]
pub struct StartError(#[from] tokio_cron_scheduler::JobSchedulerError);

/// A handle to the schedule; clones share it.
#[derive(Clone)]
pub struct Scheduler {
    core: Arc<Core>,
    library: Option<Library>,
}

impl Scheduler {
    /// Starts tokio-cron-scheduler on an empty plan. `fire` gets each user who is due and the time they were due at; it
    /// must not block, and may be called from any thread. A fired user is not due again until [`Scheduler::set`].
    /// `room` says how many more may be fired now: whoever is due beyond that stays in the plan, which costs less than
    /// anything that waits elsewhere.
    pub async fn start(
        clock: Arc<dyn Clock>,
        fire: impl Fn(UserId, Timestamp) + Send + Sync + 'static,
        room: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let core = Core::new(clock, fire, room);
        let library = Library::start(Arc::clone(&core)).await?;
        Ok(Self { core, library: Some(library) })
    }

    /// The same without the library, which reads the wall clock and really sleeps: nothing happens but in
    /// [`Scheduler::tick`]. For simulated time.
    pub fn by_hand(
        clock: Arc<dyn Clock>,
        fire: impl Fn(UserId, Timestamp) + Send + Sync + 'static,
        room: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        Self { core: Core::new(clock, fire, room), library: None }
    }

    /// Does at once what is due by the clock: fires users in the order of their times, spawns periodic work.
    pub fn tick(&self) {
        for job in self.core.hand_out(usize::MAX) {
            if let Some(work) = self.core.deliver(job) {
                tokio::spawn(work);
            }
        }
    }

    /// Replaces the user's time.
    pub fn set(&self, user: UserId, at: Timestamp) {
        self.core.state().plan.set(user, at);
    }

    /// Forgets the user; a firing that has begun is not undone.
    pub fn remove(&self, user: UserId) {
        self.core.state().plan.remove(user);
    }

    /// The user's time; `None` once fired, or where none was set.
    pub fn next_for(&self, user: UserId) -> Option<Timestamp> {
        self.core.state().plan.next_for(user)
    }

    /// The earliest time of all users: what simulated time may jump to.
    pub fn next(&self) -> Option<Timestamp> {
        self.core.state().plan.next()
    }

    /// Does `work` every `period`, first a period from now, for as long as the scheduler runs. It never overlaps itself;
    /// a time that passes while it still runs, or while the host sleeps, is skipped, not made up.
    pub fn every<F>(&self, name: &'static str, period: Duration, work: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.core.every(name, period, work);
    }

    /// When a job last came through the whole path of tick, channel and runner. While all is well that is within two
    /// seconds, also when nobody is due; a watchdog should be content with ten, and expect that right after a suspend it
    /// is older until the next beat.
    pub fn last_tick(&self) -> BootTime {
        self.core.state().last_tick
    }

    /// Hands out nothing any more. A firing or work that has begun goes on.
    pub async fn stop(&self) {
        // They hold what they work on; dropped outside the lock, since that may come back here.
        let works = {
            let mut state = self.core.state();
            state.plan.stop();
            std::mem::take(&mut state.works)
        };
        drop(works);
        if let Some(library) = &self.library {
            library.stop().await;
        }
    }
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The plan with what is to be done: between the handle and whatever ticks.
struct Core {
    clock: Arc<dyn Clock>,
    fire: Box<dyn Fn(UserId, Timestamp) + Send + Sync>,
    room: Box<dyn Fn() -> usize + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    /// By the plan's number.
    works: Vec<Work>,
    last_tick: BootTime,
}

#[derive(Clone)]
struct Work {
    name: &'static str,
    begin: Arc<dyn Fn() -> Running + Send + Sync>,
}

impl Core {
    fn new(
        clock: Arc<dyn Clock>,
        fire: impl Fn(UserId, Timestamp) + Send + Sync + 'static,
        room: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State { plan: Plan::default(), works: Vec::new(), last_tick: clock.boot() };
        let core =
            Arc::new(Self { clock, fire: Box::new(fire), room: Box::new(room), state: Mutex::new(state) });
        core.every("beat", BEAT, || std::future::ready(()));
        core
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn every<F>(&self, name: &'static str, period: Duration, work: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let boot = self.clock.boot();
        let state = &mut *self.state();
        state.plan.add_work(period, boot);
        state.works.push(Work { name, begin: Arc::new(move || Box::pin(work())) });
    }

    fn hand_out(&self, at_most: usize) -> Vec<Job> {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let at_most = at_most.min((self.room)());
        self.state().plan.hand_out(now, boot, at_most)
    }

    /// Does a job that was handed out, once: fires the user, or returns the work to be awaited.
    fn deliver(self: &Arc<Self>, job: Job) -> Option<Running> {
        let boot = self.clock.boot();
        let mut state = self.state();
        let due = state.plan.claim(job, boot)?;
        state.last_tick = boot;
        match job {
            Job::User(user) => {
                // `fire` may come back here to set the next time.
                drop(state);
                (self.fire)(user, due);
                None
            }
            Job::Work(number) => {
                let work = state.works.get(number)?.clone();
                drop(state);
                let ended = WorkEnded { core: Arc::clone(self), number, name: work.name };
                let running = async move {
                    let _ended = ended;
                    (work.begin)().await;
                };
                Some(Box::pin(running.instrument(tracing::info_span!("periodic", work = work.name))))
            }
        }
    }
}

/// Lets the work be due again however it ended, by a panic too.
struct WorkEnded {
    core: Arc<Core>,
    number: usize,
    name: &'static str,
}

impl Drop for WorkEnded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(work = self.name, "periodic work panicked; it is tried again when next due");
        }
        self.core.state().plan.work_ended(self.number);
    }
}

#[cfg(test)]
mod tests;
