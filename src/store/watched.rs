//! A store behind a watcher, for tests: the watcher hears of every method before it is carried out, and can hold it up
//! or refuse it. What is carried out is the true store's work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::domain::*;

/// Whoever hears of a store's methods.
#[async_trait]
pub trait Watcher: Send + Sync + 'static {
    /// This method comes next, unless an error is answered.
    async fn before(&self, method: &'static str) -> Result<()>;
}

/// A store and its watcher.
pub struct Watched<S: ?Sized, W> {
    /// Whose work is done.
    pub store: Arc<S>,
    /// Who hears of it.
    pub watcher: W,
}

/// The trait with each method behind the watcher; those in braces go by unheard.
macro_rules! watched {
    ($Trait:ident { $($plain:item)* } $($name:ident($($arg:ident: $Arg:ty),*) -> $Answer:ty;)*) => {
        #[async_trait]
        impl<S: $Trait + ?Sized, W: Watcher> $Trait for Watched<S, W> {
            $(
                async fn $name(&self $(, $arg: $Arg)*) -> Result<$Answer> {
                    self.watcher.before(stringify!($name)).await?;
                    self.store.$name($($arg),*).await
                }
            )*
            $($plain)*
        }
    };
}

watched! {
    QuotaStore {}
    take_calls(wanted: &CallsWanted) -> CallsTaken;
    calls_taken(group: &str) -> Vec<(Duration, u32)>;
}

watched! {
    RawStore {}
    keep_raw_page(user: UserId, page: &RawPage) -> ();
    raw_pages(
        user: UserId,
        since: Option<Timestamp>,
        after: Option<(Timestamp, RunId)>,
        limit: i64
    ) -> Vec<RawPage>;
    gaps_between(user: UserId, from: Timestamp, to: Timestamp) -> Vec<(Gap, Option<RunId>)>;
    store_replayed(page: &PageReplayed) -> Replayed;
    prune_raw_pages(older_than: Timestamp) -> ();
}

watched! {
    GrantStore {}
    app_state(app: &AppName) -> AppState;
    app_states(apps: &[AppName]) -> Vec<(AppName, AppState)>;
    save_app_state(app: &AppName, state: &AppState) -> bool;
    grant(user: UserId) -> Option<Grant>;
    grant_heads(users: &[UserId]) -> Vec<GrantHead>;
    troubled_users() -> Vec<UserId>;
    begin_attempt(intent: &Intent) -> bool;
    commit_tokens(tokens: &NewTokens, when: CommitIf) -> bool;
    close_attempt(user: UserId, epoch: Epoch, attempt: AttemptId, close: &Close) -> bool;
    commit_login(login: &NewLogin) -> bool;
    set_account(user: UserId, epoch: Epoch, account: &str) -> ();
}

watched! {
    HabitStore {}
    hours_heard(user: UserId, since: Timestamp) -> HoursHeard;
    keep_habits(user: UserId, habits: &Habits) -> ();
    habits(users: &[UserId]) -> Vec<(UserId, Habits)>;
}

watched! {
    ReadStore {}
    page_of_plays(user: UserId, query: PlayQuery) -> PlayPage;
    first_played(user: UserId, since: Option<Timestamp>) -> Option<Timestamp>;
    claimed(user: UserId) -> Option<(Timestamp, Timestamp)>;
    count(user: UserId, slot: Duration) -> ();
    top(user: UserId, kind: TopKind, since: Option<Timestamp>, limit: i64) -> Vec<TopEntry>;
    listening(user: UserId, shifts: &[Shift]) -> Listening;
    top_artists(user: UserId) -> Vec<TopArtist>;
}

watched! {
    ExportStore {}
    exportable(
        user: UserId,
        from: export::PageStart,
        until: Option<Timestamp>,
        limit: i64
    ) -> Vec<export::Exportable>;
}

watched! {
    ImportStore {}
    begin_import(user: UserId, digest: &str, at: Timestamp) -> (ImportId, bool);
    import_rows(batch: &ImportBatch) -> Option<Taken>;
    end_import(end: &ImportEnd) -> Option<ImportCounts>;
    undo_import(import: ImportId) -> Option<Undone>;
}

watched! {
    Store {
        async fn close(&self) {
            self.store.close().await;
        }
        fn is_migrating(&self) -> bool {
            self.store.is_migrating()
        }
        fn describe(&self) -> String {
            self.store.describe()
        }
        fn trouble(&self) -> Option<String> {
            self.store.trouble()
        }
        fn is_shared(&self) -> bool {
            self.store.is_shared()
        }
    }
    open() -> Uuid;
    probe() -> ();
    key_probe() -> Option<Sealed>;
    keep_key_probe(probe: Sealed) -> Sealed;
    listen(tell: &(dyn Fn(Announcement) + Send + Sync)) -> ();
    changed_since(at: Option<Timestamp>) -> Changed;
    users() -> Vec<User>;
    users_of(numbers: &[UserId]) -> Vec<User>;
    user(name: &UserName) -> Option<User>;
    users_changed(since: i64, limit: i64) -> Changes;
    put_user(user: &NewUser) -> User;
    sync_file_users(daemon: Owner, users: &[NewUser]) -> FileUsers;
    remove_user(user: UserId, purge: bool) -> ();
    set_paused(user: Option<UserId>, paused: bool) -> ();
    plan_runs(runs: &[PlannedRun]) -> Vec<(UserId, Option<Timestamp>)>;
    overdue(by: Duration, after: Option<(Timestamp, UserId)>, limit: i64) -> Vec<(Timestamp, UserId)>;
    tally() -> Vec<Alike>;
    users_seen(after: Option<UserId>, limit: i64) -> Batch;
    users_seen_of(users: &[UserId]) -> Vec<UserSeen>;
    logins_given(until: Timestamp, after: Option<UserId>, limit: i64) -> Vec<LoginGiven>;
    note_ending(user: UserId, epoch: Epoch, days: u32) -> bool;
    begin_login(login: &PendingLogin) -> ();
    take_login(state: &str) -> Option<PendingLogin>;
    end_login(state: &str, outcome: &std::result::Result<String, String>) -> ();
    login_progress(state: &str) -> Option<LoginProgress>;
    begin_run(claim: &RunClaim) -> Claimed;
    renew_runs(owner: Owner, users: &[UserId], lease: Duration) -> Vec<UserId>;
    release_runs(owner: Owner, but: &[UserId]) -> Vec<UserId>;
    page_facts(user: UserId, run: RunId, plays: &[Play], oldest: Option<Timestamp>) -> PageFacts;
    store_page(page: &PageStored) -> Added;
    fail_run(run: &RunFailed) -> ();
    runs(user: UserId, limit: i64) -> Vec<Run>;
    save_top_artists(user: UserId, at: Timestamp, artists: &[Artist]) -> ();
    gaps(user: UserId) -> Vec<Gap>;
    add_events(events: &[Event]) -> ();
    events(user: Option<&UserName>, limit: i64) -> Vec<Event>;
    prune(older_than: Timestamp) -> ();
}
