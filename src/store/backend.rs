//! The store's methods on an SQL database: each opens its session, says what it is doing, leaves the SQL to the entity
//! files, and commits.

mod custody;
mod export;
mod grant;
mod habits;
mod imports;
mod quota;
mod raw;
mod reading;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::imports::Importing;
use super::postgres::Server;
use super::sql::{Pool, Session, Time, Trouble};
use super::sqlite::SqliteFile;
use super::{
    Added, Alike, Announcement, Batch, Changed, Changes, Claimed, Custody, FileUsers, LoginGiven,
    LoginProgress, NewUser, PageFacts, PageStored, PendingLogin, PlannedRun, Result, RunClaim, RunFailed,
    Store, StoreError, UserSeen,
};
use super::{claims, events, file_users, footing, gaps, grants, logins, meta, pages, runs, top, users};
use crate::domain::{
    Artist, Epoch, Event, Gap, Owner, Play, Run, RunId, Sealed, Timestamp, User, UserId, UserName,
};

/// The database that a store is in.
pub(super) enum Database {
    Sqlite(SqliteFile),
    Postgres(Box<Server>),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => file.fmt(f),
            Self::Postgres(server) => server.fmt(f),
        }
    }
}

/// A store in a database.
pub(super) struct SqlStore {
    pub(super) database: Database,
    time: Time,
    trouble: Arc<Trouble>,
    importing: Importing,
    counting: tokio::sync::Mutex<()>,
}

impl SqlStore {
    /// `time`: whose clock decides about leases.
    pub fn new(database: Database, time: Time) -> Self {
        Self {
            database,
            time,
            trouble: Arc::default(),
            importing: Importing::default(),
            counting: tokio::sync::Mutex::default(),
        }
    }

    pub(super) async fn reading(&self, doing: impl Into<String>) -> Result<Session> {
        let pool = match &self.database {
            Database::Sqlite(file) => Pool::Sqlite(file.pools().await?.readers.clone()),
            Database::Postgres(server) => Pool::Postgres(server.pools().await?.readers.clone()),
        };
        Session::reading(pool, &self.time, doing.into()).await
    }

    pub(super) async fn writing(&self, doing: impl Into<String>) -> Result<Session> {
        let pool = self.writer().await?;
        Session::writing(pool, &self.time, doing.into(), Arc::clone(&self.trouble)).await
    }

    /// For what means nothing without this process.
    pub(super) async fn noting(&self, doing: impl Into<String>) -> Result<Session> {
        let pool = self.writer().await?;
        Session::noting(pool, &self.time, doing.into(), Arc::clone(&self.trouble)).await
    }

    /// For one transaction of many that are repeated where the last is missing.
    pub(super) async fn repeatable(&self, doing: impl Into<String>) -> Result<Session> {
        let pool = self.writer().await?;
        Session::repeatable(pool, &self.time, doing.into(), Arc::clone(&self.trouble)).await
    }

    async fn writer(&self) -> Result<Pool> {
        Ok(match &self.database {
            Database::Sqlite(file) => Pool::Sqlite(file.pools().await?.writer.clone()),
            Database::Postgres(server) => Pool::Postgres(server.pools().await?.writers.clone()),
        })
    }

    /// For what concerns tokens: never behind the archive, where the database has more than one connection for each.
    async fn reading_tokens(&self, doing: impl Into<String>) -> Result<Session> {
        let Database::Postgres(server) = &self.database else { return self.reading(doing).await };
        let pool = Pool::Postgres(server.pools().await?.tokens.clone());
        Session::reading(pool, &self.time, doing.into()).await
    }

