//! The store, in domain words: users, apps, grants, runs, plays, gaps. What it promises: every method is one
//! transaction, and what has returned `Ok` is durable. Nothing here knows SQL; the backends do.

mod memory; // a store for simulated time

mod backend; // the methods below, on an SQL database
mod custody; // what a store is as a place: its home, its fence, its seals
mod error; // why one did not do what it was asked
mod home; // what a store lives on, told from a copy
mod machine; // the same of a file, as the host tells
mod postgres; // how a PostgreSQL database is checked, migrated and connected to
mod record; // what the methods take and answer
mod schema; // whose a database is, and whether it is being migrated
mod sql; // what the SQL runs on: statements, parameters, rows
mod sqlite; // how the SQLite file is made, checked and opened
pub mod transfer; // a store as a whole: copied, backed up
mod url; // which database a URL names

// The SQL, by entity.
mod catalogue;
mod claims;
mod events;
pub mod export;
mod file_users;
mod footing;
mod gaps;
mod grants;
mod guard;
mod habits;
mod heard;
mod imports;
mod keys;
mod logins;
mod meta;
mod pages;
mod plays;
mod quota;
mod raw;
mod reading;
mod refreshes;
mod runs;
mod top;
mod users;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub mod watched;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    AppName, AppState, Artist, AttemptId, Epoch, Event, Gap, Grant, Owner, Play, Run, RunId, Sealed,
    Timestamp, User, UserId, UserName,
};

pub use custody::Custody;
pub use error::StoreError;
pub use export::ExportStore;
pub use footing::LoginGiven;
pub use guard::RESTORED;
pub use habits::{HabitStore, HoursHeard};
pub use home::{Change, Home, Whereabouts};
pub use imports::{ImportBatch, ImportEnd, ImportStore};
pub use keys::{DaemonSeen, SealedGrant};
pub use machine::{home_of, machine};
pub use memory::{Around, MemoryStore, Snapshot};
pub use quota::{CallsTaken, CallsWanted, DAY, SLOT};
pub use raw::{PageReplayed, RawPage, RawStore, Replayed};
pub use reading::{PlayPage, PlayQuery, ReadStore};
pub use record::{
    Added, Alike, Announcement, Batch, Changed, Changes, Claimed, Close, CommitIf, FileUsers, GrantHead,
    Intent, LoginProgress, NewLogin, NewTokens, NewUser, PageFacts, PageStored, PendingLogin, PlannedRun,
    Release, RunClaim, RunFailed, STOPPED, UserSeen,
};
pub use url::{UrlError, open};

/// What a store method answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The ledger of calls of the Web API, for all daemons.
#[async_trait]
pub trait QuotaStore: Send + Sync + 'static {
    /// Puts calls on record before they are made, as many as the day has left.
    async fn take_calls(&self, wanted: &CallsWanted) -> Result<CallsTaken>;
    /// All that were taken of a group's day: how many, and for how long they count yet.
    async fn calls_taken(&self, group: &str) -> Result<Vec<(Duration, u32)>>;
}

/// The part of the store that the refresh actor and the gate work on.
#[async_trait]
pub trait GrantStore: QuotaStore {
    /// What is remembered of an app.
    async fn app_state(&self, app: &AppName) -> Result<AppState>;
    /// What is remembered of these apps; nothing of those that are not known.
    async fn app_states(&self, apps: &[AppName]) -> Result<Vec<(AppName, AppState)>>;
    /// Remembers it as the next version; false where the one on record is not the state's: read it and try again.
    async fn save_app_state(&self, app: &AppName, state: &AppState) -> Result<bool>;

