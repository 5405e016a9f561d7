//! The store, in domain words: users, apps, grants, runs, plays, gaps. What it promises: every method is one
//! transaction, and what has returned `Ok` is durable. Nothing here knows SQL; the backends do.

mod memory; // grants alone, for simulated time

mod backend; // the methods below, on an SQL database
mod error; // why one did not do what it was asked
mod sql; // what the SQL runs on: statements, parameters, rows
mod sqlite; // how the SQLite file is made, checked and opened
mod url; // which database a URL names

// The SQL, by entity.
mod catalogue;
mod events;
mod file_users;
mod gaps;
mod grants;
mod logins;
mod meta;
mod pages;
mod plays;
mod refreshes;
mod runs;
mod users;

#[cfg(test)]
mod conformance;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    AccessTimes, AppName, AppState, Artist, AttemptId, Cause, Doubt, Epoch, Event, Gap, Generation, Grant,
    Owner, Play, Refusal, Run, RunId, RunResult, Sealed, StoredPlay, Timestamp, TopArtist, TopEntry, TopKind,
    Trigger, User, UserId, UserName,
};

pub use error::StoreError;
pub use memory::MemoryGrants;
pub use url::{UrlError, open};

/// What a store method answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A user to be added, or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The short name.
    pub name: UserName,
    /// The app the user's login belongs to.
    pub app: AppName,
    /// `None`: the configured default.
    pub schedule: Option<String>,
    /// `None`: the configured default.
    pub timezone: Option<String>,
}

/// What `sync_file_users` changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileUsers {
    /// Who came, or came back.
    pub added: Vec<UserName>,
    /// Who left.
    pub removed: Vec<UserName>,
}

/// The users that changed, and the number to ask with next time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The number of the newest change.
    pub upto: i64,
    /// Everyone who changed since, inactive users too.
    pub users: Vec<User>,
    /// Names another program inserted that are no user names, with the reason; they are not archived.
    pub refused: Vec<String>,
}

/// A login that was begun: its browser part is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingLogin {
    /// The `state` parameter (RFC 6749, section 10.12).
    pub state: String,
    /// Whose login it will be; the user may not exist yet.
    pub user: UserName,
    /// The app it is for.
    pub app: AppName,
    /// The PKCE code verifier (RFC 7636), sealed.
    pub verifier: Sealed,
    /// After this the login must be begun again.
    pub expires_at: Timestamp,
}

/// How a login that was begun stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginProgress {
    /// The browser has not come back.
    Pending,
    /// Done; what the user is told.
    Done(String),
    /// Failed; why, and the cure.
    Failed(String),
}

/// Why a try that was replaced is in doubt.
pub const STOPPED: &str = "longplay was stopped before the answer to a refresh came";

/// Announces a refresh: step 1 of it. Where it replaces a lapsed try, that one is noted as a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Whose grant.
    pub user: UserId,
    /// The login it is of.
    pub epoch: Epoch,
    /// The generation whose refresh token will be sent.
    pub generation: Generation,
    /// The name of this try.
    pub attempt: AttemptId,
    /// A lapsed try that this one replaces.
    pub replaces: Option<AttemptId>,
    /// Who sends.
    pub owner: Owner,
    /// How long the owner may send, from now on the store's clock.
    pub lease: Duration,
    /// Why.
    pub cause: Cause,
}

/// What a refresh or a login brought, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTokens {
    /// Whose grant.
    pub user: UserId,
    /// The login it is of.
    pub epoch: Epoch,
    /// The number of the new generation.
    pub generation: Generation,
    /// The refresh token of the new generation.
    pub refresh_token: Sealed,
    /// The access token.
    pub access_token: Sealed,
    /// Its times.
    pub access_times: AccessTimes,
    /// The granted scope, where the answer names it; `None` leaves what is on record.
    pub scope: Option<String>,
    /// The try that brought it.
    pub attempt: AttemptId,
    /// Why that try was made.
    pub cause: Cause,
}

/// When new tokens may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitIf {
    /// The try is still the one on record.
    AttemptHolds,
    /// The store's generation is not newer than the one that was sent, whatever became of the try: for an answer
    /// offered again from the spool.
    NotNewerThan(Generation),
}

