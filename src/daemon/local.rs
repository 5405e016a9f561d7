//! Working without a daemon: a command takes the lock of the state directory, builds the same core on the store, and
//! calls the same routes in its own process. Held for one operation; never while waiting for a person.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{Faults, Place, load};
use crate::control::{Service, routes};
use crate::random::Random;
use crate::telemetry::{Events, Metrics};

use super::core::{Core, CoreError, Ground};
use super::state::{StateDir, StateError};

/// How long another command's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refresh under way is waited for at the end.
const DRAIN: Duration = Duration::from_secs(60);

/// Why the store can't be worked on without a daemon.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The configuration is faulty.
    #[error(transparent)]
    Configuration(#[from] Faults),
    /// The state directory can't be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store or its key.
    #[error(transparent)]
    Core(#[from] CoreError),
}

/// The daemon's work without the daemon.
pub struct LocalMode {
    service: Service,
    stop: CancellationToken,
    _state: Arc<StateDir>,
}

impl LocalMode {
    /// Takes the lock and opens the store.
    ///
    /// # Errors
    /// A faulty configuration, a lock that somebody holds, a store or key that can't be used.
    pub async fn open(place: &Place) -> Result<Self, LocalError> {
        let settings = Arc::new(load(place)?);
        let (clock, random) = (Arc::new(SystemClock) as Arc<dyn Clock>, Arc::new(Random::host()));
        let state = StateDir::lock(&settings.store.state_dir, PATIENCE, &*clock, &random).await?;
        let url = settings.store.url.expose_secret();
        let store =
            crate::store::open(url, Arc::clone(&clock)).map_err(|e| CoreError::Host(e.to_string()))?;
        let events = Events::new(Arc::clone(&clock));
        let state = Arc::new(state);
        let ground =
            Ground { settings, state, store, clock, random, metrics: Arc::new(Metrics::new()), events };
        let core = Core::build(&ground, None).await?;
        let service = core.service;
        let started = async {
            service.take_file_users(&ground.settings).await?;
            service.refresh_users().await
        };
        started.await.map_err(|problem: crate::control::api::Problem| CoreError::Host(problem.detail))?;
        Ok(Self { service, stop: CancellationToken::new(), _state: ground.state })
    }

    /// The routes of the local API, in this process.
    pub fn router(&self) -> Router {
        routes(self.service.clone(), self.stop.clone())
    }

    /// Finishes what was begun, the first run of a new login too, and lets go of the lock.
    pub async fn close(self) {
        self.stop.cancel();
        self.service.settle().await;
        self.service.finish(DRAIN).await;
    }
}
