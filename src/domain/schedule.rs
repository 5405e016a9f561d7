//! When a user is archived: adaptively, or by a cron expression in the user's own zone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::Timestamp;

/// Why a schedule or a zone was refused.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// At the times of a cron expression in the user's zone: where both are given, day of month and day of week are
    /// ORed, as in cron(5). Over a change of clocks one fixed time of day comes once on every day: in a gap at its end,
    /// in a repeated stretch the first time. What is given by steps, lists or `*` goes by the clock on the wall: it
    /// skips what that skips, and comes again where that does.
    Cron(Arc<Cron>),
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
        let schedule = Self::Cron(Arc::new(cron));
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

    /// The last time of a cron expression that lies at `until` or before it.
    pub fn last_until(&self, until: Timestamp, zone: Tz) -> Option<Timestamp> {
        let Self::Cron(cron) = self else { return None };
        let from = until.utc().with_timezone(&zone);
        let last = cron.find_previous_occurrence(&from, true).ok()?;
        Some(Timestamp::from(last.to_utc()))
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
mod tests;
