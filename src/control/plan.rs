//! When a user runs: by the schedule and zone in force, at the user's own place in the window that the users of one
//! expression share. Parsed expressions are kept for everyone who has them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;

use crate::config::Settings;
use crate::domain::{Schedule, ScheduleError, Timestamp, User, UserName, parse_zone};
use crate::schedule::spread;

use super::roster::Known;

/// How many parsed expressions are kept, of some 6 KB each; where there are more, all are read again now and then.
const KEPT: usize = 512;

/// What a user says of the own schedule.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    name: &'a UserName,
    schedule: Option<&'a str>,
    timezone: Option<&'a str>,
}

impl<'a> From<&'a User> for Wish<'a> {
    fn from(user: &'a User) -> Self {
        Self { name: &user.name, schedule: user.schedule.as_deref(), timezone: user.timezone.as_deref() }
    }
}

impl<'a> From<&'a Known> for Wish<'a> {
    fn from(user: &'a Known) -> Self {
        Self { name: &user.name, schedule: user.schedule.as_deref(), timezone: user.timezone.as_deref() }
    }
}

/// The schedule and the zone in force.
pub struct Plan {
    /// The schedule in force.
    pub schedule: Schedule,
    /// The zone in force.
    pub zone: Tz,
}

impl Plan {
    /// The user's own schedule and zone, or the defaults. What another program wrote into the store and can't be read is
    /// told, and the default holds.
    pub fn of<'a>(user: impl Into<Wish<'a>>, settings: &Settings) -> (Self, Option<String>) {
        Self::read(user.into(), settings, str::parse)
    }

    fn read(
        user: Wish<'_>,
        settings: &Settings,
        parse: impl Fn(&str) -> Result<Schedule, ScheduleError>,
    ) -> (Self, Option<String>) {
        let mut fault = None;
        let mut tell = |what: ScheduleError| {
            fault.get_or_insert(format!("{}: {what}; the default holds until it is mended", user.name));
        };
        let schedule = user.schedule.and_then(|text| parse(text).map_err(&mut tell).ok());
        let zone = user.timezone.and_then(|name| parse_zone(name).map_err(&mut tell).ok());
        let plan = Self {
            schedule: schedule.unwrap_or_else(|| settings.archive.schedule.clone()),
            zone: zone.unwrap_or(settings.archive.timezone),
        };
        (plan, fault)
    }
}

/// A user's times.
pub struct Times {
    /// The schedule and the zone in force.
    pub plan: Plan,
    /// How long after each time of the schedule the user's own is.
    offset: Duration,
}

impl Times {
    /// The first time after `now`; `None` for an adaptive schedule.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.plan.schedule.next_after(now - self.offset, self.plan.zone)? + self.offset)
    }

    /// When a user runs next who was just taken in: what is overdue is made up at once, once. A cron time is reckoned
    /// anew, since the schedule may have changed; an adaptive one holds, but is never further than `max` away.
    pub fn resume(&self, stored: Option<Timestamp>, now: Timestamp, max: Duration) -> Timestamp {
        match (stored, self.next_after(now)) {
            (Some(at), _) if at <= now => at,
            (_, Some(next)) => next,
            (Some(at), None) => at.min(now + max),
            (None, None) => now,
        }
    }

    /// The longest time between two runs.
    pub fn longest_pause(&self, now: Timestamp, max: Duration) -> Duration {
        let first = self.next_after(now);
        let second = first.and_then(|first| self.next_after(first));
        match (first, second) {
            (Some(first), Some(second)) => second.since(first),
            _ => max,
        }
    }
}

/// Schedules that were read, with the window of their users.
#[derive(Default)]
pub struct Schedules(Mutex<HashMap<String, (Schedule, Duration)>>);

impl Schedules {
    /// The user's times, and what of the user's own words can't be read.
    pub fn times<'a>(&self, user: impl Into<Wish<'a>>, settings: &Settings) -> (Times, Option<String>) {
        let user = user.into();
        let (plan, fault) =
            Plan::read(user, settings, |text| self.get(text, || text.parse()).map(|got| got.0));
        let in_force = plan.schedule.to_string();
        let window = self.get(&in_force, || Ok(plan.schedule.clone())).map_or(Duration::ZERO, |got| got.1);
        (Times { plan, offset: spread::offset(user.name, window) }, fault)
    }

    fn get(
        &self,
        text: &str,
        make: impl FnOnce() -> Result<Schedule, ScheduleError>,
    ) -> Result<(Schedule, Duration), ScheduleError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let schedule = make()?;
        let made = (schedule.clone(), spread::window(&schedule));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_owned(), made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &str, offset: Duration) -> Times {
        Times { plan: Plan { schedule: schedule.parse().unwrap(), zone: Tz::UTC }, offset }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn what_is_overdue_is_made_up_once_and_a_cron_time_reckoned_anew() {
        let (now, max) = (at("2026-01-01T10:00:00Z"), Duration::from_secs(3 * 3_600));
        let hourly = times("5 * * * *", Duration::ZERO);
        let next = at("2026-01-01T10:05:00Z");
        assert_eq!(hourly.resume(None, now, max), next);
        assert_eq!(
            hourly.resume(Some(at("2026-01-01T10:40:00Z")), now, max),
            next,
            "the schedule was another"
        );
        assert_eq!(hourly.resume(Some(at("2026-01-01T07:05:00Z")), now, max), at("2026-01-01T07:05:00Z"));
        let adaptive = times("adaptive", Duration::ZERO);
        assert_eq!(adaptive.resume(None, now, max), now);
        assert_eq!(adaptive.resume(Some(at("2026-01-01T11:00:00Z")), now, max), at("2026-01-01T11:00:00Z"));
        assert_eq!(adaptive.resume(Some(at("2026-02-01T11:00:00Z")), now, max), now + max);
        assert_eq!(hourly.longest_pause(now, max), Duration::from_secs(3_600));
        assert_eq!(adaptive.longest_pause(now, max), max);
    }

    #[test]
    fn a_users_own_moment_follows_each_time_of_the_schedule_once() {
        let hourly = times("5 * * * *", Duration::from_millis(30_250));
        let own = at("2026-01-01T10:05:30.250Z");
        // Between the schedule's moment and the user's own it is not too late for this hour.
        for before in ["2026-01-01T09:59:00Z", "2026-01-01T10:05:00Z", "2026-01-01T10:05:30.249Z"] {
            assert_eq!(hourly.next_after(at(before)), Some(own), "{before}");
        }
        assert_eq!(hourly.next_after(own), Some(at("2026-01-01T11:05:30.250Z")));
    }

    #[test]
    fn no_more_expressions_are_kept_than_there_is_room_for() {
        let schedules = Schedules::default();
        for n in 0..2 * KEPT {
            let text = format!("{} {} * * *", n % 60, n / 60);
            let got = schedules.get(&text, || text.parse()).unwrap();
            assert_eq!((got.0.to_string(), got.1), (text, Duration::from_secs(60)));
        }
        assert!(schedules.0.lock().unwrap().len() <= KEPT);
    }
}
