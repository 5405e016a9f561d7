//! Times as people write and read them: moments and ranges from the command line, local times in tables.

use std::str::FromStr;
use std::time::Duration;

use chrono::{Days, Local, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone};

use crate::clock::{Clock as _, SystemClock};
use crate::domain::Timestamp;

/// A moment as it is given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// RFC 3339.
    At(Timestamp),
    /// The beginning of a local day.
    Day(NaiveDate),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some(time) = Timestamp::parse(given) {
            return Ok(Self::At(time));
        }
        if let Ok(day) = NaiveDate::parse_from_str(given, "%Y-%m-%d") {
            return Ok(Self::Day(day));
        }
        humantime::parse_duration(given).map(Self::Ago).map_err(|_| {
            "use a date (2026-11-21), a time (2026-11-21T20:30:00Z), or an age (30m, 24h, 7d)".to_owned()
        })
    }
}

impl Moment {
    /// The moment, seen from now and here.
    pub fn resolved(self) -> Timestamp {
        self.seen_from(SystemClock.now(), &Local)
    }

    fn seen_from(self, now: Timestamp, zone: &impl TimeZone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
            Self::Day(day) => {
                let midnight = day.and_time(NaiveTime::MIN);
                // Some zones change their clocks at midnight, so that a day can begin later.
                let begins = (0..=6).find_map(|halves| {
                    zone.from_local_datetime(&(midnight + TimeDelta::minutes(30 * halves))).earliest()
                });
                begins.map_or_else(|| midnight.and_utc().into(), |begins| begins.to_utc().into())
            }
        }
    }
}

/// A stretch of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Everything.
    All,
    /// So many days.
    Days(u32),
    /// So many calendar months.
    Months(u32),
}

impl FromStr for Range {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if given == "all" {
            return Ok(Self::All);
        }
        let unit = given.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = given[..given.len() - unit.len()].parse::<u32>().ok().filter(|n| *n > 0);
        let times = |n: u32| number.and_then(|number| number.checked_mul(n));
        let range = match unit {
            "d" => times(1).map(Self::Days),
            "w" => times(7).map(Self::Days),
            "mo" => times(1).map(Self::Months),
            "y" => times(12).map(Self::Months),
            _ => None,
        };
        range.ok_or_else(|| "use 4w, 6mo, 1y or another number of d, w, mo or y, or all".to_owned())
    }
}

impl Range {
    /// Its beginning; `None` where it has none.
    pub fn start(self) -> Option<Timestamp> {
        self.before(SystemClock.now())
    }

    fn before(self, now: Timestamp) -> Option<Timestamp> {
        let now = now.utc();
        let start = match self {
            Self::All => None,
            Self::Days(days) => now.checked_sub_days(Days::new(days.into())),
            Self::Months(months) => now.checked_sub_months(Months::new(months)),
        };
        start.map(Timestamp::from)
    }
}

/// Reads a duration: `10m`, `1h 30m`, or a number of seconds.
pub fn parse_duration(given: &str) -> Result<Duration, String> {
    let seconds = given.parse::<u64>().ok().map(Duration::from_secs);
    seconds
        .or_else(|| humantime::parse_duration(given).ok())
        .ok_or_else(|| "use a duration such as 10m or 90s, or a number of seconds".to_owned())
}

/// How a table shows a time.
pub type Show = fn(Timestamp) -> String;

/// Local time to the minute.
pub fn to_the_minute(time: Timestamp) -> String {
    shown(time, &Local, "%Y-%m-%d %H:%M")
}

/// Local time to the second.
pub fn to_the_second(time: Timestamp) -> String {
    shown(time, &Local, "%Y-%m-%d %H:%M:%S")
}

fn shown<Z: TimeZone>(time: Timestamp, zone: &Z, form: &str) -> String
where
    Z::Offset: std::fmt::Display,
{
    time.utc().with_timezone(zone).format(form).to_string()
}

/// A time that may be unknown.
pub fn or_dash(time: Option<Timestamp>, show: Show) -> String {
    time.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn moment(given: &str, zone: Tz) -> String {
        given.parse::<Moment>().unwrap().seen_from(at("2026-06-15T12:00:00Z"), &zone).to_string()
    }

    #[test]
    fn a_moment_is_a_time_a_local_date_or_an_age() {
        assert_eq!(moment("2026-01-02T03:04:05+01:00", Tz::UTC), "2026-01-02T02:04:05.000Z");
        assert_eq!(moment("2026-01-02", Tz::Europe__Berlin), "2026-01-01T23:00:00.000Z");
        assert_eq!(moment("7d", Tz::Europe__Berlin), "2026-06-08T12:00:00.000Z");
        assert_eq!(moment("24h", Tz::UTC), "2026-06-14T12:00:00.000Z");
        assert_eq!(moment("30m", Tz::UTC), "2026-06-15T11:30:00.000Z");
        for bad in ["", "yesterday", "7", "2026-13-01", "2026-02-30", "2026-01-02T03:04:05", "-7d"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_whose_midnight_the_clocks_skip_begins_after_it() {
        assert_eq!(moment("2026-09-06", Tz::America__Santiago), "2026-09-06T04:00:00.000Z");
    }

    #[test]
    fn a_range_is_counted_in_calendar_months_and_years() {
        let start = |given: &str| {
            given.parse::<Range>().unwrap().before(at("2026-08-31T12:00:00Z")).map(|t| t.to_string())
        };
        assert_eq!(start("4w").unwrap(), "2026-08-03T12:00:00.000Z");
        assert_eq!(start("6mo").unwrap(), "2026-02-28T12:00:00.000Z");
        assert_eq!(start("1y").unwrap(), "2025-08-31T12:00:00.000Z");
        assert_eq!(start("10d").unwrap(), "2026-08-21T12:00:00.000Z");
        assert_eq!(start("all"), None);
        for bad in ["", "w", "4", "0w", "4 w", "4m", "-1y", "1.5y", "4294967295y", "é"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_may_be_a_bare_number_of_seconds() {
        for same in ["600", "600s", "10m", "5m 300s"] {
            assert_eq!(parse_duration(same), Ok(Duration::from_secs(600)), "{same}");
        }
        for bad in ["", "-1", "ten", "1.5"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_table_shows_times_of_the_place() {
        let time = at("2026-06-15T22:30:59Z");
        assert_eq!(shown(time, &Tz::Europe__Berlin, "%Y-%m-%d %H:%M"), "2026-06-16 00:30");
        assert_eq!(or_dash(None, to_the_minute), "-");
    }
}
