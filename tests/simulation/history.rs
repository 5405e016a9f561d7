//! Everything that happens, in order: hashed, counted, and kept where somebody wants to read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use longplay::domain::Timestamp;
use sha2::{Digest as _, Sha256};

#[derive(Default)]
pub struct History {
    hash: Sha256,
    counts: BTreeMap<String, u64>,
    out: Option<Box<dyn Write + Send>>,
    line: String,
}

impl History {
    pub fn new(out: Option<Box<dyn Write + Send>>) -> Self {
        Self { out, ..Self::default() }
    }

    /// Notes what happened; `what` is counted.
    pub fn note(&mut self, at: Timestamp, what: &str, more: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a text can't fail.
        let _ = writeln!(self.line, "{} {what} {more}", at.as_millis());
        self.hash.update(self.line.as_bytes());
        if let Some(out) = &mut self.out {
            let _ = write!(out, "{at} {}", &self.line[self.line.find(' ').map_or(0, |space| space + 1)..]);
        }
        self.count(what);
    }

    pub fn count(&mut self, what: &str) {
        self.count_more(what, 1);
    }

    pub fn count_more(&mut self, what: &str, by: u64) {
        match self.counts.get_mut(what) {
            Some(count) => *count += by,
            None => drop(self.counts.insert(what.to_owned(), by)),
        }
    }

    pub fn finish(mut self) -> (String, BTreeMap<String, u64>) {
        if let Some(out) = &mut self.out {
            let _ = out.flush();
        }
        let hash = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (hash, self.counts)
    }
}
