//! What the daemon looks at from time to time: the store's coming and going, users that other programs add, the clock,
//! logins that end, what has had its time; and the status line that tells of it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTime;
use crate::control::api::Problem;
use crate::control::{Reload, Service};
use crate::domain::{AppName, EventKind, Timestamp, said};
use crate::schedule::Scheduler;

use super::core::{Core, CoreError, Ground, offer};
use super::door::Door;
use super::heard;
use super::notify;
use super::status;

/// How long the store is waited for at a look, while it was never reached.
const STORE_PATIENCE: Duration = Duration::from_secs(30);
/// A clock that is wrong by more is a problem.
const WRONG_CLOCK: i64 = 30_000;
/// Events and runs are kept for so long.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3_600);
/// How often the logins' ends are looked at.
const LOGINS: Duration = Duration::from_secs(3_600);
/// How often what has had its time is forgotten.
const PRUNE: Duration = Duration::from_secs(24 * 3_600);

/// What is looked after, and what was seen last.
pub struct Upkeep {
    ground: Ground,
    door: Door,
    stop: CancellationToken,
    scheduler: Scheduler,
    reload: Reload,
    page_problem: Option<String>,
    store_was_away: bool,
    status: String,
    pruned: BootTime,
    logins_seen: Timestamp,
}

impl Upkeep {
    /// Before anything was looked at. `page_problem`: why the page is not served.
    pub fn new(
        ground: Ground,
        door: Door,
        stop: CancellationToken,
        scheduler: Scheduler,
        reload: Reload,
        page_problem: Option<String>,
    ) -> Self {
        let pruned = ground.clock.boot();
        // What fell into a day of standstill is told of again rather than not at all.
        let logins_seen = ground.clock.now() - PRUNE;
        Self {
            ground,
            door,
            stop,
            scheduler,
            reload,
            page_problem,
            store_was_away: false,
            status: String::new(),
            pruned,
            logins_seen,
        }
    }

    /// Tries to reach the store and to build the core on it; a store that does not answer degrades the daemon.
    ///
    /// # Errors
    /// What does not mend itself: a key or a schema that is not right.
    pub async fn reach_store(&mut self, patience: Duration) -> Result<(), CoreError> {
        let built = Core::build(&self.ground, Some(self.scheduler.clone()));
        match tokio::time::timeout(patience, built).await {
            Ok(Ok(core)) => self.open(core).await,
            Ok(Err(error)) if error.passes() => self.degrade(&format!("{}; it is tried again", said(&error))),
            Ok(Err(error)) => return Err(error),
            Err(_) => self.degrade("the store does not answer; it is tried again"),
        }
        Ok(())
    }

    fn degrade(&mut self, why: &str) {
        let mut problems = vec![why.to_owned()];
        problems.extend(self.page_problem.clone());
        if self.door.problems() != problems {
            tracing::error!("degraded: {why}");
        }
        self.door.closed(problems);
    }

    async fn open(&mut self, core: Core) {
        let service = core.service.clone();
        service.on_reload(Arc::clone(&self.reload));
        service.set_problems("page", self.page_problem.clone().into_iter().collect());
        keep_events(&service, &self.ground);
        heard::start(service.clone(), Arc::clone(&self.ground.store), Arc::clone(&self.ground.clock));
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
            service.refresh_users().await?;
            service.retry_blocked();
            service.wake_troubled().await
        };
        if let Err(problem) = started.await {
            self.store_is_away(&service, &problem);
        }
    }

    /// Looks at everything once.
    pub async fn look(&mut self) {
        match self.door.core() {
            Some(core) => {
                self.look_at_store(&core).await;
                look_at_clock(&core.service).await;
                self.look_at_logins(&core.service).await;
                self.prune().await;
            }
            // Once the daemon is READY a wrong key or schema is a problem that is shown, and no reason to end.
            None => {
                if let Err(error) = self.reach_store(STORE_PATIENCE).await {
                    self.degrade(&said(&error));
                }
            }
        }
        self.tell_status().await;
    }

    /// How things are, in words.
    pub async fn status_line(&self) -> String {
        status::line(&self.door, self.ground.clock.now()).await
    }

    async fn tell_status(&mut self) {
        let line = self.status_line().await;
        if line != self.status {
            notify::status(&line);
            tracing::info!("{line}");
            self.status = line;
        }
    }

    async fn look_at_store(&mut self, core: &Core) {
        let service = &core.service;
        if let Some(trouble) = self.ground.store.trouble() {
            // Shown until a look finds that nothing failed since; a write that succeeds ends it.
            service.set_problems("store", vec![format!("{trouble}; it is tried again")]);
            self.store_was_away = true;
            let _ = self.ground.store.probe().await;
            return;
        }
        let away = self.store_was_away || service.owes();
        let looked = match away {
            false => self.catch_up(service).await,
            true => self.welcome_store(core).await,
        };
        match looked {
            Ok(()) if away => {
                service.set_problems("store", Vec::new());
                self.store_was_away = false;
                tracing::info!("the store is within reach again");
            }
            Ok(()) => {}
            Err(problem) => self.store_is_away(service, &problem),
        }
    }

    async fn catch_up(&self, service: &Service) -> Result<(), Problem> {
        service.refresh_users().await?;
        service.catch_up().await
    }

    fn store_is_away(&mut self, service: &Service, problem: &Problem) {
        service.set_problems("store", vec![format!("{}; it is tried again", problem.detail)]);
        self.store_was_away = true;
    }

    /// The store may have come back without its last commits: the spool has them. Whatever could not be done meanwhile
    /// is done now.
    async fn welcome_store(&self, core: &Core) -> Result<(), Problem> {
        let service = &core.service;
        self.ground.store.probe().await?;
        let faults = offer(&core.exchange, &self.ground.store, &service.settings()).await?;
        service.set_problems("spool", faults);
        service.settle_debt().await?;
        service.wake_troubled().await
    }

    async fn look_at_logins(&mut self, service: &Service) {
        let now = self.ground.clock.now();
        if now.since(self.logins_seen) < LOGINS {
            return;
        }
        match service.tell_of_ending_logins(self.logins_seen, now).await {
            Ok(()) => self.logins_seen = now,
            Err(problem) => tracing::debug!("logins are not looked at: {}", problem.detail),
        }
    }

    async fn prune(&mut self) {
        let now = self.ground.clock.boot();
        if now.since(self.pruned) < PRUNE {
            return;
        }
        self.pruned = now;
        if let Err(error) = self.ground.store.prune(self.ground.clock.now() - KEEP).await {
            tracing::warn!("what has had its time is not forgotten: {}", said(&error));
        }
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

/// Keeps events of note in the store.
fn keep_events(service: &Service, ground: &Ground) {
    let (mut events, store) = (service.events(), Arc::clone(&ground.store));
    tokio::spawn(async move {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            match events.recv().await {
                Ok(event) if event.kind == EventKind::TokenRefreshed => {}
                Ok(event) => {
                    if let Err(error) = store.add_event(&event).await {
                        tracing::debug!("an event is not kept: {}", said(&error));
                    }
                }
                Err(RecvError::Lagged(missed)) => tracing::warn!("{missed} events are not kept"),
                Err(RecvError::Closed) => return,
            }
        }
    });
}
