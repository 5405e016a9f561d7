//! What came in the same hours of earlier days as lie ahead, by the clock on the user's wall. Pure.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDateTime, Offset as _, TimeZone as _, Weekday};
use chrono_tz::Tz;

use crate::domain::{Habits, Timestamp};

/// How many days back is looked, for a time up to four weeks ahead of what is known.
const BACK: u64 = 56;
/// Who listens at three o'clock may do so at two or four.
const SHIFTS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(3600), Duration::from_secs(2 * 3600)];
/// How much a day counts that is the same of the week, one that is like it (both of the working week, or of the weekend),
/// and another.
const WEIGHTS: (f64, f64, f64) = (3.0, 2.0, 1.0);

/// What is known of a user's hours, summed up.
pub(super) struct Past {
    start: Timestamp,
    /// How many plays came before each hour, and last before the end.
    sums: Vec<f64>,
}

/// Stretches of the past that are like one ahead: where each begins, in hours from the first that is known, and how much it
/// counts.
pub(super) struct SameHours<'a> {
    past: &'a Past,
    starts: Vec<(f64, f64)>,
}

/// How many plays come in a fast hour: the third fastest, since one or two may have been a whim.
pub(super) fn fast_hour(habits: &Habits) -> Option<u32> {
    let mut top = [0; 3];
    for count in &habits.counts {
        let (mut count, top) = (*count, &mut top);
        for place in top {
            if count > *place {
                std::mem::swap(place, &mut count);
            }
        }
    }
    Some(u32::from(top[2])).filter(|plays| *plays > 0)
}

impl Past {
    pub fn of(habits: &Habits) -> Self {
        let mut sum = 0.0;
        let mut sums = Vec::with_capacity(habits.counts.len() + 1);
        sums.push(sum);
        for count in &habits.counts {
            sum += f64::from(*count);
            sums.push(sum);
        }
        Self { start: habits.start(), sums }
    }

    /// The stretches that begin at the time of day of `from`, or an hour earlier or later, and of which at least `most` is
    /// known.
    pub fn same_hours(&self, from: Timestamp, zone: Tz, most: Duration) -> SameHours<'_> {
        let end = hours(Duration::from_secs(3600)) * (self.sums.len() - 1) as f64 - hours(most);
        let mut starts = Vec::new();
        let Some(local) = wall_clock(from, zone) else { return SameHours { past: self, starts } };
        for back in 1..=BACK {
            let Some(then) = days_before(local, back, zone) else { continue };
            let earliest = Timestamp::from(then.to_utc()) - SHIFTS[1];
            if earliest + SHIFTS[2] < self.start {
                break;
            }
            let weight = match () {
                () if back % 7 == 0 => WEIGHTS.0,
                () if is_weekend(then.weekday()) == is_weekend(local.weekday()) => WEIGHTS.1,
                () => WEIGHTS.2,
            };
            for shift in SHIFTS {
                let start = earliest + shift;
                let begins = hours(start.since(self.start));
                if start >= self.start && begins <= end {
                    starts.push((begins, weight));
                }
            }
        }
        SameHours { past: self, starts }
    }

    /// How many plays came before then; those of an hour as if they were spread over it.
    fn before(&self, at: f64) -> f64 {
        let last = self.sums.len() - 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a few hundred hours")]
        let hour = (at.max(0.0) as usize).min(last);
        let (so_far, next) = (self.sums[hour], self.sums[(hour + 1).min(last)]);
        so_far + (at - hour as f64).clamp(0.0, 1.0) * (next - so_far)
    }
}

impl SameHours<'_> {
    /// How many days they are of.
    pub fn days(&self) -> f64 {
        self.starts.len() as f64 / SHIFTS.len() as f64
    }

    /// What so long a wait from there on would have cost, on average, by how many plays came in it.
    pub fn average(&self, wait: Duration, cost: impl Fn(f64) -> f64) -> f64 {
        let (mut total, mut weights) = (0.0, 0.0);
        for (begins, weight) in &self.starts {
            let plays = self.past.before(begins + hours(wait)) - self.past.before(*begins);
            total += weight * cost(plays);
            weights += weight;
        }
        if weights > 0.0 { total / weights } else { 0.0 }
    }
}

/// What the clock on the wall shows; nothing beyond the end of time.
fn wall_clock(at: Timestamp, zone: Tz) -> Option<NaiveDateTime> {
    let utc = at.utc().naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix())
}

/// The same time of day so many days before; where the clocks went over it, none.
fn days_before(local: NaiveDateTime, days: u64, zone: Tz) -> Option<DateTime<Tz>> {
    zone.from_local_datetime(&local.checked_sub_days(Days::new(days))?).earliest()
}

fn is_weekend(day: Weekday) -> bool {
    matches!(day, Weekday::Sat | Weekday::Sun)
}

fn hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3600.0
}
