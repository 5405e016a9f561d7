//! What becomes of a batch of rows: matched with what is known around their times, and written with few statements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::Result;
use super::super::sql::{Bind as _, Copied, Dialect, Session, params, table};
use super::{ImportBatch, Known, counted, tracks};
use crate::domain::merge::{Heard, Merged, Precision, REACH, Recording, merge};
use crate::domain::{ImportId, ImportRow, Source, Taken, Timestamp, UserId};

/// Which rows are matched and kept together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Plays,
    /// Rows below the threshold.
    Apart,
}

/// A batch whose tracks the database has.
pub struct Batch<'b> {
    /// As it was sent.
    pub sent: &'b ImportBatch,
    /// The tracks of its rows, in their order.
    pub tracks: Vec<Arc<Known>>,
    /// Those that it tells, in their order.
    pub told: Vec<Arc<Known>>,
    /// How many rows the import had after the last batch, if there was one.
    pub before: Option<i64>,
}

/// What became of a batch.
pub enum Took {
    /// What became of its rows, and how many the import has had.
    Rows(Taken, i64),
    /// The import is not open.
    NotOpen,
    /// The database has lost what was committed, or somebody else goes on with the import.
    Lost,
}

/// Keeps the rows, unless `is_over` by then.
pub async fn take(session: &mut Session, batch: &Batch<'_>, is_over: &AtomicBool) -> Result<Took> {
    let sent = batch.sent;
    let mut had = 0;
    if let Some(import) = sent.import {
        session.lock_user(sent.user).await?;
        let Some(rows) = counted(session, sent.user, import, sent.rows.len()).await? else {
            return Ok(Took::NotOpen);
        };
        // What earlier batches have told is there if their rows are.
        let rows_before = rows - i64::try_from(sent.rows.len()).unwrap_or(i64::MAX);
        let is_lost = is_over.load(Ordering::Relaxed)
            || batch.before.is_some_and(|before| before != rows_before)
            || !tracks::are_there(session, batch).await?;
        if is_lost {
            return Ok(Took::Lost);
        }
        had = rows;
    }
    let least = i64::try_from(sent.threshold.as_millis()).unwrap_or(i64::MAX);
    let is_short = |(row, _): &(&ImportRow, _)| !row.play && row.ms_played.is_some_and(|ms| ms < least);
    let rows = sent.rows.iter().zip(batch.tracks.iter().map(|track| &**track));
    let (short, plays): (Vec<_>, Vec<_>) = rows.partition(is_short);
    let mut words = HashMap::new();
    let imported = keep(session, sent, &plays, &mut words, Kept::Plays).await?;
    keep(session, sent, &short, &mut words, Kept::Apart).await?;
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let taken = Taken {
        imported: count(imported),
        already_there: count(plays.len() - imported),
        below_threshold: count(short.len()),
    };
    Ok(Took::Rows(taken, had))
}

/// Merges rows into what is there; answers how many are new.
async fn keep(
    session: &mut Session,
    batch: &ImportBatch,
    rows: &[(&ImportRow, &Known)],
    words: &mut HashMap<i64, Recording>,
    kept: Kept,
) -> Result<usize> {
    let (Some(first), Some(last)) =
        (rows.iter().map(|(row, _)| row.at).min(), rows.iter().map(|(row, _)| row.at).max())
    else {
        return Ok(0);
    };
    let known = known(session, batch.user, first - REACH, last + REACH, kept).await?;
    let unread: HashSet<i64> =
        known.iter().map(|(track, _)| *track).filter(|id| !words.contains_key(id)).collect();
    let unread: Vec<i64> = unread.into_iter().collect();
    words.extend(tracks::recordings(session, &unread).await?);

    // Tracks by number from 0: first those of the known plays, then those of the batch.
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(rows.len());
    let mut listed: Vec<(i64, Option<&Recording>)> = Vec::with_capacity(rows.len());
    let mut place = |id: i64, recording| {
        *places.entry(id).or_insert_with(|| {
            listed.push((id, recording));
            listed.len() - 1
        })
    };
    let known: Vec<Heard> =
        known.into_iter().map(|(id, heard)| Heard { track: place(id, words.get(&id)), ..heard }).collect();
    let heard: Vec<Heard> = rows
        .iter()
        .map(|(row, track)| Heard {
            at: Timestamp::from_millis(row.at),
            precision: row.precision,
            track: place(track.id, Some(&track.recording)),
            ms_played: row.ms_played,
            part: row.part,
        })
        .collect();
    let recording = |track: usize| listed[track].1;
    let (merged, new) =
        merge(&known, &heard, |a, b| recording(a).zip(recording(b)).is_some_and(|(a, b)| a.is(b)));
    if let Some(import) = batch.import {
        let writing = Writing { user: batch.user, import, known: &known, listed: &listed, rows, kept };
        writing.all(session, &merged).await?;
    }
    Ok(new.into_iter().filter(|new| *new).count())
}

