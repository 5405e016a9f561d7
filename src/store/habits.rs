//! When users heard music in the last weeks: counted from their plays, and kept for whoever decides when to look.

use async_trait::async_trait;

use super::Result;
use super::sql::{Session, params, table};
use crate::domain::{Habits, Timestamp, UserId};

/// The part of the store that knows what users are used to.
#[async_trait]
pub trait HabitStore: Send + Sync + 'static {
    /// How many plays the user made in which hour (counted from the Unix epoch) since then, the oldest first, and when the
    /// oldest play of all was.
    async fn hours_heard(&self, user: UserId, since: Timestamp) -> Result<HoursHeard>;
    /// Keeps what was reckoned from that. It may be lost with the host's power: it can be reckoned again.
    async fn keep_habits(&self, user: UserId, habits: &Habits) -> Result<()>;
    /// What is kept of these users, by number; nothing of those of whom nothing is.
    async fn habits(&self, users: &[UserId]) -> Result<Vec<(UserId, Habits)>>;
}

/// How many plays came in which hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoursHeard {
    /// The oldest play of all.
    pub oldest: Option<Timestamp>,
    /// Hours with plays, and how many.
    pub hours: Vec<(i64, i64)>,
}

pub async fn heard(session: &mut Session, user: UserId, since: Timestamp) -> Result<HoursHeard> {
    let oldest = session
        .first(
            "SELECT played_at FROM plays WHERE user_id = $1 ORDER BY played_at LIMIT 1",
            params![user],
            |row| row.get("played_at"),
        )
        .await?;
    let hours = session
        .all(
            "SELECT played_at / 3600000 AS hour, COUNT(*) AS plays FROM plays
             WHERE user_id = $1 AND played_at >= $2 GROUP BY played_at / 3600000 ORDER BY 1",
            params![user, since],
            |row| Ok((row.get("hour")?, row.get("plays")?)),
        )
        .await?;
    Ok(HoursHeard { oldest, hours })
}

pub async fn keep(session: &mut Session, user: UserId, habits: &Habits) -> Result<()> {
    session
        .run(
            "INSERT INTO habits (user_id, from_hour, counts) SELECT id, $2, $3 FROM users WHERE id = $1
             ON CONFLICT (user_id) DO UPDATE SET from_hour = excluded.from_hour, counts = excluded.counts",
            params![user, habits.from_hour, habits.counts.clone()],
        )
        .await?;
    Ok(())
}

pub async fn of(session: &mut Session, users: &[UserId]) -> Result<Vec<(UserId, Habits)>> {
    session
        .all(
            "SELECT habits.user_id, habits.from_hour, habits.counts
             FROM rows($1 AS asked: id BIGINT) JOIN habits ON habits.user_id = asked.id ORDER BY habits.user_id",
            vec![table![users; |user| *user]],
            |row| {
                let habits = Habits { from_hour: row.get("from_hour")?, counts: row.get("counts")? };
                Ok((row.get("user_id")?, habits))
            },
        )
        .await
}
