//! Reads the files of a plan and hands their rows on in batches, in the order of time: what may be one play comes in one
//! batch, whichever file it stands in. What is held at once is bounded, however long the files are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::coverage::Coverage;
use super::frame::Position;
use super::lines::{Line, read as read_lines};
use super::row::{Kind, Played, Row};
use super::sent::{SentBatch, SentTrack};
use super::source::{Input, LeftOut, Plan};
use super::words::Words;
use crate::domain::merge::{Precision, REACH};
use crate::domain::{Covered, ImportCounts, ImportId, ImportRow, REMEMBERED_TRACKS, Source, Timestamp};

/// How many rows are held at once. Within so many, rows of all files meet.
const MOST_ROWS: usize = 1_000_000;
/// How many bytes of tracks are held at once.
const MOST_TRACKS: usize = 32 * 1024 * 1024;
/// How many rows a batch has: from so many on it ends where the next row is far off.
const BATCH: usize = 8_000;
/// And with so many wherever it is.
const LONGEST_BATCH: usize = 10_000;
/// So many bytes end a batch too, if the next row is far off; half as many again in any case.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A row has so many at most, but for its track and its context.
const ROW_BYTES: usize = 120;
/// How many rows that can't be read are told of, and how many files.
const TOLD: usize = 20;
/// After so many bytes is told how far the reading is.
const TELL_EVERY: u64 = 4 * 1024 * 1024;

/// A row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Which file; in a zip, with the zip.
    pub file: String,
    /// The row's number, from 1.
    pub row: u64,
    /// Its first byte, from 0.
    pub byte: u64,
    /// What is wrong; it names no values.
    pub why: String,
}

/// What became of the rows, as far as the reading knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// What was read; `imported` and the like are the archive's to say.
    pub counts: ImportCounts,
    /// The first rows and files that could not be read.
    pub troubles: Vec<Trouble>,
    /// How many files could not be read, or not to their end.
    pub damaged: usize,
    /// What the files have everything of.
    pub covered: Vec<Covered>,
}

/// For whom files are read.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Which import the batches are of; `None`: nothing is kept.
    pub import: Option<ImportId>,
    /// What this reader is called.
    pub reader: i64,
    /// How many batches were answered, the first ones: what they have told of tracks is not told again.
    pub answered: Arc<AtomicU32>,
}

/// What a reader hands on.
pub enum Step {
    /// How many bytes were read.
    Read(u64),
    /// An `ImportRows` in JSON, and how many rows it has.
    Batch(Vec<u8>, usize),
    /// How many rows will come in the batches until the next is read.
    Sorted(usize),
}

/// Reads all files. `step` gets what is to be handed on, and answers whether to go on; it may wait. `present`: nothing is
/// played after that.
pub fn read(
    plan: &Plan,
    target: Target,
    present: Timestamp,
    step: &mut dyn FnMut(Step) -> bool,
) -> Collected {
    let mut collector = Collector { target, ..Collector::default() };
    for left_out in &plan.left_out {
        collector.left_out(left_out);
    }
    let (mut done, mut goes_on) = (0, true);
    let inputs = in_order(plan);
    for (n, (input, _)) in inputs.iter().enumerate() {
        if !goes_on {
            break;
        }
        let mut told = 0;
        collector.open(input);
        let read = plan.open(input).and_then(|from| {
            read_lines(from, present, &mut |line, read| {
                collector.hear(line);
                if read >= told + TELL_EVERY {
                    told = read;
                    goes_on = step(Step::Read(done + read));
                }
                goes_on && (!collector.is_full() || collector.hand_on(None, step, &mut goes_on))
            })
        });
        if let Err(why) = read {
            collector.broken(why.to_string(), Position { row: 1, byte: 0 });
        }
        done += input.size;
        goes_on = goes_on && step(Step::Read(done));
        if let (true, Some((_, Some(next)))) = (goes_on, inputs.get(n + 1)) {
            collector.hand_on(Some(*next), step, &mut goes_on);
        }
    }
    if goes_on {
        collector.hand_on(None, step, &mut goes_on);
    }
    // What was left out may have had plays of any time.
    if plan.left_out.is_empty() {
        collector.collected.covered = std::mem::take(&mut collector.coverage).end();
    }
    collector.collected
}

