//! Plays that the API shows after an import knew them, to the millisecond, the second or the minute.

use std::collections::HashMap;

use super::super::Result;
use super::super::sql::{Bind as _, Session, params, table};
use super::tracks;
use crate::domain::merge::{Heard, Precision, REACH, Recording, merge};
use crate::domain::{Play, RunId, Timestamp, UserId};

/// Those of these plays that an import knew to the millisecond are the API's own from now on.
pub async fn adopt(session: &mut Session, user: UserId, run: RunId, plays: &[&Play]) -> Result<()> {
    session
        .run(
            "UPDATE plays SET source = 'api', import_id = NULL, run = $2,
               context_uri = COALESCE(page.context, plays.context_uri)
             FROM rows($3 AS page: at BIGINT, track TEXT, context TEXT) JOIN tracks ON tracks.key = page.track
             WHERE plays.user_id = $1 AND plays.played_at = page.at AND plays.track_id = tracks.id
               AND plays.import_id IS NOT NULL",
            vec![
                user.bind(),
                run.bind(),
                table![plays; |play| play.played_at, |play| play.track.key(), |play| play.context_uri.as_deref()],
            ],
        )
        .await?;
    Ok(())
}

/// Takes out of the archive what these plays are; answers which of them were known, and for how long they were played.
/// `imported_until`: the newest play that is not known to the millisecond.
pub async fn meet(
    session: &mut Session,
    user: UserId,
    plays: &[&Play],
    imported_until: Option<Timestamp>,
) -> Result<HashMap<usize, Option<i64>>> {
    let (first, last) =
        (plays.iter().map(|play| play.played_at).min(), plays.iter().map(|play| play.played_at).max());
    let (Some(first), Some(last), Some(until)) = (first, last, imported_until) else {
        return Ok(HashMap::new());
    };
    if first > until.offset_millis(REACH) {
        return Ok(HashMap::new());
    }
    let known: Vec<(i64, Heard)> = session
        .all(
            "SELECT played_at, track_id, precision_ms, ms_played FROM plays
             WHERE user_id = $1 AND played_at >= $2 AND played_at <= $3 AND precision_ms IS NOT NULL
             ORDER BY played_at, track_id",
            params![user, first.offset_millis(-REACH), last.offset_millis(REACH)],
            |row| {
                let heard = Heard {
                    at: row.get("played_at")?,
                    precision: Precision::of_millis(row.get("precision_ms")?),
                    track: 0,
                    ms_played: row.maybe("ms_played")?,
                    part: 0,
                };
                Ok((row.get("track_id")?, heard))
            },
        )
        .await?;
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<i64> = known.iter().map(|(track, _)| *track).collect();
    let words = tracks::recordings(session, &ids).await?;
    // The known plays' tracks by their places, then those of the page.
    let mut recordings: Vec<Option<Recording>> = ids.iter().map(|id| words.get(id).cloned()).collect();
    recordings.extend(plays.iter().map(|play| Some(Recording::of(&play.track))));
    let before: Vec<Heard> = (0..).zip(&known).map(|(track, (_, heard))| Heard { track, ..*heard }).collect();
    let rows: Vec<Heard> = (known.len()..)
        .zip(plays)
        .map(|(track, play)| Heard {
            at: play.played_at,
            precision: Precision::Millisecond,
            track,
            ms_played: None,
            part: 0,
        })
        .collect();
    let same = |a: usize, b: usize| match (&recordings[a], &recordings[b]) {
        (Some(a), Some(b)) => a.is(b),
        _ => false,
    };
    let (merged, _) = merge(&before, &rows, same);
    let met: Vec<(usize, usize, Option<i64>)> =
        merged.iter().filter_map(|play| Some((play.known?, play.row?, play.heard.ms_played))).collect();
    session
        .run(
            "DELETE FROM plays WHERE user_id = $1 AND (played_at, track_id) IN
               (SELECT listed.at, listed.track FROM rows($2 AS listed: at BIGINT, track BIGINT))",
            vec![
                user.bind(),
                table![met; |(known_at, ..)| known[*known_at].1.at, |(known_at, ..)| known[*known_at].0],
            ],
        )
        .await?;
    Ok(met.into_iter().map(|(_, row, ms)| (row, ms)).collect())
}
