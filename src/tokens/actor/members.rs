//! Whom the actor serves, and by which settings.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config::{AppSettings, RefreshMode, TokenSettings};
use crate::domain::UserId;

use super::super::account::{Account, Input, Rules};
use super::super::exchange::Subject;
use super::super::handle::{Apps, Member};
use super::{Actor, Entry};

impl Actor {
    pub(super) fn set_members(&mut self, members: Vec<Member>) {
        for member in members {
            let Some(app) = self.apps.get(&member.app).cloned() else {
                self.drop_entry(member.id);
                continue;
            };
            let rules = rules(&self.settings, &app);
            let subject = Subject { user: member.id, name: member.name.clone(), app };
            match self.entries.get_mut(&member.id) {
                Some(entry) => {
                    entry.account.set_rules(rules);
                    let moved = entry.subject.app.name != subject.app.name
                        || entry.subject.app.client_id != subject.app.client_id;
                    (entry.subject, entry.gone) = (subject, false);
                    self.input(member.id, Input::Pause(member.paused));
                    if moved {
                        self.input(member.id, Input::Moved);
                    }
                }
                None => {
                    let account = Account::new(member.name, rules, member.paused);
                    let entry = Entry { account, subject, wake: None, gone: false };
                    self.entries.insert(member.id, Box::new(entry));
                }
            }
        }
    }

    pub(super) fn drop_entry(&mut self, user: UserId) {
        self.input(user, Input::Pause(true));
        if let Some(entry) = self.entries.get_mut(&user)
            && entry.account.refreshing()
        {
            entry.gone = true;
            return;
        }
        if let Some(wake) = self.entries.remove(&user).and_then(|entry| entry.wake) {
            self.wakes.remove(&(wake, user));
        }
        self.in_doubt.remove(&user);
        self.exchange.metrics.set_in_doubt(self.in_doubt.len());
        self.forget_backing_off(user);
    }

    pub(super) fn configure(&mut self, apps: Apps, settings: TokenSettings) {
        self.permits = Arc::new(Semaphore::new(settings.concurrency));
        self.settings = settings;
        self.set_apps(apps);
        for user in self.users_of(|_| true) {
            let Some(entry) = self.entries.get_mut(&user) else { continue };
            let Some(app) = self.apps.get(&entry.subject.app.name) else { continue };
            let before = std::mem::replace(&mut entry.subject.app, Arc::clone(app));
            // What is known of a login was read by these.
            let other = (&before.client_id, before.login_lifetime) != (&app.client_id, app.login_lifetime);
            let rules = rules(&self.settings, app);
            entry.account.set_rules(rules);
            match other {
                true => self.input(user, Input::Moved),
                false => self.set_wake(user),
            }
        }
    }

    /// Nobody's whose account was never read: it will be read when it is needed.
    pub(super) fn reread_all(&mut self) {
        let read = self.entries.iter().filter(|(_, entry)| entry.account.is_read());
        for user in in_order(read.map(|(user, _)| *user)) {
            self.input(user, Input::Stale);
        }
    }

    /// Whoever backs off for the store's sake does so no longer.
    pub(super) fn store_is_back(&mut self) {
        let waits = self.entries.iter().filter(|(_, entry)| entry.account.waits_for_store());
        for user in in_order(waits.map(|(user, _)| *user)) {
            self.input(user, Input::StoreIsBack);
        }
    }

    pub(super) fn set_apps(&mut self, apps: Apps) {
        self.apps = apps.into_iter().map(|(name, app)| (name, Arc::new(app))).collect();
    }

    pub(super) fn users_of(&self, which: impl Fn(&Subject) -> bool) -> Vec<UserId> {
        in_order(self.entries.values().map(|entry| &entry.subject).filter(|s| which(s)).map(|s| s.user))
    }
}

/// By number: what follows must not hang on the order of a table.
fn in_order(users: impl Iterator<Item = UserId>) -> Vec<UserId> {
    let mut users: Vec<UserId> = users.collect();
    users.sort_unstable();
    users
}

fn rules(settings: &TokenSettings, app: &AppSettings) -> Rules {
    Rules {
        buffer: settings.buffer,
        ahead: settings.refresh == RefreshMode::Ahead,
        rotation_grace: app.rotation_grace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_whom_nothing_is_known_costs_little() {
        assert!(size_of::<Entry>() <= 288, "{} bytes", size_of::<Entry>());
    }
}
