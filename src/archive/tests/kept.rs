//! A store in memory that keeps what a run touches, and can be told to fail.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Journal;
use crate::domain::*;
use crate::store::*;

/// What the store keeps of one user.
pub struct Kept {
    pub user: User,
    pub runs: Vec<(Trigger, Option<RunResult>, Option<String>)>,
    pub plays: Vec<Play>,
    pub gaps: Vec<Gap>,
    pub top: Vec<Artist>,
    app: AppState,
    /// Methods that fail, each so many times, and whether for good.
    faults: Vec<(&'static str, usize, bool)>,
}

pub struct FakeStore {
    kept: Mutex<Kept>,
    journal: Journal,
}

impl FakeStore {
    pub fn new(name: &str, journal: Journal) -> Self {
        let user = User {
            id: UserId(1),
            name: name.parse().unwrap(),
            app: "default".parse().unwrap(),
            schedule: None,
            timezone: None,
            origin: Origin::Store,
            paused: false,
            active: true,
            next_run_at: None,
            running: false,
            last_run_at: None,
            last_run_result: None,
            last_run_reason: None,
            last_archived_at: None,
            blocked: None,
            top_fetched_at: None,
            plays: 0,
            gaps: 0,
        };
        let (runs, plays, gaps, top) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let kept = Kept { user, runs, plays, gaps, top, app: AppState::default(), faults: Vec::new() };
        Self { kept: Mutex::new(kept), journal }
    }

    pub fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Lets a method fail so many times as when the database can't be reached.
    pub fn away(&self, method: &'static str, times: usize) {
        self.kept().faults.push((method, times, false));
    }

    /// Lets a method be refused once by the database.
    pub fn refuse(&self, method: &'static str) {
        self.kept().faults.push((method, 1, true));
    }

