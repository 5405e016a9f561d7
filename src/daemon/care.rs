//! What the service asks of the daemon for the store as a whole, one thing at a time.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::control::Caretaker;
use crate::control::api::{Adopted, KeyRotated, Problem, Word};
use crate::control::moving::{BackUp, Copying};

use super::guard::Guard;
use super::key::{KeyKeeper, RotateError};
use super::moving::Mover;

/// Looks after the store as a whole.
pub struct Care {
    guard: Guard,
    keys: KeyKeeper,
    mover: Mover,
    one: Arc<Mutex<()>>,
}

impl Care {
    /// With the guard, the token key, and what copies and backs up.
    pub fn new(guard: Guard, keys: KeyKeeper, mover: Mover) -> Self {
        Self { guard, keys, mover, one: Arc::default() }
    }
}

#[async_trait]
impl Caretaker for Care {
    async fn adopt(&self) -> Result<Adopted, Problem> {
        let _one = self.one.lock().await;
        // What the spool has would be given back under a key that nobody else has.
        if let Some(why) = self.keys.misfit().await? {
            return Err(Problem::new(Word::Configuration, 422, why));
        }
        Ok(self.guard.adopt().await?)
    }

    async fn rotate_key(&self) -> Result<KeyRotated, Problem> {
        let _one = self.one.lock().await;
        match self.keys.rotate().await {
            Ok((done, message)) => Ok(KeyRotated { logins: done.logins, answers: done.answers, message }),
            Err(RotateError::Store(error)) => Err(error.into()),
            Err(error @ RotateError::Unprepared(_)) => {
                Err(Problem::new(Word::Configuration, 422, error.to_string()))
            }
            Err(error) => Err(Problem::new(Word::Fault, 500, error.to_string())),
        }
    }

    async fn back_up(&self) -> Result<BackUp, Problem> {
        self.mover.back_up().await
    }

    async fn begin_copy(&self, url: &str) -> Result<Box<dyn Copying>, Problem> {
        let busy = || {
            let detail =
                "the store is being copied, accepted or sealed with another key: ask again when that is done";
            Problem::new(Word::Exists, 409, detail)
        };
        let one = Arc::clone(&self.one).try_lock_owned().map_err(|_| busy())?;
        if let Some(why) = self.keys.misfit().await? {
            return Err(Problem::new(Word::Configuration, 422, why));
        }
        self.mover.begin_copy(url, one).await
    }
}
