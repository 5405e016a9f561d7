//! The daemon's life in one loop: signals, the watchdog, its own tasks, and the end. It waits for nothing else: what
//! looks at the store is a job of the scheduler's, what loads files a task of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::schedule::Scheduler;

use super::door::Door;
use super::notify;
use super::reload::AskReload;
use super::serve::ServeError;

/// How often the daemon looks after its own tasks.
const LOOK: Duration = Duration::from_secs(5);
/// How long an own task may take to answer the watchdog.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How old the schedule's last tick may be.
const TICK_WITHIN: Duration = Duration::from_secs(10);
/// How long refreshes under way are waited for at the end.
const DRAIN: Duration = Duration::from_secs(60);
/// How long connections get to end.
const HANG_UP: Duration = Duration::from_secs(1);

/// What the loop owns.
pub struct Life {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The way to the service, once it stands.
    pub door: Door,
    /// Ends the servers.
    pub stop: CancellationToken,
    /// Ends what the daemon looks at.
    pub looks: CancellationToken,
    /// The schedule.
    pub scheduler: Scheduler,
    /// The servers, by name.
    pub servers: Vec<(&'static str, JoinHandle<()>)>,
    /// Asks for a reload.
    pub reload: AskReload,
}

/// The signals that the loop hears.
pub fn signals() -> io::Result<Signals> {
    Signals::new([SIGHUP, SIGTERM, SIGINT])
}

impl Life {
    /// Until the end, from READY on.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), ServeError> {
        let ping = notify::watchdog().unwrap_or(LOOK).min(LOOK);
        let mut due = self.clock.boot().0 + ping;
        let outcome = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Some(SIGHUP) => self.reload.ask_without_waiting(),
                    _ => break Ok(()),
                },
                () = self.clock.sleep(due.saturating_sub(self.clock.boot().0)) => {
                    due = self.clock.boot().0 + ping;
                    if let Some(name) = self.ended() {
                        break Err(ServeError::TaskEnded(name));
                    }
                    if self.answers().await {
                        notify::alive();
                    }
                }
            }
        };
        self.looks.cancel();
        self.end(&mut signals).await;
        outcome
    }

    /// A task of the daemon's own that is no more.
    fn ended(&self) -> Option<&'static str> {
        if self.reload.is_gone() {
            return Some("the reloading task");
        }
        if self.door.core().is_some_and(|core| core.actor.is_finished()) {
            return Some("the refresh actor");
        }
        self.servers.iter().find(|(_, task)| task.is_finished()).map(|(name, _)| *name)
    }

    /// Whether the daemon's own tasks answer; a store or Spotify that doesn't is no reason to be restarted.
    async fn answers(&self) -> bool {
        let Some(core) = self.door.core() else { return true };
        let actor = tokio::time::timeout(ANSWER_WITHIN, core.service.tokens_health()).await;
        let ticked = core.service.last_tick().is_none_or(|at| self.clock.boot().since(at) < TICK_WITHIN);
        if actor.is_err() {
            tracing::error!("the refresh actor does not answer");
        }
        if !ticked {
            tracing::error!("the schedule does not tick");
        }
        actor.is_ok() && ticked
    }

    /// Starts nothing new, finishes every refresh and login under way; a second signal hurries.
    async fn end(&mut self, signals: &mut Signals) {
        notify::stopping();
        let core = self.door.core();
        let (refreshes, logins) = match &core {
            Some(core) => {
                let health = tokio::time::timeout(ANSWER_WITHIN, core.service.tokens_health()).await;
                let refreshes = health.map_or(0, |health| health.map_or(0, |health| health.refreshing));
                (refreshes, core.service.logins_under_way())
            }
            None => (0, 0),
        };
        let status = match (refreshes, logins) {
            (0, 0) => "stopping".to_owned(),
            (1, 0) => "stopping: a refresh is being finished".to_owned(),
            (n, 0) => format!("stopping: {n} refreshes are being finished"),
            (0, 1) => "stopping: a login is being finished".to_owned(),
            (n, logins) => format!("stopping: {n} refreshes and {logins} logins are being finished"),
        };
        notify::status(&status);
        tracing::info!("{status}");
        if core.is_none() {
            self.scheduler.stop().await;
        }
        if let Some(core) = core {
            let finished = core.service.finish(DRAIN);
            tokio::pin!(finished);
            let ping = notify::watchdog().unwrap_or(LOOK);
            loop {
                tokio::select! {
                    whole = &mut finished => {
                        if !whole {
                            tracing::warn!("stopped before everything was finished: the spool keeps what came");
                        }
                        if core.service.logins_under_way() > 0 {
                            tracing::warn!("a login was not finished: whoever gave it must log in again");
                        }
                        break;
                    }
                    signal = signals.next() => if signal != Some(SIGHUP) {
                        tracing::warn!("a second signal: stopping without waiting for what is under way");
                        break;
                    },
                    () = self.clock.sleep(ping) => notify::alive(),
                }
            }
        }
        self.stop.cancel();
        let hang_up = async {
            for (_, server) in &mut self.servers {
                // It ended: how no longer matters.
                let _ = server.await;
            }
        };
        let _ = tokio::time::timeout(HANG_UP, hang_up).await;
    }
}
