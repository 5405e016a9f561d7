//! The claim that makes a run this daemon's: taken as the run begins, renewed while it goes on, ended with it. A claim
//! that lapsed, since this process stood still for longer, may be another daemon's: the run makes no further call.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::RwLock;
use uuid::Uuid;

use super::fault::{Fault, Waits};
use super::run::Run;
use super::{Archiver, Outcome};
use crate::clock::BootTime;
use crate::domain::{RunId, RunResult, Timestamp, UserId, said};
use crate::store::{Claimed, RunClaim, StoreError};

/// How long a claim holds that is not renewed.
const LEASE: Duration = Duration::from_secs(90);
/// How long who asks waits for another daemon's run.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long that run is looked at before it is asked whether its claim still holds.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How soon it is looked at, twice as late each time.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// Why a run that was due was not made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yielded {
    /// Another daemon makes it or has made it, or something else moved it.
    Later {
        /// When to look again: the next one is due, or the claim lapses unless it is renewed.
        next: Option<Timestamp>,
        /// Whether Spotify refuses the user, as far as it is on record.
        blocked: bool,
    },
    /// The user was removed or paused.
    Gone,
}

/// The user was removed or paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// How a run begins.
pub(super) enum Begun {
    /// As this daemon's.
    Here(RunId),
    /// Not at all.
    Yielded(Yielded),
    /// Another daemon made one while somebody here waited.
    Elsewhere(Outcome),
}

/// The claims of the runs under way.
#[derive(Default)]
pub(super) struct Claims {
    held: Mutex<HashMap<UserId, Hold>>,
    /// Claims are made by many at once; none is made while the others are given up.
    giving_up: RwLock<()>,
}

struct Hold {
    claim: Uuid,
    lapses: BootTime,
}

impl Claims {
    fn held(&self) -> MutexGuard<'_, HashMap<UserId, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, user: UserId, claim: Uuid, lapses: BootTime) -> Held<'_> {
        self.held().insert(user, Hold { claim, lapses });
        Held { claims: self, user, claim }
    }
}

/// A run's claim on its user, until this is dropped.
pub(super) struct Held<'a> {
    claims: &'a Claims,
    user: UserId,
    claim: Uuid,
}

impl Held<'_> {
    fn holds(&self, boot: BootTime) -> bool {
        let held = self.claims.held();
        held.get(&self.user).is_some_and(|hold| hold.claim == self.claim && boot < hold.lapses)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.claims.held();
        if held.get(&self.user).is_some_and(|hold| hold.claim == self.claim) {
            held.remove(&self.user);
        }
    }
}

impl Archiver {
    /// How often [`Archiver::renew_claims`] is to be called.
    pub const RENEW: Duration = Duration::from_secs(30);

    /// Renews the claims of the runs under way. One that is another's by now ends its run.
    pub async fn renew_claims(&self) -> Result<(), StoreError> {
        let (with, claims) = (&self.0.with, &self.0.claims);
        let mut held: Vec<(UserId, Uuid)> =
            claims.held().iter().map(|(user, hold)| (*user, hold.claim)).collect();
        held.sort_unstable();
        if held.is_empty() {
            return Ok(());
        }
        held.sort_unstable();
        let users: Vec<UserId> = held.iter().map(|(user, _)| *user).collect();
        let lapses = BootTime(with.clock.boot().0 + LEASE);
        let renewed: HashSet<UserId> =
            with.store.renew_runs(with.owner, &users, LEASE).await?.into_iter().collect();
        let mut now_held = claims.held();
        for (user, claim) in held {
            if let Some(hold) = now_held.get_mut(&user).filter(|hold| hold.claim == claim) {
                hold.lapses = if renewed.contains(&user) { lapses } else { BootTime::default() };
            }
        }
        Ok(())
    }

    /// Gives up the claims of this state directory whose runs are no more, as after a crash: they are due at once.
    pub async fn take_back(&self) -> Result<Vec<UserId>, StoreError> {
        let (with, claims) = (&self.0.with, &self.0.claims);
        let _nobody_claims = claims.giving_up.write().await;
        let held: Vec<UserId> = claims.held().keys().copied().collect();
        with.store.release_runs(with.owner, &held).await
    }
}

