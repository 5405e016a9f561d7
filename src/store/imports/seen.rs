//! What the batches of an import that goes on have told of its tracks, by the numbers that later ones name them by.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::merge::Recording;
use crate::domain::{ImportId, ImportedTrack, REMEMBERED_TRACKS};

/// How many imports are remembered, each with its tracks: some 110 bytes a track.
const IMPORTS: usize = 4;

/// The imports that go on in this process, each with whoever reads its files. One that is broken off makes room for the
/// next.
#[derive(Default)]
pub struct Importing(Mutex<Vec<((ImportId, i64), Arc<Told>)>>);

impl Importing {
    /// What was told of this one.
    pub fn of(&self, import: ImportId, reader: i64) -> Arc<Told> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = all.iter().find(|(whose, _)| *whose == (import, reader)) {
            return Arc::clone(told);
        }
        if all.len() == IMPORTS {
            all.remove(0);
        }
        let told = Arc::default();
        all.push(((import, reader), Arc::clone(&told)));
        told
    }

    /// It has ended, was taken back, or what was told holds no more.
    pub fn forget(&self, import: ImportId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|((id, _), _)| *id != import);
    }
}

/// What one reader has told of an import.
#[derive(Default)]
pub struct Told {
    /// Held while tracks are looked up: what two batches tell is kept once.
    pub tracks: tokio::sync::Mutex<Seen>,
    /// How many rows the import had after the last batch, as the database counts them. Held while rows are kept.
    pub rows: tokio::sync::Mutex<Option<i64>>,
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

    /// Whether nobody has told anything.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
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
