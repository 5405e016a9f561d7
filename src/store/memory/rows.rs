//! What a store in memory keeps, as the tables of a database have it. Users are shared with snapshots until they change,
//! so that a snapshot costs little.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::{NewUser, PendingLogin};
use crate::domain::{
    AppName, AppState, AttemptId, Epoch, Event, Gap, Generation, Grant, Habits, NameError, Origin, Owner,
    Run, RunId, RunResult, Sealed, Source, Timestamp, User, UserId, UserName,
};

/// Everything.
#[derive(Clone)]
pub struct Rows {
    pub deployment: Uuid,
    pub key_probe: Option<Sealed>,
    pub apps: BTreeMap<AppName, (AppState, Timestamp)>,
    pub users: BTreeMap<UserId, Arc<UserRow>>,
    pub names: BTreeMap<String, UserId>,
    pub changes: BTreeMap<i64, UserId>,
    pub purged: BTreeMap<UserId, (i64, Timestamp)>,
    pub logins: BTreeMap<String, LoginRow>,
    pub events: Vec<Arc<Event>>,
    pub tracks: BTreeMap<Arc<str>, Arc<TrackRow>>,
    pub albums: BTreeMap<String, NamedRow>,
    pub artists: BTreeMap<String, NamedRow>,
    /// By `quota_group` and slot.
    pub calls: BTreeMap<String, BTreeMap<Timestamp, u32>>,
    pub last_change: i64,
    pub last_user: i64,
}

/// A user with all that is theirs.
#[derive(Clone)]
pub struct UserRow {
    pub id: UserId,
    /// Whatever another program wrote: it may be no user name.
    pub name: String,
    pub app: String,
    pub schedule: Option<String>,
    pub timezone: Option<String>,
    pub origin: Origin,
    pub declared_by: Option<Owner>,
    pub paused: bool,
    pub active: bool,
    pub change: i64,
    pub next_run_at: Option<Timestamp>,
    pub run_owner: Option<Owner>,
    pub run_claim: Option<Uuid>,
    pub last_run_at: Option<Timestamp>,
    pub last_run_result: Option<RunResult>,
    pub last_run_reason: Option<String>,
    pub last_archived_at: Option<Timestamp>,
    pub newest_played_at: Option<Timestamp>,
    pub blocked: Option<String>,
    pub top_fetched_at: Option<Timestamp>,
    /// The number of the last run.
    pub run: i64,
    pub play_count: i64,
    pub gap_count: i64,
    pub grant: Option<Grant>,
    /// When the login was committed.
    pub taken_at: Option<Timestamp>,
    /// Of which login's end was told, and how many days before it.
    pub ending_told: Option<(Epoch, u32)>,
    /// The last generations with the attempts that brought them; the newest last.
    pub generations: Vec<(Epoch, Generation, Option<AttemptId>)>,
    pub plays: BTreeMap<(Timestamp, Arc<str>), PlayRow>,
    /// The oldest first.
    pub runs: Vec<Run>,
    pub gaps: Vec<(Gap, RunId)>,
    pub top: Vec<(String, Timestamp)>,
    pub habits: Option<Habits>,
    /// Spotify's pages as they came, compressed.
    pub raw: BTreeMap<(Timestamp, RunId), Arc<[u8]>>,
}

#[derive(Clone)]
pub struct PlayRow {
    pub source: Source,
    pub context_uri: Option<String>,
}

#[derive(Clone)]
pub struct TrackRow {
    pub id: usize,
    pub uri: Option<String>,
    pub name: String,
    pub album: Option<String>,
    pub isrc: Option<String>,
    pub duration_ms: Option<i64>,
    pub artists: Vec<String>,
}

/// An album or an artist.
#[derive(Clone)]
pub struct NamedRow {
    pub uri: Option<String>,
    pub name: String,
}

#[derive(Clone)]
pub struct LoginRow {
    pub login: PendingLogin,
    pub taken: bool,
    pub outcome: Option<std::result::Result<String, String>>,
}

/// What another daemon or a person must know of: a change of it gets a number.
#[derive(PartialEq)]
struct Watched(String, String, Option<String>, Option<String>, bool, bool);