    /// A user's grant.
    async fn grant(&self, user: UserId) -> Result<Option<Grant>>;
    /// Where the grants of these users stand, by number; nothing of those who have none.
    async fn grant_heads(&self, users: &[UserId]) -> Result<Vec<GrantHead>>;
    /// The active users whose grants need care without being asked, by number: with an attempt, a doubt, or a try due.
    async fn troubled_users(&self) -> Result<Vec<UserId>>;
    /// Step 1. True where the intent is on record, also when this is a repetition of the same attempt. Refused where the
    /// store is fenced, or lives elsewhere than it last did.
    async fn begin_attempt(&self, intent: &Intent) -> Result<bool>;
    /// Step 4. True where the tokens are on record, also when this is a repetition of the same attempt. Ends attempt,
    /// doubt and refusal. Never lowers a generation. The last five generations are kept with their attempts.
    async fn commit_tokens(&self, tokens: &NewTokens, when: CommitIf) -> Result<bool>;
    /// Ends an attempt without tokens. False where it is not the one on record (any more).
    async fn close_attempt(
        &self,
        user: UserId,
        epoch: Epoch,
        attempt: AttemptId,
        close: &Close,
    ) -> Result<bool>;
    /// Commits a login. Ends attempt, doubt, refusal and `blocked`. True also when this is a repetition; false where the
    /// grant on record is another, or epoch and generation don't both rise over it. An account on record stays where
    /// the login names none.
    async fn commit_login(&self, login: &NewLogin) -> Result<bool>;
    /// Notes whose account the grant is, where that was unknown.
    async fn set_account(&self, user: UserId, epoch: Epoch, account_id: &str) -> Result<()>;
}

/// What every store can do. Times that decide (leases) are the store's own clock's.
#[async_trait]
pub trait Store: GrantStore + ExportStore + HabitStore + ImportStore + RawStore + ReadStore {
    /// Connects and migrates. Until this has succeeded every other method does it first, so that a store that comes
    /// back late is usable at once. Answers the deployment: a UUID made by the first migration. What is somebody else's
    /// or a newer longplay's is not touched.
    async fn open(&self) -> Result<Uuid>;
    /// Whether [`Self::open`] is at work on the schema, which takes as long as there is data.
    fn is_migrating(&self) -> bool {
        false
    }
    /// Finishes what is under way and closes.
    async fn close(&self);
    /// What and where it is, without secrets: `SQLite /var/lib/longplay/longplay.db`.
    fn describe(&self) -> String;

    /// Why the last method that writes failed; `None` once one has succeeded.
    fn trouble(&self) -> Option<String>;
    /// Writes a little, to see whether it can be written.
    async fn probe(&self) -> Result<()>;

    /// A text sealed by the token key, to tell a wrong key; `None` in a store that never had a key.
    async fn key_probe(&self) -> Result<Option<Sealed>>;
    /// Keeps the probe where there is none; answers the one on record.
    async fn keep_key_probe(&self, probe: Sealed) -> Result<Sealed>;

    /// The same store as a place; `None` for one that lives nowhere but in memory.
    fn custody(&self) -> Option<&dyn Custody> {
        None
    }

    /// Whether several daemons may work on it at the same time.
    fn is_shared(&self) -> bool;
    /// Hears what any daemon on this store does, until that fails. A store that is one daemon's alone says nothing and
    /// answers at once.
    async fn listen(&self, tell: &(dyn Fn(Announcement) + Send + Sync)) -> Result<()>;
    /// What was changed since a minute before then, by the store's clock (`None`: nothing is told but the time): for
    /// whoever may have missed what was announced.
    async fn changed_since(&self, at: Option<Timestamp>) -> Result<Changed>;

    /// All active users, by name.
    async fn users(&self) -> Result<Vec<User>>;
    /// Those of these users who are active, by number.
    async fn users_of(&self, numbers: &[UserId]) -> Result<Vec<User>>;
    /// One user, active or not.
    async fn user(&self, name: &UserName) -> Result<Option<User>>;
    /// Who changed after change number `since` (0: everyone), by whichever program: who came, left, was purged, or has
    /// another app, schedule, zone or pause; at most `limit` of them, the oldest changes first. What runs note of a user
    /// is no change.
    async fn users_changed(&self, since: i64, limit: i64) -> Result<Changes>;
    /// Adds a user of the store; one of that name who is inactive comes back with their archive, not paused. An active
    /// one is changed, but one of a file is left as they are and answered: refuse that before.
    async fn put_user(&self, user: &NewUser) -> Result<User>;
    /// Makes the users of this daemon's files exactly these: adds, changes, and lets go who left the files. Those keep
    /// tokens, archive and pause; a user of the store who is declared becomes one of the file. A user whom two daemons
    /// declare belongs to the one that said so last.
    async fn sync_file_users(&self, daemon: Owner, users: &[NewUser]) -> Result<FileUsers>;
    /// Deletes the tokens and makes the user inactive: the grant's counters stay, and its epoch rises, so that no late
    /// answer counts. `purge`: deletes everything of the user; for a time `users_changed` has the number.
    async fn remove_user(&self, user: UserId, purge: bool) -> Result<()>;
    /// Suspends or lets go on; `None`: everyone who is active.
    async fn set_paused(&self, user: Option<UserId>, paused: bool) -> Result<()>;
    /// Sets when the next runs are due, of active users whose time is still the one that was seen and whom nobody runs.
    /// Answers the others who are there, with the time on record.
    async fn plan_runs(&self, runs: &[PlannedRun]) -> Result<Vec<(UserId, Option<Timestamp>)>>;
    /// Who is due for longer than `by`, or whose claim has lapsed, the longest first, and after `after` in that order.
    async fn overdue(
        &self,
        by: Duration,
        after: Option<(Timestamp, UserId)>,
        limit: i64,
    ) -> Result<Vec<(Timestamp, UserId)>>;