    /// The same for what is written.
    async fn writing_tokens(&self, doing: impl Into<String>) -> Result<Session> {
        let Database::Postgres(server) = &self.database else { return self.writing(doing).await };
        let pool = Pool::Postgres(server.pools().await?.tokens.clone());
        Session::writing(pool, &self.time, doing.into(), Arc::clone(&self.trouble)).await
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn open(&self) -> Result<Uuid> {
        let mut session = self.reading(format!("opening {}", self.database)).await?;
        meta::deployment(&mut session).await
    }

    fn is_migrating(&self) -> bool {
        match &self.database {
            Database::Sqlite(file) => file.is_migrating(),
            Database::Postgres(server) => server.is_migrating(),
        }
    }

    async fn close(&self) {
        match &self.database {
            Database::Sqlite(file) => file.close().await,
            Database::Postgres(server) => server.close().await,
        }
    }

    fn describe(&self) -> String {
        self.database.to_string()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }

    async fn probe(&self) -> Result<()> {
        let mut session = self.writing(format!("trying whether {} can be written", self.database)).await?;
        meta::touch(&mut session).await?;
        session.commit(()).await
    }

    async fn key_probe(&self) -> Result<Option<Sealed>> {
        let mut session = self.reading("reading the probe of the token key").await?;
        meta::key_probe(&mut session).await
    }

    async fn keep_key_probe(&self, probe: Sealed) -> Result<Sealed> {
        let mut session = self.writing("keeping the probe of the token key").await?;
        let kept = meta::keep_key_probe(&mut session, probe).await?;
        session.commit(kept).await
    }

    fn custody(&self) -> Option<&dyn Custody> {
        Some(self)
    }

    fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    async fn listen(&self, tell: &(dyn Fn(Announcement) + Send + Sync)) -> Result<()> {
        match &self.database {
            Database::Sqlite(_) => Ok(()),
            Database::Postgres(server) => server.listen(tell).await,
        }
    }

    async fn changed_since(&self, since: Option<Timestamp>) -> Result<Changed> {
        let mut session = self.reading("reading what changed").await?;
        let mut changed = Changed { at: session.now().await?, apps: Vec::new(), tokens: Vec::new() };
        if let Some(since) = since {
            changed.apps = meta::apps_changed(&mut session, since).await?;
            changed.tokens = grants::committed_since(&mut session, since).await?;
        }
        Ok(changed)
    }

    async fn users(&self) -> Result<Vec<User>> {
        let mut session = self.reading("reading the users").await?;
        users::active(&mut session).await
    }

    async fn users_of(&self, numbers: &[UserId]) -> Result<Vec<User>> {
        let mut session = self.reading("reading users by number").await?;
        users::of(&mut session, numbers).await
    }

    async fn user(&self, name: &UserName) -> Result<Option<User>> {
        let mut session = self.reading(format!("reading user {name}")).await?;
        users::by_name(&mut session, name).await
    }

    async fn users_changed(&self, since: i64, limit: i64) -> Result<Changes> {
        let mut session = self.reading("reading which users changed").await?;
        users::changed(&mut session, since, limit).await
    }

    async fn put_user(&self, user: &NewUser) -> Result<User> {
        let doing = format!("adding user {}", user.name);
        let mut session = self.writing(doing.clone()).await?;
        match users::put(&mut session, user).await? {
            Some(user) => session.commit(user).await,
            None => Err(StoreError::Broken { doing, source: "the user is not there afterwards".into() }),
        }
    }

    async fn sync_file_users(&self, daemon: Owner, users: &[NewUser]) -> Result<FileUsers> {
        let mut session = self.writing("taking over the users of the configuration files").await?;
        let outcome = file_users::sync(&mut session, daemon, users).await?;
        session.commit(outcome).await
    }

    async fn remove_user(&self, user: UserId, purge: bool) -> Result<()> {
        let mut session = self.writing(format!("removing user {}", user.0)).await?;
        if purge {
            users::purge(&mut session, user).await?;
        } else {
            users::remove(&mut session, user).await?;
        }
        session.commit(()).await
    }

    async fn set_paused(&self, user: Option<UserId>, paused: bool) -> Result<()> {
        let mut session = self.writing("pausing or resuming users").await?;
        users::set_paused(&mut session, user, paused).await?;
        session.commit(()).await
    }

    async fn plan_runs(&self, runs: &[PlannedRun]) -> Result<Vec<(UserId, Option<Timestamp>)>> {
        let mut session = self.writing("planning runs").await?;
        let others = claims::plan(&mut session, runs).await?;
        session.commit(others).await
    }

    async fn overdue(
        &self,
        by: Duration,
        after: Option<(Timestamp, UserId)>,
        limit: i64,
    ) -> Result<Vec<(Timestamp, UserId)>> {
        let mut session = self.reading("looking for overdue runs").await?;
        claims::overdue(&mut session, by, after, limit).await
    }

    async fn tally(&self) -> Result<Vec<Alike>> {
        let mut session = self.reading("counting the users").await?;
        footing::tally(&mut session).await
    }

    async fn users_seen(&self, after: Option<UserId>, limit: i64) -> Result<Batch> {
        let mut session = self.reading("reading how the users are").await?;
        footing::seen(&mut session, after, limit).await
    }

    async fn users_seen_of(&self, numbers: &[UserId]) -> Result<Vec<UserSeen>> {
        let mut session = self.reading("reading how some users are").await?;
        footing::seen_of(&mut session, numbers).await
    }

    async fn logins_given(
        &self,
        until: Timestamp,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<LoginGiven>> {
        let mut session = self.reading("reading when logins were given").await?;
        footing::logins_given(&mut session, until, after, limit).await
    }

    async fn note_ending(&self, user: UserId, epoch: Epoch, days: u32) -> Result<bool> {
        let mut session = self.writing(format!("noting that the login of user {} ends", user.0)).await?;
        let first = footing::note_ending(&mut session, user, epoch, days).await?;
        session.commit(first).await
    }

    async fn begin_login(&self, login: &PendingLogin) -> Result<()> {
        let mut session = self.writing(format!("beginning a login of {}", login.user)).await?;
        logins::begin(&mut session, login).await?;
        session.commit(()).await
    }

    async fn take_login(&self, state: &str) -> Result<Option<PendingLogin>> {
        let mut session = self.writing("taking up a login").await?;
        let login = logins::take(&mut session, state).await?;
        session.commit(login).await
    }

    async fn end_login(&self, state: &str, outcome: &std::result::Result<String, String>) -> Result<()> {
        let mut session = self.writing("noting how a login ended").await?;
        logins::end(&mut session, state, outcome).await?;
        session.commit(()).await
    }

    async fn login_progress(&self, state: &str) -> Result<Option<LoginProgress>> {
        let mut session = self.reading("reading how a login stands").await?;
        logins::progress(&mut session, state).await
    }

    async fn begin_run(&self, claim: &RunClaim) -> Result<Claimed> {
        let mut session = self.noting(format!("beginning a run of user {}", claim.user.0)).await?;
        let claimed = claims::begin(&mut session, claim).await?;
        session.commit(claimed).await
    }

    async fn renew_runs(&self, owner: Owner, users: &[UserId], lease: Duration) -> Result<Vec<UserId>> {
        let mut session = self.writing("renewing the claims of runs under way").await?;
        let renewed = claims::renew(&mut session, owner, users, lease).await?;
        session.commit(renewed).await
    }

    async fn release_runs(&self, owner: Owner, but: &[UserId]) -> Result<Vec<UserId>> {
        let mut session = self.writing("giving up claims of runs that ended").await?;
        let released = claims::release_all(&mut session, owner, but).await?;
        session.commit(released).await
    }

    async fn page_facts(
        &self,
        user: UserId,
        run: RunId,
        plays: &[Play],
        oldest: Option<Timestamp>,
    ) -> Result<PageFacts> {
        let mut session = self.reading(format!("comparing a page of user {}", user.0)).await?;
        pages::facts(&mut session, user, run, plays, oldest).await
    }

    async fn store_page(&self, page: &PageStored) -> Result<Added> {
        let mut session = self.writing(format!("storing a page of user {}", page.user.0)).await?;
        let new = pages::store(&mut session, page).await?;
        session.commit(new).await
    }

    async fn fail_run(&self, run: &RunFailed) -> Result<()> {
        let mut session = self.writing(format!("ending a run of user {}", run.user.0)).await?;
        runs::fail(&mut session, run).await?;
        claims::release(&mut session, run.user, run.release).await?;
        session.commit(()).await
    }

    async fn runs(&self, user: UserId, limit: i64) -> Result<Vec<Run>> {
        let mut session = self.reading(format!("reading the runs of user {}", user.0)).await?;
        runs::last(&mut session, user, limit).await
    }

    async fn save_top_artists(&self, user: UserId, at: Timestamp, artists: &[Artist]) -> Result<()> {
        let mut session = self.writing(format!("keeping the top artists of user {}", user.0)).await?;
        top::save_top_artists(&mut session, user, at, artists).await?;
        session.commit(()).await
    }

    async fn gaps(&self, user: UserId) -> Result<Vec<Gap>> {
        let mut session = self.reading(format!("reading the gaps of user {}", user.0)).await?;
        gaps::of(&mut session, user).await
    }

    async fn add_events(&self, events: &[Event]) -> Result<()> {
        let mut session = self.noting("keeping events").await?;
        events::add(&mut session, events).await?;
        session.commit(()).await
    }

    async fn events(&self, user: Option<&UserName>, limit: i64) -> Result<Vec<Event>> {
        let mut session = self.reading("reading the events").await?;
        events::last(&mut session, user, limit).await
    }

    async fn prune(&self, older_than: Timestamp) -> Result<()> {
        let mut session = self.writing("forgetting ended logins and purged users").await?;
        logins::forget_expired(&mut session).await?;
        users::forget_purged(&mut session, older_than).await?;
        session.commit(()).await?;
        // Each batch is a transaction of its own, so that a commit of tokens never waits for a day's rows.
        loop {
            let mut session = self.writing("forgetting old runs and events").await?;
            let more_runs = runs::prune(&mut session, older_than).await?;
            let more_events = events::prune(&mut session, older_than).await?;
            if !session.commit(more_runs || more_events).await? {
                return Ok(());
            }
        }
    }
}
