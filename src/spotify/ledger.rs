//! The ledger of calls: all apps of one Spotify developer account share a day's quota, over all daemons of the store and
//! over restarts. No call is made that is not on record; when few are left, those who are about to lose plays go first.

mod day;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::domain::{AppName, Quota, Timestamp, Urgency};
use crate::store::{CallsTaken, CallsWanted, GrantStore, StoreError};

use super::NoCall;
use day::{Day, Now};

/// A day's calls are taken in so many portions at least.
const PORTIONS: u32 = 200;
/// How many calls are taken at a time at most.
const LARGEST_PORTION: u32 = 1_000;

/// A `quota_group`.
#[derive(Default)]
struct Group {
    apps: Vec<AppName>,
    per_day: u32,
    /// As the store had it last; `None`: it was not asked yet.
    day: Option<Day>,
    hand: Option<Hand>,
}

/// Calls that are on record, and were not made yet.
#[derive(Clone, Copy)]
struct Hand {
    calls: u32,
    slot: Timestamp,
    /// When they are to be given back.
    ends: BootTime,
}

impl Group {
    fn in_hand(&self) -> u32 {
        self.hand.map_or(0, |hand| hand.calls)
    }
}

/// All groups; clones share them.
#[derive(Clone)]
pub struct Ledger {
    clock: Arc<dyn Clock>,
    store: Arc<dyn GrantStore>,
    groups: Arc<Mutex<BTreeMap<String, Group>>>,
    /// One asks the store at a time: the others find what it took.
    taking: Arc<tokio::sync::Mutex<()>>,
}