/// What is known between these moments, with the tracks' numbers.
async fn known(
    session: &mut Session,
    user: UserId,
    from: i64,
    to: i64,
    kept: Kept,
) -> Result<Vec<(i64, Heard)>> {
    let sql = match kept {
        Kept::Plays => {
            "SELECT played_at, track_id, precision_ms, ms_played FROM plays
             WHERE user_id = $1 AND played_at >= $2 AND played_at <= $3 ORDER BY played_at, track_id"
        }
        Kept::Apart => {
            "SELECT played_at, track_id, precision_ms, ms_played FROM short_plays
             WHERE user_id = $1 AND played_at >= $2 AND played_at <= $3 ORDER BY played_at, track_id"
        }
    };
    session
        .all(sql, params![user, from, to], |row| {
            let heard = Heard {
                at: row.get("played_at")?,
                precision: Precision::of_millis(row.maybe("precision_ms")?.unwrap_or(1)),
                track: 0,
                ms_played: row.maybe("ms_played")?,
                part: 0,
            };
            Ok((row.get("track_id")?, heard))
        })
        .await
}

struct Writing<'a> {
    user: UserId,
    import: ImportId,
    known: &'a [Heard],
    /// The tracks' numbers by place.
    listed: &'a [(i64, Option<&'a Recording>)],
    rows: &'a [(&'a ImportRow, &'a Known)],
    kept: Kept,
}

