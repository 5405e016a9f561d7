//! What the service asks of the daemon for the store as a whole, one thing at a time.

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::control::Caretaker;
use crate::control::api::{Adopted, KeyRotated, Problem, Word};

use super::guard::Guard;
use super::key::{KeyKeeper, RotateError};

/// Looks after the store as a whole.
pub struct Care {
    guard: Guard,
    keys: KeyKeeper,
    one: Mutex<()>,
}

impl Care {
    /// With the guard and the token key.
    pub fn new(guard: Guard, keys: KeyKeeper) -> Self {
        Self { guard, keys, one: Mutex::default() }
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
}
