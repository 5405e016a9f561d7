//! Times as people write and read them: moments and durations from the command line, local times in tables.

use std::time::Duration;

use chrono::{Local, TimeZone};

use crate::clock::{Clock as _, SystemClock};
use crate::domain::{Moment, Timestamp};

/// A moment, seen from now and here.
pub fn resolved(moment: Moment) -> Timestamp {
    moment.seen_from(SystemClock.now(), &Local)
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
