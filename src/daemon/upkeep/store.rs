//! What is looked at of the store: whether it is within reach, whether it is the one that was accepted, and what the
//! spool has for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Core, STORE_PATIENCE, Upkeep, offer};
use crate::control::Service;
use crate::control::api::Problem;
use crate::domain::{UserId, said};
use crate::tokens::still_faulty;

impl Upkeep {
    pub(super) async fn look_at_store(&self) {
        let Some(core) = self.door.core() else {
            // Once the daemon is READY a wrong key or schema is a problem that is shown, and no reason to end.
            if let Err(error) = self.reach_store(STORE_PATIENCE).await {
                self.degrade(&said(&error), false);
            }
            return;
        };
        let service = &core.service;
        if let Some(trouble) = self.ground.store.trouble() {
            // Shown until a look finds that nothing failed since; a write that succeeds ends it.
            service.set_problems("store", vec![format!("{trouble}; it is tried again")]);
            self.store_was_away.store(true, Ordering::SeqCst);
            let _ = self.ground.store.probe().await;
            return;
        }
        let was_away = self.store_was_away.load(Ordering::SeqCst);
        let looked = match was_away {
            true => self.welcome_store(&core).await,
            false => self.look_at_rest(&core).await,
        };
        match looked {
            Ok(()) if was_away => {
                service.set_problems("store", Vec::new());
                self.store_was_away.store(false, Ordering::SeqCst);
                tracing::info!("the store is within reach again");
            }
            Ok(()) => {}
            Err(problem) => self.store_is_away(service, &problem),
        }
    }

    pub(super) fn store_is_away(&self, service: &Service, problem: &Problem) {
        service.set_problems("store", vec![format!("{}; it is tried again", problem.detail)]);
        self.store_was_away.store(true, Ordering::SeqCst);
    }

    /// The store may have come back without its last commits: the spool has them. Whatever could not be done meanwhile
    /// is done now.
    async fn welcome_store(&self, core: &Core) -> Result<(), Problem> {
        let service = &core.service;
        self.ground.store.probe().await?;
        // Before anything is refreshed: it may be another one that came back.
        self.look_after_guard(core, true).await?;
        self.offer_spool(core).await?;
        service.store_is_back().await;
        service.take_back().await?;
        let current = self.ground.settings.get();
        if !Arc::ptr_eq(&current, &service.settings()) {
            service.apply(current).await?;
        } else if service.owes() {
            service.settle_debt().await?;
        } else {
            // Users, and the numbers of changes, may have gone back with the store.
            service.take_file_users(&current).await?;
            service.take_in_everyone(false).await?;
        }
        service.wake_troubled().await
    }

    /// With the store within reach all along.
    async fn look_at_rest(&self, core: &Core) -> Result<(), Problem> {
        self.look_after_guard(core, false).await?;
        match core.service.owes() {
            true => core.service.settle_debt().await,
            false => self.look_at_spool(core).await,
        }
    }

    /// Another daemon, or a command, may have accepted the store, or found that it was restored.
    async fn look_after_guard(&self, core: &Core, spool: bool) -> Result<(), Problem> {
        let mut refused = core.guard.look(spool).await?;
        if refused.is_none() {
            // What this daemon would seal nobody else could open.
            refused = core.keys.misfit().await?;
        }
        if core.service.accepted(refused.as_deref()).await? {
            // What this daemon alone has is there before anybody accepts the store and refreshes.
            self.offer_spool(core).await?;
        }
        Ok(())
    }

    /// Others are to know that this daemon is at work, and with which key.
    pub(super) async fn tell_others(&self) {
        let Some(core) = self.door.core().filter(|_| self.ground.store.is_shared()) else { return };
        if let Err(error) = core.keys.note().await {
            tracing::debug!("others are not told that this daemon is at work: {}", said(&error));
        }
    }

    async fn offer_spool(&self, core: &Core) -> Result<(), Problem> {
        let faults = offer(&core.exchange, &self.ground.store, &core.service.settings()).await?;
        core.spool_is(faults);
        Ok(())
    }

    /// What could not be read may have been replaced meanwhile, or be nobody's any more.
    async fn look_at_spool(&self, core: &Core) -> Result<(), Problem> {
        let faults = core.spool_faults();
        if faults.is_empty() {
            return Ok(());
        }
        let Some(users) = faults.iter().map(|fault| fault.user).collect::<Option<Vec<_>>>() else {
            return self.offer_spool(core).await;
        };
        let there: Vec<UserId> = self.ground.store.users_of(&users).await?.iter().map(|u| u.id).collect();
        let mut faults = still_faulty(&core.exchange, faults).await;
        faults.retain(|fault| fault.user.is_some_and(|user| there.contains(&user)));
        core.spool_is(faults);
        Ok(())
    }
}
