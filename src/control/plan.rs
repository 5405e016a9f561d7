//! When a user runs: by the schedule and zone in force, at the user's own place in the window that the users of one
//! expression share. Parsed expressions are kept for everyone who has them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;

use crate::config::Settings;
use crate::domain::{Schedule, ScheduleError, Timestamp, User, UserName, parse_zone};
use crate::schedule::spread::{self, Rhythm};

use super::roster::Known;

/// How many parsed expressions are kept, of some 6 KB each; where there are more, all are read again now and then.
const KEPT: usize = 512;
/// How many rhythms are kept, of some 100 bytes each, since one costs far more to find than an expression to read.
const RHYTHMS: usize = 16_384;
const HOUR: Duration = Duration::from_secs(3_600);

/// A user's own words on when to run.
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

/// A user's own zone where it can be read, else the default.
pub fn zone_in_force(timezone: Option<&str>, settings: &Settings) -> Tz {
    timezone.and_then(|name| parse_zone(name).ok()).unwrap_or(settings.archive.timezone)
}

/// What became of a user's schedule since the time on record was reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// It is the same.
    Same,
    /// Nobody here knows: the daemon has just started.
    Unknown,
    /// It is another.
    Changed,
}

/// A user's times.
pub struct Times {
    /// The schedule and the zone in force.
    pub plan: Plan,
    /// How long after each time of the schedule the user's own is.
    offset: Duration,
    /// The longest time between two of the schedule; `None`: it is adaptive.
    longest: Option<Duration>,
}

impl Times {
    /// The first time after `now`; `None` for an adaptive schedule.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.plan.schedule.next_after(now - self.offset, self.plan.zone)? + self.offset)
    }

    /// When a user runs next who was just taken in: what is overdue is made up at once, once. The time on record may be
    /// another than the schedule's own, as after a rate limit: it holds while the schedule is the same, and is reckoned
    /// anew where that has changed. An adaptive one is never further than `max` away.
    pub fn resume(
        &self,
        stored: Option<Timestamp>,
        now: Timestamp,
        max: Duration,
        schedule: Since,
    ) -> Timestamp {
        match (stored, self.next_after(now)) {
            (Some(at), _) if at <= now => at,
            (Some(at), None) => at.min(now + max),
            (Some(at), Some(next)) => match schedule {
                Since::Same => at,
                Since::Unknown => at.min(next),
                Since::Changed => next,
            },
            (None, Some(next)) => next,
            (None, None) => now,
        }
    }

    /// Where the user lives.
    pub fn zone(&self) -> Tz {
        self.plan.zone
    }

    /// The longest time between two runs.
    pub fn longest_pause(&self, max: Duration) -> Duration {
        self.longest.unwrap_or(max)
    }
}

/// Schedules that were read, what was refused too, and the rhythms of the others.
#[derive(Default)]
pub struct Schedules {
    read: Mutex<HashMap<String, Result<Schedule, ScheduleError>>>,
    rhythms: Mutex<HashMap<String, Option<Rhythm>>>,
}

impl Schedules {
    /// The user's times, and what of the user's own words can't be read.
    pub fn times<'a>(&self, user: impl Into<Wish<'a>>, settings: &Settings) -> (Times, Option<String>) {
        let user = user.into();
        let read = |text: &str| kept(&self.read, KEPT, text, || text.parse());
        let (plan, fault) = Plan::read(user, settings, read);
        let in_force = plan.schedule.to_string();
        let rhythm = kept(&self.rhythms, RHYTHMS, &in_force, || spread::rhythm(&plan.schedule));
        let offset = spread::offset(user.name, rhythm.unwrap_or_default().window);
        let longest = rhythm.map(|rhythm| longest(&rhythm, plan.zone));
        (Times { plan, offset, longest }, fault)
    }
}

/// The longest time between two firings in a zone: a pause of more than an hour takes one more in the night when its
/// clocks go back.
fn longest(rhythm: &Rhythm, zone: Tz) -> Duration {
    let shifts = zone != Tz::UTC && rhythm.longest > HOUR;
    rhythm.longest + if shifts { HOUR } else { Duration::ZERO }
}

/// What was made of a text, once; all is forgotten where there is no more room.
fn kept<T: Clone>(all: &Mutex<HashMap<String, T>>, room: usize, text: &str, make: impl FnOnce() -> T) -> T {
    let known = all.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
    known.unwrap_or_else(|| {
        let made = make();
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= room {
            all.clear();
        }
        all.insert(text.to_owned(), made.clone());
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &str, offset: Duration) -> Times {
        let plan = Plan { schedule: schedule.parse().unwrap(), zone: Tz::UTC };
        let longest = spread::rhythm(&plan.schedule).map(|rhythm| longest(&rhythm, plan.zone));
        Times { plan, offset, longest }
    }

    #[test]
    fn a_pause_of_more_than_an_hour_takes_one_more_where_clocks_go_back() {
        let rhythm = |hours| Rhythm { longest: HOUR * hours, ..Rhythm::default() };
        let hours = |zone| [1, 2, 24].map(|hours| longest(&rhythm(hours), zone).as_secs() / 3_600);
        assert_eq!(hours(Tz::UTC), [1, 2, 24]);
        assert_eq!(hours(Tz::Europe__Berlin), [1, 3, 25]);
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn what_is_overdue_is_made_up_once_and_a_cron_time_reckoned_anew_where_the_schedule_changed() {
        use Since::{Changed, Same, Unknown};
        let (now, max) = (at("2026-01-01T10:00:00Z"), Duration::from_secs(3 * 3_600));
        let hourly = times("5 * * * *", Duration::ZERO);
        let next = at("2026-01-01T10:05:00Z");
        for since in [Same, Unknown, Changed] {
            assert_eq!(hourly.resume(None, now, max, since), next);
            let overdue = at("2026-01-01T07:05:00Z");
            assert_eq!(hourly.resume(Some(overdue), now, max, since), overdue);
        }
        let (held, soon) = (at("2026-01-01T10:40:00Z"), at("2026-01-01T10:01:00Z"));
        let of = |stored| [Same, Unknown, Changed].map(|since| hourly.resume(Some(stored), now, max, since));
        assert_eq!(of(held), [held, next, next]);
        assert_eq!(of(soon), [soon, soon, next]);
        let adaptive = times("adaptive", Duration::ZERO);
        let resumed = |stored| adaptive.resume(stored, now, max, Same);
        assert_eq!(resumed(None), now);
        assert_eq!(resumed(Some(at("2026-01-01T11:00:00Z"))), at("2026-01-01T11:00:00Z"));
        assert_eq!(resumed(Some(at("2026-02-01T11:00:00Z"))), now + max);
        assert_eq!(hourly.longest_pause(max), Duration::from_secs(3_600));
        assert_eq!(adaptive.longest_pause(max), max);
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
        let all = Mutex::default();
        for n in 0..2 * KEPT {
            let text = format!("{} {} * * *", n % 60, n / 60);
            let got = kept(&all, KEPT, &text, || text.parse::<Schedule>());
            assert_eq!(got.unwrap().to_string(), text);
        }
        assert!(all.lock().unwrap().len() <= KEPT);
    }

    #[test]
    fn what_is_refused_is_not_read_again() {
        let (all, never) = (Mutex::default(), "0 0 31 2 *");
        let first = kept(&all, KEPT, never, || never.parse::<Schedule>());
        let again = kept(&all, KEPT, never, || unreachable!("it was read before"));
        assert_eq!(first.unwrap_err().to_string(), again.unwrap_err().to_string());
    }
}
