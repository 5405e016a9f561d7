//! The actor with its real exchange and account, on parts that record what they are asked for and fail as they are
//! told to. Time is simulated.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod commit;
mod guard;
mod incident;
mod many;
mod offer;
mod outcome;

use super::*;
use crate::clock::{Clock, SimulatedClock};
use crate::config::{AppSettings, Auth, RefreshMode, TokenKey, TokenSettings};
use crate::domain::{AppName, AppState, AttemptId, Epoch, Grant, Owner, RefreshToken};
use crate::oauth::{PostError, RawAnswer, TokenRequest, Transport};
use crate::random::Random;
use crate::spotify::Gate;
use crate::store::{
    Close, CommitIf, GrantHead, GrantStore, Intent, MemoryStore, NewLogin, NewTokens, StoreError,
};
use crate::telemetry::{Events, Metrics, UsersSeen};

const ALICE: UserId = UserId(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
    fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|noted| *noted == what).count()
    }
}

/// The store in memory, that notes what is committed, and fails as often as it is told to; `late`: after the effect.
struct Store {
    inner: MemoryStore,
    journal: Journal,
    failing: Mutex<VecDeque<(&'static str, bool)>>,
    reads: Mutex<Reads>,
}

/// How many grants were read, are being read, and were at most at a time.
#[derive(Debug, Default)]
struct Reads {
    all: usize,
    under_way: usize,
    most: usize,
}

impl Store {
    fn fail(&self, what: &'static str, late: bool, times: usize) {
        self.failing.lock().unwrap().extend(std::iter::repeat_n((what, late), times));
    }