/// How a try ended that brought no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// Nothing happened at the provider; what was on record stays (an older doubt, a refusal).
    Nothing,
    /// It is unknown what happened.
    Doubt(Doubt),
    /// The provider refused the refresh token; ends doubt.
    Refused(Refusal),
}

/// A login's outcome, to be committed. The account check is the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogin {
    /// Whose.
    pub user: UserId,
    /// The grant on record when this was prepared; `None`: there was none. Anything else on record now refuses it.
    pub replaces: Option<(Epoch, Generation)>,
    /// The client id it was given to.
    pub client_id: String,
    /// The new epoch.
    pub epoch: Epoch,
    /// The new generation.
    pub generation: Generation,
    /// Spotify's `account_id`, else `id`.
    pub account_id: Option<String>,
    /// When the user consented.
    pub login_at: Option<Timestamp>,
    /// The granted scope.
    pub scope: Option<String>,
    /// The refresh token.
    pub refresh_token: Sealed,
    /// The access token and its times, where there is one.
    pub access: Option<(Sealed, AccessTimes)>,
}

/// What the archive knows about a page before it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// How many of the page's plays are stored already.
    pub known: usize,
    /// The newest play stored from the API.
    pub newest_stored: Option<Timestamp>,
    /// The newest of those that are older than everything on the page.
    pub before: Option<Timestamp>,
    /// When the plays stored from the API were made that are not older than the page, newest first; enough of them.
    pub stored: Vec<Timestamp>,
    /// The gaps on record that end no earlier than `before`, newest first; enough of them.
    pub gaps: Vec<Gap>,
    /// When a page was last stored.
    pub last_archived_at: Option<Timestamp>,
    /// Results of the finished or broken-off runs since then, oldest first; `None`: the daemon died in it.
    pub results_since: Vec<Option<RunResult>>,
}

/// The end of a run that stored a page. All of it is one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageStored {
    /// Whose run.
    pub user: UserId,
    /// Which run.
    pub run: RunId,
    /// `Ok` or `Partial`.
    pub result: RunResult,
    /// What was wrong with the page, if anything.
    pub reason: Option<String>,
    /// What the page held, in any order; what is stored already is left alone.
    pub plays: Vec<Play>,
    /// Where it shows that plays may be missing, and gaps on record that it shows to be larger, or to hold nothing more.
    pub gaps: Vec<Gap>,
    /// When the run ended.
    pub at: Timestamp,
}

/// What a page added to the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// How many plays were new.
    pub plays: usize,
    /// The gaps that were not on record, oldest first.
    pub gaps: Vec<Gap>,
}

/// The end of a run that stored nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailed {
    /// Whose run.
    pub user: UserId,
    /// Which run.
    pub run: RunId,
    /// How it ended.
    pub result: RunResult,
    /// Why, and the cure.
    pub reason: String,
    /// Set when Spotify refuses the user (403): becomes the user's `blocked`.
    pub blocked: Option<String>,
    /// When the run ended.
    pub at: Timestamp,
}

/// Which plays to read; the newest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayQuery {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub until: Option<Timestamp>,
    /// At most so many; 0 is none.
    pub limit: i64,
}

/// The part of the store that the refresh actor and the gate work on.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// What is remembered of an app.
    async fn app_state(&self, app: &AppName) -> Result<AppState>;
    /// Remembers it.
    async fn save_app_state(&self, app: &AppName, state: &AppState) -> Result<()>;

    /// A user's grant.
    async fn grant(&self, user: UserId) -> Result<Option<Grant>>;
    /// The grants of active users that need care without being asked: with an attempt, a doubt, or a try due.
    async fn troubled_grants(&self) -> Result<Vec<Grant>>;
    /// All grants of active users.
    async fn grants(&self) -> Result<Vec<Grant>>;
    /// Step 1. True where the intent is on record, also when this is a repetition of the same attempt.
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
pub trait Store: GrantStore {
    /// Connects and migrates. Until this has succeeded every other method does it first, so that a store that comes
    /// back late is usable at once. Answers the deployment: a UUID made by the first migration. What is somebody else's
    /// or a newer longplay's is not touched.
    async fn open(&self) -> Result<Uuid>;
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

