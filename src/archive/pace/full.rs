//! When the page of a user who is not looked at may be full, from which moment on plays are lost: for the order in which
//! the most urgent are looked at, and for telling how much time is left to log in. Pure.

use std::time::Duration;

use chrono_tz::Tz;

use super::past::Past;
use super::{PAGE, SHORTEST};
use crate::domain::{Habits, Timestamp};

/// Nobody is taken to be slower than this once they listen, though they never listened for an hour.
const ORDINARY: Duration = Duration::from_secs(150);
/// How far is looked ahead.
const AHEAD: u32 = 28 * 24;
const HOUR: Duration = Duration::from_secs(3600);

/// When the page is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Not before this: had they begun at once, and gone on as in their fastest hour.
    pub earliest: Timestamp,
    /// As they are used to listen; `None`: not within four weeks, or nothing is known. Never before `earliest`.
    pub likely: Option<Timestamp>,
}

/// When 50 plays may have come since a user was last looked at.
///
/// It takes what the store has of any number of users with one statement: when each was last archived
/// (`User::last_archived_at`) and their habits (`HabitStore::habits`). Of whom there are none every play may have taken 30
/// seconds.
pub fn full_at(since: Timestamp, habits: &Habits, zone: Tz) -> Full {
    let fastest = habits.counts.iter().max().filter(|plays| **plays > 0);
    let pace = fastest.map_or(SHORTEST, |plays| (HOUR / u32::from(*plays)).clamp(SHORTEST, ORDINARY));
    let earliest = since + pace * PAGE;
    Full { earliest, likely: likely(since, habits, zone).map(|likely| likely.max(earliest)) }
}

/// When as many have come on average.
fn likely(since: Timestamp, habits: &Habits, zone: Tz) -> Option<Timestamp> {
    if habits.is_empty() {
        return None;
    }
    let past = Past::of(habits);
    let (mut came, mut at) = (0.0, since);
    for _ in 0..AHEAD {
        let plays = past.same_hours(at, zone, HOUR).average(HOUR, |plays| plays);
        let missing = f64::from(PAGE) - came;
        if plays >= missing {
            return Some(at + HOUR.mul_f64(missing / plays));
        }
        (came, at) = (came + plays, at + HOUR);
    }
    None
}
