//! A store in memory, for simulated time: the same promises as a database (the conformance suite runs on it too), but
//! that it ends with the process. Each method is one transaction; what happens around it can be injected.

mod archive;
mod catalogue;
mod export;
mod grants;
mod habits;
mod imports;
mod methods;
mod quota;
mod raw;
mod reading;
mod rows;
mod runs;
#[cfg(test)]
mod tests;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Result, StoreError};
use crate::clock::Clock;
use crate::domain::Timestamp;
use rows::Rows;

/// What happens around each transaction: time passes, it is refused, its answer is lost.
#[async_trait]
pub trait Around: Send + Sync + 'static {
    /// Before it; an error means that nothing happened.
    async fn before(&self, doing: &str) -> Result<()>;
    /// After its commit; an error means that its answer was lost.
    async fn after(&self, doing: &str) -> Result<()>;
}

/// Nothing happens around a transaction.
struct Calm;

#[async_trait]
impl Around for Calm {
    async fn before(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn after(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// A store in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    around: Arc<dyn Around>,
    rows: Arc<Mutex<Rows>>,
    /// Told when it goes back: whoever is connected then is cut off.
    cut: Arc<Notify>,
    trouble: Mutex<Option<String>>,
}

/// Everything as it was at a moment, to go back to.
#[derive(Clone)]
pub struct Snapshot(Rows);

impl MemoryStore {
    /// Empty; `clock` decides about leases.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let deployment = uuid::Builder::from_random_bytes([0x6d; 16]).into_uuid();
        let rows = Arc::new(Mutex::new(Rows::new(deployment)));
        Self { clock, around: Arc::new(Calm), rows, cut: Arc::default(), trouble: Mutex::default() }
    }

    /// The same rows as another process reaches them: by this clock, and with this around each transaction.
    pub fn reached(&self, clock: Arc<dyn Clock>, around: Arc<dyn Around>) -> Self {
        let (rows, cut) = (Arc::clone(&self.rows), Arc::clone(&self.cut));
        Self { clock, around, rows, cut, trouble: Mutex::default() }
    }

    /// Tells this store from every other.
    pub fn deployment(&self) -> uuid::Uuid {
        self.rows().deployment
    }

    /// Everything as it is, to go back to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.rows().clone())
    }

    /// Goes back, as a database does that lost its last commits.
    pub fn restore(&self, snapshot: Snapshot) {
        *self.rows() = snapshot.0;
        self.cut.notify_waiters();
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reading<T>(&self, doing: &str, work: impl FnOnce(&Rows, Timestamp) -> T + Send) -> Result<T> {
        self.around.before(doing).await?;
        let read = {
            let rows = self.rows();
            work(&rows, self.clock.now())
        };
        self.around.after(doing).await?;
        Ok(read)
    }

    async fn writing<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&mut Rows, Timestamp) -> T + Send,
    ) -> Result<T> {
        let written = async {
            self.around.before(doing).await?;
            let written = {
                let mut rows = self.rows();
                work(&mut rows, self.clock.now())
            };
            self.around.after(doing).await?;
            Ok(written)
        };
        let written = written.await;
        let trouble = written.as_ref().err().map(|error: &StoreError| crate::domain::said(error));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        written
    }
}
