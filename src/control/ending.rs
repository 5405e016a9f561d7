//! Logins that come to their age are told of 30, 7 and 1 days before.

use std::time::Duration;

use crate::domain::{EventKind, Timestamp};
use crate::telemetry::Note;

use super::api::Problem;
use super::service::Service;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How many days before the end it is told.
const DAYS_BEFORE: [u32; 3] = [30, 7, 1];

impl Service {
    /// Tells of the logins that came nearer than one of those days since `from`.
    pub async fn tell_of_ending_logins(&self, from: Timestamp, to: Timestamp) -> Result<(), Problem> {
        for user in self.status(None).await?.users {
            let Some(days) = user.login_expires_at.and_then(|ends| due(ends, from, to)) else { continue };
            let name = &user.name;
            let unit = if days == 1 { "a day" } else { &format!("{days} days") };
            let message =
                format!("the login of {name} ends in {unit}: run `longplay login {name}` before that");
            self.parts().events.tell(EventKind::LoginEnding, Note::of(name, &user.app), message);
        }
        Ok(())
    }
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
}
