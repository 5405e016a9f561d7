//! How many plays a user made in each hour of the last weeks: small enough to be kept with each user and read with
//! others, enough to tell what a time of day brings.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Timestamp;

const HOUR_MS: i64 = 3_600_000;
/// How long plays are remembered here.
const REMEMBERED: Duration = Duration::from_secs(28 * 86_400);
/// How old they may become before they are counted again.
const LASTING: Duration = Duration::from_secs(86_400);

/// How many plays came in each hour of a stretch of time, which ends where they were counted. Of an hour that is not in it
/// nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// The first hour, counted from the Unix epoch.
    pub from_hour: i64,
    /// One count for each hour from there on; 255 stands for more, too.
    pub counts: Vec<u8>,
}

impl Habits {
    /// From when on plays are counted at this time.
    pub fn since(now: Timestamp) -> Timestamp {
        now - REMEMBERED
    }

    /// The hour of a moment, counted from the Unix epoch.
    pub fn hour_of(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(HOUR_MS)
    }

    /// From how many plays there are in which hour, and the oldest play of all, before which nothing is known. An hour may
    /// be named more than once. The hour that is not over is left out, and so is the one in which the knowledge begins.
    pub fn count(
        now: Timestamp,
        oldest: Option<Timestamp>,
        plays: impl IntoIterator<Item = (i64, i64)>,
    ) -> Self {
        let end = Self::hour_of(now);
        let from_hour =
            oldest.map_or(end, |oldest| (Self::hour_of(oldest.max(Self::since(now))) + 1).min(end));
        let mut sums = BTreeMap::<i64, i64>::new();
        for (hour, plays) in plays {
            *sums.entry(hour).or_default() += plays;
        }
        let of = |hour: i64| sums.get(&hour).map_or(0, |sum| u8::try_from((*sum).max(0)).unwrap_or(u8::MAX));
        Self { from_hour, counts: (from_hour..end).map(of).collect() }
    }

    /// Whether they should be counted again.
    pub fn are_old(&self, now: Timestamp) -> bool {
        let counted = self.start() + Duration::from_secs(3600).saturating_mul(self.len());
        // What was counted by a clock that was ahead is counted again, too.
        now.since(counted) >= LASTING || counted > now
    }

    /// When they begin.
    pub fn start(&self) -> Timestamp {
        Timestamp::from_millis(self.from_hour.saturating_mul(HOUR_MS))
    }

    /// How many hours they have.
    pub fn len(&self) -> u32 {
        u32::try_from(self.counts.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_millis(hour * HOUR_MS + minute * 60_000)
    }

    #[test]
    fn whole_hours_are_counted_from_the_oldest_play_to_now() {
        let now = at(500_010, 20);
        let plays = [(500_005, 3), (500_006, 7), (500_006, 1), (500_009, 900), (500_010, 4), (500_004, 9)];
        let habits = Habits::count(now, Some(at(500_005, 59)), plays);
        assert_eq!(habits, Habits { from_hour: 500_006, counts: vec![8, 0, 0, 255] });
        assert_eq!(habits.start(), at(500_006, 0));
    }

    #[test]
    fn four_weeks_are_remembered_at_most() {
        let habits = Habits::count(at(500_000, 30), Some(at(0, 0)), []);
        assert_eq!((habits.from_hour, habits.len()), (500_000 - 28 * 24 + 1, 28 * 24 - 1));
    }

    #[test]
    fn without_plays_nothing_is_known() {
        let now = at(500_000, 30);
        for oldest in [None, Some(at(500_000, 10)), Some(at(500_003, 0))] {
            assert!(Habits::count(now, oldest, [(500_000, 2)]).is_empty());
        }
    }

    #[test]
    fn they_are_counted_again_after_a_day_and_where_the_clock_was_ahead() {
        let habits = Habits::count(at(500_000, 30), Some(at(499_900, 0)), []);
        let old = [(500_000, 30), (500_023, 59), (500_024, 0), (499_999, 59)];
        assert_eq!(old.map(|(hour, minute)| habits.are_old(at(hour, minute))), [false, false, true, true]);
        assert!(Habits::default().are_old(at(500_000, 0)));
    }
}
