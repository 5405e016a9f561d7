//! `longplay serve`, in order: configuration, log, state directory and lock, socket, tasks, store, READY. A store that
//! can't be reached degrades the daemon and is tried again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::clock::{Clock, SystemClock};
use crate::config::{Faults, Place, Settings};
use crate::control::api::{Health, Problem};
use crate::control::socket::{self, SocketError};
use crate::control::{Service, routes};
use crate::random::Random;
use crate::schedule::{Scheduler, StartError};
use crate::telemetry::{Events, Log, Metrics};
use crate::web;

use super::core::{Core, CoreError, Ground};
use super::lifecycle::{self, Life};
use super::state::{StateDir, StateError};

/// How long another longplay's lock is waited for: a command may hold it for an operation.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How long the store is waited for before READY.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

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
        state: Arc::new(state),
        settings: Arc::clone(&settings),
        store,
        clock,
        random,
    };
    let stop = CancellationToken::new();
    let door = Door::new();
    let mut life = Life::new(place, ground, door.clone(), stop.clone(), log);
    life.start_server("the control socket", socket::serve(listener, door.router(), stop.clone()));
    if let Some(address) = settings.web.listen {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let page = web::router(door.router(), settings.web.password.clone(), address);
                life.start_server("the page", socket::serve(listener, page, stop.clone()));
            }
            Err(error) => life.set_page_problem(format!(
                "web.listen {address} can't be had ({error}): choose another address or \"\", and restart"
            )),
        }
    }
    life.reach_store(STORE_PATIENCE).await?;
    let outcome = life.run(signals).await;
    // Left behind it would only be replaced at the next start.
    let _ = std::fs::remove_file(&settings.control.socket);
    outcome
}

/// The door to the service: open once the core stands. While that is being tried for the first time, questions wait;
/// after that they are answered with what is wrong.
#[derive(Clone)]
pub(super) struct Door(watch::Sender<Behind>);

#[derive(Clone)]
enum Behind {
    Starting,
    Closed(Vec<String>),
    Open(Service, Router),
}

impl Door {
    /// Still shut.
    pub fn new() -> Self {
        Self(watch::Sender::new(Behind::Starting))
    }

    /// Opens it.
    pub fn open(&self, service: Service, stop: CancellationToken) {
        self.0.send_replace(Behind::Open(service.clone(), routes(service, stop)));
    }

    /// The service, once it stands.
    pub fn service(&self) -> Option<Service> {
        match &*self.0.borrow() {
            Behind::Open(service, _) => Some(service.clone()),
            _ => None,
        }
    }

    /// Says why it is closed.
    pub fn closed(&self, why: Vec<String>) {
        self.0.send_replace(Behind::Closed(why));
    }

    /// Everything that is wrong, while it is closed.
    pub fn problems(&self) -> Vec<String> {
        match &*self.0.borrow() {
            Behind::Closed(why) => why.clone(),
            _ => Vec::new(),
        }
    }

    fn router(&self) -> Router {
        let door = self.clone();
        Router::new().fallback(move |request: Request| {
            let door = door.clone();
            async move { door.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        let mut behind = self.0.subscribe();
        let decided = behind.wait_for(|behind| !matches!(behind, Behind::Starting));
        let behind = match tokio::time::timeout(STORE_PATIENCE * 2, decided).await {
            Ok(Ok(behind)) => behind.clone(),
            _ => Behind::Closed(vec!["longplay is starting".to_owned()]),
        };
        let problems = match behind {
            Behind::Open(_, router) => {
                return match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
            }
            Behind::Closed(problems) => problems,
            Behind::Starting => Vec::new(),
        };
        if request.uri().path() == "/healthz" {
            let health = Health { healthy: false, problems };
            return (axum::http::StatusCode::SERVICE_UNAVAILABLE, axum::Json(health)).into_response();
        }
        Problem { retry_after: Some(2), ..Problem::new("store", 503, problems.join("; ")) }.into_response()
    }
}

/// What a core that can't be built means for the daemon.
pub(super) fn unfit(error: CoreError) -> ServeError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    ServeError::Unfit(text)
}

/// The core, with a scheduler that fires into it.
pub(super) async fn build(ground: &Ground, door: &Door) -> Result<Core, CoreError> {
    let fires = door.clone();
    let scheduler = Scheduler::start(Arc::clone(&ground.clock), move |user, due| {
        if let Some(service) = fires.service() {
            tokio::spawn(async move { service.run_due(user, due).await });
        }
    })
    .await
    .map_err(|e| CoreError::Host(e.to_string()))?;
    Core::build(ground, Some(scheduler)).await
}
