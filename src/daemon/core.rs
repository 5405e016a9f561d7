//! What stands once the store is within reach: key, spool, actor, archiver, service. Built in one order, by the daemon
//! and by a command without one.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::{Archiver, Dependencies};
use crate::clock::Clock;
use crate::config::Settings;
use crate::control::{Parts, Service, limits, share_quotas};
use crate::domain::{User, UserId};
use crate::random::Random;
use crate::schedule::Scheduler;
use crate::spotify::Gate;
use crate::store::{Store, StoreError};
use crate::telemetry::{Events, Metrics};
use crate::tokens::{Exchange, SpoolFault, Subject, offer_spool};

use super::care::Care;
use super::guard::Guard;
use super::key::{self, KeyKeeper};
use super::moving::Mover;
use super::outside::Outside;

/// Why the core can't be built.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The store can't be reached: it may be later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token key is missing, wrong or unreadable: nothing works until that is mended.
    #[error("{0}")]
    Key(String),
    /// The host lacks something.
    #[error("{0}")]
    Host(String),
}

impl CoreError {
    /// Whether trying again later can help.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable { .. }))
    }
}

/// What is there before the store is.
#[derive(Clone)]
pub struct Ground {
    /// The settings in force.
    pub settings: Current,
    /// The state directory and the network.
    pub outside: Arc<dyn Outside>,
    /// The store, reached or not.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<Random>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub events: Events,
}

/// The settings in force, wherever they are asked for.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<Settings>>>);

impl Current {
    /// To begin with.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self(Arc::new(RwLock::new(settings)))
    }

    /// As they are now.
    pub fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// New ones.
    pub fn set(&self, settings: Arc<Settings>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

/// What stands once the store is within reach.
pub struct Core {
    /// What the local API does.
    pub service: Service,
    /// The exchange, for offering the spool again.
    pub exchange: Arc<Exchange>,
    /// What notices that the store was restored or moved.
    pub guard: Guard,
    /// What changes the token key.
    pub keys: KeyKeeper,
    /// The actor's task.
    pub actor: JoinHandle<()>,
    spool_faults: Mutex<Vec<SpoolFault>>,
}

impl Core {
    /// Builds it, or says why not.
    ///
    /// # Errors
    /// Where the store can't be reached, or the key is not the one.
    pub async fn build(ground: &Ground, scheduler: Option<Scheduler>) -> Result<Self, CoreError> {
        let (settings, store) = (ground.settings.get(), Arc::clone(&ground.store));
        let deployment = store.open().await?;
        let vault = Arc::new(key::vault(ground, deployment).await?);
        let (outside, owner) = (&ground.outside, ground.outside.owner());
        let spool = outside.spool(&vault, &ground.random);
        let keys = KeyKeeper::new(ground, Arc::clone(&vault), Arc::clone(&spool));
        keys.go_on().await?;
        let (client, transport) = (outside.client()?, outside.transport(&ground.clock)?);
        let gate = Gate::new(Arc::clone(&ground.clock), store.clone(), ground.events.clone());
        gate.load(settings.apps.keys()).await?;
        share_quotas(&gate, &settings);
        let exchange = Arc::new(Exchange {
            store: store.clone(),
            transport: Arc::clone(&transport),
            spool: Arc::clone(&spool),
            vault: Arc::clone(&vault),
            clock: Arc::clone(&ground.clock),
            clock_note: outside.clock_note(),
            random: Arc::clone(&ground.random),
            gate: gate.clone(),
            metrics: Arc::clone(&ground.metrics),
            events: ground.events.clone(),
            owner,
            stopping: CancellationToken::new(),
        });
        let guard = Guard::new(ground, Arc::clone(&exchange));
        let refused = guard.look(true).await?;
        exchange.gate.shut(refused.as_deref());
        // Also what nobody has accepted yet is given back what it lacks.
        let faults = offer(&exchange, &store, &settings).await?;
        let (tokens, actor) =
            crate::tokens::start(Arc::clone(&exchange), settings.apps.clone(), settings.tokens.clone());
        let random = Arc::clone(&ground.random);
        let archiver = Archiver::new(
            Dependencies {
                tokens: Arc::new(tokens.clone()),
                store: Arc::clone(&store),
                gate: gate.clone(),
                client: client.clone(),
                clock: Arc::clone(&ground.clock),
                metrics: Arc::clone(&ground.metrics),
                events: ground.events.clone(),
                jitter: Arc::new(move || random.unit()),
                owner,
                random: Arc::clone(&ground.random),
            },
            limits(&settings),
        );
        let parts = Parts {
            store,
            tokens,
            archiver,
            scheduler,
            gate,
            client,
            transport,
            vault,
            spool,
            clock: Arc::clone(&ground.clock),
            random: Arc::clone(&ground.random),
            metrics: Arc::clone(&ground.metrics),
            events: ground.events.clone(),
            owner,
        };
        let service = Service::new(parts, Arc::clone(&settings));
        let mover = Mover::new(ground, Arc::clone(&exchange));
        service.on_care(Arc::new(Care::new(guard.clone(), keys.clone(), mover)));
        // With nobody in the roster yet there is nothing that could fail.
        if let Err(problem) = service.accepted(refused.as_deref()).await {
            tracing::warn!("{}", problem.detail);
        }
        let core = Self { service, exchange, guard, keys, actor, spool_faults: Mutex::default() };
        core.spool_is(faults);
        Ok(core)
    }

    /// What of the spool could not be read when it was last looked at.
    pub fn spool_faults(&self) -> Vec<SpoolFault> {
        self.spool_faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes and shows what of the spool can't be read.
    pub fn spool_is(&self, faults: Vec<SpoolFault>) {
        self.service.set_problems("spool", faults.iter().map(|fault| fault.what.clone()).collect());
        *self.spool_faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }
}

/// Offers the spool to the store; answers what could not be read in it.
pub async fn offer(
    exchange: &Exchange,
    store: &Arc<dyn Store>,
    settings: &Settings,
) -> Result<Vec<SpoolFault>, StoreError> {
    let subject = |user: User| {
        let app = Arc::new(settings.apps.get(&user.app)?.clone());
        Some(Subject { user: user.id, name: user.name, app })
    };
    let who = async |users: Vec<UserId>| {
        let users = store.users_of(&users).await?;
        Ok(users.into_iter().filter_map(subject).collect())
    };
    offer_spool(exchange, who).await
}
