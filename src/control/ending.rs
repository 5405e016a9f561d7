//! Logins that come to their age are told of 30, 7 and 1 days before.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Months, Utc};

use crate::domain::{EventKind, Timestamp};
use crate::telemetry::Note;
use crate::tokens::login_ends;

use super::api::Problem;
use super::service::Service;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How many days before the end it is told.
const DAYS_BEFORE: [u32; 3] = [30, 7, 1];
/// What months of unequal length make of one moment, forth and back: from the 31st the 28th, and from there the 28th.
const MONTHS_DIFFER: Duration = Duration::from_secs(4 * 24 * 3_600);

impl Service {
    /// Tells of the logins that came nearer than one of those days since `from`.
    pub async fn tell_of_ending_logins(&self, from: Timestamp, to: Timestamp) -> Result<(), Problem> {
        let settings = self.settings();
        let lifetimes: BTreeSet<u32> = settings.apps.values().filter_map(|app| app.login_lifetime).collect();
        for (months, days) in lifetimes.iter().flat_map(|months| DAYS_BEFORE.map(|days| (*months, days))) {
            let Some((after, until)) = given(months, days, from, to) else { continue };
            for login in self.parts().store.logins_given(after, until).await? {
                let app = settings.apps.get(&login.app).filter(|app| app.login_lifetime == Some(months));
                let ends = app.and_then(|app| login_ends(app, Some(login.at)));
                if ends.and_then(|ends| due(ends, from, to)) != Some(days) {
                    continue;
                }
                let name = &login.name;
                let unit = if days == 1 { "a day" } else { &format!("{days} days") };
                let message =
                    format!("the login of {name} ends in {unit}: run `longplay login {name}` before that");
                self.parts().events.tell(EventKind::LoginEnding, Note::of(name, &login.app), message);
            }
        }
        Ok(())
    }
}

/// When a login was given, at most, that lasts so many months and is told of so many days before its end between
/// `from` and `to`.
fn given(months: u32, days: u32, from: Timestamp, to: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let back = |at: Timestamp| {
        let began: DateTime<Utc> = (at + DAY * days).utc().checked_sub_months(Months::new(months))?;
        Some(Timestamp::from(began))
    };
    Some((back(from)? - MONTHS_DIFFER, back(to)? + MONTHS_DIFFER))
}

/// How many days before its end a login was told of last between `from` (not included) and `to`.
fn due(ends: Timestamp, from: Timestamp, to: Timestamp) -> Option<u32> {
    DAYS_BEFORE.into_iter().rev().find(|days| {
        let at = ends - DAY * *days;
        from < at && at <= to
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_end_is_told_of_once_at_each_of_its_days() {
        let ends = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
        let mut told = Vec::new();
        let mut from = ends - DAY * 60;
        while from < ends + DAY * 2 {
            let to = from + DAY / 24;
            told.extend(due(ends, from, to));
            from = to;
        }
        assert_eq!(told, DAYS_BEFORE);
        assert_eq!(due(ends, ends - DAY * 60, ends), Some(1), "after a long sleep only what is nearest");
    }

    proptest! {
        #[test]
        fn whoever_is_told_of_is_among_those_who_are_asked_for(
            given_at in 1_600_000_000_000..2_000_000_000_000_i64,
            months in 1..40_u32,
            days in proptest::sample::select(DAYS_BEFORE.to_vec()),
            before in 0..200_000_000_i64,
            length in 1..100_000_000_i64,
        ) {
            let login_at = Timestamp::from_millis(given_at);
            let ends = Timestamp::from(login_at.utc().checked_add_months(Months::new(months)).unwrap());
            let from = (ends - DAY * days).offset_millis(-1 - before % length);
            let to = from.offset_millis(length);
            prop_assert!(due(ends, from, to).is_some());
            let (after, until) = given(months, days, from, to).unwrap();
            prop_assert!(after < login_at && login_at <= until, "{after} {login_at} {until}");
        }
    }
}
