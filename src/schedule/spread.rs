//! Spreads the users of one cron expression over a window, so that they don't all call Spotify in the same second. Pure.

use std::time::Duration;

use chrono_tz::Tz;

use crate::domain::{Schedule, Timestamp, UserName};

/// The widest window: a user's minute is the schedule's, or the one after it.
const WIDEST: Duration = Duration::from_secs(60);
/// How much of the shortest time between two firings the window takes at most.
const PART: u32 = 10;
/// How many firings are looked at for the shortest time between two.
const LOOKED_AT: usize = 256;
/// The longest time between two is looked for around moments that are so far apart: first those of two days, of which
/// every day on which a schedule fires is one, then the midnights of a year and more.
const PROBES: [(Duration, Duration); 2] = [
    (Duration::from_secs(1_800), Duration::from_secs(2 * DAY)),
    (Duration::from_secs(DAY), Duration::from_secs(400 * DAY)),
];
const DAY: u64 = 24 * 3_600;
/// From when on: 2026-01-01, so that it is the same in every release.
const FROM: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// How a schedule's firings follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// Over how long the users of the schedule are spread: a tenth of the shortest time between two of its firings, a
    /// minute at most. It does not depend on who they are, so that nobody moves when others come.
    pub window: Duration,
    /// The longest time between two of its firings.
    pub longest: Duration,
}

/// The rhythm of a schedule; an adaptive one has none: its users part by themselves.
pub fn rhythm(schedule: &Schedule) -> Option<Rhythm> {
    let mut last = schedule.next_after(FROM - Duration::from_millis(1), Tz::UTC)?;
    let mut shortest = WIDEST * PART;
    for _ in 1..LOOKED_AT {
        let Some(at) = schedule.next_after(last, Tz::UTC) else { break };
        shortest = shortest.min(at.since(last));
        last = at;
    }
    Some(Rhythm { window: shortest / PART, longest: longest(schedule) })
}

/// The fields of an expression say what they say of every day: a pause within a day is one of every day on which it
/// fires, and one over days holds a midnight.
fn longest(schedule: &Schedule) -> Duration {
    let mut longest = Duration::ZERO;
    for (step, until) in PROBES {
        let mut at = FROM;
        while at < FROM + until {
            let Some(next) = schedule.next_after(at, Tz::UTC) else { break };
            // Where there was no firing since the probe before, that one has found this pause.
            if next.since(at) + step > longest
                && let Some(last) = schedule.last_until(at, Tz::UTC)
            {
                longest = longest.max(next.since(last));
            }
            at = (at + step).max(next);
        }
    }
    longest
}

/// How far into the window this user belongs: below `window`, to the millisecond, and the same on every machine and in
/// every release (FNV-1a, 64 bits, mixed once more since names are short).
pub fn offset(name: &UserName, window: Duration) -> Duration {
    let hash = mix(fnv1a(name.as_str().as_bytes()));
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    // A product's upper half is a fair share of the window, without the bias of a remainder.
    let share = (u128::from(hash) * u128::from(millis)) >> 64;
    Duration::from_millis(u64::try_from(share).unwrap_or(0))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of MurmurHash3: every bit in changes about half of the bits out.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(name: &str, window: Duration) -> u128 {
        offset(&name.parse().unwrap(), window).as_millis()
    }

    #[test]
    fn the_hash_is_fnv1a() {
        // The published vectors of FNV-1a, 64 bits.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_users_offset_is_the_same_in_every_release() {
        let hour = Duration::from_secs(3600);
        assert_eq!(["alice", "bob", "carol"].map(|name| millis(name, hour)), [745_741, 3_463_396, 605_620]);
    }

    #[test]
    fn the_window_is_a_tenth_of_the_shortest_time_between_two_firings_and_a_minute_at_most() {
        for (schedule, millis) in [
            ("5 * * * *", 60_000),
            ("*/15 * * * *", 60_000),
            ("*/10 * * * *", 60_000),
            ("*/5 * * * *", 30_000),
            // At the hour's end the step is shorter: from 56 to 0.
            ("*/7 * * * *", 24_000),
            ("0,1 5 * * *", 6_000),
            ("*/2 * * * * *", 200),
            ("* * * * * *", 100),
            ("0 0 29 2 *", 60_000),
            ("adaptive", 0),
        ] {
            let window = rhythm(&schedule.parse().unwrap()).map_or(Duration::ZERO, |rhythm| rhythm.window);
            assert_eq!(window, Duration::from_millis(millis), "{schedule}");
        }
    }

    #[test]
    fn the_longest_pause_is_that_of_nights_and_weekends_too() {
        let hours = |schedule: &str| rhythm(&schedule.parse().unwrap()).unwrap().longest.as_secs() / 3_600;
        assert_eq!(["5 * * * *", "0 8-22 * * *", "0 12 * * 1-5"].map(hours), [1, 10, 72]);
        // More firings in a day than are looked at one by one; and what keeps to some days of the month or months.
        let minutes = |schedule: &str| rhythm(&schedule.parse().unwrap()).unwrap().longest.as_secs() / 60;
        assert_eq!(minutes("* 8-20 * * *"), 11 * 60 + 1);
        assert_eq!(minutes("*/10 8-20 * * *"), 11 * 60 + 10);
        assert_eq!(minutes("* * * * *"), 1);
        assert_eq!(minutes("* 9-17 * * 1-5"), (2 * 24 + 15) * 60 + 1);
        assert_eq!(minutes("* * 1-9,20 * *"), (31 - 20) * 24 * 60 + 1);
        assert_eq!(minutes("* * * 6 *"), (365 - 30) * 24 * 60 + 1);
        assert_eq!(minutes("0 0 29 2 *"), (4 * 365 + 1) * 24 * 60);
        assert_eq!(rhythm(&"*/20 * 7 * * *".parse().unwrap()).unwrap().longest.as_secs(), 23 * 3_600 + 20);
        assert_eq!(rhythm(&Schedule::Adaptive), None);
    }

    #[test]
    fn an_offset_stays_within_the_window() {
        for window in [0, 1, 7, 60_000] {
            for n in 0..500 {
                let got = millis(&format!("u{n}"), Duration::from_millis(window));
                assert!(got < u128::from(window.max(1)), "{got} of {window}");
            }
        }
        assert!(offset(&"a".parse().unwrap(), Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn users_are_spread_evenly() {
        let mut minutes = [0u32; 60];
        for n in 0..6000 {
            let at = millis(&format!("user{n}"), Duration::from_secs(3600));
            minutes[usize::try_from(at / 60_000).unwrap()] += 1;
        }
        // 100 are expected in each; five standard deviations are 50.
        assert!(minutes.iter().all(|count| (50..=150).contains(count)), "{minutes:?}");
    }
}
