//! Who there is: the active users in memory, with the schedule and zone in force for each.

use std::collections::HashMap;
use std::time::Duration;

use chrono_tz::Tz;

use crate::archive::Who;
use crate::config::{AppSettings, Settings};
use crate::domain::{Schedule, Timestamp, User, UserId, UserName, parse_zone};

/// The active users, by number and by name.
#[derive(Default)]
pub struct Roster {
    users: HashMap<UserId, User>,
    names: HashMap<UserName, UserId>,
    /// The store's number of the newest change that is in here.
    pub upto: i64,
}

impl Roster {
    /// One user.
    pub fn get(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// One user, by name.
    pub fn find(&self, name: &UserName) -> Option<&User> {
        self.users.get(self.names.get(name)?)
    }

    /// Everyone.
    pub fn all(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// Takes a user in, or lets go one who is inactive; answers the earlier state.
    pub fn put(&mut self, user: User) -> Option<User> {
        if user.active {
            self.names.insert(user.name.clone(), user.id);
            self.users.insert(user.id, user)
        } else {
            self.names.remove(&user.name);
            self.users.remove(&user.id)
        }
    }
}

/// When a user runs.
pub struct Plan {
    /// The schedule in force.
    pub schedule: Schedule,
    /// The zone in force.
    pub zone: Tz,
}

impl Plan {
    /// The user's own schedule and zone, or the defaults. What another program wrote into the store and can't be read is
    /// told, and the default holds.
    pub fn of(user: &User, settings: &Settings) -> (Self, Option<String>) {
        let mut fault = None;
        let mut tell = |what: String| {
            fault.get_or_insert(format!("{}: {what}; the default holds until it is mended", user.name));
        };
        let schedule = match user.schedule.as_deref().map(str::parse::<Schedule>) {
            Some(Ok(schedule)) => schedule,
            Some(Err(error)) => {
                tell(error.to_string());
                settings.archive.schedule.clone()
            }
            None => settings.archive.schedule.clone(),
        };
        let zone = match user.timezone.as_deref().map(parse_zone) {
            Some(Ok(zone)) => zone,
            Some(Err(error)) => {
                tell(error.to_string());
                settings.archive.timezone
            }
            None => settings.archive.timezone,
        };
        (Self { schedule, zone }, fault)
    }

    /// When a user runs next who was just taken in: what is overdue is made up at once, once. A cron time is reckoned
    /// anew, since the schedule may have changed; an adaptive one holds, but is never further than `max` away.
    pub fn resume(&self, stored: Option<Timestamp>, now: Timestamp, max: Duration) -> Timestamp {
        match (stored, self.schedule.next_after(now, self.zone)) {
            (Some(at), _) if at <= now => at,
            (_, Some(next)) => next,
            (Some(at), None) => at.min(now + max),
            (None, None) => now,
        }
    }

    /// The longest time between two runs.
    pub fn longest_pause(&self, now: Timestamp, max: Duration) -> Duration {
        let first = self.schedule.next_after(now, self.zone);
        let second = first.and_then(|first| self.schedule.next_after(first, self.zone));
        match (first, second) {
            (Some(first), Some(second)) => second.since(first),
            _ => max,
        }
    }

    /// Whom a run is for.
    pub fn who(&self, user: &User, app: &AppSettings, now: Timestamp, max: Duration) -> Who {
        Who {
            id: user.id,
            name: user.name.clone(),
            app: app.name.clone(),
            api_url: app.api_url.clone(),
            longest_pause: self.longest_pause(now, max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(schedule: &str) -> Plan {
        Plan { schedule: schedule.parse().unwrap(), zone: Tz::UTC }
    }

    #[test]
    fn what_is_overdue_is_made_up_once_and_a_cron_time_reckoned_anew() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (now, max) = (at("2026-01-01T10:00:00Z"), Duration::from_secs(3 * 3_600));
        let hourly = plan("5 * * * *");
        let next = at("2026-01-01T10:05:00Z");
        assert_eq!(hourly.resume(None, now, max), next);
        assert_eq!(
            hourly.resume(Some(at("2026-01-01T10:40:00Z")), now, max),
            next,
            "the schedule was another"
        );
        assert_eq!(hourly.resume(Some(at("2026-01-01T07:05:00Z")), now, max), at("2026-01-01T07:05:00Z"));
        let adaptive = plan("adaptive");
        assert_eq!(adaptive.resume(None, now, max), now);
        assert_eq!(adaptive.resume(Some(at("2026-01-01T11:00:00Z")), now, max), at("2026-01-01T11:00:00Z"));
        assert_eq!(adaptive.resume(Some(at("2026-02-01T11:00:00Z")), now, max), now + max);
        assert_eq!(hourly.longest_pause(now, max), Duration::from_secs(3_600));
        assert_eq!(adaptive.longest_pause(now, max), max);
    }
}