/// The files of a plan, each with the time before which neither it nor the later ones have rows, as far as their
/// beginnings show. That is known of extended histories alone, whose rows may come late too: to the second it makes no
/// difference whether two rows of one play meet in a batch or in the archive.
fn in_order(plan: &Plan) -> Vec<(&Input, Option<Timestamp>)> {
    let mut inputs: Vec<(&Input, Option<Timestamp>)> =
        plan.inputs.iter().map(|input| (input, input.begins)).collect();
    match inputs.iter().all(|(_, begins)| begins.is_some()) {
        true => inputs.sort_by_key(|(_, begins)| *begins),
        false => inputs.iter_mut().for_each(|(_, begins)| *begins = None),
    }
    inputs
}

/// A row, small: half a million of them are held at once.
#[derive(Clone, Copy)]
struct Small {
    at: i64,
    track: u32,
    /// `u32::MAX`: unknown.
    ms_played: u32,
    /// `u32::MAX`: none.
    context: u32,
    part: u16,
    precision: Precision,
    source: Source,
    play: bool,
}

/// Which rows make up one part of an export: those of a kind in one folder.
type Part = (Arc<str>, Kind);

#[derive(Default)]
struct Collector {
    target: Target,
    collected: Collected,
    rows: Vec<Small>,
    tracks: Words<Told>,
    /// The number of the first of them: what was let go had lower ones.
    first_track: u32,
    /// How many batches there were.
    batches: u32,
    contexts: Words<Box<str>>,
    parts: HashMap<Part, u16>,
    coverage: Coverage,
    folder: Arc<str>,
    file: String,
}

/// A track, and which batches have told of it.
#[derive(Default)]
struct Told {
    /// What is told.
    json: Box<RawValue>,
    first: Option<u32>,
    last: Option<u32>,
}

impl Collector {
    fn open(&mut self, input: &Input) {
        self.folder = input.folder.as_str().into();
        self.file.clone_from(&input.name);
        self.coverage.open(input);
    }

    /// A file of which nothing can be read counts as one row.
    fn left_out(&mut self, left_out: &LeftOut) {
        self.collected.counts.read += 1;
        self.collected.damaged += 1;
        self.file.clone_from(&left_out.file);
        self.unreadable(left_out.why.clone(), Position { row: 1, byte: 0 }, 2 * TOLD);
    }

    fn hear(&mut self, line: Line<'_>) {
        self.collected.counts.read += 1;
        match line {
            Line::Row(row, kind) => self.row(row, kind),
            Line::Unreadable(why, position) => self.unreadable(why, position, TOLD),
            Line::Broken(why, position) => {
                self.collected.counts.read -= 1;
                self.broken(why.to_owned(), position);
            }
        }
    }

    fn row(&mut self, row: Row<'_>, kind: Kind) {
        let at = row.at();
        let next = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        let number = *self.parts.entry((Arc::clone(&self.folder), kind)).or_insert(next);
        // What else was heard says nothing of music.
        if matches!(row, Row::Played(_)) {
            self.coverage.hear(kind, at);
        }
        let counts = &mut self.collected.counts;
        match row {
            Row::Podcast(_) => counts.podcasts += 1,
            Row::Audiobook(_) => counts.audiobooks += 1,
            Row::WithoutTrack(_) => counts.without_track += 1,
            Row::Played(played) => self.played(&played, number),
        }
    }

    fn played(&mut self, played: &Played<'_>, part: u16) {
        let first = self.first_track;
        let track = self.tracks.number((&played.track, played.exact), |n| {
            // Texts and numbers are always JSON.
            let json =
                to_raw_value(&SentTrack::of(first + n, &played.track, played.exact)).unwrap_or_default();
            let bytes = json.get().len();
            (Told { json, first: None, last: None }, bytes)
        });
        self.rows.push(Small {
            at: played.at.as_millis(),
            track,
            ms_played: played.ms_played.and_then(|ms| u32::try_from(ms).ok()).unwrap_or(u32::MAX),
            context: played
                .context_uri
                .as_ref()
                .map_or(u32::MAX, |uri| self.contexts.number(uri, |_| (uri.as_ref().into(), uri.len()))),
            part,
            precision: played.precision,
            source: played.source,
            play: played.play,
        });
    }

