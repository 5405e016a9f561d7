//! When somebody listened, on the clock of their zone; pure. The store counts by what it knows, stretches of time in
//! which the zone's clocks stand still against UTC; here is made of it what people read.

use std::time::Duration;

use chrono::{Datelike as _, NaiveDate, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Coverage, Timestamp};

const DAY: i64 = 86_400_000;

/// A stretch of time, and by how many milliseconds the zone's clocks are ahead of UTC all through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Its beginning.
    pub begins: Timestamp,
    /// Its end, which is the beginning of the next.
    pub ends: Timestamp,
    /// Milliseconds ahead of UTC.
    pub millis: i64,
}

/// The stretches from one moment to another, in order.
pub fn shifts(zone: Tz, from: Timestamp, until: Timestamp) -> Vec<Shift> {
    let ahead = |at: i64| {
        let here = zone.offset_from_utc_datetime(&Timestamp::from_millis(at).utc().naive_utc());
        i64::from(here.fix().local_minus_utc()) * 1_000
    };
    let (mut begins, until) = (from.as_millis(), until.as_millis());
    let mut shifts = Vec::new();
    let mut at = begins;
    while begins < until {
        let millis = ahead(begins);
        // No zone changes its clocks and back within a day.
        let next = at.saturating_add(DAY).min(until);
        if ahead(next) == millis {
            at = next;
            if next < until {
                continue;
            }
        }
        let (mut same, mut other) = (at, next);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if ahead(middle) == millis { same = middle } else { other = middle }
        }
        let shift = |ends| Shift {
            begins: Timestamp::from_millis(begins),
            ends: Timestamp::from_millis(ends),
            millis,
        };
        shifts.push(shift(other));
        (begins, at) = (other, other);
    }
    shifts
}

/// The longest slots of time, of a whole hour at most and a quarter of one at least, none of which these stretches
/// divide or have on two hours of the clock. (Offsets of odd minutes were given up in 1972.)
pub fn slot(shifts: &[Shift]) -> Duration {
    let fits = |slot: &i64| {
        shifts.iter().all(|shift| shift.millis % slot == 0)
            && shifts.iter().skip(1).all(|shift| shift.begins.as_millis() % slot == 0)
    };
    let minutes = [60, 30].into_iter().find(|minutes| fits(&(minutes * 60_000))).unwrap_or(15);
    Duration::from_secs(60 * minutes.unsigned_abs())
}

/// Plays that are counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// The day since 1970-01-01, or the hour of the day, by the zone's clocks.
    pub at: i64,
    /// How many.
    pub plays: i64,
    /// For how long, in milliseconds.
    pub ms: i64,
}

/// What a store counts for [`Stats`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listening {
    /// By day; in order, none without plays.
    pub days: Vec<Counted>,
    /// By hour of the day; in order, none without plays.
    pub hours: Vec<Counted>,
}

/// When a user listened; `longplay stats --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stats {
    /// The zone of the days and hours.
    pub timezone: String,
    /// The beginning of the range; null: of everything.
    pub since: Option<Timestamp>,
    /// When the first play of the range ended; null: there is none.
    pub first_played_at: Option<Timestamp>,
    /// How many plays.
    pub plays: i64,
    /// For how long, in milliseconds: what was played where that is known, else the track's whole length.
    pub ms_played: i64,
    /// How much of each year the archive has, the newest first; none before Spotify has shown a play.
    pub coverage: Vec<Coverage>,
    /// The days with plays, in order.
    pub days: Vec<DayStats>,
    /// The hours of the day, all 24.
    pub hours: Vec<HourStats>,
    /// The days of the week, from Monday, all seven.
    pub weekdays: Vec<WeekdayStats>,
}

/// A day's plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DayStats {
    /// The date.
    #[schema(value_type = String, format = Date)]
    pub day: NaiveDate,
    /// How many plays ended on it.
    pub plays: i64,
    /// For how long, in milliseconds.
    pub ms_played: i64,
}

/// An hour of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HourStats {
    /// From 0 to 23.
    pub hour: u32,
    /// How many plays ended in it.
    pub plays: i64,
    /// For how long, in milliseconds.
    pub ms_played: i64,
}

/// A day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WeekdayStats {
    /// `monday` to `sunday`.
    pub weekday: String,
    /// How many plays ended on it.
    pub plays: i64,
    /// For how long, in milliseconds.
    pub ms_played: i64,
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Stats {
    /// Of what the store counted.
    pub fn of(
        listening: &Listening,
        timezone: Tz,
        since: Option<Timestamp>,
        first: Option<Timestamp>,
    ) -> Self {
        let date =
            |day: i64| NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(TimeDelta::try_days(day)?);
        let days: Vec<DayStats> = listening
            .days
            .iter()
            .filter_map(|day| Some(DayStats { day: date(day.at)?, plays: day.plays, ms_played: day.ms }))
            .collect();
        let mut weekdays =
            WEEKDAYS.map(|name| WeekdayStats { weekday: name.to_owned(), plays: 0, ms_played: 0 });
        for day in &days {
            // There are seven, and chrono counts them from 0.
            let weekday = &mut weekdays[day.day.weekday().num_days_from_monday() as usize];
            weekday.plays += day.plays;
            weekday.ms_played += day.ms_played;
        }
        let hour = |hour: u32| {
            let of = listening.hours.iter().filter(|counted| counted.at == i64::from(hour));
            let (plays, ms) = of.fold((0, 0), |(plays, ms), one| (plays + one.plays, ms + one.ms));
            HourStats { hour, plays, ms_played: ms }
        };
        Self {
            timezone: timezone.to_string(),
            since,
            first_played_at: first,
            plays: days.iter().map(|day| day.plays).sum(),
            ms_played: days.iter().map(|day| day.ms_played).sum(),
            coverage: Vec::new(),
            days,
            hours: (0..24).map(hour).collect(),
            weekdays: weekdays.into(),
        }
    }
}

#[cfg(test)]
mod tests;