impl Run<'_> {
    /// Opens the run in the store. Who asks waits for another daemon's run; one that is due does not.
    pub(super) async fn begin(&mut self) -> Result<Begun, Fault> {
        let began = self.shared.with.clock.boot();
        loop {
            self.take_place().await?;
            match (self.claim().await?, self.due) {
                (Claimed::Begun(run), _) => return Ok(Begun::Here(run)),
                (Claimed::Gone, _) => return Ok(Begun::Yielded(Yielded::Gone)),
                (Claimed::Taken { until, blocked, .. }, Some(_)) => {
                    return Ok(Begun::Yielded(Yielded::Later { next: Some(until), blocked }));
                }
                (Claimed::NotDue { next, blocked }, _) => {
                    return Ok(Begun::Yielded(Yielded::Later { next, blocked }));
                }
                (Claimed::Taken { run, .. }, None) => {
                    if let Some(outcome) = self.wait_for(run).await? {
                        return Ok(Begun::Elsewhere(outcome));
                    }
                }
            }
            if self.shared.with.clock.boot().since(began) >= PATIENCE {
                return Err(Fault::elsewhere());
            }
        }
    }

    async fn claim(&mut self) -> Result<Claimed, Fault> {
        let (with, claims) = (&self.shared.with, &self.shared.claims);
        let claim = with.random.uuid();
        let mut waits = Waits::default();
        loop {
            let asked = RunClaim {
                user: self.who.id,
                owner: with.owner,
                claim,
                lease: LEASE,
                due: self.due,
                trigger: self.trigger,
                at: self.now(),
            };
            let answer = {
                let _claiming = claims.giving_up.read().await;
                // From before it was asked: the store's lease ends no sooner.
                let lapses = BootTime(with.clock.boot().0 + LEASE);
                let answer = with.store.begin_run(&asked).await;
                if matches!(answer, Ok(Claimed::Begun(_))) {
                    self.held = Some(claims.hold(self.who.id, claim, lapses));
                }
                answer
            };
            match answer {
                Ok(claimed) => return Ok(claimed),
                Err(error) => self.back_off(Fault::store(&error), &mut waits).await?,
            }
        }
    }

    /// Waits a while for the end of another daemon's run, without a place; answers its outcome. One that was broken off
    /// has none: the user is to be had.
    async fn wait_for(&mut self, run: RunId) -> Result<Option<Outcome>, Fault> {
        let (with, user) = (&self.shared.with, self.who.id);
        self.place = None;
        let (mut pause, mut waited) = (FIRST_LOOK, Duration::ZERO);
        while waited < ASK_AGAIN {
            self.or_stop(with.clock.sleep(pause)).await?;
            (pause, waited) = (pause * 2, waited + pause);
            // A store that can't be read now may be later; whether to go on waiting is asked of it anyway.
            let runs = with.store.runs(user, 8).await.unwrap_or_default();
            let Some(ended) = runs.into_iter().find(|one| one.id == run) else { continue };
            let Some(result) = ended.result else { continue };
            if result == RunResult::Cancelled {
                return Ok(None);
            }
            let known = with.store.user(&self.who.name).await.ok().flatten();
            return Ok(Some(Outcome {
                result,
                reason: ended.reason,
                new_plays: usize::try_from(ended.new_plays).unwrap_or(0),
                gaps: Vec::new(),
                run: Some(run),
                retry_at: self.held_elsewhere(result).await,
                next_run_at: known.and_then(|user| user.next_run_at),
            }));
        }
        Ok(None)
    }

    /// Until when calls are held for which another daemon's run was not made.
    async fn held_elsewhere(&self, result: RunResult) -> Option<Timestamp> {
        if result != RunResult::RateLimited {
            return None;
        }
        let (gate, app) = (&self.shared.with.gate, &self.who.app);
        if let Err(error) = gate.reread(app).await {
            tracing::debug!(app = %app, "what is known of app {app} is not read: {}", said(&error));
        }
        gate.held_until(app)
    }

    /// Whether the user is still this daemon's, as far as it can tell; what comes after a run needs no claim.
    pub(super) fn check_claim(&self) -> Result<(), Fault> {
        match &self.held {
            Some(held) if !held.holds(self.shared.with.clock.boot()) => Err(Fault::lapsed()),
            _ => Ok(()),
        }
    }
}
