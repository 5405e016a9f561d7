//! What is heard of the account's grant in a store that other daemons work on too.

use super::super::handle::News;
use super::{Account, Known};

impl Account {
    /// Whether anything was read from the store.
    pub fn is_read(&self) -> bool {
        !matches!(self.known, Known::Unread)
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
