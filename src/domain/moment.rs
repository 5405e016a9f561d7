//! Moments and ranges as people write them; pure. A date or a time without a zone is of the zone that it is read in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{PlayCursor, Timestamp};

/// How a time without a zone may be written.
const LOCAL: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];

/// A moment as a person writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// RFC 3339.
    At(Timestamp),
    /// A time on the clock of a place.
    Local(NaiveDateTime),
    /// The beginning of a day there.
    Day(NaiveDate),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        // RFC 3339 (5.6) also lets a space stand for the T.
        if let Some(time) = Timestamp::parse(given) {
            return Ok(Self::At(time));
        }
        if let Ok(day) = NaiveDate::parse_from_str(given, "%Y-%m-%d") {
            return Ok(Self::Day(day));
        }
        if let Some(time) = LOCAL.iter().find_map(|form| NaiveDateTime::parse_from_str(given, form).ok()) {
            return Ok(Self::Local(time));
        }
        humantime::parse_duration(given).map(Self::Ago).map_err(|_| {
            "use a date (2026-11-21), a time (2026-11-21T20:30, or with a zone 2026-11-21T20:30:00Z), or an age \
             (30m, 24h, 7d)"
                .to_owned()
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => time.fmt(f),
            Self::Local(time) => time.format("%Y-%m-%dT%H:%M:%S%.f").fmt(f),
            Self::Day(day) => day.format("%Y-%m-%d").fmt(f),
            Self::Ago(age) => humantime::format_duration(*age).fmt(f),
        }
    }
}

impl Moment {
    /// The moment, seen from `now` in this zone. A local time that comes twice is the first one; one that the clocks skip
    /// is when they have done so.
    pub fn seen_from(self, now: Timestamp, zone: &impl TimeZone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
            Self::Local(time) => at_local(time, zone),
            Self::Day(day) => at_local(day.and_time(NaiveTime::MIN), zone),
        }
    }
}

/// When a clock of the zone shows this time for the first time, or jumps over it.
fn at_local(time: NaiveDateTime, zone: &impl TimeZone) -> Timestamp {
    if let Some(shown) = zone.from_local_datetime(&time).earliest() {
        return shown.to_utc().into();
    }
    // Clocks skip a quarter of an hour at least and a day at most, at a full minute: the first one that is shown again.
    let minute = time.with_second(0).and_then(|time| time.with_nanosecond(0)).unwrap_or(time);
    let after = (1..=24 * 60).find_map(|minutes| {
        let shown = minute.checked_add_signed(TimeDelta::minutes(minutes))?;
        zone.from_local_datetime(&shown).earliest()
    });
    after.map_or_else(|| time.and_utc().into(), |shown| shown.to_utc().into())
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

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Days(days) => write!(f, "{days}d"),
            Self::Months(months) => write!(f, "{months}mo"),
        }
    }
}

impl Range {
    /// Its beginning, at the same time of day in this zone; `None` where it has none.
    pub fn start(self, now: Timestamp, zone: &impl TimeZone) -> Option<Timestamp> {
        let here = now.utc().with_timezone(zone).naive_local();
        let start = match self {
            Self::All => None,
            Self::Days(days) => here.checked_sub_days(Days::new(days.into())),
            Self::Months(months) => here.checked_sub_months(Months::new(months)),
        };
        start.map(|start| at_local(start, zone))
    }
}

/// All are JSON texts, and parts of a query.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|accepted| D::Error::custom(format!("{text:?}: {accepted}")))
            }
        }
    )*};
}
as_text!(Moment, Range, PlayCursor);

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
    fn a_moment_is_a_time_a_local_time_or_date_or_an_age() {
        assert_eq!(moment("2026-01-02T03:04:05+01:00", Tz::UTC), "2026-01-02T02:04:05.000Z");
        assert_eq!(moment("2026-01-02", Tz::Europe__Berlin), "2026-01-01T23:00:00.000Z");
        assert_eq!(moment("7d", Tz::Europe__Berlin), "2026-06-08T12:00:00.000Z");
        assert_eq!(moment("24h", Tz::UTC), "2026-06-14T12:00:00.000Z");
        assert_eq!(moment("30m", Tz::UTC), "2026-06-15T11:30:00.000Z");
        for same in ["2026-07-02T03:04", "2026-07-02 03:04", "2026-07-02T03:04:00", "2026-07-02 03:04:00.000"]
        {
            assert_eq!(moment(same, Tz::Asia__Kathmandu), "2026-07-01T21:19:00.000Z", "{same}");
        }
        for bad in
            ["", "yesterday", "7", "2026-13-01", "2026-02-30", "2026-01-02T25:00", "2026-01-02T", "-7d"]
        {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_skip_is_when_they_have_and_one_that_comes_twice_the_first() {
        assert_eq!(moment("2026-09-06", Tz::America__Santiago), "2026-09-06T04:00:00.000Z");
        assert_eq!(moment("2026-03-29T02:30:10", Tz::Europe__Berlin), "2026-03-29T01:00:00.000Z");
        assert_eq!(moment("2026-10-25T02:30", Tz::Europe__Berlin), "2026-10-25T00:30:00.000Z");
        // Samoa had no 30 December 2011.
        assert_eq!(moment("2011-12-30", Tz::Pacific__Apia), "2011-12-30T10:00:00.000Z");
        assert_eq!(moment("2026-10-04T02:15", Tz::Australia__Lord_Howe), "2026-10-03T15:30:00.000Z");
    }

    #[test]
    fn a_range_is_counted_in_calendar_months_and_years() {
        let start = |given: &str| {
            let range: Range = given.parse().unwrap();
            range.start(at("2026-08-31T12:00:00Z"), &Tz::UTC).map(|t| t.to_string())
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
    fn a_range_begins_at_the_same_time_of_day_over_a_change_of_clocks() {
        let start = Range::Months(6).start(at("2026-11-22T12:00:00Z"), &Tz::Europe__Berlin).unwrap();
        assert_eq!(start.to_string(), "2026-05-22T11:00:00.000Z");
        // At one o'clock in the night of 1 March in Auckland it is still February in Greenwich.
        let start = Range::Months(1).start(at("2026-03-31T11:30:00Z"), &Tz::Pacific__Auckland).unwrap();
        assert_eq!(start.to_string(), "2026-02-28T11:30:00.000Z");
    }

    #[test]
    fn both_are_read_back_as_they_are_written() {
        for given in ["2026-01-02T03:04:05.678Z", "2026-01-02", "2026-01-02T03:04:05.500", "1day 2h 3s", "0s"]
        {
            let moment: Moment = given.parse().unwrap();
            assert_eq!(moment.to_string().parse(), Ok(moment), "{moment}");
        }
        for given in ["all", "4w", "6mo", "1y"] {
            let range: Range = given.parse().unwrap();
            assert_eq!(range.to_string().parse(), Ok(range), "{range}");
        }
    }
}
