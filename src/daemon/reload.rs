//! Reloading: one task loads and checks everything, then swaps; a fault changes nothing and is told. SIGHUP and the
//! local API ask it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::config::{Faults, Place, load};
use crate::control::api::Reloaded;
use crate::domain::EventKind;
use crate::telemetry::{Events, Log, Note};

use super::core::{Current, Ground};
use super::door::Door;
use super::{notify, status};

/// How many may wait for a reload.
const QUEUE: usize = 16;

type Reply = oneshot::Sender<Result<Reloaded, Faults>>;

/// The way to the reloading task; clones share it.
#[derive(Clone)]
pub struct AskReload(mpsc::Sender<Reply>);

impl AskReload {
    /// Asks; whoever wants to know the outcome sees it in the journal. A queue that is full reloads anyway.
    pub fn ask_without_waiting(&self) {
        let _ = self.0.try_send(oneshot::channel().0);
    }

    /// Whether the task is no more.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// The same, and waits for the outcome. `None`: the daemon is stopping.
    pub async fn ask(&self) -> Option<Result<Reloaded, Faults>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        answer.await.ok()
    }
}

/// What a reload works with. It does not hold the state directory: the task may outlive the daemon's loop.
struct Reloader {
    place: Place,
    settings: Current,
    clock: Arc<dyn Clock>,
    events: Events,
    door: Door,
    log: Log,
}

/// Starts the task.
pub fn start(place: Place, ground: &Ground, door: Door, log: Log) -> AskReload {
    let (sender, mut receiver) = mpsc::channel::<Reply>(QUEUE);
    let reloader = Reloader {
        place,
        settings: ground.settings.clone(),
        clock: Arc::clone(&ground.clock),
        events: ground.events.clone(),
        door,
        log,
    };
    tokio::spawn(async move {
        while let Some(reply) = receiver.recv().await {
            notify::reloading();
            let outcome = reload(&reloader).await;
            notify::ready(&status::line(&reloader.door, reloader.clock.now()).await);
            // Who asked may have left.
            let _ = reply.send(outcome);
        }
    });
    AskReload(sender)
}

async fn reload(with: &Reloader) -> Result<Reloaded, Faults> {
    let (door, from) = (&with.door, with.place.clone());
    // Reading files and secrets blocks. It does not panic; if it did, nothing is changed.
    let loaded = tokio::task::spawn_blocking(move || load(&from)).await;
    let mut new = match loaded.unwrap_or_else(|_| Err(Faults(Vec::new()))) {
        Ok(new) => new,
        Err(faults) => {
            let refused = |fault| format!("the new configuration is refused: {fault}");
            door.refused(faults.0.iter().map(refused).collect());
            return Err(faults);
        }
    };
    let old = with.settings.get();
    let needs_restart: Vec<String> = old.needs_restart(&new).into_iter().map(str::to_owned).collect();
    // What a reload can't change stays as it is.
    (new.store, new.control) = (old.store.clone(), old.control.clone());
    new.web.listen = old.web.listen;
    // What is sealed is sealed with the keys that were there at the start.
    (new.tokens.key, new.tokens.old_key) = (old.tokens.key.clone(), old.tokens.old_key.clone());
    with.log.set_level(&new.log.level);
    let new = Arc::new(new);
    with.settings.set(Arc::clone(&new));
    door.refused(Vec::new());
    if let Some(core) = door.core()
        && let Err(problem) = core.service.apply(new).await
    {
        // The upkeep applies it when the store is back.
        tracing::warn!("the new configuration waits for the store: {}", problem.detail);
    }
    let waits = match needs_restart.is_empty() {
        true => String::new(),
        false => format!("; a restart is needed for {}", needs_restart.join(", ")),
    };
    let message = format!("the configuration was read again{waits}");
    with.events.tell(EventKind::Reloaded, Note::default(), message);
    Ok(Reloaded { needs_restart })
}
