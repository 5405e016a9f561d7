//! The daemon's life in one loop: signals, the watchdog, the status line, the store's coming and going, its own tasks,
//! reload and stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::BootTime;
use crate::config::{Faults, Place, Settings, load};
use crate::control::Service;
use crate::control::api::Reloaded;
use crate::domain::{EventKind, Timestamp, UserState};
use crate::telemetry::Note;

use super::core::{Core, Ground, offer};
use super::notify;
use super::serve::{Door, ServeError, build, unfit};

/// How often users, store and clock are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long an own task may take to answer the watchdog.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How old the schedule's last tick may be.
const TICK_WITHIN: Duration = Duration::from_secs(10);
/// How long refreshes under way are waited for at the end.
const DRAIN: Duration = Duration::from_secs(60);
/// How long connections get to end.
const HANG_UP: Duration = Duration::from_secs(1);
/// A clock that is wrong by more is a problem.
const WRONG_CLOCK: i64 = 30_000;
/// Events and runs are kept for so long.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3_600);
/// How often what has had its time is forgotten.
const PRUNE: Duration = Duration::from_secs(24 * 3_600);

/// What the loop owns.
pub(super) struct Life {
    place: Place,
    ground: Ground,
    door: Door,
    stop: CancellationToken,
    servers: Vec<(&'static str, JoinHandle<()>)>,
    core: Option<Core>,
    page_problem: Option<String>,
    reloads: mpsc::Receiver<oneshot::Sender<Result<Reloaded, Faults>>>,
    ask_reload: mpsc::Sender<oneshot::Sender<Result<Reloaded, Faults>>>,
    status: String,
    store_was_away: bool,
    pruned: BootTime,
}

/// The signals that the loop hears.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGHUP, SIGTERM, SIGINT])
}

impl Life {
    pub fn new(place: Place, ground: Ground, door: Door, stop: CancellationToken) -> Self {
        let (ask_reload, reloads) = mpsc::channel(1);
        let pruned = ground.clock.boot();
        Self {
            place,
            ground,
            door,
            stop,
            servers: Vec::new(),
            core: None,
            page_problem: None,
            reloads,
            ask_reload,
            status: String::new(),
            store_was_away: false,
            pruned,
        }
    }

    pub fn start_server(&mut self, name: &'static str, server: impl Future<Output = ()> + Send + 'static) {
        self.servers.push((name, tokio::spawn(server)));
    }

    pub fn set_page_problem(&mut self, problem: String) {
        tracing::warn!("{problem}");
        self.page_problem = Some(problem);
    }

    /// Tries the store until it is reached or `patience` ends; what can't mend itself ends the daemon.
    pub async fn reach_store(&mut self, patience: Duration) -> Result<(), ServeError> {
        match tokio::time::timeout(patience, build(&self.ground, &self.door)).await {
            Ok(Ok(core)) => self.open(core).await,
            Ok(Err(error)) if error.passes() => self.degrade(&said(&error)),
            Ok(Err(error)) => return Err(unfit(error)),
            Err(_) => self.degrade("the store does not answer"),
        }
        Ok(())
    }

    fn degrade(&mut self, why: &str) {
        let mut problems = vec![format!("{why}; it is tried again")];
        if self.door.problems() != problems {
            tracing::error!("degraded: {why}");
        }
        problems.extend(self.page_problem.clone());
        self.door.closed(problems);
        self.store_was_away = true;
    }

    async fn open(&mut self, core: Core) {
        let service = core.service.clone();
        let ask = self.ask_reload.clone();
        service.on_reload(Arc::new(move || {
            let ask = ask.clone();
            Box::pin(async move {
                let (reply, answer) = oneshot::channel();
                // The loop is gone only when the daemon stops.
                let _ = ask.send(reply).await;
                answer.await.unwrap_or_else(|_| Ok(Reloaded { needs_restart: Vec::new() }))
            })
        }));
        service.set_problems("page", self.page_problem.clone().into_iter().collect());
        keep_events(&service, &self.ground);
        self.door.open(service.clone(), self.stop.clone());
        let started = async {
            service.take_file_users(&self.ground.settings).await?;
            service.refresh_users().await?;
            service.retry_blocked();
            service.wake_troubled().await
        };
        if let Err(problem) = started.await {
            let problem: crate::control::api::Problem = problem;
            service.set_problems("store", vec![problem.detail]);
            self.store_was_away = true;
        }
        self.core = Some(core);
    }