impl Rows {
    pub fn new(deployment: Uuid) -> Self {
        Self {
            deployment,
            key_probe: None,
            apps: BTreeMap::new(),
            users: BTreeMap::new(),
            names: BTreeMap::new(),
            changes: BTreeMap::new(),
            purged: BTreeMap::new(),
            logins: BTreeMap::new(),
            events: Vec::new(),
            tracks: BTreeMap::new(),
            albums: BTreeMap::new(),
            artists: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_change: 0,
            last_user: 0,
        }
    }

    pub fn user(&self, id: UserId) -> Option<&UserRow> {
        self.users.get(&id).map(|row| &**row)
    }

    pub fn named(&self, name: &str) -> Option<&UserRow> {
        self.user(*self.names.get(name)?)
    }

    pub fn active(&self) -> impl Iterator<Item = &UserRow> {
        self.users.values().map(|row| &**row).filter(|row| row.active)
    }

    /// A user, to be changed in what is nobody's business but the daemon's who runs them.
    pub fn user_mut(&mut self, id: UserId) -> Option<&mut UserRow> {
        self.users.get_mut(&id).map(Arc::make_mut)
    }

    /// Changes a user; where others must know of it, the change gets the next number.
    pub fn change(&mut self, id: UserId, change: impl FnOnce(&mut UserRow)) {
        let Some(row) = self.users.get_mut(&id).map(Arc::make_mut) else { return };
        let before = row.watched();
        change(row);
        if row.watched() != before {
            self.last_change += 1;
            self.changes.remove(&row.change);
            row.change = self.last_change;
            self.changes.insert(self.last_change, id);
        }
    }

    /// A new row, with the defaults that the tables give.
    pub fn insert_user(&mut self, name: &str, app: &str) -> UserId {
        self.last_user += 1;
        self.last_change += 1;
        let id = UserId(self.last_user);
        self.names.insert(name.to_owned(), id);
        self.changes.insert(self.last_change, id);
        let row = UserRow {
            id,
            name: name.to_owned(),
            app: app.to_owned(),
            schedule: None,
            timezone: None,
            origin: Origin::Store,
            declared_by: None,
            paused: false,
            active: true,
            change: self.last_change,
            next_run_at: None,
            run_owner: None,
            run_claim: None,
            last_run_at: None,
            last_run_result: None,
            last_run_reason: None,
            last_archived_at: None,
            newest_played_at: None,
            blocked: None,
            top_fetched_at: None,
            run: 0,
            play_count: 0,
            gap_count: 0,
            grant: None,
            taken_at: None,
            ending_told: None,
            generations: Vec::new(),
            plays: BTreeMap::new(),
            runs: Vec::new(),
            gaps: Vec::new(),
            top: Vec::new(),
            habits: None,
            raw: BTreeMap::new(),
        };
        self.users.insert(id, Arc::new(row));
        id
    }

    pub fn delete_user(&mut self, id: UserId, now: Timestamp) {
        let Some(row) = self.users.remove(&id) else { return };
        self.names.remove(&row.name);
        self.changes.remove(&row.change);
        self.last_change += 1;
        self.purged.insert(id, (self.last_change, now));
    }
}

impl UserRow {
    fn watched(&self) -> Watched {
        let (name, app) = (self.name.clone(), self.app.clone());
        Watched(name, app, self.schedule.clone(), self.timezone.clone(), self.paused, self.active)
    }

    /// Takes over what a new user is to be.
    pub fn declare(&mut self, user: &NewUser, origin: Origin, by: Option<Owner>) {
        self.app = user.app.to_string();
        (self.schedule, self.timezone) = (user.schedule.clone(), user.timezone.clone());
        (self.origin, self.declared_by, self.active) = (origin, by, true);
    }

    /// The user, or why it is none.
    pub fn read(&self) -> std::result::Result<User, String> {
        let name: UserName = self.name.parse().map_err(|e: NameError| e.to_string())?;
        let app = self.app.parse().map_err(|e: NameError| format!("user {name}: {e}"))?;
        Ok(User {
            id: self.id,
            name,
            app,
            schedule: self.schedule.clone(),
            timezone: self.timezone.clone(),
            origin: self.origin,
            paused: self.paused,
            active: self.active,
            next_run_at: self.next_run_at,
            running: self.run_owner.is_some(),
            last_run_at: self.last_run_at,
            last_run_result: self.last_run_result,
            last_run_reason: self.last_run_reason.clone(),
            last_archived_at: self.last_archived_at,
            blocked: self.blocked.clone(),
            top_fetched_at: self.top_fetched_at,
            plays: self.play_count,
            gaps: self.gap_count,
        })
    }
}
