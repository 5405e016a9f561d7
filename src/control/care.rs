//! What is done to a store as a whole: accepted where it is, or sealed with another key. The daemon does it; here is who
//! may ask for it, and what is refused while nobody has accepted the store.

use std::sync::Arc;

use async_trait::async_trait;

use super::api::{Adopted, KeyRotated, Problem, Word};
use super::moving::{BackUp, Copying};
use super::service::Service;
use crate::domain::EventKind;
use crate::store::transfer;
use crate::telemetry::Note;

/// What looks after the store as a whole; the daemon's, or that of a command without one.
#[async_trait]
pub trait Caretaker: Send + Sync {
    /// Accepts the store where it is.
    async fn adopt(&self) -> Result<Adopted, Problem>;
    /// Seals everything with a new key.
    async fn rotate_key(&self) -> Result<KeyRotated, Problem>;
    /// Everything of one moment, in a file that nobody else knows of.
    async fn back_up(&self) -> Result<BackUp, Problem>;
    /// Begins to copy the store to the one that a URL names: nothing is refreshed from here on.
    async fn begin_copy(&self, url: &str) -> Result<Box<dyn Copying>, Problem>;
}

impl Service {
    /// Sets who looks after the store.
    pub fn on_care(&self, caretaker: Arc<dyn Caretaker>) {
        // Set once, by whoever builds the service.
        let _ = self.0.caretaker.set(caretaker);
    }

    pub(super) fn caretaker(&self) -> Result<&Arc<dyn Caretaker>, Problem> {
        self.0.caretaker.get().ok_or_else(|| Problem::bad_request("this store lives in memory alone"))
    }

    /// Why nothing is refreshed or archived, as a refusal.
    pub(super) fn unless_shut(&self) -> Result<(), Problem> {
        match self.parts().gate.shut_because() {
            Some(why) => Err(Problem::new(Word::Blocked, 409, why.to_string())),
            None => Ok(()),
        }
    }

    /// Refuses what would be written into a store that was copied, or is being: the copy would not have it.
    pub(super) fn unless_moving(&self) -> Result<(), Problem> {
        match self.parts().gate.shut_because().filter(|why| transfer::is_of_copy(why)) {
            Some(why) => Err(Problem::new(Word::Blocked, 409, why.to_string())),
            None => Ok(()),
        }
    }

    /// Says that the store is accepted, or why not. What changes for everyone is brought about. True where a refusal is
    /// news.
    pub async fn accepted(&self, refused: Option<&str>) -> Result<bool, Problem> {
        let parts = self.parts();
        parts.metrics.set_store_refused(refused.is_some());
        let changed = parts.gate.shut(refused);
        let problems = refused.map(str::to_owned).into_iter().collect();
        // The gates may have been shut by a refresh that the store did not take, before anybody was told.
        let news = self.set_problems_as(EventKind::StoreRefused, "guard", problems);
        match refused {
            Some(_) if news => {
                // Whoever waits for a token is answered.
                parts.tokens.reread_all().await;
                Ok(true)
            }
            None if changed => self.go_on().await.map(|()| false),
            _ => Ok(false),
        }
    }

    /// Who was let alone is looked after.
    async fn go_on(&self) -> Result<(), Problem> {
        self.parts().tokens.reread_all().await;
        self.take_in_everyone(false).await?;
        self.sweep().await?;
        self.retry_blocked();
        self.wake_troubled().await
    }

    /// Accepts the store where it is; every login counts as in doubt until an answer ends that.
    pub async fn adopt(&self) -> Result<Adopted, Problem> {
        let adopted = self.caretaker()?.adopt().await?;
        let doubted = match adopted.in_doubt {
            0 => "no login is in doubt".to_owned(),
            1 => "one login is in doubt, and is tried".to_owned(),
            n => format!("{n} logins are in doubt, and are tried"),
        };
        let message = format!("the store was accepted where it is: {doubted}");
        self.parts().events.tell(EventKind::StoreAdopted, Note::default(), message);
        let was_shut = self.parts().gate.shut_because().is_some();
        self.accepted(None).await?;
        if !was_shut {
            // There are doubts to end all the same.
            self.go_on().await?;
        }
        Ok(adopted)
    }

    /// Seals everything with a new key.
    pub async fn rotate_key(&self) -> Result<KeyRotated, Problem> {
        let rotated = self.caretaker()?.rotate_key().await?;
        self.parts().events.tell(EventKind::KeyRotated, Note::default(), rotated.message.clone());
        Ok(rotated)
    }
}