    fn fails(&self, what: &str, late: bool) -> crate::store::Result<()> {
        let mut failing = self.failing.lock().unwrap();
        match failing.iter().position(|fault| *fault == (what, late)) {
            Some(at) => {
                failing.remove(at);
                self.journal.note(format!("{what} fails"));
                Err(StoreError::Unavailable { doing: what.to_owned(), source: "injected".into() })
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl crate::store::QuotaStore for Store {
    async fn take_calls(
        &self,
        wanted: &crate::store::CallsWanted,
    ) -> crate::store::Result<crate::store::CallsTaken> {
        self.inner.take_calls(wanted).await
    }
    async fn calls_taken(&self, group: &str) -> crate::store::Result<Vec<(Duration, u32)>> {
        self.inner.calls_taken(group).await
    }
}

#[async_trait]
impl GrantStore for Store {
    async fn app_state(&self, app: &AppName) -> crate::store::Result<AppState> {
        self.inner.app_state(app).await
    }
    async fn app_states(&self, apps: &[AppName]) -> crate::store::Result<Vec<(AppName, AppState)>> {
        self.inner.app_states(apps).await
    }
    async fn save_app_state(&self, app: &AppName, state: &AppState) -> crate::store::Result<bool> {
        self.inner.save_app_state(app, state).await
    }
    async fn grant(&self, user: UserId) -> crate::store::Result<Option<Grant>> {
        {
            let mut reads = self.reads.lock().unwrap();
            (reads.all, reads.under_way) = (reads.all + 1, reads.under_way + 1);
            reads.most = reads.most.max(reads.under_way);
        }
        tokio::task::yield_now().await;
        self.reads.lock().unwrap().under_way -= 1;
        self.fails("read", false)?;
        self.inner.grant(user).await
    }
    async fn grant_heads(&self, users: &[UserId]) -> crate::store::Result<Vec<GrantHead>> {
        self.fails("heads", false)?;
        self.journal.note("heads read");
        self.inner.grant_heads(users).await
    }
    async fn troubled_users(&self) -> crate::store::Result<Vec<UserId>> {
        self.inner.troubled_users().await
    }
    async fn begin_attempt(&self, intent: &Intent) -> crate::store::Result<bool> {
        self.fails("intent", false)?;
        let begun = self.inner.begin_attempt(intent).await?;
        self.fails("intent", true)?;
        self.journal.note(if begun { "intent committed" } else { "intent refused" });
        Ok(begun)
    }
    async fn commit_tokens(&self, tokens: &NewTokens, when: CommitIf) -> crate::store::Result<bool> {
        self.fails("commit", false)?;
        let committed = self.inner.commit_tokens(tokens, when).await?;
        self.fails("commit", true)?;
        self.journal.note(if committed { "tokens committed" } else { "tokens refused" });
        Ok(committed)
    }
    async fn close_attempt(
        &self,
        user: UserId,
        epoch: Epoch,
        attempt: AttemptId,
        close: &Close,
    ) -> crate::store::Result<bool> {
        let closed = self.inner.close_attempt(user, epoch, attempt, close).await?;
        let how = match close {
            Close::Nothing => "closed",
            Close::Doubt(_) => "closed in doubt",
            Close::Refused(_) => "closed as refused",
        };
        self.journal.note(how);
        Ok(closed)
    }
    async fn commit_login(&self, login: &NewLogin) -> crate::store::Result<bool> {
        self.inner.commit_login(login).await
    }
    async fn set_account(&self, user: UserId, epoch: Epoch, account: &str) -> crate::store::Result<()> {
        self.inner.set_account(user, epoch, account).await
    }
}

/// The spool in memory.
struct Slots {
    journal: Journal,
    kept: Mutex<Vec<Kept>>,
    failing: Mutex<usize>,
}

#[async_trait]
impl Spool for Slots {
    async fn prepare(&self, _: UserId) -> std::io::Result<()> {
        Ok(())
    }
    async fn keep(&self, kept: &Kept) -> std::io::Result<()> {
        let mut failing = self.failing.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            self.journal.note("spool fails");
            return Err(std::io::Error::other("injected"));
        }
        self.journal.note("spool synced");
        self.kept.lock().unwrap().insert(0, kept.clone());
        Ok(())
    }
    async fn users(&self) -> std::io::Result<Vec<UserId>> {
        let users: BTreeSet<UserId> = self.kept.lock().unwrap().iter().map(|kept| kept.user).collect();
        Ok(users.into_iter().collect())
    }
    async fn glance(&self, users: &[UserId]) -> std::io::Result<Vec<Glance>> {
        let kept = self.kept.lock().unwrap();
        let heads = |user| kept.iter().filter(|kept| kept.user == user).map(Kept::head).collect();
        Ok(users.iter().map(|user| Glance { user: *user, heads: heads(*user), sound: true }).collect())
    }
    async fn kept_of(&self, user: UserId) -> std::io::Result<(Vec<Kept>, Vec<String>)> {
        let kept = self.kept.lock().unwrap();
        Ok((kept.iter().filter(|kept| kept.user == user).cloned().collect(), Vec::new()))
    }
    async fn forget(&self, _: UserId) -> std::io::Result<()> {
        Ok(())
    }
}

/// A token endpoint that answers from a script; without one, with new tokens. It can be held.
struct Endpoint {
    journal: Journal,
    script: Mutex<VecDeque<Result<RawAnswer, PostError>>>,
    hold: Mutex<Option<Arc<Notify>>>,
    posted: Notify,
    number: Mutex<u32>,
}

fn answer(status: u16, body: &str) -> RawAnswer {
    RawAnswer { status, retry_after: None, date: None, body: body.as_bytes().to_vec().into() }
}

#[async_trait]
impl Transport for Endpoint {
    async fn post(&self, _: TokenRequest) -> Result<RawAnswer, PostError> {
        self.journal.note("post");
        self.posted.notify_one();
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        if let Some(scripted) = self.script.lock().unwrap().pop_front() {
            return scripted;
        }
        let mut number = self.number.lock().unwrap();
        *number += 1;
        let body = format!(r#"{{"access_token":"a{number}","refresh_token":"r{number}","expires_in":3600}}"#);
        Ok(answer(200, &body))
    }
}

struct Scene {
    journal: Journal,
    clock: Arc<SimulatedClock>,
    store: Arc<Store>,
    spool: Arc<Slots>,
    endpoint: Arc<Endpoint>,
    exchange: Arc<Exchange>,
    keeper: TokenKeeper,
    app: AppSettings,
}

fn app() -> AppSettings {
    AppSettings {
        name: "default".parse().unwrap(),
        client_id: "id".to_owned(),
        auth: Auth::Pkce,
        redirect_uri: "http://127.0.0.1:8467/callback".to_owned(),
        authorize_url: "http://127.0.0.1/authorize".to_owned(),
        token_url: "http://127.0.0.1/api/token".to_owned(),
        api_url: "http://127.0.0.1/v1".to_owned(),
        rotation_grace: Duration::ZERO,
        login_lifetime: Some(6),
        calls_per_day: 1_000,
        quota_group: "default".to_owned(),
    }
}

fn settings() -> TokenSettings {
    TokenSettings {
        buffer: Duration::from_secs(300),
        refresh: RefreshMode::OnDemand,
        concurrency: 8,
        key: None,
        old_key: None,
    }
}

impl Scene {
    /// Alice has the refresh token `r0` and no access token.
    async fn new() -> Self {
        let journal = Journal::default();
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let time: Arc<dyn Clock> = clock.clone();
        let (note, fail) = (journal.clone(), Mutex::default());
        let store = Arc::new(Store {
            inner: MemoryStore::new(time.clone()),
            journal: note,
            failing: fail,
            reads: Mutex::default(),
        });
        let spool =
            Arc::new(Slots { journal: journal.clone(), kept: Mutex::default(), failing: Mutex::default() });
        let endpoint = Arc::new(Endpoint {
            journal: journal.clone(),
            script: Mutex::default(),
            hold: Mutex::default(),
            posted: Notify::new(),
            number: Mutex::default(),
        });
        let events = Events::new(time.clone());
        let exchange = Arc::new(Exchange {
            store: store.clone(),
            transport: endpoint.clone(),
            spool: spool.clone(),
            vault: Arc::new(Vault::new(Uuid::nil(), &TokenKey::new([1; 32]), None)),
            clock: time.clone(),
            clock_note: Arc::new(()),
            random: Arc::new(Random::seeded(1)),
            gate: Gate::new(time, store.clone(), events.clone()),
            metrics: Arc::new(Metrics::new()),
            events,
            owner: Owner(Uuid::from_u128(7)),
            stopping: CancellationToken::new(),
        });
        let app = app();
        let (keeper, _) = start(exchange.clone(), [(app.name.clone(), app.clone())].into(), settings());
        store.inner.add_users(2);
        let scene = Self { journal, clock, store, spool, endpoint, exchange, keeper, app };
        scene.join(&scene.keeper).await;
        let refresh_token = RefreshToken::from("r0".to_owned());
        let login = LoginGrant { account: Some("A".to_owned()), login_at: None, refresh_token, answer: None };
        scene.keeper.login(ALICE, login).await.unwrap();
        scene
    }

    async fn join(&self, keeper: &TokenKeeper) {
        let (name, app) = ("alice".parse().unwrap(), self.app.name.clone());
        keeper.members(vec![Member { id: ALICE, name, app, paused: false }]).await;
    }

    /// A daemon started again on the same store and spool.
    async fn restart(&self) -> TokenKeeper {
        let subject =
            Subject { user: ALICE, name: "alice".parse().unwrap(), app: Arc::new(self.app.clone()) };
        offer_spool(&self.exchange, async |_| Ok(vec![subject.clone()])).await.unwrap();
        let (keeper, _) =
            start(self.exchange.clone(), [(self.app.name.clone(), self.app.clone())].into(), settings());
        self.join(&keeper).await;
        keeper
    }

    async fn token(&self) -> Result<String, TokenError> {
        self.ask(Need::default()).await
    }

    async fn ask(&self, need: Need) -> Result<String, TokenError> {
        let published = self.keeper.token(ALICE, need).await;
        self.journal.note("published");
        published.map(|token| token.access_token.expose().to_owned())
    }

    fn script(&self, answers: impl IntoIterator<Item = Result<RawAnswer, PostError>>) {
        self.endpoint.script.lock().unwrap().extend(answers);
    }

    /// Lets simulated time pass until this is so.
    async fn until(&self, so: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if so() {
                return;
            }
            tokio::task::yield_now().await;
            self.clock.advance(Duration::from_millis(50));
        }
        panic!("it never came to pass: {:?}", self.journal.take());
    }
}

const FRESH: Need = Need { valid_for: Duration::ZERO, fresh: true, insist: false, program: false };

fn invalid_grant() -> Result<RawAnswer, PostError> {
    Ok(answer(400, r#"{"error":"invalid_grant","error_description":"Refresh token revoked"}"#))
}
