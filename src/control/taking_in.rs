//! Taking in who was added, changed or removed, by whichever program, in batches however many they are; and putting each
//! user's next run on record and into the schedule. The store's next time is the truth: what another daemon has moved
//! is followed, never overwritten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archiver;
use crate::domain::{Timestamp, User, UserId, said};
use crate::store::{Changes, PlannedRun, StoreError};
use crate::tokens::Member;

use super::api::Problem;
use super::plan::{Since, Times};
use super::roster::Known;
use super::service::Service;

/// How many users are taken in at a time, with one transaction and one message.
const BATCH: u16 = 1_000;
/// How long a run may be due before the sweep looks after it.
const OVERDUE: Duration = Duration::from_secs(60);

impl Service {
    /// How often [`Service::sweep`] is to be called.
    pub const SWEEP: Duration = Duration::from_secs(60);
    /// How often [`Service::renew_claims`] is to be called.
    pub const RENEW: Duration = Archiver::RENEW;

    /// Takes in who was added, changed or removed, by whichever program.
    pub async fn refresh_users(&self) -> Result<(), Problem> {
        let _one = self.0.refreshing.lock().await;
        let since = self.roster().upto;
        self.take_in_since(since, false).await
    }

    /// Takes in everyone anew. `reckon`: and reckons everyone's next time anew, as after a change of the defaults or of
    /// the clock.
    pub async fn take_in_everyone(&self, reckon: bool) -> Result<(), Problem> {
        let _one = self.0.refreshing.lock().await;
        // Who was purged is told only to those who ask for what changed.
        let since = self.roster().upto;
        self.take_in_since(since, reckon).await?;
        self.take_in_since(0, reckon).await
    }

    async fn take_in_since(&self, mut since: i64, reckon: bool) -> Result<(), Problem> {
        loop {
            let changes = self.parts().store.users_changed(since, i64::from(BATCH)).await?;
            let (upto, more) = (changes.upto, changes.more);
            let nothing = changes == Changes { upto: since, ..Changes::default() };
            if !nothing {
                // Else the next look would not see that these are still to be planned.
                self.take_batch(changes, reckon).await?;
                let faults = self.roster().faults();
                self.set_problems("users", faults);
            }
            self.roster().upto = upto;
            if !more {
                return Ok(());
            }
            since = upto;
        }
    }

    async fn take_batch(&self, changes: Changes, reckon: bool) -> Result<(), Problem> {
        let (settings, now) = (self.settings(), self.now());
        let mut gone = changes.purged.clone();
        // First, so that whoever is found here can be asked about there.
        let active = changes.users.iter().filter(|user| user.active);
        self.parts().tokens.members(active.map(member).collect()).await;
        changes.purged.iter().for_each(|id| self.roster().remove(*id));
        let (mut times, mut plans) = (Vec::new(), Vec::new());
        for (id, what) in changes.refused {
            self.roster().remove(id);
            self.roster().fault(id, what);
            gone.push(id);
        }
        for user in &changes.users {
            self.roster().mended(user.id);
            let before = self.known(user.id);
            let Some(known) = self.roster().put(user) else {
                gone.push(user.id);
                continue;
            };
            let (own, fault) = self.times(&known);
            if let Some(fault) = fault {
                self.roster().fault(user.id, fault);
            }
            // Until a time reckoned so is on record: what fails, or is left half-way, is repeated, and then the roster
            // has the new words already.
            let schedule = match before {
                None => Since::Unknown,
                Some(before) if reckon || known.runs_otherwise(&before) => Since::Changed,
                Some(_) => self.roster().unplanned.get(&user.id).copied().unwrap_or(Since::Same),
            };
            if schedule != Since::Same {
                self.roster().unplanned.insert(user.id, schedule);
            }
            if user.paused || !settings.apps.contains_key(&user.app) {
                self.unschedule(user.id);
                continue;
            }
            let at = own.resume(user.next_run_at, now, settings.archive.max_interval, schedule);
            match user.next_run_at == Some(at) {
                true => times.push((user.id, at)),
                false => plans.push(PlannedRun { user: user.id, seen: user.next_run_at, at }),
            }
        }
        for id in gone {
            self.parts().tokens.remove(id).await;
            self.unschedule(id);
        }
        for id in changes.purged {
            self.forget_answers(id).await;
        }
        let planned = self.try_to_plan(&plans).await;
        let unplanned = || plans.iter().map(|plan| (plan.user, plan.at)).collect();
        times.extend(planned.as_ref().map_or_else(|_| unplanned(), Clone::clone));
        if planned.is_ok() {
            let mut roster = self.roster();
            for (user, _) in &times {
                roster.unplanned.remove(user);
            }
        }
        self.schedule(times).await;
        Ok(planned.map(drop)?)
    }

    /// Of who was purged by another daemon nothing stays here either.
    async fn forget_answers(&self, id: UserId) {
        if let Err(error) = self.parts().spool.forget(id).await {
            tracing::warn!("the spool still has an answer of a purged user: {error}");
        }
    }

    /// Puts next times on record; answers what is on record now, which may be another daemon's.
    async fn put_on_record(&self, plans: &[PlannedRun]) -> Vec<(UserId, Timestamp)> {
        self.try_to_plan(plans).await.unwrap_or_else(|error| {
            tracing::warn!("the next runs of {} users are not on record: {}", plans.len(), said(&error));
            plans.iter().map(|plan| (plan.user, plan.at)).collect()
        })
    }