impl Ledger {
    /// Without groups: calls of an app that is in none are not counted.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn GrantStore>) -> Self {
        Self { clock, store, groups: Arc::default(), taking: Arc::default() }
    }

    /// Which app is in which group, and how many calls it may make in a day; in a group the least counts.
    pub fn configure<'a>(&self, apps: impl IntoIterator<Item = (&'a AppName, &'a str, u32)>) {
        let mut groups = self.groups();
        let mut before = std::mem::take(&mut *groups);
        for (app, name, per_day) in apps {
            let group = groups.entry(name.to_owned()).or_insert_with(|| {
                let known = before.remove(name).unwrap_or_default();
                Group { apps: Vec::new(), per_day, ..known }
            });
            group.apps.push(app.clone());
            group.per_day = group.per_day.min(per_day);
        }
        for group in groups.values_mut() {
            let per_day = group.per_day;
            group.day.iter_mut().for_each(|day| day.limited(per_day));
        }
    }

    /// The apps that share a quota with this one, itself among them.
    pub fn sharing_with(&self, app: &AppName) -> Vec<AppName> {
        let groups = self.groups();
        let group = groups.values().find(|group| group.apps.contains(app));
        group.map_or_else(|| vec![app.clone()], |group| group.apps.clone())
    }

    /// Takes one call. Whoever got it makes it, or has lost it.
    pub async fn take(&self, app: &AppName, urgency: Urgency) -> Result<(), NoCall> {
        if let Some(settled) = self.take_in_hand(app, urgency) {
            return settled;
        }
        let _one = self.taking.lock().await;
        if let Some(settled) = self.take_in_hand(app, urgency) {
            return settled;
        }
        let Some(wanted) = self.wanted(app) else { return Ok(()) };
        let wanted = CallsWanted { at_least_one: urgency == Urgency::Login, ..wanted };
        let taken = self.store.take_calls(&wanted).await.map_err(NoCall::Store)?;
        self.took(&wanted, &taken, urgency)
    }

    /// `None`: the store must be asked.
    fn take_in_hand(&self, app: &AppName, urgency: Urgency) -> Option<Result<(), NoCall>> {
        let mut groups = self.groups();
        let Some((name, group)) = groups.iter_mut().find(|(_, group)| group.apps.contains(app)) else {
            return Some(Ok(()));
        };
        let (now, in_hand) = (self.now(), group.in_hand());
        let day = group.day.as_ref()?;
        if let Err(wait) = day.admits(urgency, in_hand, now) {
            return Some(Err(spent(name, day.per_day(), day.left(now.boot, in_hand), wait)));
        }
        let hand = group.hand.as_mut().filter(|hand| hand.calls > 0 && hand.ends > now.boot)?;
        hand.calls -= 1;
        Some(Ok(()))
    }

    fn wanted(&self, app: &AppName) -> Option<CallsWanted> {
        let groups = self.groups();
        let (name, group) = groups.iter().find(|(_, group)| group.apps.contains(app))?;
        Some(CallsWanted {
            group: name.clone(),
            calls: (group.per_day / PORTIONS).clamp(1, LARGEST_PORTION),
            per_day: group.per_day,
            at_least_one: false,
            unused: group.hand.filter(|hand| hand.calls > 0).map(|hand| (hand.slot, hand.calls)),
        })
    }

    /// Keeps what was taken, but for one call that is made now.
    fn took(&self, wanted: &CallsWanted, taken: &CallsTaken, urgency: Urgency) -> Result<(), NoCall> {
        let now = self.now();
        let mut groups = self.groups();
        let Some(group) = groups.get_mut(&wanted.group) else { return Ok(()) };
        let day = group.day.insert(Day::new(group.per_day, &taken.day, now.boot));
        let admitted = day.admits(urgency, taken.calls, now);
        let made = u32::from(admitted.is_ok() && taken.calls > 0);
        let ends = BootTime(now.boot.0 + taken.ends_in);
        group.hand = Some(Hand { calls: taken.calls - made, slot: taken.slot, ends });
        let left = day.left(now.boot, taken.calls);
        admitted.map_err(|wait| spent(&wanted.group, wanted.per_day, left, wait))
    }

    /// Hears what others on the same store have taken.
    pub async fn look(&self) -> Result<(), StoreError> {
        let names: Vec<String> = self.groups().keys().cloned().collect();
        for name in names {
            let _one = self.taking.lock().await;
            let counting = self.store.calls_taken(&name).await?;
            let now = self.clock.boot();
            if let Some(group) = self.groups().get_mut(&name) {
                group.day = Some(Day::new(group.per_day, &counting, now));
            }
        }
        Ok(())
    }

    /// Gives back what is in hand: nobody calls any more.
    pub async fn close(&self) -> Result<(), StoreError> {
        let _one = self.taking.lock().await;
        let apps: Vec<AppName> =
            self.groups().values().filter_map(|group| group.apps.first().cloned()).collect();
        for wanted in apps.iter().filter_map(|app| self.wanted(app)).filter(|wanted| wanted.unused.is_some())
        {
            let wanted = CallsWanted { calls: 0, ..wanted };
            let taken = self.store.take_calls(&wanted).await?;
            let now = self.clock.boot();
            if let Some(group) = self.groups().get_mut(&wanted.group) {
                group.day = Some(Day::new(group.per_day, &taken.day, now));
                group.hand = None;
            }
        }
        Ok(())
    }

    /// What is left of each group's day, as far as that is known.
    pub fn quotas(&self) -> Vec<Quota> {
        let now = self.now();
        let told = |(name, group): (&String, &Group)| {
            let (day, in_hand) = (group.day.as_ref()?, group.in_hand());
            Some(Quota {
                group: name.clone(),
                calls_per_day: day.per_day(),
                left: day.left(now.boot, in_hand),
                lasts_until: day.lasts_until(in_hand, now),
            })
        };
        self.groups().iter().filter_map(told).collect()
    }

    /// How many calls an app has left of its group's day; `None`: that is not known yet.
    pub fn left(&self, app: &AppName) -> Option<u32> {
        self.ask(app, |day, in_hand| day.left(self.clock.boot(), in_hand))
    }

    /// Whether so few are left that those who are in no hurry may have to wait.
    pub fn is_low(&self, app: &AppName) -> bool {
        self.ask(app, |day, in_hand| day.is_low(self.clock.boot(), in_hand)).unwrap_or(false)
    }

    /// How dear a call of the app is: 1 where there are enough.
    pub fn scarcity(&self, app: &AppName) -> f64 {
        self.ask(app, |day, in_hand| day.scarcity(self.clock.boot(), in_hand)).unwrap_or(1.0)
    }

    /// `None`: the day is not known yet.
    fn ask<T>(&self, app: &AppName, ask: impl Fn(&Day, u32) -> T) -> Option<T> {
        let groups = self.groups();
        let group = groups.values().find(|group| group.apps.contains(app))?;
        group.day.as_ref().map(|day| ask(day, group.in_hand()))
    }

    fn now(&self) -> Now {
        Now { boot: self.clock.boot(), wall: self.clock.now() }
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spent(group: &str, per_day: u32, left: u32, wait: Duration) -> NoCall {
    let reason = match left {
        0 => format!("the {per_day} calls of quota group {group} are spent for now (calls_per_day)"),
        _ => format!(
            "{left} of the {per_day} calls of quota group {group} are left (calls_per_day): they are kept for \
             who would lose plays"
        ),
    };
    NoCall::Spent { wait, reason }
}

#[cfg(test)]
mod tests;