    /// READY, and everything until the end.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), ServeError> {
        self.status = self.status_line().await;
        notify::ready(&self.status);
        tracing::info!("ready: {}", self.status);
        let ping = notify::watchdog().unwrap_or(LOOK).min(LOOK);
        let outcome = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Some(SIGHUP) => drop(self.reload().await),
                    _ => break Ok(()),
                },
                Some(reply) = self.reloads.recv() => {
                    let outcome = self.reload().await;
                    // Who asked may have left.
                    let _ = reply.send(outcome);
                }
                () = self.ground.clock.sleep(ping) => {
                    if let Err(error) = self.look().await {
                        break Err(error);
                    }
                }
            }
        };
        self.end(&mut signals).await;
        outcome
    }

    /// Whether everything lives; what changed meanwhile.
    async fn look(&mut self) -> Result<(), ServeError> {
        if let Some((name, _)) = self.servers.iter().find(|(_, task)| task.is_finished()) {
            return Err(ServeError::TaskEnded(name));
        }
        if self.core.as_ref().is_some_and(|core| core.actor.is_finished()) {
            return Err(ServeError::TaskEnded("the refresh actor"));
        }
        if self.answers().await {
            notify::alive();
        }
        match &self.core {
            Some(core) => {
                let service = core.service.clone();
                self.look_at_store(&service).await;
                self.look_at_clock(&service).await;
                self.prune().await;
            }
            None => {
                self.reach_store(LOOK).await?;
            }
        }
        let line = self.status_line().await;
        if line != self.status {
            notify::status(&line);
            self.status = line;
        }
        Ok(())
    }

    /// Whether the daemon's own tasks answer; a store or Spotify that doesn't is no reason to be restarted.
    async fn answers(&self) -> bool {
        let Some(core) = &self.core else { return true };
        let actor = tokio::time::timeout(ANSWER_WITHIN, core.service.tokens_health()).await;
        let ticked =
            core.service.last_tick().is_none_or(|at| self.ground.clock.boot().since(at) < TICK_WITHIN);
        if actor.is_err() {
            tracing::error!("the refresh actor does not answer");
        }
        if !ticked {
            tracing::error!("the schedule does not tick");
        }
        actor.is_ok() && ticked
    }

    async fn look_at_store(&mut self, service: &Service) {
        match service.refresh_users().await {
            Ok(()) if !self.store_was_away => {}
            Ok(()) => {
                let Some(core) = &self.core else { return };
                // It may have come back without its last commits: the spool has them.
                match offer(&core.exchange, &self.ground.store, &service.settings()).await {
                    Ok(faults) => {
                        service.set_problems("spool", faults);
                        if service.reread_everyone().await.is_ok() {
                            service.set_problems("store", Vec::new());
                            self.store_was_away = false;
                            tracing::info!("the store is within reach again");
                        }
                    }
                    Err(error) => service.set_problems("store", vec![said(&error)]),
                }
            }
            Err(problem) => {
                service.set_problems("store", vec![format!("{}; it is tried again", problem.detail)]);
                self.store_was_away = true;
            }
        }
    }

    async fn look_at_clock(&self, service: &Service) {
        let Ok(health) = service.tokens_health().await else { return };
        let wrong = |(app, skew): (&crate::domain::AppName, &i64)| {
            let (by, way) = (skew.abs() / 1_000, if *skew > 0 { "ahead of" } else { "behind" });
            (skew.abs() > WRONG_CLOCK).then(|| {
                format!("this host's clock is {by} s {way} the one of app {app}'s provider: set it right (timedatectl)")
            })
        };
        service.set_problems("clock", health.skew.iter().filter_map(wrong).collect());
    }

    async fn prune(&mut self) {
        let now = self.ground.clock.boot();
        if now.since(self.pruned) < PRUNE {
            return;
        }
        self.pruned = now;
        let store = Arc::clone(&self.ground.store);
        let older_than = self.ground.clock.now() - KEEP;
        tokio::spawn(async move {
            if let Err(error) = store.prune(older_than).await {
                tracing::warn!("what has had its time is not forgotten: {}", said(&error));
            }
        });
    }

    /// Loads everything and takes it into use; a fault changes nothing.
    async fn reload(&mut self) -> Result<Reloaded, Faults> {
        notify::reloading();
        let outcome = self.load_again().await;
        match &outcome {
            Ok(reloaded) => {
                let waits = match reloaded.needs_restart.is_empty() {
                    true => String::new(),
                    false => format!("; a restart is needed for {}", reloaded.needs_restart.join(", ")),
                };
                self.tell(EventKind::Reloaded, format!("the configuration was read again{waits}"));
                self.set_configuration_problems(Vec::new());
            }
            Err(faults) => {
                let lines = faults.0.iter().map(|fault| format!("the new configuration is refused: {fault}"));
                self.set_configuration_problems(lines.collect());
            }
        }
        self.status = self.status_line().await;
        notify::ready(&self.status);
        outcome
    }

    async fn load_again(&mut self) -> Result<Reloaded, Faults> {
        let place = self.place.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&place)).await;
        let mut new: Settings = loaded.map_err(|_| Faults(Vec::new()))??;
        let old = Arc::clone(&self.ground.settings);
        let needs_restart: Vec<String> = old.needs_restart(&new).into_iter().map(str::to_owned).collect();
        // What a reload can't change stays as it is, also in what is shown as in force.
        (new.store, new.control) = (old.store.clone(), old.control.clone());
        new.web.listen = old.web.listen;
        let new = Arc::new(new);
        self.ground.settings = Arc::clone(&new);
        if let Some(core) = &self.core
            && let Err(problem) = core.service.apply(new).await
        {
            core.service.set_problems("store", vec![problem.detail]);
            self.store_was_away = true;
        }
        Ok(Reloaded { needs_restart })
    }

    fn set_configuration_problems(&self, problems: Vec<String>) {
        match &self.core {
            Some(core) => core.service.set_problems("configuration", problems),
            None => problems.iter().for_each(|problem| tracing::error!("{problem}")),
        }
    }

    fn tell(&self, kind: EventKind, message: String) {
        self.ground.events.tell(kind, Note::default(), message);
    }

    /// "3 users: 2 ok, 1 must log in; last play 2 min ago".
    async fn status_line(&self) -> String {
        let Some(core) = &self.core else {
            return format!("degraded: {}", self.door.problems().join("; "));
        };
        let service = &core.service;
        let problems = service.problems();
        let mut line = match service.status(None).await {
            Ok(status) if status.users.is_empty() && service.settings().apps.is_empty() => {
                "no app is configured: add [apps.default] with your Spotify client_id, then reload".to_owned()
            }
            Ok(status) if status.users.is_empty() => "no users yet: run `longplay login NAME`".to_owned(),
            Ok(status) => {
                let states: Vec<UserState> = status.users.iter().map(|user| user.state).collect();
                let newest = self.ground.store.newest_play().await.ok().flatten();
                line(&states, newest, self.ground.clock.now())
            }
            Err(problem) => format!("degraded: {}", problem.detail),
        };
        if !problems.is_empty() && !line.starts_with("degraded") {
            line.push_str(&format!("; degraded: {}", problems.join("; ")));
        }
        line
    }

    /// Starts nothing new, finishes every refresh under way; a second signal hurries.
    async fn end(mut self, signals: &mut Signals) {
        let refreshing = match &self.core {
            Some(core) => core.service.tokens_health().await.map_or(0, |health| health.refreshing),
            None => 0,
        };
        let status = match refreshing {
            0 => "stopping".to_owned(),
            n => format!("stopping: {n} refreshes are being finished"),
        };
        notify::stopping(&status);
        tracing::info!("{status}");
        if let Some(core) = self.core.take() {
            let hurried = async {
                while let Some(signal) = signals.next().await {
                    if signal != SIGHUP {
                        return;
                    }
                }
            };
            let finished = core.service.finish(DRAIN);
            tokio::pin!(finished);
            let ping = notify::watchdog().unwrap_or(LOOK);
            tokio::pin!(hurried);
            loop {
                tokio::select! {
                    whole = &mut finished => {
                        if !whole {
                            tracing::warn!("stopped before everything was finished: the spool keeps what came");
                        }
                        break;
                    }
                    () = &mut hurried => {
                        tracing::warn!("a second signal: stopping without waiting for what is under way");
                        break;
                    }
                    () = self.ground.clock.sleep(ping) => notify::alive(),
                }
            }
        }
        self.stop.cancel();
        let hang_up = async {
            for (_, server) in self.servers {
                // It ended: how no longer matters.
                let _ = server.await;
            }
        };
        let _ = tokio::time::timeout(HANG_UP, hang_up).await;
    }
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

fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn line(states: &[UserState], newest: Option<Timestamp>, now: Timestamp) -> String {
    let count = |state| states.iter().filter(|s| **s == state).count();
    let parts: Vec<String> = [
        (UserState::Ok, "ok"),
        (UserState::NeedsLogin, "must log in"),
        (UserState::Waiting, "waiting"),
        (UserState::InDoubt, "in doubt"),
        (UserState::Blocked, "blocked"),
        (UserState::Paused, "paused"),
    ]
    .into_iter()
    .filter(|(state, _)| count(*state) > 0)
    .map(|(state, words)| format!("{} {words}", count(state)))
    .collect();
    let users = if states.len() == 1 { "user" } else { "users" };
    let play = newest.map_or("no plays yet".to_owned(), |at| format!("last play {} ago", age(now.since(at))));
    format!("{} {users}: {}; {play}", states.len(), parts.join(", "))
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "less than a minute".to_owned(),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_in_words() {
        let now = Timestamp::from_millis(10_000_000);
        let states = [UserState::Ok, UserState::NeedsLogin, UserState::Ok];
        let played = Some(now - Duration::from_secs(125));
        assert_eq!(line(&states, played, now), "3 users: 2 ok, 1 must log in; last play 2 min ago");
        assert_eq!(line(&[UserState::Paused], None, now), "1 user: 1 paused; no plays yet");
        assert_eq!(age(Duration::from_secs(59)), "less than a minute");
        assert_eq!(age(Duration::from_secs(47 * 3_600)), "47 h");
        assert_eq!(age(Duration::from_secs(50 * 3_600)), "2 days");
    }
}