    async fn try_to_plan(&self, plans: &[PlannedRun]) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let others: HashMap<_, _> = self.parts().store.plan_runs(plans).await?.into_iter().collect();
        let present = |plan: &PlannedRun| others.get(&plan.user).copied().flatten().unwrap_or(plan.at);
        Ok(plans.iter().map(|plan| (plan.user, present(plan))).collect())
    }

    /// When this user runs, and what of the user's own words can't be read.
    pub(super) fn times(&self, user: &Known) -> (Times, Option<String>) {
        self.0.schedules.times(user, &self.settings())
    }

    fn unschedule(&self, user: UserId) {
        if let Some(scheduler) = &self.parts().scheduler {
            scheduler.remove(user);
        }
    }

    /// Puts times into the schedule, as they are on record.
    pub(super) async fn schedule(&self, times: Vec<(UserId, Timestamp)>) {
        if let Some(scheduler) = &self.parts().scheduler {
            times.iter().for_each(|(user, at)| scheduler.set(*user, *at));
            let runs = times.into_iter().map(|(user, at)| (user, Some(at))).collect();
            self.parts().tokens.runs_due(runs).await;
        }
    }

    /// Reckons a user's next time anew, where none is on record.
    pub(super) async fn plan_anew(&self, user: &Known) {
        self.plan_again(user, None).await;
    }

    /// Reckons a user's next time anew, and puts it on record in place of the one that was `seen` there.
    pub(super) async fn plan_again(&self, user: &Known, seen: Option<Timestamp>) {
        let at =
            self.times(user).0.resume(seen, self.now(), self.settings().archive.max_interval, Since::Changed);
        let planned = self.put_on_record(&[PlannedRun { user: user.id, seen, at }]).await;
        self.schedule(planned).await;
    }

    /// Lets users be due now, whenever they were to be.
    pub(super) async fn bring_forward(&self, users: &[UserId]) {
        let Some(scheduler) = &self.parts().scheduler else { return };
        for batch in users.chunks(usize::from(BATCH)) {
            let at = self.now();
            let mut plans: Vec<_> = batch
                .iter()
                .map(|user| PlannedRun { user: *user, seen: scheduler.next_for(*user), at })
                .collect();
            let mut planned = self.put_on_record(&plans).await;
            // What the schedule has may be old; whoever is run by another daemon just now needs nothing.
            plans = planned
                .iter()
                .filter(|(_, next)| *next > at)
                .map(|(user, next)| PlannedRun { user: *user, seen: Some(*next), at })
                .collect();
            planned.retain(|(_, next)| *next <= at);
            planned.extend(self.put_on_record(&plans).await);
            self.schedule(planned).await;
        }
    }

    /// Finds whoever is overdue though nobody runs them, as after a firing that was lost or another daemon's end, and
    /// lets them be due here.
    pub async fn sweep(&self) -> Result<(), Problem> {
        if self.unless_shut().is_err() {
            return Ok(());
        }
        let (mut after, mut found) = (None, 0);
        loop {
            let overdue = self.parts().store.overdue(OVERDUE, after, i64::from(BATCH)).await?;
            let more = overdue.len() == usize::from(BATCH);
            after = overdue.last().copied();
            let times: Vec<_> = overdue
                .into_iter()
                .filter(|(_, user)| self.could_run(*user))
                // By the store's clock they are due, whatever ours says.
                .map(|(at, user)| (user, at.min(self.now())))
                .collect();
            found += times.len();
            self.schedule(times).await;
            if !more {
                break;
            }
        }
        if found > 0 {
            tracing::info!("{found} runs are overdue, and are made now");
        }
        Ok(())
    }

    /// Whether nothing but the time keeps this daemon from running the user.
    fn could_run(&self, user: UserId) -> bool {
        let known = self.roster().get(user).filter(|known| !known.paused);
        let configured = known.is_some_and(|known| self.settings().apps.contains_key(&*known.app));
        let (parts, now) = (self.parts(), self.now());
        let fires = parts.scheduler.as_ref().and_then(|scheduler| scheduler.next_for(user));
        configured && fires.is_none_or(|at| at > now) && !parts.archiver.is_busy_with(user)
    }

    /// Keeps the runs under way this daemon's.
    pub async fn renew_claims(&self) -> Result<(), Problem> {
        Ok(self.parts().archiver.renew_claims().await?)
    }

    /// Takes back what this state directory had claimed before it was stopped, or could not give up.
    pub async fn take_back(&self) -> Result<(), Problem> {
        let taken = self.parts().archiver.take_back().await?;
        if !taken.is_empty() {
            tracing::info!("{} runs broke off, and are made again", taken.len());
        }
        // Who was taken in before that was planned for the end of the claim.
        let now = self.now();
        self.schedule(taken.into_iter().map(|user| (user, now)).collect()).await;
        Ok(())
    }

    /// One user, as the daemon knows them.
    pub(super) fn known(&self, id: UserId) -> Option<Arc<Known>> {
        self.roster().get(id)
    }
}

fn member(user: &User) -> Member {
    Member { id: user.id, name: user.name.clone(), app: user.app.clone(), paused: user.paused }
}
