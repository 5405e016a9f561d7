//! The rules that are compared, as the daemon would follow them.

use std::collections::BTreeMap;
use std::time::Duration;

use longplay::archive::pace::{self, Look};
use longplay::domain::Habits;

use super::before;
use super::dice::Dice;
use super::watch::Seen;

/// The defaults of `archive.min_interval` and `archive.max_interval`.
const MIN: Duration = Duration::from_secs(20 * 60);
const MAX: Duration = Duration::from_secs(3 * 3600);
/// The daemon shortens waits by up to this part, so that users who came together part.
const EARLIER: f64 = 0.1;

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// After so many minutes, always.
    Every(u64),
    /// The pace as it was before.
    Before,
    /// The pace, at a scarcity.
    Pace(f64),
}

impl Rule {
    pub fn name(self) -> String {
        match self {
            Self::Every(minutes) => format!("every {minutes} min"),
            Self::Before => "the pace before".to_owned(),
            Self::Pace(pace::PLENTY) => "the pace".to_owned(),
            Self::Pace(scarcity) => format!("the pace, calls {scarcity} times as dear"),
        }
    }

    /// For one user: what waits are made of besides what is seen.
    pub fn begin(self, dice: Dice) -> Follower {
        Follower { rule: self, dice, habits: Habits::default() }
    }
}

/// A rule at work on one user.
pub struct Follower {
    rule: Rule,
    dice: Dice,
    habits: Habits,
}

impl Follower {
    pub fn wait(&mut self, seen: &Seen<'_>) -> Duration {
        let wait = match self.rule {
            Rule::Every(minutes) => return Duration::from_secs(minutes * 60),
            Rule::Before => before::next_look(seen.now, seen.page, MIN, MAX),
            Rule::Pace(scarcity) => {
                self.learn(seen);
                let look = Look {
                    now: seen.now,
                    recent: seen.page,
                    new: seen.new,
                    habits: &self.habits,
                    zone: chrono_tz::UTC,
                    scarcity,
                };
                pace::next_look(&look, MIN, MAX)
            }
        };
        (wait - wait.mul_f64(EARLIER * self.dice.part())).max(MIN)
    }

    /// As a run does it: once a day, from what is in the archive.
    fn learn(&mut self, seen: &Seen<'_>) {
        if !self.habits.are_old(seen.now) {
            return;
        }
        let since = Habits::since(seen.now);
        let mut hours = BTreeMap::<i64, i64>::new();
        for ended in seen.archive.iter().filter(|ended| **ended >= since) {
            *hours.entry(Habits::hour_of(*ended)).or_default() += 1;
        }
        self.habits = Habits::count(seen.now, seen.archive.iter().min().copied(), hours);
    }
}
