//! Gaps: stretches in which plays may be missing.

use super::Result;
use super::sql::{Session, params};
use crate::domain::{Gap, UserId};

/// How many gaps this added: none where it is on record.
pub async fn add(session: &mut Session, user: UserId, gap: &Gap) -> Result<u64> {
    session
        .run(
            "INSERT INTO gaps (user_id, from_at, to_at, cause, at_most, closed_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, from_at, to_at) DO NOTHING",
            params![user, gap.from, gap.to, gap.cause, gap.at_most, gap.closed_at],
        )
        .await
}

pub async fn of(session: &mut Session, user: UserId) -> Result<Vec<Gap>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at FROM gaps
             WHERE user_id = $1 ORDER BY from_at DESC, to_at DESC",
            params![user],
            |row| {
                Ok(Gap {
                    from: row.get("from_at")?,
                    to: row.get("to_at")?,
                    cause: row.get("cause")?,
                    at_most: row.get("at_most")?,
                    closed_at: row.maybe("closed_at")?,
                })
            },
        )
        .await
}
