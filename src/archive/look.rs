//! How urgent a look at a user is, and what the pace is made from after it: the page, and the habits, which are counted anew
//! once a day.

use std::time::Duration;

use super::fault::Fault;
use super::pace;
use super::run::Run;
use crate::domain::{Habits, Play, Trigger, Urgency};
use crate::spotify::Page;
use crate::store::{PageFacts, StoreError};

impl Run<'_> {
    /// How long an adaptive user may wait after this page.
    pub(super) async fn next_look(&self, page: &Page, facts: &PageFacts) -> Result<Duration, StoreError> {
        let mut recent: Vec<_> =
            page.plays.iter().map(|play| (play.played_at, play.track.duration_ms)).collect();
        recent.sort_unstable_by_key(|(ended, _)| std::cmp::Reverse(*ended));
        let new = facts.unknown.iter().filter_map(|n| page.plays.get(*n));
        let habits = self.habits(facts.habits.as_ref(), new).await?;
        let look = pace::Look {
            now: self.now(),
            recent: &recent,
            new: facts.unknown.len(),
            habits: &habits,
            zone: self.who.zone,
            scarcity: self.shared.with.gate.ledger().scarcity(&self.who.app),
        };
        let limits = *self.shared.limits();
        Ok(pace::next_look(&look, limits.min_interval, limits.max_interval))
    }

    /// How much a call matters: while enough are left that need not be known of a run by schedule.
    pub(super) async fn urgency(&self) -> Result<Urgency, Fault> {
        if self.trigger != Trigger::Schedule {
            return Ok(Urgency::Asked);
        }
        let (now, who) = (self.now(), &self.who);
        let at_once = Urgency::Due { since: now, full_at: now };
        if !self.shared.with.gate.ledger().is_low(&who.app) {
            return Ok(at_once);
        }
        let store = &self.shared.with.store;
        let known = async {
            let last = store.user(&who.name).await?.and_then(|user| user.last_archived_at);
            Ok((last, store.habits(&[who.id]).await?.pop()))
        };
        let (last, habits) = known.await.map_err(|error: StoreError| Fault::store(&error))?;
        let Some(since) = last else { return Ok(at_once) };
        let full = pace::full_at(since, &habits.map(|(_, habits)| habits).unwrap_or_default(), who.zone);
        Ok(Urgency::Due { since, full_at: full.likely.unwrap_or(full.earliest) })
    }

    /// What is on record, or, where that has become old, what is counted now: plays of the archive and new ones.
    async fn habits(
        &self,
        kept: Option<&Habits>,
        new: impl Iterator<Item = &Play>,
    ) -> Result<Habits, StoreError> {
        let now = self.now();
        if let Some(habits) = kept.filter(|habits| !habits.are_old(now)) {
            return Ok(habits.clone());
        }
        let (store, user) = (&self.shared.with.store, self.who.id);
        let since = Habits::since(now);
        let mut heard = store.hours_heard(user, since).await?;
        for at in new.map(|play| play.played_at) {
            heard.oldest = Some(heard.oldest.map_or(at, |oldest| oldest.min(at)));
            if at >= since {
                heard.hours.push((Habits::hour_of(at), 1));
            }
        }
        let habits = Habits::count(now, heard.oldest, heard.hours);
        store.keep_habits(user, &habits).await?;
        Ok(habits)
    }
}
