//! The consent clock: a login that comes to its age is told of 30, 7 and 1 days before and at the end, each once over
//! all daemons and restarts; and how many are about to end is counted.

use std::time::Duration;

use chrono::Months;

use crate::domain::{EventKind, Timestamp, UserName};
use crate::store::LoginGiven;
use crate::telemetry::Note;
use crate::tokens::login_ends;

use super::api::Problem;
use super::attention::Whom;
use super::service::Service;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How many days before the end it is told, the farthest first.
const DAYS_BEFORE: [u32; 4] = [30, 7, 1, 0];
/// Within so many days the end is near enough for the status line.
const SOON: u32 = 7;
/// What months of unequal length make of one moment, forth and back: from the 31st the 28th, and from there the 28th.
const MONTHS_DIFFER: Duration = Duration::from_secs(4 * 24 * 3_600);
/// How many logins are read at a time.
const BITE: i64 = 1_000;

impl Service {
    /// Tells of the logins that came nearer to their end than one of those days, and counts them.
    pub async fn look_at_ending_logins(&self) -> Result<(), Problem> {
        let (mut soon, mut over, mut counts) = (Whom::default(), Whom::default(), [0; DAYS_BEFORE.len()]);
        let shortest = self.settings().apps.values().filter_map(|app| app.login_lifetime).min();
        let until = shortest.and_then(|months| given_until(self.now(), months));
        let mut after = None;
        while let Some(until) = until {
            let logins = self.parts().store.logins_given(until, after, BITE).await?;
            for login in &logins {
                let Some(days) = self.look_at_ending_login(login).await? else { continue };
                DAYS_BEFORE
                    .iter()
                    .zip(&mut counts)
                    .for_each(|(bound, count)| *count += u64::from(days <= *bound));
                match days {
                    0 => over.add(&login.name),
                    1..=SOON => soon.add(&login.name),
                    _ => {}
                }
            }
            let Some(last) = logins.last() else { break };
            after = Some(last.user);
        }
        for (days, count) in DAYS_BEFORE.into_iter().zip(counts) {
            self.parts().metrics.set_logins_ending(days, count);
        }
        self.0.attention.set_ending(soon, over);
        Ok(())
    }

    /// Tells of a login, unless that was done; answers within how many days it ends.
    async fn look_at_ending_login(&self, login: &LoginGiven) -> Result<Option<u32>, Problem> {
        let settings = self.settings();
        let ends = settings.apps.get(&login.app).and_then(|app| login_ends(app, Some(login.at)));
        let near = ends.and_then(|ends| Some((ends, within(ends, self.now())?)));
        let Some((ends, days)) = near else { return Ok(None) };
        if login.told.is_none_or(|told| told > days)
            && self.parts().store.note_ending(login.user, login.epoch, days).await?
        {
            let kind = if days == 0 { EventKind::LoginEnded } else { EventKind::LoginEnding };
            self.parts().events.tell(
                kind,
                Note::of(&login.name, &login.app),
                sentence(&login.name, days, ends),
            );
        }
        Ok(Some(days))
    }
}

/// When a login of this lifetime was given, at the latest, that is to be told of now.
fn given_until(now: Timestamp, months: u32) -> Option<Timestamp> {
    let farthest = now + DAY * DAYS_BEFORE[0];
    let given = farthest.utc().checked_sub_months(Months::new(months))?;
    Some(Timestamp::from(given) + MONTHS_DIFFER)
}

/// The fewest of those days within which a login ends; `None`: later.
fn within(ends: Timestamp, now: Timestamp) -> Option<u32> {
    DAYS_BEFORE.into_iter().rev().find(|days| ends <= now + DAY * *days)
}

fn sentence(name: &UserName, days: u32, ends: Timestamp) -> String {
    let when = match days {
        0 => format!("has come to its age on {ends}, and Spotify refuses it from then on"),
        1 => format!("ends within a day, on {ends}"),
        days => format!("ends within {days} days, on {ends}"),
    };
    format!("the login of {name} {when}: run `longplay login {name}`")
}

#[cfg(test)]
mod tests;
