//! What the store's methods take and answer, where the domain has no word for it.

mod grant;

use std::time::Duration;

use uuid::Uuid;

use crate::domain::{
    AppName, AppState, Footing, Gap, Generation, Habits, Login, Owner, Play, RunId, RunResult, Sealed,
    Timestamp, Trigger, User, UserId, UserName,
};

pub use grant::{Close, CommitIf, GrantHead, Intent, NewLogin, NewTokens, STOPPED};

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The number of the newest change in here.
    pub upto: i64,
    /// Whether there may be more.
    pub more: bool,
    /// Everyone who changed since, inactive users too.
    pub users: Vec<User>,
    /// Rows of other programs that are no users, with the reason; they are not archived.
    pub refused: Vec<(UserId, String)>,
    /// Who was deleted with everything.
    pub purged: Vec<UserId>,
}

/// When a user is to run next, unless that was changed since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRun {
    /// Who.
    pub user: UserId,
    /// The next time that was on record.
    pub seen: Option<Timestamp>,
    /// The new one.
    pub at: Timestamp,
}

/// Claims a user for a run. While the claim holds no other daemon runs the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunClaim {
    /// Whom.
    pub user: UserId,
    /// Who runs.
    pub owner: Owner,
    /// Names this claim: its repetition gets the same run.
    pub claim: Uuid,
    /// How long it holds, from now on the store's clock.
    pub lease: Duration,
    /// Of a run by schedule the time that it was due at: what another daemon has moved is not due. `None`: run anyway.
    pub due: Option<Timestamp>,
    /// What starts the run.
    pub trigger: Trigger,
    /// When it starts.
    pub at: Timestamp,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// The user is the caller's, and the run is open.
    Begun(RunId),
    /// Another daemon runs the user.
    Taken {
        /// Its run.
        run: RunId,
        /// When its claim lapses, unless it is renewed.
        until: Timestamp,
        /// Whether Spotify refuses the user, as of the run before.
        blocked: bool,
    },
    /// The run is due at another time.
    NotDue {
        /// The time on record.
        next: Option<Timestamp>,
        /// Whether Spotify refuses the user.
        blocked: bool,
    },
    /// There is no such user any more, or they are paused.
    Gone,
}

/// Gives a user back when a run ends; nothing where the claim is another's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Whose claim ends.
    pub owner: Owner,
    /// When the next run is due.
    pub next: Option<Timestamp>,
}

/// What a daemon on this store did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// From now on everything is heard; what came before may have been missed.
    Listening,
    /// Users were added, changed or removed.
    Users,
    /// What is remembered of an app.
    App(AppName),
    /// New tokens.
    Tokens(UserId, Generation),
    /// The provider refused the refresh token, for so many times now.
    Refused(UserId, u32),
}

/// What changed on a store that several daemons share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// When this was read, by the store's clock.
    pub at: Timestamp,
    /// What is remembered of apps.
    pub apps: Vec<(AppName, AppState)>,
    /// The newest generation of users.
    pub tokens: Vec<(UserId, Generation)>,
}

/// Users who stand alike, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// What decides their state.
    pub footing: Footing,
    /// How many they are.
    pub users: u64,
    /// The first of them by name.
    pub first: UserName,
    /// The longest ago that one of them was last archived, or, where that never was, that their login was taken.
    pub oldest_archived: Option<Timestamp>,
    /// When the newest play of one of them ended.
    pub newest_played: Option<Timestamp>,
}

/// A user as `status` tells of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSeen {
    /// The user.
    pub user: User,
    /// Their login.
    pub login: Option<Login>,
    /// When their newest play ended.
    pub newest_played: Option<Timestamp>,
    /// When this was read, by the store's clock.
    pub read_at: Timestamp,
}

/// Some of the users, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// By number.
    pub users: Vec<UserSeen>,
    /// Whom to go on after; `None`: nobody is left.
    pub next: Option<UserId>,
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

/// What the archive knows about a page before it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// Which of the page's plays are not stored yet as the API's own, by their place in it.
    pub unknown: Vec<usize>,
    /// The newest play stored from the API; what came with an import is none.
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
    /// What is kept of the user's habits.
    pub habits: Option<Habits>,
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
    /// What the page held that was not stored, in any order; what is stored by now is left alone.
    pub plays: Vec<Play>,
    /// The newest play on the page.
    pub newest: Option<Timestamp>,
    /// Where it shows that plays may be missing, and gaps on record that it shows to be larger, or to hold nothing more.
    pub gaps: Vec<Gap>,
    /// When the run ended.
    pub at: Timestamp,
    /// Ends the claim.
    pub release: Release,
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
    /// Ends the claim.
    pub release: Release,
}
