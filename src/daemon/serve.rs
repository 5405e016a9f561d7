//! `longplay serve`, in order: configuration, log, state directory and lock, socket, tasks, store, READY. A store that
//! can't be reached degrades the daemon and is tried again.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{Faults, Place, Settings};
use crate::control::socket::{self, SocketError};
use crate::domain::{Timestamp, UserId, said};
use crate::random::Random;
use crate::schedule::{Scheduler, StartError};
use crate::telemetry::{Events, Log, Metrics};
use crate::web;

use super::core::{Current, Ground};
use super::door::Door;
use super::lifecycle::{self, Life};
use super::state::{StateDir, StateError};
use super::upkeep::{STORE_PATIENCE, Upkeep};
use super::{notify, reload};

/// How long another longplay's lock is waited for: a command may hold it for an operation.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why the daemon ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is faulty.
    #[error(transparent)]
    Configuration(#[from] Faults),
    /// The configuration does not fit the store: its key, its schema, its owner.
    #[error("{0}")]
    Unfit(String),
    /// The state directory can't be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// The socket can't be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The scheduler can't be started.
    #[error(transparent)]
    Scheduler(#[from] StartError),
    /// A task of the daemon's own ended.
    #[error("{0} ended: the daemon can't go on without it")]
    TaskEnded(&'static str),
    /// Signals can't be heard, or something else that the host denies.
    #[error("{0}")]
    Host(String),
}

/// Runs until it is told to stop.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub async fn serve(place: Place, settings: Settings, log: Log) -> Result<(), ServeError> {
    let signals =
        lifecycle::signals().map_err(|e| ServeError::Host(format!("signals can't be heard: {e}")))?;
    let (clock, random) = (Arc::new(SystemClock) as Arc<dyn Clock>, Arc::new(Random::host()));
    let settings = Arc::new(settings);
    // A daemon that answers will not let go of the lock.
    socket::refuse_live(&settings.control.socket)?;
    let state = StateDir::lock(&settings.store.state_dir, LOCK_PATIENCE, &*clock, &random).await?;
    let listener = socket::bind(&settings.control.socket)?;
    let store = crate::store::open(settings.store.url.expose_secret(), Arc::clone(&clock))
        .map_err(|e| ServeError::Unfit(e.to_string()))?;
    let ground = Ground {
        events: Events::new(Arc::clone(&clock)),
        metrics: Arc::new(Metrics::new()),
        outside: Arc::new(state),
        settings: Current::new(Arc::clone(&settings)),
        store,
        clock,
        random,
    };
    ground.metrics.started(ground.clock.now());
    let stop = CancellationToken::new();
    let door = Door::new();
    let (fire, room) = firing(&door);
    let scheduler = Scheduler::start(Arc::clone(&ground.clock), fire, room).await?;
    let reload = reload::start(place, &ground, door.clone(), log);
    let served = socket::serve(listener, door.router(reload.clone()), stop.clone());
    let mut servers = vec![("the control socket", tokio::spawn(served))];
    let mut page_problem = None;
    if let Some(address) = settings.web.listen {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let page = web::router(door.router(reload.clone()), settings.web.password.clone(), address);
                servers.push(("the page", tokio::spawn(socket::serve(listener, page, stop.clone()))));
            }
            Err(error) => {
                let cure = "choose another address or \"\", and restart";
                let problem = format!("web.listen {address} can't be had ({error}): {cure}");
                tracing::warn!("{problem}");
                page_problem = Some(problem);
            }
        }
    }
    let clock = Arc::clone(&ground.clock);
    let upkeep = Upkeep::new(ground, door.clone(), stop.clone(), scheduler.clone(), page_problem);
    upkeep.reach_store(STORE_PATIENCE).await.map_err(|error| ServeError::Unfit(said(&error)))?;
    let status = upkeep.status_line().await;
    notify::ready(&status);
    tracing::info!("ready: {status}");
    let looks = CancellationToken::new();
    upkeep.start(&looks);
    upkeep.start_status(&looks);
    let outcome = Life { clock, door, stop, looks, scheduler, servers, reload }.run(signals).await;
    // Left behind it would only be replaced at the next start.
    let _ = std::fs::remove_file(&settings.control.socket);
    outcome
}

/// What the schedule does: it fires into whatever is behind the door, which says how many more it takes.
pub(super) fn firing(door: &Door) -> (impl Fn(UserId, Timestamp) + use<>, impl Fn() -> usize + use<>) {
    let (opened, room) = (door.clone(), door.clone());
    let fire = move |user, due| {
        if let Some(core) = opened.core() {
            tokio::spawn(async move { core.service.run_due(user, due).await });
        }
    };
    (fire, move || room.core().map_or(0, |core| core.service.room()))
}
