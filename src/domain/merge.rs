//! Which rows of an import are plays that the archive has already, however exactly each side knows the time. Pure. It
//! promises that a play is kept once, known as exactly as anybody knew it, and that a track heard twice stays twice.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Timestamp, Track};

/// How far the ends of one play may lie apart after each side has rounded it: an export's second and the API's
/// millisecond are taken at different places.
const SLACK: i64 = 2_000;
/// Nothing further apart than this is ever the same play.
pub const REACH: i64 = Precision::Minute.millis() + SLACK;

/// How exactly the time of a play is known.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// The Web API.
    #[default]
    Millisecond,
    /// The extended streaming history.
    Second,
    /// The account data.
    Minute,
}

impl Precision {
    /// The length of the stretch in which the play ended.
    pub const fn millis(self) -> i64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
        }
    }

    /// Back from that length; what is unknown is exact.
    pub const fn of_millis(millis: i64) -> Self {
        match millis {
            60_000 => Self::Minute,
            1_000 => Self::Second,
            _ => Self::Millisecond,
        }
    }
}

/// A play, as one side knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The end of the play; what is finer than the precision only tells plays of a track apart.
    pub at: Timestamp,
    /// How exact that is.
    pub precision: Precision,
    /// The number of the track, in whatever list the caller has: equal numbers are the same track.
    pub track: usize,
    /// For how long it was played.
    pub ms_played: Option<i64>,
    /// Which part of an import it stands in. What stands twice in one part, to the minute, was heard twice where it fits
    /// into a minute twice; to the second it was written twice.
    pub part: u32,
}

/// A play of the archive after the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// As it is known now.
    pub heard: Heard,
    /// Which of the known plays it is, or was.
    pub known: Option<usize>,
    /// Which row it is now; `None`: it stays as it was known, but for `ms_played`.
    pub row: Option<usize>,
    /// Whether a row told for how long it was played, which was not known.
    pub lengthened: bool,
}

