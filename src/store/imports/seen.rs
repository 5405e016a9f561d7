//! What the batches of an import that goes on have told of its tracks, by the numbers that later ones name them by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::merge::Recording;
use crate::domain::{ImportId, ImportedTrack, REMEMBERED_TRACKS};

/// How many imports are remembered.
const IMPORTS: usize = 32;
/// And how many tracks of all of them: some 130 bytes each.
const TRACKS: usize = 300_000;

/// The imports that go on in this process, each with whoever reads its files, the last used last. One that is broken off
/// makes room for others.
#[derive(Default)]
pub struct Importing(Mutex<Vec<Reader>>);

/// Which import, who reads its files, and what they have told.
type Reader = (ImportId, i64, Arc<Told>);

impl Importing {
    /// What was told of this one.
    pub fn of(&self, import: ImportId, reader: i64) -> Arc<Told> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match all.iter().position(|(id, other, _)| (*id, *other) == (import, reader)) {
            Some(place) => all.remove(place).2,
            None => Arc::default(),
        };
        let tracks = |all: &[Reader]| -> usize {
            all.iter().map(|(.., told)| told.remembered.load(Ordering::Relaxed)).sum()
        };
        while all.len() >= IMPORTS || (!all.is_empty() && tracks(&all) > TRACKS) {
            all.remove(0);
        }
        all.push((import, reader, Arc::clone(&told)));
        told
    }

    /// It is begun anew, has ended, or was taken back: what is still on its way for it comes too late.
    pub fn forget(&self, import: ImportId) {
        self.forget_if(|id, _| id == import);
    }

    /// What this reader has told holds no more.
    pub fn forget_reader(&self, import: ImportId, reader: i64) {
        self.forget_if(|id, other| id == import && other == reader);
    }

    fn forget_if(&self, is: impl Fn(ImportId, i64) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(import, reader, told)| {
            let goes = is(*import, *reader);
            if goes {
                told.is_over.store(true, Ordering::Relaxed);
            }
            !goes
        });
    }
}

/// What one reader has told of an import.
#[derive(Default)]
pub struct Told {
    /// Held while tracks are looked up: what two batches tell is kept once.
    pub tracks: tokio::sync::Mutex<Seen>,
    /// How many rows the import had after the last batch, as the database counts them. Held while rows are kept.
    pub rows: tokio::sync::Mutex<Option<i64>>,
    /// Whether nothing more of it is to be kept.
    pub is_over: AtomicBool,
    /// How many tracks there are.
    pub remembered: AtomicUsize,
}

/// The tracks of an import, as the database has them.
#[derive(Default)]
pub struct Seen {
    tracks: HashMap<u32, Arc<Known>>,
    /// Those of one batch alone.
    passing: HashMap<u32, Arc<Known>>,
}

/// What is known of a track.
#[derive(Debug)]
pub struct Known {
    /// Whether rows that were counted came after it: as long as they are there, it is.
    pub is_sure: AtomicBool,
    /// The database's number of it.
    pub id: i64,
    /// By what it is recognised.
    pub recording: Recording,
}

impl Seen {
    /// Those of a batch's tracks that are not known.
    pub fn untold<'t>(&mut self, tracks: &'t [ImportedTrack]) -> Vec<&'t ImportedTrack> {
        self.passing.clear();
        tracks.iter().filter(|track| !self.tracks.contains_key(&track.number)).collect()
    }

    /// How many are remembered.
    pub fn remembered(&self) -> usize {
        self.tracks.len()
    }

    /// The database has this one by that number.
    pub fn keep(&mut self, track: &ImportedTrack, id: i64) {
        let recording = Recording::of(&track.track);
        let known = Arc::new(Known { is_sure: AtomicBool::new(false), id, recording });
        let all = match track.number < REMEMBERED_TRACKS {
            true => &mut self.tracks,
            false => &mut self.passing,
        };
        all.insert(track.number, known);
    }

    /// What these are, in their order; `None`: nobody has told of one of them.
    pub fn all(&self, numbers: impl Iterator<Item = u32>) -> Option<Vec<Arc<Known>>> {
        let known = |number| self.tracks.get(&number).or_else(|| self.passing.get(&number)).cloned();
        numbers.map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_imports_go_on_beside_each_other_and_those_broken_off_make_room() {
        let all = Importing::default();
        let remember = |import: i64, tracks: usize| {
            let told = all.of(ImportId(import), 1);
            told.remembered.store(tracks, Ordering::Relaxed);
            told
        };
        let first: Vec<_> = (0..6).map(|import| remember(import, 40_000)).collect();
        for (import, told) in (0..).zip(&first) {
            assert!(Arc::ptr_eq(told, &all.of(ImportId(import), 1)), "they are all remembered");
        }
        // The least lately used goes first.
        all.of(ImportId(0), 1);
        remember(7, 90_000);
        all.of(ImportId(8), 1);
        assert!(Arc::ptr_eq(&first[0], &all.of(ImportId(0), 1)));
        assert!(!Arc::ptr_eq(&first[1], &all.of(ImportId(1), 1)));
        let broken_off: Vec<_> = (100..200).map(|import| all.of(ImportId(import), 1)).collect();
        assert!(!Arc::ptr_eq(&broken_off[0], &all.of(ImportId(100), 1)));
    }

    #[test]
    fn what_is_forgotten_is_over() {
        let all = Importing::default();
        let [one, two, other] =
            [(1, 1), (1, 2), (2, 1)].map(|(import, reader)| all.of(ImportId(import), reader));
        let over = || [&one, &two, &other].map(|told| told.is_over.load(Ordering::Relaxed));
        all.forget_reader(ImportId(1), 2);
        assert_eq!(over(), [false, true, false]);
        all.forget(ImportId(1));
        assert_eq!(over(), [true, true, false]);
        assert!(!Arc::ptr_eq(&one, &all.of(ImportId(1), 1)) && Arc::ptr_eq(&other, &all.of(ImportId(2), 1)));
    }
}
