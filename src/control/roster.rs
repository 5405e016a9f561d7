//! Who there is: the active users in memory, each a few hundred bytes. What many share is kept once.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::domain::{AppName, Origin, User, UserId, UserName};

use super::plan::Since;

/// How many faults are told one by one.
const FAULTS_TOLD: usize = 20;

/// A user as the daemon knows them without asking the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The store's number.
    pub id: UserId,
    /// The short name.
    pub name: UserName,
    /// The app of the user's login.
    pub app: Arc<AppName>,
    /// `None`: the configured default.
    pub schedule: Option<Arc<str>>,
    /// `None`: the configured default.
    pub timezone: Option<Arc<str>>,
    /// Where the user comes from.
    pub origin: Origin,
    /// Whether runs, refreshes and tokens are suspended.
    pub paused: bool,
    /// Why Spotify refuses the user, as far as this daemon has seen.
    pub blocked: Option<Arc<str>>,
}

impl Known {
    /// Whether the next run is reckoned from other words than an earlier state of the user has.
    pub fn runs_otherwise(&self, earlier: &Self) -> bool {
        (&self.schedule, &self.timezone) != (&earlier.schedule, &earlier.timezone)
    }
}

/// The active users, by number and by name.
#[derive(Default)]
pub struct Roster {
    users: HashMap<UserId, Arc<Known>>,
    names: HashSet<Named>,
    apps: HashSet<Arc<AppName>>,
    texts: HashSet<Arc<str>>,
    /// Whose next run is not reckoned yet from their present words, and why it is to be.
    pub unplanned: HashMap<UserId, Since>,
    /// Whose account was asked for in vain.
    pub unidentified: HashSet<UserId>,
    /// What is wrong with somebody's row.
    faults: BTreeMap<UserId, String>,
    /// The store's number of the newest change that is in here.
    pub upto: i64,
}

impl Roster {
    /// One user.
    pub fn get(&self, id: UserId) -> Option<Arc<Known>> {
        self.users.get(&id).cloned()
    }

    /// One user, by name.
    pub fn find(&self, name: &UserName) -> Option<Arc<Known>> {
        self.names.get(name).map(|named| Arc::clone(&named.0))
    }

    /// Everyone.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Known>> {
        self.users.values()
    }

    /// Takes in an active user, or their change; lets go one who is not.
    pub fn put(&mut self, user: &User) -> Option<Arc<Known>> {
        self.leave(user.id);
        if !user.active {
            self.unplanned.remove(&user.id);
            return None;
        }
        let known = Arc::new(self.known(user));
        self.names.replace(Named(Arc::clone(&known)));
        self.users.insert(user.id, Arc::clone(&known));
        Some(known)
    }

    /// Lets go of a user.
    pub fn remove(&mut self, id: UserId) {
        self.mended(id);
        self.unplanned.remove(&id);
        self.leave(id);
    }

    fn leave(&mut self, id: UserId) {
        if let Some(known) = self.users.remove(&id) {
            // Another may have the name by now.
            if self.find(&known.name).is_some_and(|named| named.id == id) {
                self.names.remove(&known.name);
            }
        }
    }

    /// Nothing is wrong with a row any more.
    pub fn mended(&mut self, id: UserId) {
        self.faults.remove(&id);
    }

    /// Notes what is wrong with a row.
    pub fn fault(&mut self, id: UserId, what: String) {
        self.faults.insert(id, what);
    }

    /// What is wrong with the rows; of many the first few.
    pub fn faults(&self) -> Vec<String> {
        let mut told: Vec<String> = self.faults.values().take(FAULTS_TOLD).cloned().collect();
        if self.faults.len() > FAULTS_TOLD {
            told.push(format!("{} more users have such faults", self.faults.len() - FAULTS_TOLD));
        }
        told
    }

    fn known(&mut self, user: &User) -> Known {
        let app = self.apps.get(&user.app).map_or_else(|| Arc::new(user.app.clone()), Arc::clone);
        self.apps.insert(Arc::clone(&app));
        Known {
            id: user.id,
            name: user.name.clone(),
            app,
            schedule: user.schedule.as_deref().map(|text| self.text(text)),
            timezone: user.timezone.as_deref().map(|text| self.text(text)),
            origin: user.origin,
            paused: user.paused,
            blocked: user.blocked.as_deref().map(|text| self.text(text)),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() == self.texts.capacity() {
            // Before there is more room: what nobody has any more goes.
            self.texts.retain(|text| Arc::strong_count(text) > 1);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }
}

/// A user found by name, so that the name is kept once.
struct Named(Arc<Known>);

impl Borrow<UserName> for Named {
    fn borrow(&self) -> &UserName {
        &self.0.name
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64, name: &str) -> User {
        User { schedule: Some("5 * * * *".to_owned()), ..User::named(id, name) }
    }

    #[test]
    fn what_many_share_is_kept_once_and_no_longer_than_somebody_has_it() {
        let mut roster = Roster::default();
        let [a, b] = ["alice", "bob"].map(|name| roster.put(&user(name.len() as i64, name)).unwrap());
        assert!(Arc::ptr_eq(&a.app, &b.app));
        assert!(Arc::ptr_eq(a.schedule.as_ref().unwrap(), b.schedule.as_ref().unwrap()));
        drop((a, b));
        for n in 0..10_000 {
            roster.put(&User { schedule: Some(format!("{n}")), ..user(5, "alice") });
        }
        assert!(roster.texts.len() < 100, "{}", roster.texts.len());
    }

    #[test]
    fn a_name_is_found_under_its_present_number() {
        let mut roster = Roster::default();
        roster.put(&user(1, "alice"));
        // Purged and added again, and both are told of in one batch, the new one first.
        roster.put(&user(2, "alice"));
        roster.remove(UserId(1));
        let name = "alice".parse().unwrap();
        assert_eq!(roster.find(&name).map(|known| known.id), Some(UserId(2)));
        roster.put(&User { name: "alicia".parse().unwrap(), ..user(2, "alice") });
        assert!(roster.find(&name).is_none() && roster.all().count() == 1);
        roster.put(&User { active: false, ..user(2, "alicia") });
        assert_eq!((roster.all().count(), roster.names.len()), (0, 0));
    }

    #[test]
    fn of_many_faults_the_first_few_are_told() {
        let mut roster = Roster::default();
        (0..25).for_each(|n| roster.fault(UserId(n), format!("fault {n}")));
        let told = roster.faults();
        assert_eq!((told.len(), told[20].as_str()), (21, "5 more users have such faults"));
        (0..25).for_each(|n| roster.mended(UserId(n)));
        assert!(roster.faults().is_empty());
    }
}
