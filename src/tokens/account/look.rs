//! What the actor asks an account without changing it.

use super::super::handle::News;
use super::super::{TokenError, Trouble};
use super::{Account, Known, Work};

impl Account {
    /// Whether a refresh is under way.
    pub fn refreshing(&self) -> bool {
        matches!(self.work, Work::Refreshing { .. })
    }

    /// Whether the last refresh has an unknown outcome.
    pub fn in_doubt(&self) -> bool {
        matches!(&self.known, Known::Login(view) if view.doubt.is_some())
    }

    /// Why the last refresh failed, where it is to be tried again.
    pub fn backing_off(&self) -> Option<String> {
        self.backoff.as_ref().map(|backoff| backoff.why.to_string())
    }

    /// Whether anything was read from the store.
    pub fn is_read(&self) -> bool {
        !matches!(self.known, Known::Unread)
    }

    /// Whether it backs off because the store could not be written.
    pub fn waits_for_store(&self) -> bool {
        let why = self.backoff.as_ref().map(|backoff| &backoff.why);
        matches!(why, Some(TokenError::Waiting { trouble: Trouble::Store, .. }))
    }

    /// Whether this is news. Nothing is, to an account that was never read, and while a refresh is under way: its outcome
    /// tells.
    pub fn lacks(&self, news: News) -> bool {
        match (&self.known, news) {
            (Known::Unread, _) => false,
            _ if self.refreshing() => false,
            (Known::NoLogin, _) => true,
            (Known::Login(view), News::Generation(generation)) => view.generation < generation,
            (Known::Login(view), News::Refused(tries)) => {
                view.refusal.as_ref().is_none_or(|refusal| refusal.tries < tries)
            }
        }
    }
}
