//! The daemon without its sockets, its signals and the library that ticks: everything between them, as it is. Whoever
//! holds it lets the schedule tick. For simulated time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::control::Service;
use crate::domain::Timestamp;
use crate::schedule::Scheduler;

use super::core::{CoreError, Ground};
use super::door::Door;
use super::serve::firing;
use super::upkeep::{STORE_PATIENCE, Upkeep};

/// The daemon without sockets and signals. Dropped, it goes on: end its runtime, as a crash would.
pub struct Bare {
    door: Door,
    scheduler: Scheduler,
    looks: CancellationToken,
}

impl Bare {
    /// Starts it, whether the store can be reached or not.
    ///
    /// # Errors
    /// What does not mend itself: a key or a schema that is not right.
    pub async fn start(ground: Ground) -> Result<Self, CoreError> {
        let (door, stop, looks) = (Door::new(), CancellationToken::new(), CancellationToken::new());
        let (fire, room) = firing(&door);
        let scheduler = Scheduler::by_hand(Arc::clone(&ground.clock), fire, room);
        let upkeep = Upkeep::new(ground, door.clone(), stop, scheduler.clone(), None);
        upkeep.reach_store(STORE_PATIENCE).await?;
        upkeep.start(&looks);
        Ok(Self { door, scheduler, looks })
    }

    /// What the local API does, once the store was within reach.
    pub fn service(&self) -> Option<Service> {
        self.door.core().map(|core| core.service.clone())
    }

    /// Does what is due.
    pub fn tick(&self) {
        self.scheduler.tick();
    }

    /// When a user is due next.
    pub fn next(&self) -> Option<Timestamp> {
        self.scheduler.next()
    }

    /// Whether the refresh actor is no more, which ends a daemon.
    pub fn is_broken(&self) -> bool {
        self.door.core().is_some_and(|core| core.actor.is_finished())
    }

    /// Ends it as SIGTERM does. True where nothing was left behind.
    pub async fn finish(&self, drain: Duration) -> bool {
        self.looks.cancel();
        match self.door.core() {
            Some(core) => core.service.finish(drain).await,
            None => {
                self.scheduler.stop().await;
                true
            }
        }
    }
}
