//! A group's day: how many calls are left of it, for whom, and until when. Pure.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{Timestamp, Urgency};
use crate::store::{DAY, SLOT};

/// Below this part of a day's calls those who are in no hurry wait.
const LOW: f64 = 0.25;
/// Below this part nothing is called for that nobody would miss.
const SPARE: f64 = 0.5;
/// The last of a day's calls are for people: one in so many.
const FOR_PEOPLE: u32 = 100;
/// A page that is so full waits for nobody.
const NEARLY_FULL: f64 = 0.9;
/// How dear the last call of a day is.
const DEAREST: f64 = 20.0;
/// How soon a run is tried again that must wait, at the earliest.
const LEAST_WAIT: Duration = Duration::from_secs(60);

/// What counts of a day, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// By when they count no more.
    calls: Vec<(BootTime, u32)>,
    per_day: u32,
}

impl Day {
    /// As the store has it now.
    pub fn new(per_day: u32, counting: &[(Duration, u32)], now: BootTime) -> Self {
        let mut calls: Vec<_> =
            counting.iter().map(|(left, calls)| (BootTime(now.0 + *left), *calls)).collect();
        calls.sort_unstable();
        Self { calls, per_day }
    }

    /// How many calls it has.
    pub fn per_day(&self) -> u32 {
        self.per_day
    }

    /// The same with another limit.
    pub fn limited(&mut self, per_day: u32) {
        self.per_day = per_day;
    }

    /// How many are left; `in_hand` were taken and not made yet.
    pub fn left(&self, now: BootTime, in_hand: u32) -> u32 {
        let count = |calls: u32, (until, more): &(BootTime, u32)| {
            if *until > now { calls.saturating_add(*more) } else { calls }
        };
        let taken = self.calls.iter().fold(0, count);
        self.per_day.saturating_sub(taken.saturating_sub(in_hand))
    }

    /// Whether a call may be made; otherwise how long until it may.
    pub fn admits(&self, urgency: Urgency, in_hand: u32, now: Now) -> Result<(), Duration> {
        if self.would_admit(urgency, in_hand, now) {
            return Ok(());
        }
        let freed = self.calls.iter().map(|(until, _)| until.since(now.boot)).filter(|wait| !wait.is_zero());
        let freed = freed.into_iter().find(|wait| {
            let then = Now { boot: BootTime(now.boot.0 + *wait), wall: now.wall + *wait };
            self.would_admit(urgency, in_hand, then)
        });
        let fuller = self.hurries_in(urgency, in_hand, now);
        Err([freed, fuller].into_iter().flatten().min().unwrap_or(SLOT).max(LEAST_WAIT))
    }

    fn would_admit(&self, urgency: Urgency, in_hand: u32, now: Now) -> bool {
        let left = self.left(now.boot, in_hand);
        match urgency {
            Urgency::Login => true,
            Urgency::Asked => left > 0,
            Urgency::Spare => f64::from(left) >= SPARE * f64::from(self.per_day),
            Urgency::Due { since, full_at } => {
                left > self.per_day / FOR_PEOPLE && fullness(since, full_at, now.wall) >= self.needed(left)
            }
        }
    }

    /// How full a page must be for a call now.
    fn needed(&self, left: u32) -> f64 {
        let low = LOW * f64::from(self.per_day);
        (1.0 - f64::from(left) / low).clamp(0.0, NEARLY_FULL)
    }

    /// In how long a page is full enough for what is left now.
    fn hurries_in(&self, urgency: Urgency, in_hand: u32, now: Now) -> Option<Duration> {
        let Urgency::Due { since, full_at } = urgency else { return None };
        let left = self.left(now.boot, in_hand);
        // What is reckoned in fractions may fall short by one.
        let whole = full_at.since(since).mul_f64(self.needed(left)) + Duration::from_secs(1);
        let enough = since + whole;
        (left > self.per_day / FOR_PEOPLE).then(|| enough.since(now.wall))
    }

    /// Whether those who are in no hurry may have to wait.
    pub fn is_low(&self, now: BootTime, in_hand: u32) -> bool {
        f64::from(self.left(now, in_hand)) < LOW * f64::from(self.per_day)
    }

    /// How dear a call is: 1 while half of the day's are left, then more and more, up to [`DEAREST`].
    pub fn scarcity(&self, now: BootTime, in_hand: u32) -> f64 {
        let left = f64::from(self.left(now, in_hand)) / f64::from(self.per_day.max(1));
        1.0 + (DEAREST - 1.0) * ((SPARE - left) / SPARE).max(0.0)
    }

    /// When the day's calls will be spent, should as many be made as in the last hour; `None`: they last for a day.
    pub fn lasts_until(&self, in_hand: u32, now: Now) -> Option<Timestamp> {
        let hour = Duration::from_secs(3_600);
        let fresh = |until: BootTime| until.since(now.boot) > DAY + SLOT - hour;
        let recent: u32 = self.calls.iter().filter(|(until, _)| fresh(*until)).map(|(_, calls)| calls).sum();
        let rate = f64::from(recent.saturating_sub(in_hand));
        let steps = DAY.as_secs() / SLOT.as_secs();
        let spent = (0..=steps).map(|step| SLOT * u32::try_from(step).unwrap_or(0)).find(|ahead| {
            let left = self.left(BootTime(now.boot.0 + *ahead), in_hand);
            f64::from(left) <= rate * ahead.as_secs_f64() / hour.as_secs_f64()
        });
        spent.map(|ahead| now.wall + ahead)
    }
}

/// What both clocks show.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub boot: BootTime,
    pub wall: Timestamp,
}

/// How full a page is by now, from 0 to 1.
fn fullness(since: Timestamp, full_at: Timestamp, now: Timestamp) -> f64 {
    let whole = full_at.since(since);
    if whole.is_zero() { 1.0 } else { (now.since(since).as_secs_f64() / whole.as_secs_f64()).min(1.0) }
}

#[cfg(test)]
mod tests;