    fn asked(&self, method: &'static str) -> Result<()> {
        self.journal.note(method);
        let mut kept = self.kept();
        let Some(at) = kept.faults.iter().position(|fault| fault.0 == method) else { return Ok(()) };
        let broken = kept.faults[at].2;
        kept.faults[at].1 -= 1;
        if kept.faults[at].1 == 0 {
            kept.faults.remove(at);
        }
        let (doing, source) = (method.to_owned(), "injected".into());
        Err(if broken {
            StoreError::Broken { doing, source }
        } else {
            StoreError::Unavailable { doing, source }
        })
    }
}

#[async_trait]
impl GrantStore for FakeStore {
    async fn app_state(&self, _: &AppName) -> Result<AppState> {
        Ok(self.kept().app.clone())
    }
    async fn app_states(&self, _: &[AppName]) -> Result<Vec<(AppName, AppState)>> {
        unimplemented!()
    }
    async fn save_app_state(&self, _: &AppName, state: &AppState) -> Result<bool> {
        self.kept().app = state.clone();
        Ok(true)
    }
    async fn grant(&self, _: UserId) -> Result<Option<Grant>> {
        unimplemented!()
    }
    async fn grant_heads(&self, _: &[UserId]) -> Result<Vec<GrantHead>> {
        unimplemented!()
    }
    async fn troubled_users(&self) -> Result<Vec<UserId>> {
        unimplemented!()
    }
    async fn begin_attempt(&self, _: &Intent) -> Result<bool> {
        unimplemented!()
    }
    async fn commit_tokens(&self, _: &NewTokens, _: CommitIf) -> Result<bool> {
        unimplemented!()
    }
    async fn close_attempt(&self, _: UserId, _: Epoch, _: AttemptId, _: &Close) -> Result<bool> {
        unimplemented!()
    }
    async fn commit_login(&self, _: &NewLogin) -> Result<bool> {
        unimplemented!()
    }
    async fn set_account(&self, _: UserId, _: Epoch, _: &str) -> Result<()> {
        unimplemented!()
    }
}

#[async_trait]
impl Store for FakeStore {
    fn trouble(&self) -> Option<String> {
        None
    }
    async fn probe(&self) -> Result<()> {
        Ok(())
    }
    fn describe(&self) -> String {
        "memory".to_owned()
    }
    fn is_shared(&self) -> bool {
        false
    }
    async fn listen(&self, _: &(dyn Fn(Announcement) + Send + Sync)) -> Result<()> {
        unimplemented!()
    }
    async fn changed_since(&self, _: Option<Timestamp>) -> Result<Changed> {
        unimplemented!()
    }
    async fn users_of(&self, _: &[UserId]) -> Result<Vec<User>> {
        unimplemented!()
    }
    async fn user(&self, name: &UserName) -> Result<Option<User>> {
        self.asked("user")?;
        let user = self.kept().user.clone();
        Ok((user.name == *name).then_some(user))
    }
    async fn begin_run(&self, claim: &RunClaim) -> Result<Claimed> {
        self.asked("begin_run")?;
        let mut kept = self.kept();
        kept.runs.push((claim.trigger, None, None));
        Ok(Claimed::Begun(RunId(kept.runs.len() as i64)))
    }
    async fn page_facts(
        &self,
        _: UserId,
        run: RunId,
        plays: &[Play],
        oldest: Option<Timestamp>,
    ) -> Result<PageFacts> {
        self.asked("page_facts")?;
        let kept = self.kept();
        let earlier = &kept.runs[..run.0 as usize - 1];
        let times = || kept.plays.iter().map(|play| play.played_at);
        let last = earlier.iter().rposition(|run| run.1.is_some_and(RunResult::archived));
        Ok(PageFacts {
            known: plays.iter().filter(|play| kept.plays.contains(play)).count(),
            newest_stored: kept.plays.iter().map(|play| play.played_at).max(),
            before: times().filter(|at| oldest.is_none_or(|oldest| *at < oldest)).max(),
            stored: times().filter(|at| oldest.is_some_and(|oldest| *at >= oldest)).collect(),
            gaps: kept.gaps.clone(),
            last_archived_at: kept.user.last_archived_at,
            results_since: earlier[last.map_or(0, |last| last + 1)..].iter().map(|run| run.1).collect(),
        })
    }
    async fn store_page(&self, page: &PageStored) -> Result<Added> {
        self.asked("store_page")?;
        let mut kept = self.kept();
        let new: Vec<Play> = page.plays.iter().filter(|play| !kept.plays.contains(play)).cloned().collect();
        kept.plays.extend(new.iter().cloned());
        let mut added = Added { plays: new.len(), gaps: Vec::new() };
        for gap in &page.gaps {
            let same =
                |known: &&mut Gap| (known.from, known.to, known.cause) == (gap.from, gap.to, gap.cause);
            match kept.gaps.iter_mut().find(same) {
                Some(known) => *known = gap.clone(),
                None => {
                    kept.gaps.push(gap.clone());
                    added.gaps.push(gap.clone());
                }
            }
        }
        kept.user.blocked = None;
        kept.user.last_archived_at = Some(page.at);
        let run = &mut kept.runs[page.run.0 as usize - 1];
        (run.1, run.2) = (Some(page.result), page.reason.clone());
        Ok(added)
    }
    async fn fail_run(&self, failed: &RunFailed) -> Result<()> {
        self.asked("fail_run")?;
        let mut kept = self.kept();
        if failed.blocked.is_some() {
            kept.user.blocked = failed.blocked.clone();
        }
        let run = &mut kept.runs[failed.run.0 as usize - 1];
        (run.1, run.2) = (Some(failed.result), Some(failed.reason.clone()));
        Ok(())
    }
    async fn save_top_artists(&self, _: UserId, at: Timestamp, artists: &[Artist]) -> Result<()> {
        self.asked("save_top_artists")?;
        let mut kept = self.kept();
        kept.user.top_fetched_at = Some(at);
        kept.top = artists.to_vec();
        Ok(())
    }
    async fn open(&self) -> Result<Uuid> {
        unimplemented!()
    }
    async fn close(&self) {
        unimplemented!()
    }
    async fn key_probe(&self) -> Result<Option<Sealed>> {
        unimplemented!()
    }
    async fn keep_key_probe(&self, _: Sealed) -> Result<Sealed> {
        unimplemented!()
    }
    async fn users(&self) -> Result<Vec<User>> {
        unimplemented!()
    }
    async fn users_changed(&self, _: i64, _: i64) -> Result<Changes> {
        unimplemented!()
    }
    async fn put_user(&self, _: &NewUser) -> Result<User> {
        unimplemented!()
    }
    async fn sync_file_users(&self, _: Owner, _: &[NewUser]) -> Result<FileUsers> {
        unimplemented!()
    }
    async fn remove_user(&self, _: UserId, _: bool) -> Result<()> {
        unimplemented!()
    }
    async fn set_paused(&self, _: Option<UserId>, _: bool) -> Result<()> {
        unimplemented!()
    }
    async fn plan_runs(&self, _: &[PlannedRun]) -> Result<Vec<(UserId, Option<Timestamp>)>> {
        unimplemented!()
    }
    async fn overdue(
        &self,
        _: Duration,
        _: Option<(Timestamp, UserId)>,
        _: i64,
    ) -> Result<Vec<(Timestamp, UserId)>> {
        unimplemented!()
    }
    async fn renew_runs(&self, _: Owner, _: &[UserId], _: Duration) -> Result<Vec<UserId>> {
        unimplemented!()
    }
    async fn release_runs(&self, _: Owner, _: &[UserId]) -> Result<Vec<UserId>> {
        unimplemented!()
    }
    async fn begin_login(&self, _: &PendingLogin) -> Result<()> {
        unimplemented!()
    }
    async fn take_login(&self, _: &str) -> Result<Option<PendingLogin>> {
        unimplemented!()
    }
    async fn end_login(&self, _: &str, _: &std::result::Result<String, String>) -> Result<()> {
        unimplemented!()
    }
    async fn login_progress(&self, _: &str) -> Result<Option<LoginProgress>> {
        unimplemented!()
    }
    async fn runs(&self, _: UserId, _: i64) -> Result<Vec<Run>> {
        unimplemented!()
    }
    async fn plays(&self, _: UserId, _: PlayQuery) -> Result<Vec<StoredPlay>> {
        unimplemented!()
    }
    async fn top(&self, _: UserId, _: TopKind, _: Option<Timestamp>, _: i64) -> Result<Vec<TopEntry>> {
        unimplemented!()
    }
    async fn top_artists(&self, _: UserId) -> Result<Vec<TopArtist>> {
        unimplemented!()
    }
    async fn gaps(&self, _: UserId) -> Result<Vec<Gap>> {
        unimplemented!()
    }
    async fn tally(&self) -> Result<Vec<Alike>> {
        unimplemented!()
    }
    async fn users_seen(&self, _: Option<UserId>, _: i64) -> Result<Bite> {
        unimplemented!()
    }
    async fn logins_given(&self, _: Timestamp, _: Option<UserId>, _: i64) -> Result<Vec<LoginGiven>> {
        unimplemented!()
    }
    async fn note_ending(&self, _: UserId, _: Epoch, _: u32) -> Result<bool> {
        unimplemented!()
    }
    async fn add_event(&self, _: &Event) -> Result<()> {
        unimplemented!()
    }
    async fn events(&self, _: Option<&UserName>, _: i64) -> Result<Vec<Event>> {
        unimplemented!()
    }
    async fn prune(&self, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
}
