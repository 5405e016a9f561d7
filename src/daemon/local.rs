//! Working without a daemon: a command takes the lock of the state directory, builds the same core on the store, and
//! calls the same routes in its own process. Held for one operation; never while waiting for a person.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::config::{RefreshMode, Settings};
use crate::control::api::{Problem, Word};
use crate::control::{Service, routes};
use crate::random::Random;
use crate::store::{Home, Store, StoreError};
use crate::telemetry::{Events, Metrics};

use super::core::{Core, CoreError, Current, Ground};
use super::interrupt::Interrupts;
use super::outside::Outside;
use super::seen::Seen;
use super::state::{StateDir, StateError, StatePaths};

/// How long another command's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refresh under way is waited for at the end.
const DRAIN: Duration = Duration::from_secs(60);
/// What tasks that block get to end in.
const LAST: Duration = Duration::from_millis(500);

/// Why the store can't be worked on without a daemon.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The state directory can't be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store or its key.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The users could not be taken in.
    #[error("{}", .0.detail)]
    Start(Box<Problem>),
}

/// The daemon's work without the daemon, on a thread of its own: dropped, it finishes what was begun, the first run of
/// a new login too, and lets go of the lock.
pub struct LocalMode {
    router: Router,
    /// Dropping it ends the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalMode {
    /// Takes the lock and opens the store. `tell`: how a person is told what a signal waits for.
    ///
    /// # Errors
    /// A lock that somebody holds, a store or key that can't be used.
    pub async fn open(settings: Settings, tell: fn(&str)) -> Result<Self, LocalError> {
        let (opened, answer) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || work(settings, tell, opened, ended));
        let router = answer.await.map_err(|_| broken())??;
        Ok(Self { router, end: Some(end), thread: Some(thread) })
    }

    /// The routes of the local API, in this process.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

impl Drop for LocalMode {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed.
            let _ = thread.join();
        }
    }
}

fn broken() -> LocalError {
    LocalError::Core(CoreError::Host(
        "working without a daemon broke off: this is a fault of longplay".to_owned(),
    ))
}

/// The thread's life: open, serve until `ended`, close.
fn work(
    settings: Settings,
    tell: fn(&str),
    opened: oneshot::Sender<Result<Router, LocalError>>,
    ended: oneshot::Receiver<()>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    else {
        return;
    };
    runtime.block_on(async {
        // Until here a signal may end it: nothing is begun that the next start doesn't find.
        let built = match build(settings).await {
            Ok(built) => Interrupts::hear(tell)
                .map(|interrupts| (built, interrupts))
                .map_err(|e| LocalError::Core(CoreError::Host(format!("signals can't be heard: {e}")))),
            Err(error) => Err(error),
        };
        match built {
            Ok(((service, _state), mut interrupts)) => {
                let stop = CancellationToken::new();
                let router = here(routes(service.clone(), stop.clone()), Handle::current());
                // Who opened this has left if nobody hears it; then it ends at once.
                let _ = opened.send(Ok(router));
                tokio::select! {
                    _ = ended => {}
                    () = interrupts.first() => {}
                }
                stop.cancel();
                let finished = async {
                    service.settle().await;
                    service.finish(DRAIN).await;
                };
                interrupts.finish(finished, &SystemClock).await;
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
    runtime.shutdown_timeout(LAST);
}

/// The same routes, with all their work done on this runtime, whoever asks.
fn here(routes: Router, runtime: Handle) -> Router {
    Router::new().fallback(move |request: Request| {
        let (routes, runtime) = (routes.clone(), runtime.clone());
        async move {
            match runtime.spawn(routes.oneshot(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => Problem::new(Word::Fault, 500, "this broke off: it is a fault of longplay")
                    .into_response(),
            }
        }
    })
}

/// The service, and the state directory, whose lock goes with it.
async fn build(mut settings: Settings) -> Result<(Service, Arc<dyn Outside>), LocalError> {
    // A command asks once: nothing is refreshed ahead for it.
    settings.tokens.refresh = RefreshMode::OnDemand;
    let settings = Arc::new(settings);
    let (clock, random) = (Arc::new(SystemClock) as Arc<dyn Clock>, Arc::new(Random::host()));
    let state = StateDir::lock(&settings.store.state_dir, PATIENCE, &*clock, &random).await?;
    let url = settings.store.url.expose_secret();
    let store = crate::store::open(url, Arc::clone(&clock)).map_err(|e| CoreError::Host(e.to_string()))?;
    refuse_another(&state.paths(), &*store, url).await?;
    let events = Events::new(Arc::clone(&clock));
    let (settings, metrics) = (Current::new(settings), Arc::new(Metrics::new()));
    let outside: Arc<dyn Outside> = Arc::new(state);
    let ground = Ground { settings, outside, store, clock, random, metrics, events };
    let service = Core::build(&ground, None).await?.service;
    let started = async {
        service.take_back().await?;
        service.take_file_users(&service.settings()).await?;
        service.refresh_users().await
    };
    started.await.map_err(|problem: Problem| LocalError::Start(Box::new(problem)))?;
    keep_claims(service.clone(), Arc::clone(&ground.clock));
    Ok((service, ground.outside))
}

/// A state directory works with one store. Where the service has its URL from a credential, a command may not know it, and
/// must not seal another store's tokens with this one's key, nor take that key away.
async fn refuse_another(paths: &StatePaths, store: &dyn Store, url: &str) -> Result<(), LocalError> {
    let Some(seen) = Seen::read(paths) else { return Ok(()) };
    let same_kind = url.starts_with("sqlite:") == matches!(seen.home, Home::Sqlite { .. });
    // Looked for only where it is there: opening it would make one.
    let is_there = url.strip_prefix("sqlite://").is_none_or(|path| std::path::Path::new(path).exists());
    if same_kind || is_there {
        match is_of(store, seen.deployment).await {
            Ok(true) => return Ok(()),
            // The one that it works with may be away; one of another kind is another, unless it shows that it isn't.
            Err(error) if same_kind => return Err(LocalError::Core(error.into())),
            Ok(false) | Err(_) => {}
        }
    }
    let (store, dir) = (store.describe(), paths.seen());
    Err(LocalError::Core(CoreError::Host(format!(
        "{store} is not the store that this state directory works with. Where the service has that from a credential, start it: `systemctl start longplay`. Where the store was changed for good, delete {}",
        dir.display()
    ))))
}

/// Whether the store is that deployment, as a back-up of it is too, or a copy of it.
async fn is_of(store: &dyn Store, seen: Uuid) -> Result<bool, StoreError> {
    if store.open().await? == seen {
        return Ok(true);
    }
    match store.moving() {
        Some(moving) => Ok(moving.moved_from().await?.contains(&seen)),
        None => Ok(false),
    }
}

/// A command's runs may take as long as the daemon's.
fn keep_claims(service: Service, clock: Arc<dyn Clock>) {
    tokio::spawn(async move {
        loop {
            clock.sleep(Service::RENEW).await;
            if let Err(problem) = service.renew_claims().await {
                tracing::warn!("the claims of runs are not renewed: {}", problem.detail);
            }
        }
    });
}