    /// The active users, counted by what decides their state.
    async fn tally(&self) -> Result<Vec<Alike>>;
    /// The next active users after this one, `limit` at most, as `status` tells of them: no token is read.
    async fn users_seen(&self, after: Option<UserId>, limit: i64) -> Result<Batch>;
    /// The same of those of these users who are active, by number.
    async fn users_seen_of(&self, numbers: &[UserId]) -> Result<Vec<UserSeen>>;
    /// The logins of active users that were given until then and that the provider does not refuse, by number; after
    /// this user, `limit` at most.
    async fn logins_given(
        &self,
        until: Timestamp,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<LoginGiven>>;
    /// Notes that the end of this login is told of so many days before it. True for the first who does, over all daemons
    /// and restarts; false also where a nearer day was told of, or the login is another.
    async fn note_ending(&self, user: UserId, epoch: Epoch, days: u32) -> Result<bool>;

    /// Remembers a login that was begun, and forgets those that expired.
    async fn begin_login(&self, login: &PendingLogin) -> Result<()>;
    /// Takes a begun login that has not expired, once.
    async fn take_login(&self, state: &str) -> Result<Option<PendingLogin>>;
    /// Notes how it ended, for whoever waits for it.
    async fn end_login(&self, state: &str, outcome: &std::result::Result<String, String>) -> Result<()>;
    /// How a begun login stands; `None`: unknown, or expired without an outcome.
    async fn login_progress(&self, state: &str) -> Result<Option<LoginProgress>>;

    /// Claims a user and opens a run; one that was never finished is thereby known to have been broken off. An owner
    /// can take over its own claim.
    async fn begin_run(&self, claim: &RunClaim) -> Result<Claimed>;
    /// Lets the owner's claims hold for so long again; answers whose were still there.
    async fn renew_runs(&self, owner: Owner, users: &[UserId], lease: Duration) -> Result<Vec<UserId>>;
    /// Gives up the owner's claims but those on these users: they are due at once. Answers whose.
    async fn release_runs(&self, owner: Owner, but: &[UserId]) -> Result<Vec<UserId>>;
    /// What is known about these plays, since the last page, and of the time that the page covers: `oldest` is its
    /// oldest moment, `None` where it names none.
    async fn page_facts(
        &self,
        user: UserId,
        run: RunId,
        plays: &[Play],
        oldest: Option<Timestamp>,
    ) -> Result<PageFacts>;
    /// Stores a page, ends the run and the claim; answers what was new. A run that has ended is left as it ended, and
    /// answered again.
    async fn store_page(&self, page: &PageStored) -> Result<Added>;
    /// Ends a run that stored nothing, unless it has ended, and the claim.
    async fn fail_run(&self, run: &RunFailed) -> Result<()>;
    /// The last runs, newest first.
    async fn runs(&self, user: UserId, limit: i64) -> Result<Vec<Run>>;
    /// Keeps Spotify's own top artists, in order.
    async fn save_top_artists(&self, user: UserId, at: Timestamp, artists: &[Artist]) -> Result<()>;

    /// Where plays may be missing, newest first.
    async fn gaps(&self, user: UserId) -> Result<Vec<Gap>>;
    /// Keeps events of note.
    async fn add_events(&self, events: &[Event]) -> Result<()>;
    /// The last events, newest first.
    async fn events(&self, user: Option<&UserName>, limit: i64) -> Result<Vec<Event>>;
    /// Forgets what has had its time: expired logins, and runs, events and the numbers of purged users older than this;
    /// never plays and gaps. Run hourly. Unlike the others it is many small transactions, so that nobody waits long for it.
    async fn prune(&self, older_than: Timestamp) -> Result<()>;
}