    /// All active users, by name.
    async fn users(&self) -> Result<Vec<User>>;
    /// One user, active or not.
    async fn user(&self, name: &UserName) -> Result<Option<User>>;
    /// Who changed after change number `since` (0: everyone), by whichever program: who came, left, or has another
    /// app, schedule, zone or pause. What runs note of a user is no change.
    async fn users_changed(&self, since: i64) -> Result<Changes>;
    /// Adds a user of the store; one of that name who is inactive comes back with their archive, not paused. An active
    /// one is changed, but one of a file is left as they are and answered: refuse that before.
    async fn put_user(&self, user: &NewUser) -> Result<User>;
    /// Makes the users of this daemon's files exactly these: adds, changes, and lets go who left the files. Those keep
    /// tokens, archive and pause; a user of the store who is declared becomes one of the file. A user whom two daemons
    /// declare belongs to the one that said so last.
    async fn sync_file_users(&self, daemon: Owner, users: &[NewUser]) -> Result<FileUsers>;
    /// Deletes the tokens and makes the user inactive: the grant's counters stay, and its epoch rises, so that no late
    /// answer counts. `purge`: deletes everything of the user, without a trace in `users_changed`.
    async fn remove_user(&self, user: UserId, purge: bool) -> Result<()>;
    /// Suspends or lets go on; `None`: everyone who is active.
    async fn set_paused(&self, user: Option<UserId>, paused: bool) -> Result<()>;
    /// Sets when the next run is due.
    async fn set_next_run(&self, user: UserId, at: Option<Timestamp>) -> Result<()>;

    /// Remembers a login that was begun, and forgets those that expired.
    async fn begin_login(&self, login: &PendingLogin) -> Result<()>;
    /// Takes a begun login that has not expired, once.
    async fn take_login(&self, state: &str) -> Result<Option<PendingLogin>>;
    /// Notes how it ended, for whoever waits for it.
    async fn end_login(&self, state: &str, outcome: &std::result::Result<String, String>) -> Result<()>;
    /// How a begun login stands; `None`: unknown, or expired without an outcome.
    async fn login_progress(&self, state: &str) -> Result<Option<LoginProgress>>;

    /// Opens a run; one that was never finished is thereby known to have been broken off.
    async fn begin_run(&self, user: UserId, trigger: Trigger, at: Timestamp) -> Result<RunId>;
    /// What is known about these plays, since the last page, and of the time that the page covers: `oldest` is its
    /// oldest moment, `None` where it names none.
    async fn page_facts(
        &self,
        user: UserId,
        run: RunId,
        plays: &[Play],
        oldest: Option<Timestamp>,
    ) -> Result<PageFacts>;
    /// Stores a page and ends the run; answers what was new. A run that has ended is left as it ended, and answered
    /// again.
    async fn store_page(&self, page: &PageStored) -> Result<Added>;
    /// Ends a run that stored nothing, unless it has ended.
    async fn fail_run(&self, run: &RunFailed) -> Result<()>;
    /// The last runs, newest first.
    async fn runs(&self, user: UserId, limit: i64) -> Result<Vec<Run>>;
    /// Keeps Spotify's own top artists, in order.
    async fn save_top_artists(&self, user: UserId, at: Timestamp, artists: &[Artist]) -> Result<()>;

    /// Plays, newest first.
    async fn plays(&self, user: UserId, query: PlayQuery) -> Result<Vec<StoredPlay>>;
    /// What was heard most since then, most first.
    async fn top(
        &self,
        user: UserId,
        kind: TopKind,
        since: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<TopEntry>>;
    /// Spotify's own top artists, as last fetched.
    async fn top_artists(&self, user: UserId) -> Result<Vec<TopArtist>>;
    /// Where plays may be missing, newest first.
    async fn gaps(&self, user: UserId) -> Result<Vec<Gap>>;
    /// When the newest play of anyone ended.
    async fn newest_play(&self) -> Result<Option<Timestamp>>;

    /// Keeps an event of note.
    async fn add_event(&self, event: &Event) -> Result<()>;
    /// The last events, newest first.
    async fn events(&self, user: Option<&UserName>, limit: i64) -> Result<Vec<Event>>;
    /// Forgets what has had its time: expired logins, and runs and events older than this; never plays and gaps. Run
    /// daily. Unlike the others it is many small transactions, so that nobody waits long for it.
    async fn prune(&self, older_than: Timestamp) -> Result<()>;
}
