//! Pages, gaps and plays in memory.

use super::super::{Added, PageFacts, PageStored, PlayPage, PlayQuery};
use super::rows::{PlayRow, Rows, UserRow};
use super::{catalogue, runs};
use crate::domain::{Gap, Play, PlayCursor, Run, RunId, Source, Timestamp, UserId};

/// How many plays and gaps are told of the time that a page covers.
const TOLD: usize = 200;

pub fn facts(rows: &Rows, user: UserId, run: RunId, plays: &[Play], oldest: Option<Timestamp>) -> PageFacts {
    let Some(row) = rows.user(user) else { return PageFacts::default() };
    let oldest = oldest.unwrap_or(Timestamp::from_millis(i64::MAX));
    let api =
        || row.plays.iter().rev().filter(|(_, play)| play.source == Source::Api).map(|((at, _), _)| *at);
    let before = api().find(|at| *at < oldest);
    let archived = |run: &&Run| run.result.is_some_and(|result| result.archived());
    let last = row.runs.iter().rev().find(archived).map(|run| run.id);
    let since = row.runs.iter().filter(|one| one.id < run && Some(one.id) > last);
    let mut gaps = gaps(row);
    gaps.retain(|gap| before.is_none_or(|before| gap.to >= before));
    gaps.truncate(TOLD);
    PageFacts {
        unknown: (0..).zip(plays).filter(|(_, play)| !is_stored(row, play)).map(|(n, _)| n).collect(),
        newest_stored: api().next(),
        before,
        stored: api().take_while(|at| *at >= oldest).take(TOLD).collect(),
        gaps,
        last_archived_at: row.last_archived_at,
        results_since: since.map(|run| run.result).collect(),
        habits: row.habits.clone(),
    }
}

fn is_stored(row: &UserRow, play: &Play) -> bool {
    row.plays.contains_key(&(play.played_at, play.track.key().into()))
}

pub fn store(rows: &mut Rows, page: &PageStored) -> Added {
    let Some(row) = rows.user(page.user) else { return Added::default() };
    let open = |run: &Run| run.id == page.run && run.finished_at.is_none();
    if !row.runs.iter().rev().any(open) {
        let recorded = row.runs.iter().find(|run| run.id == page.run).map_or(0, |run| run.new_plays);
        let added = Added { plays: usize::try_from(recorded).unwrap_or(0), gaps: found_by(row, page.run) };
        if let Some(row) = rows.user_mut(page.user) {
            runs::release(row, page.release);
        }
        return added;
    }
    let count = put_plays(rows, page.user, &page.plays);
    let Some(row) = rows.user_mut(page.user) else { return Added::default() };
    put_gaps(row, page);
    if let Some(run) = row.runs.iter_mut().rev().find(|run| open(run)) {
        run.finished_at = Some(page.at);
        (run.result, run.reason, run.new_plays) = (Some(page.result), page.reason.clone(), count);
    }
    row.last_archived_at = Some(page.at);
    (row.last_run_result, row.last_run_reason) = (Some(page.result), page.reason.clone());
    row.blocked = None;
    row.newest_played_at = row.newest_played_at.max(page.newest);
    count_gaps(row);
    runs::release(row, page.release);
    let gaps = if page.gaps.is_empty() { Vec::new() } else { found_by(row, page.run) };
    Added { plays: usize::try_from(count).unwrap_or(0), gaps }
}

/// Those that are not stored; counts and answers how many they are.
pub fn put_plays(rows: &mut Rows, user: UserId, plays: &[Play]) -> i64 {
    let Some(row) = rows.user(user) else { return 0 };
    let new: Vec<Play> = plays.iter().filter(|play| !is_stored(row, play)).cloned().collect();
    let keys: Vec<_> = new.iter().map(|play| catalogue::keep_track(rows, &play.track)).collect();
    let Some(row) = rows.user_mut(user) else { return 0 };
    let mut count = 0;
    for (play, key) in new.into_iter().zip(keys) {
        let kept = PlayRow { source: Source::Api, context_uri: play.context_uri };
        if let std::collections::btree_map::Entry::Vacant(place) = row.plays.entry((play.played_at, key)) {
            place.insert(kept);
            count += 1;
        }
    }
    row.play_count += count;
    count
}

pub fn count_gaps(row: &mut UserRow) {
    let open = row.gaps.iter().filter(|(gap, _)| gap.closed_at.is_none()).count();
    row.gap_count = i64::try_from(open).unwrap_or(i64::MAX);
}

fn put_gaps(row: &mut UserRow, page: &PageStored) {
    for gap in &page.gaps {
        let same = |(known, _): &&mut (Gap, RunId)| {
            (known.from, known.to, known.cause) == (gap.from, gap.to, gap.cause)
        };
        match row.gaps.iter_mut().find(same) {
            Some((known, _)) => {
                known.at_most = known.at_most.max(gap.at_most);
                known.closed_at = gap.closed_at;
            }
            None => row.gaps.push((gap.clone(), page.run)),
        }
    }
}

fn found_by(row: &UserRow, run: RunId) -> Vec<Gap> {
    let mut found: Vec<Gap> =
        row.gaps.iter().filter(|(_, by)| *by == run).map(|(gap, _)| gap.clone()).collect();
    found.sort_by_key(|gap| (gap.from, gap.to));
    found
}

/// The newest first.
pub fn gaps(row: &UserRow) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = row.gaps.iter().map(|(gap, _)| gap.clone()).collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse((gap.from, gap.to)));
    gaps
}

pub fn plays(rows: &Rows, user: UserId, query: PlayQuery) -> PlayPage {
    let Some(row) = rows.user(user) else { return PlayPage::default() };
    let id = |key: &str| {
        rows.tracks.get(key).and_then(|track| i64::try_from(track.id).ok()).unwrap_or_default() + 1
    };
    let cursor = |at: Timestamp, key: &str| PlayCursor { at, track: id(key) };
    let wanted = |at: Timestamp, key: &str| {
        query.since.is_none_or(|since| at >= since)
            && query.until.is_none_or(|until| at < until)
            && query.before.is_none_or(|before| cursor(at, key) < before)
    };
    let mut found: Vec<_> = row.plays.iter().rev().filter(|((at, key), _)| wanted(*at, key)).collect();
    found.sort_by_key(|((at, key), _)| std::cmp::Reverse(cursor(*at, key)));
    let limit = usize::try_from(query.limit.max(0)).unwrap_or(usize::MAX);
    found.truncate(limit);
    let next = found.last().filter(|_| found.len() == limit).map(|((at, key), _)| cursor(*at, key));
    let read = |((at, key), play): (&(Timestamp, std::sync::Arc<str>), &PlayRow)| {
        catalogue::stored_play(rows, *at, key, play)
    };
    PlayPage { plays: found.into_iter().filter_map(read).collect(), next }
}