    fn unreadable(&mut self, why: String, position: Position, most_told: usize) {
        self.collected.counts.unreadable += 1;
        if self.collected.troubles.len() < most_told {
            let Position { row, byte } = position;
            self.collected.troubles.push(Trouble { file: self.file.clone(), row, byte, why });
        }
        self.coverage.leave_a_hole();
    }

    /// The rest of the file counts as one row.
    fn broken(&mut self, why: String, position: Position) {
        self.collected.counts.read += 1;
        self.collected.damaged += 1;
        self.unreadable(format!("{why}; the rest of the file was left out"), position, 2 * TOLD);
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.tracks.bytes + self.contexts.bytes >= MOST_TRACKS
    }

    /// Hands on what is held; false where nobody wants more. `before`: only what needs no later row, and comes to a batch.
    fn hand_on(
        &mut self,
        before: Option<Timestamp>,
        step: &mut dyn FnMut(Step) -> bool,
        goes_on: &mut bool,
    ) -> bool {
        self.rows.sort_by_key(|row| row.at);
        let end = match before {
            Some(before) => self.rows.partition_point(|row| row.at < before.as_millis()),
            None => self.rows.len(),
        };
        if before.is_none() {
            *goes_on = *goes_on && step(Step::Sorted(self.rows.len()));
        }
        let mut from = 0;
        while *goes_on && from < end {
            let to = match self.end_of_batch(from, end) {
                Some(to) => to,
                None if before.is_some() => break,
                None => end,
            };
            let batch = self.batch(from..to);
            *goes_on = step(Step::Batch(batch, to - from));
            from = to;
        }
        self.rows.drain(..from);
        if before.is_none() {
            self.rows.clear();
            self.first_track += u32::try_from(self.tracks.texts.len()).unwrap_or(u32::MAX);
            self.tracks = Words::default();
            self.contexts = Words::default();
        }
        *goes_on
    }

    /// Where enough rows have come, and the next, before `end`, is further off than two sides can disagree about one play.
    fn end_of_batch(&self, from: usize, end: usize) -> Option<usize> {
        let mut bytes = 0;
        (from + 1..end).find(|to| {
            let row = &self.rows[*to];
            let context = self.contexts.texts.get(row.context as usize).map_or(0, |context| context.len());
            bytes += ROW_BYTES + context + self.tracks.texts[row.track as usize].json.get().len();
            let enough = to - from >= BATCH || bytes >= BATCH_BYTES;
            let far = row.at - self.rows[to - 1].at > 2 * REACH;
            (enough && far) || to - from >= LONGEST_BATCH || bytes >= BATCH_BYTES / 2 * 3
        })
    }

    fn batch(&mut self, rows: Range<usize>) -> Vec<u8> {
        let answered = self.target.answered.load(Ordering::Relaxed);
        let keeps = self.target.import.is_some();
        let this = self.batches;
        self.batches += 1;
        let mut told = Vec::new();
        for row in &self.rows[rows.clone()] {
            let track = &mut self.tracks.texts[row.track as usize];
            let is_known = keeps
                && self.first_track + row.track < REMEMBERED_TRACKS
                && track.first.is_some_and(|first| first < answered);
            if !is_known && track.last != Some(this) {
                track.last = Some(this);
                track.first.get_or_insert(this);
                told.push(row.track);
            }
        }
        let sent = |row: &Small| ImportRow {
            at: row.at,
            precision: row.precision,
            track: self.first_track + row.track,
            ms_played: (row.ms_played != u32::MAX).then_some(i64::from(row.ms_played)),
            part: u32::from(row.part),
            source: row.source,
            context_uri: self.contexts.texts.get(row.context as usize).map(|uri| (**uri).to_owned()),
            play: row.play,
        };
        let batch = SentBatch {
            import: self.target.import,
            reader: self.target.reader,
            tracks: told.iter().map(|track| &*self.tracks.texts[*track as usize].json).collect(),
            rows: self.rows[rows].iter().map(sent).collect(),
        };
        // Texts and numbers are always JSON; an empty body would be an empty batch.
        serde_json::to_vec(&batch).unwrap_or_default()
    }
}
