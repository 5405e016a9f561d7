//! How much time is left before plays are lost of a user who can't be archived, by their own rate. Pure.

use std::time::Duration;

use crate::archive::pace::Full;
use crate::domain::{Timestamp, UserState};

/// What is said of it after the reason for the user's state; `None`: nothing is lost for long.
pub fn countdown(state: UserState, full: Full, knows_habits: bool, now: Timestamp) -> Option<String> {
    let cure = match state {
        UserState::Ok | UserState::Paused => return None,
        UserState::NeedsLogin => "log in within",
        UserState::Waiting | UserState::InDoubt | UserState::Blocked => "it must go on within",
    };
    let from = if knows_habits { full.likely? } else { full.earliest };
    let left = from.since(now);
    Some(match left.is_zero() {
        true => format!("plays may have been lost since {from}"),
        false => format!("{cure} {}, or plays will be lost", told(left)),
    })
}

/// "3 h 10 min", never more than there is.
fn told(left: Duration) -> String {
    let minutes = left.as_secs() / 60;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{} min", minutes.max(1)),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, hours, _) => format!("{days} days {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn after(minutes: u64) -> Full {
        let likely = Some(NOW + Duration::from_secs(minutes * 60 + 59));
        Full { earliest: NOW + Duration::from_secs(60), likely }
    }

    #[test]
    fn the_time_that_is_left_is_told_with_what_to_do() {
        let of = |state, minutes| countdown(state, after(minutes), true, NOW);
        assert_eq!(of(UserState::Ok, 190), None);
        assert_eq!(of(UserState::Paused, 190), None);
        let login = "log in within 3 h 10 min, or plays will be lost";
        assert_eq!(of(UserState::NeedsLogin, 190).as_deref(), Some(login));
        let wait = "it must go on within 59 min, or plays will be lost";
        assert_eq!(of(UserState::Blocked, 59).as_deref(), Some(wait));
        let days = "log in within 3 days 5 h, or plays will be lost";
        assert_eq!(of(UserState::NeedsLogin, (3 * 24 + 5) * 60 + 59).as_deref(), Some(days));
        assert!(of(UserState::NeedsLogin, 25 * 60).unwrap().contains("1 day 1 h"));
        assert!(of(UserState::NeedsLogin, 0).unwrap().contains("1 min"));
    }

    #[test]
    fn afterwards_it_is_told_since_when() {
        let past = Full { earliest: NOW, likely: Some(NOW - Duration::from_secs(60)) };
        let since = countdown(UserState::NeedsLogin, past, true, NOW).unwrap();
        assert_eq!(since, "plays may have been lost since 2027-01-15T07:59:00.000Z");
    }

    #[test]
    fn of_whom_nothing_is_known_the_fastest_counts_and_who_hardly_listens_has_time() {
        let full = Full { earliest: NOW + Duration::from_secs(25 * 60), likely: None };
        assert!(countdown(UserState::NeedsLogin, full, false, NOW).unwrap().contains("25 min"));
        assert_eq!(countdown(UserState::NeedsLogin, full, true, NOW), None);
    }
}
