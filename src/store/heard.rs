//! What was heard, counted beforehand, and how a read is put together from that and from the plays around it. It holds
//! until a play that it counts comes or goes: triggers see to that. It is moved on once a week.

mod sums;
mod weeks;

use std::time::Duration;

use super::Result;
use super::sql::{Session, params};
use crate::domain::{Shift, Timestamp, UserId};

/// How long a play was heard, in milliseconds: the one place that says so.
macro_rules! heard_ms {
    () => {
        "COALESCE(plays.ms_played, tracks.duration_ms, 0)"
    };
}
pub(super) use heard_ms;
pub(super) use sums::{analyze, id_of, joined};
#[cfg(test)]
pub(super) use weeks::WEEKS_READ;
pub(super) use weeks::{each, read as weeks};

const WEEK: i64 = 7 * 86_400_000;
/// What is counted ends so long ago at least: most plays that turn up late do so within a day.
const LATE: i64 = 86_400_000;
/// Over how many weeks tracks are counted; 0: over all time. Each is the most that lies within half a year or a year,
/// however they fall.
const WEEKS: [i64; 3] = [0, 50, 24];

/// Of a user's plays, those before `until` are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    until: i64,
    slot: i64,
    /// When the user's first play ended.
    first: Option<i64>,
}

impl Ready {
    /// How long the slots are, in milliseconds.
    pub fn slot(self) -> i64 {
        self.slot
    }
}

/// Plays to be added to what is counted, or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    weeks: i64,
    from: i64,
    until: i64,
    sign: i64,
}

/// Until when plays are counted beforehand.
fn target(now: Timestamp) -> i64 {
    (now.as_millis() - LATE).div_euclid(WEEK) * WEEK
}

/// How to get to `until`: from nothing, or from where it is.
fn steps(ready: Option<i64>, until: i64) -> Vec<Step> {
    let begins = |until: i64, weeks: i64| if weeks == 0 { i64::MIN } else { until - weeks * WEEK };
    let add = |weeks, from| Step { weeks, from, until, sign: 1 };
    let Some(ready) = ready else {
        return WEEKS.map(|weeks| add(weeks, begins(until, weeks))).to_vec();
    };
    let leave = |weeks| Step { weeks, from: begins(ready, weeks), until: begins(until, weeks), sign: -1 };
    let added = WEEKS.map(|weeks| add(weeks, ready));
    let left = WEEKS.into_iter().filter(|weeks| *weeks > 0).map(leave);
    added.into_iter().chain(left).collect()
}

/// What of the user's plays is counted.
pub async fn ready(session: &mut Session, user: UserId) -> Result<Option<Ready>> {
    session
        .first(
            "SELECT until, slot,
               (SELECT played_at FROM plays WHERE plays.user_id = $1 ORDER BY played_at LIMIT 1) AS first
             FROM counted WHERE user_id = $1",
            params![user],
            |row| Ok(Ready { until: row.get("until")?, slot: row.get("slot")?, first: row.maybe("first")? }),
        )
        .await
}

/// Whether there is something to count.
pub async fn is_due(session: &mut Session, user: UserId, slot: Duration) -> Result<bool> {
    let target = target(session.now().await?);
    match ready(session, user).await? {
        Some(ready) => Ok(ready.until < target || ready.slot != millis(slot)),
        None => {
            let first: Option<i64> = session
                .first(
                    "SELECT played_at FROM plays WHERE user_id = $1 ORDER BY played_at LIMIT 1",
                    params![user],
                    |row| row.get("played_at"),
                )
                .await?;
            Ok(first.is_some_and(|first| first < target))
        }
    }
}

