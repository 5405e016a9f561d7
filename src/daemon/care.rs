//! What the service asks of the daemon for the store as a whole, one thing at a time.

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::control::Caretaker;
use crate::control::api::{Adopted, KeyRotated, Problem};

use super::guard::Guard;

/// Looks after the store as a whole.
pub struct Care {
    guard: Guard,
    one: Mutex<()>,
}

impl Care {
    /// By the guard.
    pub fn new(guard: Guard) -> Self {
        Self { guard, one: Mutex::default() }
    }
}

#[async_trait]
impl Caretaker for Care {
    async fn adopt(&self) -> Result<Adopted, Problem> {
        let _one = self.one.lock().await;
        Ok(self.guard.adopt().await?)
    }

    async fn rotate_key(&self) -> Result<KeyRotated, Problem> {
        let _one = self.one.lock().await;
        Err(Problem::bad_request("not yet"))
    }
}
