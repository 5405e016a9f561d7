//! When a user is archived: adaptively, or by a cron expression in the user's own zone.

use std::fmt;
use std::str::FromStr;

use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::Timestamp;

/// Why a schedule or a zone was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not a cron expression.
    #[error(
        "{given:?} is no schedule ({why}): use \"adaptive\", or a cron expression of 5 fields, or 6 with seconds"
    )]
    Expression {
        /// What was given, cut to a readable length.
        given: String,
        /// What the parser found.
        why: String,
    },
    /// A cron expression that fits no date.
    #[error("{0:?} never fires: it fits no date (is there a 30 February in it?)")]
    NeverFires(String),
    /// Not an IANA zone.
    #[error("{0:?} is no time zone: use an IANA name such as \"Europe/Berlin\" or \"UTC\"")]
    Zone(String),
}

/// When a user is archived.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// From the user's own listening.
    Adaptive,
    /// At the times of a cron expression: day of month and day of week are ORed, as in cron(5).
    Cron(Box<Cron>),
}

fn shown(given: &str) -> String {
    given.chars().take(80).collect()
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(given: &str) -> Result<Self, ScheduleError> {
        let text = given.trim();
        if text == "adaptive" {
            return Ok(Self::Adaptive);
        }
        let refused = |why: String| ScheduleError::Expression { given: shown(given), why };
        if text.len() > 256 {
            return Err(refused("longer than 256 characters".to_owned()));
        }
        // Without years: what fires once then fires again and again, so that there is always a next time.
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|e| refused(e.to_string()))?;
        let schedule = Self::Cron(Box::new(cron));
        match schedule.next_after(Timestamp::from_millis(0), Tz::UTC) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::NeverFires(shown(given))),
        }
    }
}

impl Schedule {
    /// The first time of a cron expression that lies after `after`; `None` for an adaptive schedule, whose times come
    /// from the user's listening.
    pub fn next_after(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        let Self::Cron(cron) = self else { return None };
        let from = after.utc().with_timezone(&zone);
        let next = cron.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp::from(next.to_utc()))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adaptive => f.write_str("adaptive"),
            Self::Cron(cron) => f.write_str(cron.as_str()),
        }
    }
}

/// Reads an IANA zone name.
pub fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
    name.trim().parse().map_err(|_| ScheduleError::Zone(shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        let after = Timestamp::parse(after).unwrap();
        schedule.next_after(after, parse_zone(zone).unwrap()).unwrap().to_string()
    }

    #[test]
    fn five_fields_and_six_are_understood() {
        assert_eq!(next("5 * * * *", "UTC", "2026-01-01T00:05:00Z"), "2026-01-01T01:05:00.000Z");
        assert_eq!(next("30 5 * * * *", "UTC", "2026-01-01T00:05:00Z"), "2026-01-01T00:05:30.000Z");
        assert_eq!(next("0 12 13 * 5", "UTC", "2026-02-01T00:00:00Z"), "2026-02-06T12:00:00.000Z");
        assert_eq!(next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_time_that_is_decades_away_is_found() {
        // 29 February and a Monday at once: every 28 years, or 40 where a century has no leap day.
        assert_eq!(next("0 0 29 2 +1", "UTC", "2026-01-01T00:00:00Z"), "2044-02-29T00:00:00.000Z");
        assert_eq!(next("0 0 29 2 +1", "UTC", "2072-02-29T00:00:00Z"), "2112-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_daily_time_keeps_its_hour_over_a_change_of_clocks() {
        let daily = |after| next("0 5 * * *", "Europe/Berlin", after);
        assert_eq!(daily("2026-03-28T12:00:00Z"), "2026-03-29T03:00:00.000Z");
        assert_eq!(daily("2026-10-24T12:00:00Z"), "2026-10-25T04:00:00.000Z");
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_what_is_accepted() {
        for bad in
            ["", "hourly", "* * *", "61 * * * *", "0 0 0 1 1 * 2020", "* * * * * * *", &"* ".repeat(300)]
        {
            let message = bad.parse::<Schedule>().unwrap_err().to_string();
            assert!(message.contains("cron expression of 5 fields"), "{message}");
        }
        for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31W 2 *", "0 0 30 2 +1"] {
            let message = never.parse::<Schedule>().unwrap_err().to_string();
            assert!(message.contains("never fires") && message.contains(never), "{message}");
        }
        assert!(parse_zone("Europe/Berlim").unwrap_err().to_string().contains("IANA"));
    }
}