/// Counts, unless somebody else does: what is not counted is read one by one. Nobody else adds or removes plays of the
/// user meanwhile. Answers whether all was counted anew.
pub async fn count(session: &mut Session, user: UserId, slot: Duration) -> Result<bool> {
    let until = target(session.now().await?);
    // Who was purged has nothing to be counted.
    if !session.lock_user_to_count(user).await? || !session.try_lock_counts().await? {
        return Ok(false);
    }
    let slot = millis(slot);
    let known = ready(session, user).await?.filter(|ready| ready.slot == slot);
    if known.is_some_and(|ready| ready.until >= until) {
        return Ok(false);
    }
    if known.is_none() {
        for sql in [
            "DELETE FROM heard WHERE user_id = $1",
            "DELETE FROM heard_sums WHERE user_id = $1",
            "DELETE FROM heard_weeks WHERE user_id = $1",
        ] {
            session.run(sql, params![user]).await?;
        }
    }
    for step in steps(known.map(|ready| ready.until), until) {
        take(session, user, step).await?;
        match known {
            Some(_) => sums::step(session, user, step).await?,
            None => sums::sum(session, user, step.weeks).await?,
        }
    }
    let from = known.map_or(i64::MIN, |ready| ready.until);
    weeks::count(session, user, from, until, slot).await?;
    session
        .run(
            "INSERT INTO counted (user_id, until, slot) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET until = excluded.until, slot = excluded.slot",
            params![user, until, slot],
        )
        .await?;
    Ok(known.is_none())
}

async fn take(session: &mut Session, user: UserId, step: Step) -> Result<()> {
    session
        .run(
            concat!(
                "INSERT INTO heard (user_id, weeks, track_id, plays, ms, by_length)
                 SELECT $1, $2, plays.track_id, $5 * count(*), $5 * CAST(sum(",
                heard_ms!(),
                ") AS BIGINT), $5 * (count(*) - count(plays.ms_played))
                 FROM plays CROSS JOIN tracks
                 WHERE tracks.id = plays.track_id
                   AND plays.user_id = $1 AND plays.played_at >= $3 AND plays.played_at < $4
                 GROUP BY plays.track_id
                 ON CONFLICT (user_id, weeks, track_id) DO UPDATE SET
                   plays = heard.plays + excluded.plays, ms = heard.ms + excluded.ms,
                   by_length = heard.by_length + excluded.by_length"
            ),
            params![user, step.weeks, step.from, step.until, step.sign],
        )
        .await?;
    if step.sign < 0 {
        let sql = "DELETE FROM heard WHERE user_id = $1 AND weeks = $2 AND plays = 0";
        session.run(sql, params![user, step.weeks]).await?;
    }
    Ok(())
}

/// What is read for a count by track: these weeks of what is ready, and the plays before and after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracks {
    /// -1: nothing of it.
    pub weeks: i64,
    pub from: i64,
    pub until: i64,
    pub after: i64,
}

/// For everything since then.
pub(super) fn tracks(ready: Option<Ready>, since: Option<Timestamp>) -> Tracks {
    let since = since.map_or(i64::MIN, Timestamp::as_millis);
    let one_by_one = Tracks { weeks: -1, from: since, until: i64::MAX, after: i64::MAX };
    let Some(ready) = ready else { return one_by_one };
    let (first, end) = (ready.first.unwrap_or(i64::MAX), ready.until);
    let begins = |weeks: i64| if weeks == 0 { first } else { end - weeks * WEEK };
    match WEEKS.into_iter().find(|weeks| since <= begins(*weeks)) {
        Some(weeks) if since < end => Tracks { weeks, from: since, until: begins(weeks), after: end },
        _ => one_by_one,
    }
}

/// A part of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Whether its slots are ready; else its plays are counted one by one.
    pub ready: bool,
    pub begins: i64,
    pub ends: i64,
    pub shift: i64,
}

/// For these stretches.
pub(super) fn pieces(ready: Option<Ready>, shifts: &[Shift]) -> Vec<Piece> {
    let ready = ready.filter(|ready| shifts.iter().all(|shift| shift.millis % ready.slot == 0));
    let mut pieces = Vec::new();
    for shift in shifts {
        let (begins, ends) = (shift.begins.as_millis(), shift.ends.as_millis());
        let (from, until) = match ready {
            Some(Ready { until, slot, .. }) => {
                let last = ends.min(until);
                // The first whole slot, and the end of the last one.
                ((begins + slot - 1).div_euclid(slot) * slot, last.div_euclid(slot) * slot)
            }
            None => (ends, ends),
        };
        let piece = |ready, begins, ends| Piece { ready, begins, ends, shift: shift.millis };
        let parts = match from < until {
            true => [piece(false, begins, from), piece(true, from, until), piece(false, until, ends)],
            false => [piece(false, begins, ends), piece(true, ends, ends), piece(false, ends, ends)],
        };
        pieces.extend(parts.into_iter().filter(|piece| piece.begins < piece.ends));
    }
    pieces
}

fn millis(slot: Duration) -> i64 {
    i64::try_from(slot.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests;
