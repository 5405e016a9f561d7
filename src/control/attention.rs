//! What people must do though the daemon is well: log in, or log in again. The status line and `/healthz` tell it in
//! the same sentences, each with the cure.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::UserName;

use super::service::Service;

/// How many users something is about, with one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Whom {
    /// How many.
    pub users: u64,
    /// One of them.
    pub one: Option<UserName>,
}

impl Whom {
    /// Counts one more.
    pub fn add(&mut self, name: &UserName) {
        self.users += 1;
        self.one.get_or_insert_with(|| name.clone());
    }

    /// "bob" or "bob and 2 others", and how they are helped; `None`: nobody.
    fn told(&self) -> Option<(String, String)> {
        let one = self.one.as_ref().filter(|_| self.users > 0)?;
        let login = format!("run `longplay login {one}`");
        let others = self.users - 1;
        Some(match others {
            0 => (one.to_string(), login),
            1 => (format!("{one} and one other"), format!("{login}; `longplay status` names the other")),
            _ => {
                (format!("{one} and {others} others"), format!("{login}; `longplay status` names the others"))
            }
        })
    }
}

/// Who must do something, as last looked at.
#[derive(Default)]
pub(super) struct Attention {
    must_log_in: Mutex<Whom>,
    ending: Mutex<Whom>,
    ended: Mutex<Whom>,
}

fn locked(whom: &Mutex<Whom>) -> MutexGuard<'_, Whom> {
    whom.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attention {
    /// Who needs a login, until the next look.
    pub fn set_must_log_in(&self, whom: Whom) {
        *locked(&self.must_log_in) = whom;
    }

    /// Whose login ends within the week, and whose is over by the calendar though nobody was refused, until the next look.
    pub fn set_ending(&self, ending: Whom, ended: Whom) {
        *locked(&self.ending) = ending;
        *locked(&self.ended) = ended;
    }

    fn sentences(&self) -> Vec<String> {
        let must = locked(&self.must_log_in).told().map(|(who, cure)| format!("{who} must log in: {cure}"));
        let logins = |whom: &Whom, one: &str, more: &str| {
            let (logins, what) = if whom.users == 1 { ("login", one) } else { ("logins", more) };
            whom.told().map(|(who, cure)| format!("the {logins} of {who} {what}: {cure}"))
        };
        let ended = logins(&locked(&self.ended), "has come to its age", "have come to their age");
        let ends = logins(&locked(&self.ending), "ends within 7 days", "end within 7 days");
        [must, ended, ends].into_iter().flatten().collect()
    }
}

impl Service {
    /// What people must do, in sentences with the cure; as looked at some seconds ago.
    pub fn attention(&self) -> Vec<String> {
        self.0.attention.sentences()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(users: u64) -> Whom {
        Whom { users, one: Some("bob".parse().unwrap()) }
    }

    #[test]
    fn everyone_is_told_of_in_one_sentence_with_the_cure() {
        let attention = Attention::default();
        assert_eq!(attention.sentences(), [""; 0]);
        attention.set_must_log_in(whom(1));
        assert_eq!(attention.sentences(), ["bob must log in: run `longplay login bob`"]);
        attention.set_must_log_in(whom(3));
        attention.set_ending(whom(1), Whom::default());
        assert_eq!(
            attention.sentences(),
            [
                "bob and 2 others must log in: run `longplay login bob`; `longplay status` names the others",
                "the login of bob ends within 7 days: run `longplay login bob`"
            ]
        );
        attention.set_must_log_in(Whom::default());
        attention.set_ending(whom(2), whom(1));
        assert_eq!(
            attention.sentences(),
            [
                "the login of bob has come to its age: run `longplay login bob`",
                "the logins of bob and one other end within 7 days: run `longplay login bob`; `longplay status` names the other"
            ]
        );
    }
}
