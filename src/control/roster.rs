//! Who there is: the active users in memory, each a few hundred bytes. What many share is kept once.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::domain::{AppName, Origin, User, UserId, UserName};

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

/// The active users, by number and by name.
#[derive(Default)]
pub struct Roster {
    users: HashMap<UserId, Arc<Known>>,
    names: HashSet<Named>,
    apps: HashSet<Arc<AppName>>,
    texts: HashSet<Arc<str>>,
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
        self.remove(user.id);
        if !user.active {
            return None;
        }
        let known = Arc::new(self.known(user));
        self.names.replace(Named(Arc::clone(&known)));
        self.users.insert(user.id, Arc::clone(&known));
        Some(known)
    }

    /// Lets go of a user.
    pub fn remove(&mut self, id: UserId) {
        self.faults.remove(&id);
        if let Some(known) = self.users.remove(&id) {
            // Another may have the name by now.
            if self.find(&known.name).is_some_and(|named| named.id == id) {
                self.names.remove(&known.name);
            }
        }
    }

    /// Notes what is wrong with a row, until the next change of it.
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
            app,
            schedule: user.schedule.as_deref().map(|text| self.text(text)),
            timezone: user.timezone.as_deref().map(|text| self.text(text)),
            blocked: user.blocked.as_deref().map(|text| self.text(text)),
            ..Known::from(user)
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

impl From<&User> for Known {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            app: Arc::new(user.app.clone()),
            schedule: user.schedule.as_deref().map(Arc::from),
            timezone: user.timezone.as_deref().map(Arc::from),
            origin: user.origin,
            paused: user.paused,
            blocked: user.blocked.as_deref().map(Arc::from),
        }
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
