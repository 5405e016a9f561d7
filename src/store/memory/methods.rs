//! The store's methods in memory: each says what it is doing and leaves the rest to the entity files.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::super::{
    Added, Alike, Announcement, Batch, Changed, Changes, Claimed, FileUsers, LoginGiven, LoginProgress,
    NewUser, PageFacts, PageStored, PendingLogin, PlannedRun, Result, RunClaim, RunFailed, Store, StoreError,
    UserSeen,
};
use super::{MemoryStore, archive, catalogue, grants, runs, users};
use crate::domain::{
    Artist, Epoch, Event, Gap, Owner, Play, Run, RunId, Sealed, Timestamp, User, UserId, UserName,
};

/// How long a commit may take to be seen by others.
const OVERLAP: Duration = Duration::from_secs(60);

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self) -> Result<Uuid> {
        self.reading("opening the store in memory", |rows, _| rows.deployment).await
    }

    async fn close(&self) {}

    fn describe(&self) -> String {
        "a store in memory".to_owned()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn probe(&self) -> Result<()> {
        self.writing("trying whether the store can be written", |_, _| ()).await
    }

    async fn key_probe(&self) -> Result<Option<Sealed>> {
        self.reading("reading the probe of the token key", |rows, _| rows.key_probe.clone()).await
    }

    async fn keep_key_probe(&self, probe: Sealed) -> Result<Sealed> {
        let keep = |rows: &mut super::Rows, _| rows.key_probe.get_or_insert(probe).clone();
        self.writing("keeping the probe of the token key", keep).await
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn listen(&self, tell: &(dyn Fn(Announcement) + Send + Sync)) -> Result<()> {
        let cut = self.cut.notified();
        self.around.before("listening").await?;
        tell(Announcement::Listening);
        cut.await;
        Err(StoreError::Unavailable { doing: "listening".to_owned(), source: "it was cut off".into() })
    }

    async fn changed_since(&self, since: Option<Timestamp>) -> Result<Changed> {
        self.reading("reading what changed", |rows, at| {
            let Some(since) = since.map(|since| since - OVERLAP) else {
                return Changed { at, apps: Vec::new(), tokens: Vec::new() };
            };
            let apps = rows.apps.iter().filter(|(_, (_, changed))| *changed >= since);
            let apps = apps.map(|(app, (state, _))| (app.clone(), state.clone())).collect();
            Changed { at, apps, tokens: grants::committed_since(rows, since) }
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>> {
        self.reading("reading the users", |rows, _| {
            let mut users: Vec<User> = rows.active().filter_map(|row| row.read().ok()).collect();
            users.sort_by(|a, b| a.name.cmp(&b.name));
            users
        })
        .await
    }

    async fn users_of(&self, numbers: &[UserId]) -> Result<Vec<User>> {
        self.reading("reading users by number", |rows, _| {
            let mut numbers = numbers.to_vec();
            numbers.sort();
            let active = |id: UserId| rows.user(id).filter(|row| row.active)?.read().ok();
            numbers.into_iter().filter_map(active).collect()
        })
        .await
    }

    async fn user(&self, name: &UserName) -> Result<Option<User>> {
        self.reading("reading a user", |rows, _| rows.named(name.as_str())?.read().ok()).await
    }

    async fn users_changed(&self, since: i64, limit: i64) -> Result<Changes> {
        self.reading("reading which users changed", |rows, _| users::changed(rows, since, limit)).await
    }

    async fn put_user(&self, user: &NewUser) -> Result<User> {
        let put = self.writing("adding a user", |rows, _| users::put(rows, user)).await?;
        put.ok_or_else(|| StoreError::Broken {
            doing: format!("adding user {}", user.name),
            source: "the user is not there afterwards".into(),
        })
    }

    async fn sync_file_users(&self, daemon: Owner, users: &[NewUser]) -> Result<FileUsers> {
        let sync = |rows: &mut super::Rows, _| users::sync(rows, daemon, users);
        self.writing("taking over the users of the configuration files", sync).await
    }

    async fn remove_user(&self, user: UserId, purge: bool) -> Result<()> {
        self.writing("removing a user", |rows, now| match purge {
            true => users::purge(rows, user, now),
            false => users::remove(rows, user),
        })
        .await
    }

    async fn set_paused(&self, user: Option<UserId>, paused: bool) -> Result<()> {
        self.writing("pausing or resuming users", |rows, _| users::set_paused(rows, user, paused)).await
    }

    async fn plan_runs(&self, planned: &[PlannedRun]) -> Result<Vec<(UserId, Option<Timestamp>)>> {
        self.writing("planning runs", |rows, _| runs::plan(rows, planned)).await
    }

    async fn overdue(
        &self,
        by: Duration,
        after: Option<(Timestamp, UserId)>,
        limit: i64,
    ) -> Result<Vec<(Timestamp, UserId)>> {
        let look = |rows: &super::Rows, now| runs::overdue(rows, by, after, limit, now);
        self.reading("looking for overdue runs", look).await
    }

    async fn tally(&self) -> Result<Vec<Alike>> {
        self.reading("counting the users", users::tally).await
    }

    async fn users_seen(&self, after: Option<UserId>, limit: i64) -> Result<Batch> {
        let look = |rows: &super::Rows, now| users::seen(rows, after, limit, now);
        self.reading("reading how the users are", look).await
    }

    async fn users_seen_of(&self, numbers: &[UserId]) -> Result<Vec<UserSeen>> {
        let look = |rows: &super::Rows, now| users::seen_of(rows, numbers, now);
        self.reading("reading how some users are", look).await
    }

    async fn logins_given(
        &self,
        until: Timestamp,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<LoginGiven>> {
        let look = |rows: &super::Rows, _| users::logins_given(rows, until, after, limit);
        self.reading("reading when logins were given", look).await
    }

    async fn note_ending(&self, user: UserId, epoch: Epoch, days: u32) -> Result<bool> {
        let note = |rows: &mut super::Rows, _| users::note_ending(rows, user, epoch, days);
        self.writing("noting that the end of a login was told of", note).await
    }

    async fn begin_login(&self, login: &PendingLogin) -> Result<()> {
        self.writing("beginning a login", |rows, now| users::begin_login(rows, login, now)).await
    }

    async fn take_login(&self, state: &str) -> Result<Option<PendingLogin>> {
        self.writing("taking up a login", |rows, now| users::take_login(rows, state, now)).await
    }

    async fn end_login(&self, state: &str, outcome: &std::result::Result<String, String>) -> Result<()> {
        self.writing("noting how a login ended", |rows, _| users::end_login(rows, state, outcome)).await
    }

    async fn login_progress(&self, state: &str) -> Result<Option<LoginProgress>> {
        let look = |rows: &super::Rows, now| users::login_progress(rows, state, now);
        self.reading("reading how a login stands", look).await
    }

    async fn begin_run(&self, claim: &RunClaim) -> Result<Claimed> {
        self.writing("beginning a run", |rows, now| runs::begin(rows, claim, now)).await
    }

    async fn renew_runs(&self, owner: Owner, users: &[UserId], lease: Duration) -> Result<Vec<UserId>> {
        let renew = |rows: &mut super::Rows, now| runs::renew(rows, owner, users, now + lease);
        self.writing("renewing the claims of runs under way", renew).await
    }

    async fn release_runs(&self, owner: Owner, but: &[UserId]) -> Result<Vec<UserId>> {
        let release = |rows: &mut super::Rows, now| runs::release_all(rows, owner, but, now);
        self.writing("giving up claims of runs that ended", release).await
    }

    async fn page_facts(
        &self,
        user: UserId,
        run: RunId,
        plays: &[Play],
        oldest: Option<Timestamp>,
    ) -> Result<PageFacts> {
        let look = |rows: &super::Rows, _| archive::facts(rows, user, run, plays, oldest);
        self.reading("comparing a page", look).await
    }

    async fn store_page(&self, page: &PageStored) -> Result<Added> {
        self.writing("storing a page", |rows, _| archive::store(rows, page)).await
    }

    async fn fail_run(&self, run: &RunFailed) -> Result<()> {
        self.writing("ending a run", |rows, _| runs::fail(rows, run)).await
    }

    async fn runs(&self, user: UserId, limit: i64) -> Result<Vec<Run>> {
        let limit = usize::try_from(limit.max(0)).unwrap_or(usize::MAX);
        self.reading("reading the runs of a user", |rows, _| {
            let runs = rows.user(user).map(|row| row.runs.as_slice()).unwrap_or_default();
            runs.iter().rev().take(limit).cloned().collect()
        })
        .await
    }

    async fn save_top_artists(&self, user: UserId, at: Timestamp, artists: &[Artist]) -> Result<()> {
        let save = |rows: &mut super::Rows, _| catalogue::save_top_artists(rows, user, at, artists);
        self.writing("keeping the top artists of a user", save).await
    }

    async fn gaps(&self, user: UserId) -> Result<Vec<Gap>> {
        self.reading("reading the gaps of a user", |rows, _| {
            rows.user(user).map(archive::gaps).unwrap_or_default()
        })
        .await
    }

    async fn add_events(&self, events: &[Event]) -> Result<()> {
        let add = |rows: &mut super::Rows, _| rows.events.extend(events.iter().cloned().map(Into::into));
        self.writing("keeping events", add).await
    }

    async fn events(&self, user: Option<&UserName>, limit: i64) -> Result<Vec<Event>> {
        self.reading("reading the events", |rows, _| {
            let of =
                |event: &&std::sync::Arc<Event>| user.is_none_or(|user| event.user.as_ref() == Some(user));
            let mut events: Vec<&Event> = rows.events.iter().rev().filter(of).map(|event| &**event).collect();
            events.sort_by_key(|event| std::cmp::Reverse(event.at));
            events.into_iter().take(usize::try_from(limit.max(0)).unwrap_or(0)).cloned().collect()
        })
        .await
    }

    async fn prune(&self, older_than: Timestamp) -> Result<()> {
        self.writing("forgetting what has had its time", |rows, now| {
            users::forget_expired(rows, now);
            rows.purged.retain(|_, (_, at)| *at >= older_than);
            rows.events.retain(|event| event.at >= older_than);
            let old = |row: &super::rows::UserRow| row.runs.iter().any(|run| run.started_at < older_than);
            let whom: Vec<UserId> = rows.users.values().filter(|row| old(row)).map(|row| row.id).collect();
            for user in whom {
                if let Some(row) = rows.user_mut(user) {
                    row.runs.retain(|run| run.started_at >= older_than);
                }
            }
        })
        .await
    }
}