impl Writing<'_> {
    async fn all(&self, session: &mut Session, merged: &[Merged]) -> Result<()> {
        let changed: Vec<(&Heard, &Heard)> = merged
            .iter()
            .filter(|play| play.row.is_some() || play.lengthened)
            .filter_map(|play| Some((&self.known[play.known?], &play.heard)))
            .collect();
        if !changed.is_empty() {
            self.note_changes(session, &changed).await?;
        }
        let lengthened: Vec<&Heard> = merged
            .iter()
            .filter(|play| play.known.is_some() && play.row.is_none() && play.lengthened)
            .map(|play| &play.heard)
            .collect();
        if !lengthened.is_empty() {
            self.lengthen(session, &lengthened).await?;
        }
        let replaced: Vec<&Heard> = merged
            .iter()
            .filter(|play| play.row.is_some())
            .filter_map(|play| Some(&self.known[play.known?]))
            .collect();
        if !replaced.is_empty() {
            self.delete(session, &replaced).await?;
        }
        let added: Vec<(&Heard, &ImportRow)> =
            merged.iter().filter_map(|play| Some((&play.heard, self.rows[play.row?].0))).collect();
        if added.is_empty() {
            return Ok(());
        }
        self.insert(session, &added).await?;
        if self.kept == Kept::Plays {
            let more = i64::try_from(added.len() - replaced.len()).unwrap_or(i64::MAX);
            self.count(session, more, &added).await?;
        }
        Ok(())
    }

    fn track(&self, heard: &Heard) -> i64 {
        self.listed[heard.track].0
    }

    /// Keeps what an undoing needs. What the import added itself needs nothing; what it changed twice is as it was before
    /// the first time.
    async fn note_changes(&self, session: &mut Session, changed: &[(&Heard, &Heard)]) -> Result<()> {
        let rows = || {
            table![
                changed;
                |(old, _)| old.at,
                |(old, _)| self.track(old),
                |(_, new)| new.at,
                |(_, new)| self.track(new)
            ]
        };
        let short = self.kept == Kept::Apart;
        session
            .run(
                "UPDATE import_changes SET played_at = listed.at, track_id = listed.track
                 FROM rows($4 AS listed: old_at BIGINT, old_track BIGINT, at BIGINT, track BIGINT)
                 WHERE import_changes.user_id = $1 AND import_changes.import_id = $2
                   AND import_changes.short = $3 AND import_changes.played_at = listed.old_at
                   AND import_changes.track_id = listed.old_track",
                vec![self.user.bind(), self.import.bind(), short.bind(), rows()],
            )
            .await?;
        let sql = match self.kept {
            Kept::Plays => {
                "INSERT INTO import_changes (user_id, import_id, short, played_at, track_id, old_played_at,
                   old_track_id, old_context_uri, old_import_id, old_ms_played, old_precision_ms)
                 SELECT $1, $2, $3, listed.at, listed.track, plays.played_at, plays.track_id, plays.context_uri,
                   plays.import_id, plays.ms_played, plays.precision_ms
                 FROM rows($4 AS listed: old_at BIGINT, old_track BIGINT, at BIGINT, track BIGINT)
                   JOIN plays ON plays.user_id = $1 AND plays.played_at = listed.old_at
                     AND plays.track_id = listed.old_track
                 WHERE plays.import_id IS DISTINCT FROM $2
                 ON CONFLICT (user_id, import_id, short, played_at, track_id) DO NOTHING"
            }
            Kept::Apart => {
                "INSERT INTO import_changes (user_id, import_id, short, played_at, track_id, old_played_at,
                   old_track_id, old_context_uri, old_import_id, old_ms_played, old_precision_ms)
                 SELECT $1, $2, $3, listed.at, listed.track, plays.played_at, plays.track_id, plays.context_uri,
                   plays.import_id, plays.ms_played, plays.precision_ms
                 FROM rows($4 AS listed: old_at BIGINT, old_track BIGINT, at BIGINT, track BIGINT)
                   JOIN short_plays AS plays ON plays.user_id = $1 AND plays.played_at = listed.old_at
                     AND plays.track_id = listed.old_track
                 WHERE plays.import_id IS DISTINCT FROM $2
                 ON CONFLICT (user_id, import_id, short, played_at, track_id) DO NOTHING"
            }
        };
        session.run(sql, vec![self.user.bind(), self.import.bind(), short.bind(), rows()]).await?;
        Ok(())
    }

    async fn lengthen(&self, session: &mut Session, plays: &[&Heard]) -> Result<()> {
        let sql = match self.kept {
            Kept::Plays => {
                "UPDATE plays SET ms_played = listed.ms
                 FROM rows($2 AS listed: at BIGINT, track BIGINT, ms BIGINT)
                 WHERE plays.user_id = $1 AND plays.played_at = listed.at AND plays.track_id = listed.track"
            }
            Kept::Apart => {
                "UPDATE short_plays SET ms_played = listed.ms
                 FROM rows($2 AS listed: at BIGINT, track BIGINT, ms BIGINT)
                 WHERE short_plays.user_id = $1 AND short_plays.played_at = listed.at
                   AND short_plays.track_id = listed.track"
            }
        };
        let rows = table![plays; |play| play.at, |play| self.track(play), |play| play.ms_played];
        session.run(sql, vec![self.user.bind(), rows]).await?;
        Ok(())
    }

    async fn delete(&self, session: &mut Session, plays: &[&Heard]) -> Result<()> {
        let sql = match self.kept {
            Kept::Plays => {
                "DELETE FROM plays WHERE user_id = $1 AND (played_at, track_id) IN
                   (SELECT listed.at, listed.track FROM rows($2 AS listed: at BIGINT, track BIGINT))"
            }
            Kept::Apart => {
                "DELETE FROM short_plays WHERE user_id = $1 AND (played_at, track_id) IN
                   (SELECT listed.at, listed.track FROM rows($2 AS listed: at BIGINT, track BIGINT))"
            }
        };
        let rows = table![plays; |play| play.at, |play| self.track(play)];
        session.run(sql, vec![self.user.bind(), rows]).await?;
        Ok(())
    }

    /// Nothing of these is there: all that is known around them was read in this transaction.
    async fn insert(&self, session: &mut Session, added: &[(&Heard, &ImportRow)]) -> Result<()> {
        let sql = match self.kept {
            Kept::Plays => INSERT_PLAYS,
            Kept::Apart => INSERT_SHORT_PLAYS,
        };
        if session.dialect() == Dialect::Postgres {
            let mut rows = Copied::new(added.len(), 8);
            for (heard, row) in added {
                rows.row().int(Some(self.user.0)).int(Some(self.import.0)).int(Some(heard.at.as_millis()));
                rows.int(Some(self.track(heard))).int(heard.ms_played).int(coarse(heard));
                rows.text(row.source.plain().as_deref()).text(row.context_uri.as_deref());
            }
            return session.copy(sql.copy, rows).await;
        }
        let (user, import) = (self.user.bind(), self.import.bind());
        // Most batches are of one privacy export, which says little of each play.
        let alike = |(heard, row): &(&Heard, &ImportRow)| {
            row.source == Source::Import
                && row.context_uri.is_none()
                && heard.precision == added[0].0.precision
        };
        if added.iter().all(alike) {
            let (precision, source) = (coarse(added[0].0).bind(), Source::Import.bind());
            let rows = table![
                added;
                |(heard, _)| heard.at,
                |(heard, _)| self.track(heard),
                |(heard, _)| heard.ms_played
            ];
            session.run(sql.alike, vec![user, import, precision, source, rows]).await?;
            return Ok(());
        }
        let rows = table![
            added;
            |(heard, _)| heard.at,
            |(heard, _)| self.track(heard),
            |(heard, _)| heard.ms_played,
            |(heard, _)| coarse(heard),
            |(_, row)| row.source,
            |(_, row)| row.context_uri.as_deref()
        ];
        session.run(sql.each, vec![user, import, rows]).await?;
        Ok(())
    }

    async fn count(&self, session: &mut Session, more: i64, added: &[(&Heard, &ImportRow)]) -> Result<()> {
        let coarse = added.iter().filter(|(heard, _)| heard.precision > Precision::Millisecond);
        let newest = coarse.map(|(heard, _)| heard.at).max();
        session
            .run(
                "UPDATE users SET plays = plays + $2,
                   imported_until = CASE WHEN imported_until >= $3 THEN imported_until
                     ELSE COALESCE($3, imported_until) END
                 WHERE id = $1",
                params![self.user, more, newest],
            )
            .await?;
        Ok(())
    }
}

