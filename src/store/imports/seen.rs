//! What the batches of an import that goes on have found: the numbers of its tracks, so that each is looked up once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{ImportId, ImportedTrack};

/// How many imports are remembered.
const IMPORTS: usize = 2;
/// How many tracks of each: 32 bytes a track.
const TRACKS: usize = 200_000;

/// The imports that go on in this process. One that is broken off makes room for the next.
#[derive(Default)]
pub struct Importing(Mutex<Vec<(ImportId, Arc<tokio::sync::Mutex<Seen>>)>>);

impl Importing {
    /// What is known of this one. Held during a transaction: its batches come one after the other.
    pub fn of(&self, import: ImportId) -> Arc<tokio::sync::Mutex<Seen>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, seen)) = all.iter().find(|(id, _)| *id == import) {
            return Arc::clone(seen);
        }
        if all.len() == IMPORTS {
            all.remove(0);
        }
        let seen = Arc::default();
        all.push((import, Arc::clone(&seen)));
        seen
    }

    /// It has ended, or was taken back.
    pub fn forget(&self, import: ImportId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != import);
    }
}

/// The tracks of an import, as the database has them after its first batches.
#[derive(Default)]
pub struct Seen {
    /// How many rows these batches had, as the database counts them too: where it counts others, somebody else goes on
    /// with the import, or the database lost what it had committed, and what was seen holds no more.
    rows: i64,
    /// By two hashes of what a row tells of the track that counts, which nobody can foresee.
    tracks: HashMap<(u64, u64), i64>,
    keys: (RandomState, RandomState),
}

impl Seen {
    /// Forgets everything unless the database counts `rows` before the next batch.
    pub fn must_be_after(&mut self, rows: i64) {
        if self.rows != rows {
            self.tracks.clear();
        }
    }

    /// The track's number.
    pub fn number(&self, track: &ImportedTrack) -> Option<i64> {
        self.tracks.get(&self.key(track)).copied()
    }

    /// What was found is committed, and the database counts so many rows.
    pub fn keep<'t>(&mut self, rows: i64, found: impl Iterator<Item = (&'t ImportedTrack, i64)>) {
        self.rows = rows;
        if self.tracks.len() >= TRACKS {
            self.tracks.clear();
        }
        for (track, number) in found {
            self.tracks.insert(self.key(track), number);
        }
    }

    fn key(&self, track: &ImportedTrack) -> (u64, u64) {
        let hash = |by: &RandomState| match &track.track.uri {
            // Nothing else of it is kept once the track is known.
            Some(uri) if !track.exact => by.hash_one(uri),
            _ => by.hash_one(track),
        };
        (hash(&self.keys.0), hash(&self.keys.1))
    }
}
