//! Gaps and what imports have everything of: a gap is cut where that begins and ends, and made whole again when an import
//! is taken back. Pure.

use super::{Covered, Gap, GapCause, ImportId, RunId, Timestamp};

/// Spotify lists a play after 30 seconds: between two plays no other fits into less, and no more than one into each.
pub const SHORTEST_MS: i64 = 30_000;

/// A gap on record, or a part of one that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// As it is shown.
    pub gap: Gap,
    /// Which run found it.
    pub run: Option<RunId>,
    /// Which import has everything of it; `None` where a page closed it.
    pub closed_by: Option<ImportId>,
    /// What it is a part of.
    pub whole: Option<Whole>,
}

/// A gap as it was before it was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Where it began.
    pub from: Timestamp,
    /// Where it ended.
    pub to: Timestamp,
    /// The most plays that were missed in it.
    pub at_most: i64,
}

/// What became of gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// Gaps of which nothing is left.
    pub closed: i64,
    /// Gaps of which less is left.
    pub narrowed: i64,
}

impl Piece {
    fn is_open(&self) -> bool {
        self.gap.closed_at.is_none()
    }

    /// Open again, if it was closed.
    pub fn open(self) -> Self {
        Self { gap: Gap { closed_at: None, ..self.gap }, closed_by: None, ..self }
    }

    fn closed(self, by: ImportId, at: Timestamp) -> Self {
        Self { gap: Gap { closed_at: Some(at), ..self.gap }, closed_by: Some(by), ..self }
    }

    fn part(&self, from: Timestamp, to: Timestamp) -> Self {
        let Gap { from: began, to: ended, at_most, .. } = self.gap;
        let whole = self.whole.unwrap_or(Whole { from: began, to: ended, at_most });
        let gap = Gap { from, to, at_most: most(from, to, at_most), ..self.gap.clone() };
        Self { gap, whole: Some(whole), ..self.clone() }
    }

    /// What is left of it, and what is not; `None`: all of it, as it is. Plays that could not be read are so many, wherever
    /// they were: such a gap is closed whole or not at all.
    fn cut(&self, covered: &[(ImportId, Covered)], at: Timestamp) -> Option<Vec<Self>> {
        let Gap { from, to, cause, .. } = self.gap;
        let all_of = |stretch: &Covered| stretch.from <= from && to <= stretch.to;
        if let Some((import, _)) = covered.iter().find(|(_, stretch)| all_of(stretch)) {
            return Some(vec![self.clone().closed(*import, at)]);
        }
        let mut parts: Vec<(Timestamp, Timestamp, Option<ImportId>)> = Vec::new();
        let mut reached = from;
        for (import, stretch) in covered.iter().filter(|_| cause != GapCause::Unreadable) {
            let (begins, ends) = (stretch.from.max(reached), stretch.to.min(to));
            if millis(begins, ends) < SHORTEST_MS {
                continue;
            }
            // Too little for a play is nothing that is missing.
            let begins = if millis(reached, begins) < SHORTEST_MS { reached } else { begins };
            if reached < begins {
                parts.push((reached, begins, None));
            }
            reached = if millis(ends, to) < SHORTEST_MS { to } else { ends };
            parts.push((begins, reached, Some(*import)));
        }
        if parts.is_empty() {
            return None;
        }
        if reached < to {
            parts.push((reached, to, None));
        }
        if let [(.., Some(import))] = parts[..] {
            return Some(vec![self.clone().closed(import, at)]);
        }
        let part = |(from, to, import): (_, _, Option<ImportId>)| match import {
            Some(import) => self.part(from, to).closed(import, at),
            None => self.part(from, to),
        };
        Some(parts.into_iter().map(part).collect())
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millis().saturating_sub(from.as_millis())
}

/// How many plays can be missing in a part of a gap in which so many can be.
fn most(from: Timestamp, to: Timestamp, whole: i64) -> i64 {
    (millis(from, to) / SHORTEST_MS).max(1).min(whole)
}

/// Cuts out of the open gaps what imports have everything of, and closes those of which nothing is left.
pub fn cover(pieces: Vec<Piece>, covered: &[(ImportId, Covered)], at: Timestamp) -> (Vec<Piece>, Narrowed) {
    let mut covered = covered.to_vec();
    covered.sort_unstable_by_key(|(import, stretch)| (stretch.from, *import));
    let (mut after, mut narrowed) = (Vec::new(), Narrowed::default());
    for piece in pieces {
        match piece.is_open().then(|| piece.cut(&covered, at)).flatten() {
            None => after.push(piece),
            Some(parts) => {
                match parts.iter().any(Piece::is_open) {
                    true => narrowed.narrowed += 1,
                    false => narrowed.closed += 1,
                }
                after.extend(parts);
            }
        }
    }
    (after, narrowed)
}

/// Puts open parts of one gap together that touch; all of them are that gap again.
pub fn join(mut pieces: Vec<Piece>) -> Vec<Piece> {
    let of = |piece: &Piece| (piece.whole.map(|whole| (whole.from, whole.to)), piece.gap.cause.as_str());
    pieces.sort_by(|a, b| (of(a), a.gap.from, a.gap.to).cmp(&(of(b), b.gap.from, b.gap.to)));
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last)
                if piece.whole.is_some()
                    && of(last) == of(&piece)
                    && last.is_open()
                    && piece.is_open()
                    && last.gap.to == piece.gap.from =>
            {
                last.gap.to = piece.gap.to;
            }
            _ => joined.push(piece),
        }
    }
    for piece in &mut joined {
        let Some(whole) = piece.whole else { continue };
        piece.gap.at_most = most(piece.gap.from, piece.gap.to, whole.at_most);
        if (piece.gap.from, piece.gap.to) == (whole.from, whole.to) {
            (piece.gap.at_most, piece.whole) = (whole.at_most, None);
        }
    }
    joined
}

/// Stretches without overlaps: those that touch are one.
pub fn joined(mut stretches: Vec<Covered>) -> Vec<Covered> {
    stretches.sort_unstable_by_key(|stretch| (stretch.from, stretch.to));
    let mut joined: Vec<Covered> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.from <= last.to => last.to = last.to.max(stretch.to),
            _ => joined.push(stretch),
        }
    }
    joined
}

/// What is left of stretches without another.
pub fn without(stretches: &[Covered], taken: Covered) -> Vec<Covered> {
    let left = |stretch: &Covered| {
        let apart = stretch.to < taken.from || taken.to < stretch.from;
        let whole = apart.then_some(*stretch);
        let before = (!apart && stretch.from < taken.from).then_some(Covered { to: taken.from, ..*stretch });
        let after = (!apart && taken.to < stretch.to).then_some(Covered { from: taken.to, ..*stretch });
        [whole, before, after].into_iter().flatten()
    };
    stretches.iter().flat_map(left).collect()
}

#[cfg(test)]
mod tests;