/// What is kept of the precision.
fn coarse(heard: &Heard) -> Option<i64> {
    (heard.precision > Precision::Millisecond).then_some(heard.precision.millis())
}

/// Inserts plays into one of the tables.
struct Insert {
    /// For PostgreSQL.
    copy: &'static str,
    /// For SQLite: of one precision and source, and without a context.
    alike: &'static str,
    each: &'static str,
}

macro_rules! insert {
    ($table:literal) => {
        Insert {
            copy: concat!(
                "COPY ", $table, "
                   (user_id, import_id, played_at, track_id, ms_played, precision_ms, source, context_uri)
                 FROM STDIN (FORMAT binary)"
            ),
            alike: concat!(
                "INSERT INTO ", $table, "
                   (user_id, import_id, precision_ms, source, played_at, track_id, ms_played)
                 SELECT $1, $2, $3, $4, listed.at, listed.track, listed.ms
                 FROM rows($5 AS listed: at BIGINT, track BIGINT, ms BIGINT)"
            ),
            each: concat!(
                "INSERT INTO ", $table, "
                   (user_id, import_id, played_at, track_id, ms_played, precision_ms, source, context_uri)
                 SELECT $1, $2, listed.at, listed.track, listed.ms, listed.precision, listed.source, listed.context
                 FROM rows($3 AS listed: at BIGINT, track BIGINT, ms BIGINT, precision BIGINT, source TEXT, context TEXT)"
            ),
        }
    };
}

const INSERT_PLAYS: Insert = insert!("plays");
const INSERT_SHORT_PLAYS: Insert = insert!("short_plays");
