//! What many rows of an import have in common, held once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};

/// Texts, each kept once, by number.
#[derive(Default)]
pub struct Words<T> {
    /// By two hashes of what they are made of, which nobody can foresee.
    numbers: HashMap<(u64, u64), u32, BuildHasherDefault<Hashed>>,
    keys: (RandomState, RandomState),
    /// What is hashed, in one piece.
    parts: Parts,
    /// In the order of their numbers.
    pub texts: Vec<T>,
    /// How many bytes they take, and what finds them.
    pub bytes: usize,
}

/// Of what are hashes already the last is taken.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What is to be hashed, bytes after bytes.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Hasher for Parts {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl<T> Words<T> {
    /// The number of what `write` makes of it and these parts: the text, and how many bytes it has.
    pub fn number(&mut self, parts: impl Hash, write: impl FnOnce(u32) -> (T, usize)) -> u32 {
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.parts.0.clear();
        parts.hash(&mut self.parts);
        let key = (self.keys.0.hash_one(&self.parts.0), self.keys.1.hash_one(&self.parts.0));
        *self.numbers.entry(key).or_insert_with(|| {
            let (text, bytes) = write(next);
            // The text, and its places in the table and the list.
            self.bytes += bytes + 76;
            self.texts.push(text);
            next
        })
    }
}
