//! When plays were heard, counted in slots of time: a row for each week, since tens of thousands of rows take a database
//! longer to go through than one long text takes to be read.

use super::super::Result;
use super::super::sql::{Session, params};
use super::{Piece, WEEK, heard_ms};
use crate::domain::UserId;

/// Weeks that begin between two moments.
pub(in super::super) const WEEKS_READ: &str = "SELECT week, slots, plays, ms FROM heard_weeks
     WHERE user_id = $1 AND week >= $2 AND week < $3 ORDER BY week";

/// What was heard in a week.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Week {
    /// When it begins.
    pub begins: i64,
    /// Which of its slots have plays, from 0; and of each how many, and for how long.
    pub slots: Vec<i64>,
    pub plays: Vec<i64>,
    pub ms: Vec<i64>,
}

/// Counts the plays of whole weeks.
pub async fn count(session: &mut Session, user: UserId, from: i64, until: i64, slot: i64) -> Result<()> {
    session
        .run(
            concat!(
                "INSERT INTO heard_weeks (user_id, week, slots, plays, ms)
                 SELECT $1, slots.week, names(slots.n ORDER BY slots.n), names(slots.plays ORDER BY slots.n),
                   names(slots.ms ORDER BY slots.n)
                 FROM (SELECT moments.week, moments.n, count(*) AS plays, CAST(sum(moments.ms) AS BIGINT) AS ms
                       FROM (SELECT plays.played_at - plays.played_at % $5 AS week,
                               plays.played_at % $5 / $4 AS n, ",
                heard_ms!(),
                " AS ms FROM plays CROSS JOIN tracks
                 WHERE tracks.id = plays.track_id AND plays.user_id = $1 AND plays.played_at >= $2 AND plays.played_at < $3)
                         AS moments
                       GROUP BY moments.week, moments.n) AS slots
                 GROUP BY slots.week"
            ),
            params![user, from, until, slot, WEEK],
        )
        .await?;
    Ok(())
}

/// The weeks that these pieces need.
pub async fn read(session: &mut Session, user: UserId, pieces: &[Piece]) -> Result<Vec<Week>> {
    let ready = || pieces.iter().filter(|piece| piece.ready);
    let (Some(from), Some(until)) =
        (ready().map(|piece| piece.begins).min(), ready().map(|piece| piece.ends).max())
    else {
        return Ok(Vec::new());
    };
    let first = from.div_euclid(WEEK) * WEEK;
    session
        .all(WEEKS_READ, params![user, first, until], |row| {
            Ok(Week {
                begins: row.get("week")?,
                slots: row.list("slots")?,
                plays: row.list("plays")?,
                ms: row.list("ms")?,
            })
        })
        .await
}

/// Tells of each slot in the pieces that are ready: when it was by their clocks, how many plays, how long. The weeks and
/// the pieces are in order.
pub(in super::super) fn each(
    weeks: &[Week],
    pieces: &[Piece],
    slot: i64,
    mut tell: impl FnMut(i64, i64, i64),
) {
    let mut pieces = pieces.iter().filter(|piece| piece.ready).peekable();
    for week in weeks {
        for ((n, plays), ms) in week.slots.iter().zip(&week.plays).zip(&week.ms) {
            let at = week.begins + n * slot;
            while pieces.next_if(|piece| piece.ends <= at).is_some() {}
            match pieces.peek() {
                Some(piece) if piece.begins <= at => tell(at + piece.shift, *plays, *ms),
                Some(_) => {}
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn each_slot_of_a_ready_piece_is_told_once_by_its_clock() {
        let week = |n: i64| Week {
            begins: n * WEEK,
            slots: vec![0, 5, 167],
            plays: vec![1, 2, 3],
            ms: vec![10, 20, 30],
        };
        let piece = |ready, begins, ends, shift| Piece { ready, begins, ends, shift };
        let pieces = [
            piece(false, 0, 5 * HOUR, 0),
            piece(true, 5 * HOUR, 6 * HOUR, HOUR),
            piece(false, 6 * HOUR, 7 * HOUR, 0),
            piece(true, 7 * HOUR, WEEK + 5 * HOUR, -HOUR),
            piece(false, WEEK + 5 * HOUR, 9 * WEEK, 0),
        ];
        let mut told = Vec::new();
        each(&[week(0), week(1), week(2)], &pieces, HOUR, |at, plays, ms| told.push((at / HOUR, plays, ms)));
        assert_eq!(told, [(6, 2, 20), (166, 3, 30), (167, 1, 10)]);
    }
}
