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
    /// What is known of this one. Held while tracks are looked up: what two batches name is looked up once.
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
    /// The one with the greatest number, and its key: where the database has lost it, the others hold no more either.
    newest: Option<(i64, String)>,
    /// By two hashes of what a row tells of the track that counts, which nobody can foresee.
    tracks: HashMap<(u64, u64), i64>,
    keys: (RandomState, RandomState),
}

impl Seen {
    /// What is known of these tracks.
    pub fn numbers(&self, tracks: &[ImportedTrack]) -> Vec<Option<i64>> {
        tracks.iter().map(|track| self.tracks.get(&self.key(track)).copied()).collect()
    }

    /// By which the database is known to have what was seen.
    pub fn newest(&self) -> Option<(i64, String)> {
        self.newest.clone()
    }

    /// These numbers are committed.
    pub fn keep<'t>(&mut self, found: impl Iterator<Item = (&'t ImportedTrack, i64)>) {
        if self.tracks.len() >= TRACKS {
            self.tracks.clear();
        }
        for (track, number) in found {
            self.tracks.insert(self.key(track), number);
            if self.newest.as_ref().is_none_or(|(most, _)| *most < number) {
                self.newest = Some((number, track.track.key()));
            }
        }
    }

    /// The database has lost what was seen.
    pub fn forget(&mut self) {
        *self = Self::default();
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