/// Merges rows into what is known around their times. Answers the plays, the known ones first, and which of the rows are
/// new. `same` says of two tracks whether they are one recording.
pub fn merge(
    known: &[Heard],
    rows: &[Heard],
    same: impl Fn(usize, usize) -> bool,
) -> (Vec<Merged>, Vec<bool>) {
    let mut work = Work {
        plays: (0..)
            .zip(known)
            .map(|(n, heard)| Merged { heard: *heard, known: Some(n), row: None, lengthened: false })
            .collect(),
        places: known.iter().map(|heard| (heard.at, heard.track)).collect(),
        new: vec![false; rows.len()],
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // The longest first: a skip of a second must not pass for the play that followed in the same minute.
    order.sort_by_key(|n| (side(&rows[*n]), rows[*n].at, Reverse(rows[*n].ms_played), *n));
    let same = |a: usize, b: usize| a == b || same(a, b);
    for one_side in order.chunk_by(|a, b| side(&rows[*a]) == side(&rows[*b])) {
        work.take(one_side, rows, &same);
    }
    (work.plays, work.new)
}

/// What is matched at once: the finest first, so that the coarser find what they are.
fn side(row: &Heard) -> (Precision, u32) {
    (row.precision, if row.precision == Precision::Minute { row.part } else { 0 })
}

struct Work {
    plays: Vec<Merged>,
    /// Time and track of each play, which no two share.
    places: HashSet<(Timestamp, usize)>,
    new: Vec<bool>,
}

impl Work {
    /// Takes the rows of one side, which are in the order of their times. Each play is at most one of them.
    fn take(&mut self, numbers: &[usize], rows: &[Heard], same: &impl Fn(usize, usize) -> bool) {
        let mut by_time: Vec<usize> = (0..self.plays.len()).collect();
        by_time.sort_by_key(|n| self.plays[*n].heard.at);
        let (mut pairs, mut single): (Vec<(Cost, usize, usize)>, Vec<usize>) = (Vec::new(), Vec::new());
        for n in numbers {
            let row = &rows[*n];
            let before = single.iter().rev().take_while(|other| unit(&rows[**other]) == unit(row));
            let alike = before.filter(|other| {
                let other = &rows[**other];
                same(other.track, row.track)
                    && (row.precision != Precision::Minute
                        || (other.at, other.ms_played) == (row.at, row.ms_played))
            });
            if alike.count() >= most_alike(row) {
                continue;
            }
            single.push(*n);
            let from = row.at.offset_millis(-REACH);
            let first = by_time.partition_point(|play| self.plays[*play].heard.at < from);
            let near = by_time[first..].iter();
            let near = near.take_while(|play| self.plays[**play].heard.at <= row.at.offset_millis(REACH));
            for play in near {
                let heard = &self.plays[*play].heard;
                if let Some(cost) = cost(heard, row).filter(|_| same(heard.track, row.track)) {
                    pairs.push((cost, *n, *play));
                }
            }
        }
        pairs.sort_unstable();
        let (mut matched, mut taken) = (HashSet::new(), HashSet::new());
        for (_, row, play) in pairs {
            if !matched.contains(&row) && taken.insert(play) {
                matched.insert(row);
                self.meet(play, row, &rows[row]);
            }
        }
        for n in single.into_iter().filter(|n| !matched.contains(n)) {
            let at = self.free_place(rows[n]);
            self.plays.push(Merged {
                heard: Heard { at, ..rows[n] },
                known: None,
                row: Some(n),
                lengthened: false,
            });
            self.new[n] = true;
        }
    }

    /// A play and a row are the same: it becomes the row where that knows more exactly when.
    fn meet(&mut self, play: usize, n: usize, row: &Heard) {
        let Merged { heard, .. } = self.plays[play];
        if row.precision < heard.precision {
            self.places.remove(&(heard.at, heard.track));
            let at = self.free_place(*row);
            let merged = &mut self.plays[play];
            merged.row = Some(n);
            merged.heard = Heard { at, ms_played: row.ms_played.or(heard.ms_played), ..*row };
        } else if heard.ms_played.is_none() && row.ms_played.is_some() {
            let merged = &mut self.plays[play];
            merged.heard.ms_played = row.ms_played;
            merged.lengthened = true;
        }
    }

    /// The row's time, or the next millisecond that no play of the track has: within a minute there may be several.
    fn free_place(&mut self, row: Heard) -> Timestamp {
        let mut at = row.at;
        while !self.places.insert((at, row.track)) {
            at = at.offset_millis(1);
        }
        at
    }
}

/// How well a play and a row agree, the best first: outside of the rounding, length of the play, how exact, how far.
type Cost = (bool, u8, Precision, i64);

fn cost(play: &Heard, row: &Heard) -> Option<Cost> {
    let apart = if play.precision == row.precision {
        if unit(play) != unit(row) {
            return None;
        }
        0
    } else {
        let (play_from, row_from) = (from(play), from(row));
        let (play_to, row_to) =
            (play_from + play.precision.millis() - 1, row_from + row.precision.millis() - 1);
        (play_from - row_to).max(row_from - play_to).max(0)
    };
    let length = match (play.ms_played, row.ms_played) {
        (Some(play), Some(row)) if play == row => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    };
    // In the next minute it is the same only where nothing speaks against it: a short track may have come again.
    let coarse = play.precision.max(row.precision) == Precision::Minute;
    if coarse && apart > 0 && length == 2 {
        return None;
    }
    (apart <= SLACK).then_some((apart > 0, length, play.precision, apart))
}

/// How many plays of a track can be alike in one part. In a second ends one; in a minute begins and ends, after the first,
/// what fits into it: what is there more often was written twice.
fn most_alike(row: &Heard) -> usize {
    let fit = match (row.precision, row.ms_played) {
        (Precision::Minute, Some(ms)) => (row.precision.millis() + SLACK).checked_div(ms).unwrap_or(i64::MAX),
        (Precision::Minute, None) => i64::MAX,
        _ => 0,
    };
    usize::try_from(fit).unwrap_or(usize::MAX).saturating_add(1)
}

fn unit(heard: &Heard) -> i64 {
    heard.at.as_millis().div_euclid(heard.precision.millis())
}

/// The first moment at which it can have ended.
fn from(heard: &Heard) -> i64 {
    unit(heard) * heard.precision.millis()
}

/// By so many of its artists a track is recognised, the first ones.
const MOST_ARTISTS: usize = 50;

/// By what a track is recognised: Spotify gives one recording several ids, and account data has none. It has hashes of the
/// texts, which nobody can foresee: an import keeps one for each of its tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    uri: Option<NonZeroU64>,
    isrc: Option<NonZeroU64>,
    name: Option<NonZeroU64>,
    artists: Box<[NonZeroU64]>,
}

impl Recording {
    /// Of a track.
    pub fn of(track: &Track) -> Self {
        let artists = track.artists.iter().map(|artist| artist.name.as_str());
        Self::new(track.uri.as_deref(), track.isrc.as_deref(), &track.name, artists)
    }

    /// Of what is known of one.
    pub fn new<'a>(
        uri: Option<&str>,
        isrc: Option<&str>,
        name: &str,
        artists: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            uri: uri.map(hashed),
            isrc: isrc.map(hashed),
            name: Some(name).filter(|name| !name.trim().is_empty()).map(folded),
            artists: artists.take(MOST_ARTISTS).map(folded).collect(),
        }
    }

    /// Whether both are one: the same id, ISRC, or name by the same artist.
    pub fn is(&self, other: &Self) -> bool {
        let equal = |a: Option<NonZeroU64>, b: Option<NonZeroU64>| a.is_some() && a == b;
        equal(self.uri, other.uri)
            || equal(self.isrc, other.isrc)
            || (equal(self.name, other.name)
                && self.artists.iter().any(|artist| other.artists.contains(artist)))
    }
}

fn folded(name: &str) -> NonZeroU64 {
    hashed(&name.trim().to_lowercase())
}

fn hashed(text: &str) -> NonZeroU64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    NonZeroU64::new(KEYS.hash_one(text)).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests;
