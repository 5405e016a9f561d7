//! The ledger of calls: how many were taken in the last 24 hours, by all daemons. They are taken ahead, a few at a time,
//! so that none is made that is not on record, and not each costs a commit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Result;
use super::sql::{Dialect, Session, params};
use crate::domain::Timestamp;

/// Calls that are taken within one slot count until it is a day old.
pub const SLOT: Duration = Duration::from_secs(600);
/// Spotify's quota is of so long.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Calls that are to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallsWanted {
    /// The `quota_group` of the apps.
    pub group: String,
    /// How many; fewer are granted where the day has fewer left.
    pub calls: u32,
    /// How many a day has.
    pub per_day: u32,
    /// One is made in any case, and to be on record.
    pub at_least_one: bool,
    /// What was taken in an earlier slot, and was not needed.
    pub unused: Option<(Timestamp, u32)>,
}

/// Calls that were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallsTaken {
    /// How many.
    pub calls: u32,
    /// The slot in which they are on record.
    pub slot: Timestamp,
    /// How long it still lasts: those that were not made until then are to be given back.
    pub ends_in: Duration,
    /// All that count, these among them: how many, and for how long yet.
    pub day: Vec<(Duration, u32)>,
}

/// Takes from a day, by slots.
pub(super) fn settle(day: &mut BTreeMap<Timestamp, u32>, wanted: &CallsWanted, now: Timestamp) -> CallsTaken {
    let slot = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(millis(SLOT)));
    // What lies ahead was taken before the clock was set back: it counts as of now.
    let ahead = day.split_off(&(slot + SLOT));
    let mut present =
        ahead.values().chain(day.get(&slot)).fold(0_u32, |sum, calls| sum.saturating_add(*calls));
    day.retain(|slot, _| *slot + SLOT + DAY > now);
    if let Some((of, unused)) = wanted.unused {
        match day.get_mut(&of).filter(|_| of != slot) {
            Some(calls) => *calls = calls.saturating_sub(unused),
            None if of >= slot => present = present.saturating_sub(unused),
            // It counts no more.
            None => {}
        }
    }
    day.insert(slot, present);
    let used = day.values().fold(0_u32, |sum, calls| sum.saturating_add(*calls));
    let left = wanted.per_day.saturating_sub(used);
    let calls = wanted.calls.min(left.max(u32::from(wanted.at_least_one)));
    day.insert(slot, present + calls);
    day.retain(|_, calls| *calls > 0);
    CallsTaken { calls, slot, ends_in: (slot + SLOT).since(now), day: counting(day, now) }
}

/// What counts, and for how long yet.
pub(super) fn counting(day: &BTreeMap<Timestamp, u32>, now: Timestamp) -> Vec<(Duration, u32)> {
    let left = |slot: Timestamp| (slot + SLOT + DAY).since(now).min(SLOT + DAY);
    day.iter().map(|(slot, calls)| (left(*slot), *calls)).filter(|(left, _)| !left.is_zero()).collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The day of a group, by slots.
pub async fn day(session: &mut Session, group: &str) -> Result<BTreeMap<Timestamp, u32>> {
    let slots = session
        .all("SELECT slot_at, calls FROM api_calls WHERE quota_group = $1", params![group], |row| {
            Ok((row.get("slot_at")?, row.get::<i64>("calls")?))
        })
        .await?;
    Ok(slots.into_iter().map(|(slot, calls)| (slot, u32::try_from(calls).unwrap_or(0))).collect())
}

/// Takes calls of a group's day.
pub async fn take(session: &mut Session, wanted: &CallsWanted) -> Result<CallsTaken> {
    // A group may have no row yet that could be locked.
    if session.dialect() == Dialect::Postgres {
        session.run("SELECT pg_advisory_xact_lock(1819307131)", params![]).await?;
    }
    let now = session.now().await?;
    let before = day(session, &wanted.group).await?;
    let mut after = before.clone();
    let taken = settle(&mut after, wanted, now);
    for slot in before.keys().filter(|slot| !after.contains_key(slot)) {
        session
            .run(
                "DELETE FROM api_calls WHERE quota_group = $1 AND slot_at = $2",
                params![&wanted.group, *slot],
            )
            .await?;
    }
    for (slot, calls) in after.iter().filter(|(slot, calls)| before.get(slot) != Some(calls)) {
        session
            .run(
                "INSERT INTO api_calls (quota_group, slot_at, calls) VALUES ($1, $2, $3)
                 ON CONFLICT (quota_group, slot_at) DO UPDATE SET calls = excluded.calls",
                params![&wanted.group, *slot, i64::from(*calls)],
            )
            .await?;
    }
    Ok(taken)
}
