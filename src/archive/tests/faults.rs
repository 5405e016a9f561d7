//! What a run asks of the store, noted and failed where a test wants it.

use std::sync::Mutex;

use async_trait::async_trait;

use super::Journal;
use crate::store::watched::Watcher;
use crate::store::{Result, StoreError};

pub struct Faults {
    journal: Journal,
    /// Methods that fail, each so many times, and whether for good.
    waiting: Mutex<Vec<(&'static str, usize, bool)>>,
}

impl Faults {
    pub fn new(journal: Journal) -> Self {
        Self { journal, waiting: Mutex::default() }
    }

    /// Lets a method fail so many times as when the database can't be reached.
    pub fn away(&self, method: &'static str, times: usize) {
        self.waiting.lock().unwrap().push((method, times, false));
    }

    /// Lets a method be refused once by the database.
    pub fn refuse(&self, method: &'static str) {
        self.waiting.lock().unwrap().push((method, 1, true));
    }
}

#[async_trait]
impl Watcher for Faults {
    async fn before(&self, method: &'static str) -> Result<()> {
        self.journal.note(method);
        let mut waiting = self.waiting.lock().unwrap();
        let Some(at) = waiting.iter().position(|fault| fault.0 == method) else { return Ok(()) };
        let broken = waiting[at].2;
        waiting[at].1 -= 1;
        if waiting[at].1 == 0 {
            waiting.remove(at);
        }
        let (doing, source) = (method.to_owned(), "injected".into());
        Err(match broken {
            true => StoreError::Broken { doing, source },
            false => StoreError::Unavailable { doing, source },
        })
    }
}
