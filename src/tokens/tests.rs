//! The actor with its real exchange and account, on parts that record what they are asked for and fail as they are
//! told to. Time is simulated.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod offer;

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
use crate::telemetry::{Events, Metrics};

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

#[tokio::test]
async fn a_rotated_token_is_durable_before_anyone_sees_it() {
    let scene = Scene::new().await;
    assert_eq!(scene.token().await.unwrap(), "a1");
    let order = ["intent committed", "post", "spool synced", "tokens committed", "published"];
    assert_eq!(scene.journal.take(), order);
    assert_eq!(scene.token().await.unwrap(), "a1");
    assert_eq!(scene.journal.take(), ["published"], "a valid one costs nothing");
}

#[tokio::test]
async fn an_error_answer_is_spooled_before_it_is_read_too() {
    let scene = Scene::new().await;
    scene.script([invalid_grant()]);
    assert!(matches!(scene.token().await, Err(TokenError::NeedsLogin(_))));
    let order = ["intent committed", "post", "spool synced", "closed as refused", "published"];
    assert_eq!(scene.journal.take(), order);
}

#[tokio::test]
async fn the_same_statement_is_repeated_until_the_store_answers() {
    let scene = Scene::new().await;
    scene.store.fail("intent", true, 1);
    scene.store.fail("commit", true, 2);
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.until(|| scene.journal.count("tokens committed") == 1).await;
    assert!(asking.await.unwrap().is_err(), "who waited was told that the store is away");
    assert_eq!(scene.token().await.unwrap(), "a1");
    let happened = scene.journal.take();
    assert_eq!(happened.iter().filter(|what| *what == "post").count(), 1, "{happened:?}");
}

#[tokio::test]
async fn without_the_store_nothing_is_sent() {
    let scene = Scene::new().await;
    scene.store.fail("intent", false, 1_000);
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.until(|| asking.is_finished()).await;
    assert!(matches!(asking.await.unwrap(), Err(TokenError::Waiting { trouble: Trouble::Store, .. })));
    assert_eq!(scene.journal.count("post"), 0);
}

#[tokio::test]
async fn a_spool_that_fails_is_tried_again_with_the_commit_and_nothing_is_published_before() {
    let scene = Scene::new().await;
    *scene.spool.failing.lock().unwrap() = 2;
    scene.store.fail("commit", false, 2);
    scene.keeper.health().await.unwrap();
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.until(|| scene.journal.count("tokens committed") == 1).await;
    assert!(asking.await.unwrap().is_err());
    let happened = scene.journal.take();
    let expected = [
        "intent committed",
        "post",
        "spool fails",
        "commit fails",
        "spool fails",
        "commit fails",
        "spool synced",
        "tokens committed",
    ];
    assert_eq!(happened, expected);
}

#[tokio::test]
async fn an_answer_in_the_spool_is_delivered_by_the_next_start() {
    let scene = Scene::new().await;
    scene.store.fail("commit", false, usize::from(u16::MAX));
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.until(|| scene.journal.count("commit fails") > 0).await;
    asking.abort();
    scene.store.failing.lock().unwrap().clear();
    let keeper = scene.restart().await;
    assert_eq!(keeper.token(ALICE, Need::default()).await.unwrap().access_token.expose(), "a1");
    assert_eq!(scene.journal.count("post"), 1);
}

#[tokio::test]
async fn a_store_that_lost_its_last_commits_gets_them_back_from_the_spool() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let before = scene.store.inner.grants();
    scene.ask(FRESH).await.unwrap();
    scene.store.inner.put_grants(before);
    let keeper = scene.restart().await;
    let token = keeper.token(ALICE, Need::default()).await.unwrap();
    assert_eq!(token.access_token.expose(), "a2");
    assert_eq!(scene.store.grant(ALICE).await.unwrap().unwrap().generation, token.generation);
}

#[tokio::test]
async fn a_hundred_at_once_cause_one_refresh() {
    let scene = Scene::new().await;
    let hold = Arc::new(Notify::new());
    *scene.endpoint.hold.lock().unwrap() = Some(hold.clone());
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let keeper = scene.keeper.clone();
            tokio::spawn(async move { keeper.token(ALICE, FRESH).await.unwrap().generation })
        })
        .collect();
    scene.endpoint.posted.notified().await;
    // Every question is in the actor's queue before it answers this one.
    tokio::task::yield_now().await;
    scene.keeper.health().await.unwrap();
    hold.notify_one();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), crate::domain::Generation(2));
    }
    assert_eq!(scene.journal.count("post"), 1);
}

#[tokio::test]
async fn a_lost_answer_is_doubt_until_an_answer_ends_it() {
    let scene = Scene::new().await;
    assert_eq!(scene.token().await.unwrap(), "a1");
    scene.script([
        Err(PostError::Lost("reset".to_owned())),
        Ok(answer(503, "upstream")),
        Ok(answer(200, "<html>")),
    ]);
    assert!(matches!(scene.ask(FRESH).await, Err(TokenError::InDoubt { .. })));
    assert_eq!(scene.token().await.unwrap(), "a1", "the present one goes on being given out");
    let grant = || scene.store.inner.grants()[&ALICE].clone();
    assert!(grant().doubt.is_some());
    scene.until(|| grant().doubt.is_none()).await;
    assert_eq!(scene.token().await.unwrap(), "a2");
    assert_eq!(scene.journal.count("post"), 5);
}

#[tokio::test]
async fn invalid_grant_after_a_lost_answer_tells_the_true_reason() {
    let scene = Scene::new().await;
    scene.script([Err(PostError::Lost("reset".to_owned())), invalid_grant()]);
    assert!(matches!(scene.token().await, Err(TokenError::InDoubt { .. })));
    scene.until(|| scene.store.inner.grants()[&ALICE].refusal.is_some()).await;
    let reason = scene.token().await.unwrap_err().to_string();
    assert!(reason.contains("an answer was lost") && reason.contains("longplay login alice"), "{reason}");
}

#[tokio::test]
async fn a_dead_login_costs_one_request_at_once_and_four_slow_ones_in_a_day() {
    let scene = Scene::new().await;
    scene.script((0..100).map(|_| invalid_grant()));
    assert!(scene.token().await.is_err());
    assert_eq!(scene.journal.count("post"), 1);
    let posts_after = |hours: u64, posts| {
        let scene = &scene;
        async move {
            for _ in 0..hours * 60 {
                scene.clock.advance(Duration::from_secs(60));
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                assert!(scene.keeper.token(ALICE, Need::default()).await.is_err());
            }
            assert_eq!(scene.journal.count("post"), posts, "after {hours} h more");
        }
    };
    posts_after(2, 3).await;
    posts_after(6, 4).await;
    posts_after(18, 5).await;
    posts_after(48, 5).await;
    let grant = scene.store.grant(ALICE).await.unwrap().unwrap();
    assert!(grant.refresh_token.is_some(), "the tokens are kept");
}

#[tokio::test]
async fn a_429_holds_the_app_and_costs_nothing() {
    let scene = Scene::new().await;
    let limited = RawAnswer { retry_after: Some("600".to_owned()), ..answer(429, "slow down") };
    scene.script([Ok(limited)]);
    let first = scene.token().await.unwrap_err();
    assert!(
        matches!(first, TokenError::Waiting { trouble: Trouble::RateLimited, retry_after, .. } if retry_after == Duration::from_secs(600))
    );
    scene.clock.advance(Duration::from_secs(599));
    assert!(scene.token().await.is_err());
    assert_eq!(scene.journal.count("post"), 1);
    scene.clock.advance(Duration::from_secs(2));
    assert_eq!(scene.token().await.unwrap(), "a1");
}

#[tokio::test]
async fn a_refused_client_blocks_the_app_and_touches_no_login() {
    let scene = Scene::new().await;
    let refused = || Ok(answer(400, r#"{"error":"invalid_client"}"#));
    scene.script([refused(), refused()]);
    for _ in 0..5 {
        assert!(matches!(scene.token().await, Err(TokenError::Blocked(_))));
    }
    assert_eq!(scene.journal.count("post"), 1);
    let insist = Need { insist: true, ..Need::default() };
    assert!(scene.ask(insist).await.is_err());
    assert_eq!(scene.journal.count("post"), 2, "a person insisted");
    assert_eq!(scene.ask(insist).await.unwrap(), "a1");
    assert!(scene.exchange.gate.fault(&scene.app.name).is_none());
}

#[tokio::test]
async fn a_new_login_is_not_overwritten_by_the_late_answer_of_the_old_one() {
    let scene = Scene::new().await;
    let hold = Arc::new(Notify::new());
    *scene.endpoint.hold.lock().unwrap() = Some(hold.clone());
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.endpoint.posted.notified().await;
    let tokens = crate::oauth::Tokens {
        access_token: "new".to_owned().into(),
        refresh_token: None,
        lifetime: Duration::from_secs(3_600),
        scope: None,
    };
    let login = LoginGrant {
        account: Some("A".to_owned()),
        login_at: Some(scene.clock.now()),
        refresh_token: RefreshToken::from("rnew".to_owned()),
        answer: Some((tokens, scene.clock.now())),
    };
    scene.keeper.login(ALICE, login).await.unwrap();
    assert_eq!(
        asking.await.unwrap().unwrap().access_token.expose(),
        "new",
        "who waited gets the new login's"
    );
    hold.notify_one();
    scene.until(|| scene.journal.count("tokens refused") == 2).await;
    assert_eq!(scene.token().await.unwrap(), "new");
}

#[tokio::test]
async fn a_renewal_by_another_account_is_refused_and_overwrites_nothing() {
    let scene = Scene::new().await;
    let before = scene.store.inner.grants();
    let refresh_token = RefreshToken::from("other".to_owned());
    let login = LoginGrant { account: Some("B".to_owned()), login_at: None, refresh_token, answer: None };
    let error = scene.keeper.login(ALICE, login).await.unwrap_err();
    assert!(matches!(error, LoginError::OtherAccount { .. }), "{error}");
    assert_eq!(scene.store.inner.grants(), before);
}

#[tokio::test]
async fn a_stop_waits_for_the_refresh_under_way_and_starts_nothing_new() {
    let scene = Scene::new().await;
    let hold = Arc::new(Notify::new());
    *scene.endpoint.hold.lock().unwrap() = Some(hold.clone());
    let asking = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(ALICE, Need::default()).await }
    });
    scene.endpoint.posted.notified().await;
    let stopping = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.stop().await }
    });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    assert!(matches!(scene.keeper.token(ALICE, Need::default()).await, Err(TokenError::Stopped)));
    hold.notify_one();
    stopping.await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().access_token.expose(), "a1");
    assert_eq!(scene.journal.count("tokens committed"), 1);
    assert!(matches!(scene.keeper.token(ALICE, Need::default()).await, Err(TokenError::Stopped)));
}

#[tokio::test]
async fn one_slow_refresh_holds_up_nobody_elses_cached_token() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let bob = UserId(2);
    let (name, app) = ("bob".parse().unwrap(), scene.app.name.clone());
    scene.keeper.members(vec![Member { id: bob, name, app, paused: false }]).await;
    let refresh_token = RefreshToken::from("b0".to_owned());
    let login = LoginGrant { account: None, login_at: None, refresh_token, answer: None };
    scene.keeper.login(bob, login).await.unwrap();
    *scene.endpoint.hold.lock().unwrap() = Some(Arc::default());
    let hanging = tokio::spawn({
        let keeper = scene.keeper.clone();
        async move { keeper.token(bob, Need::default()).await }
    });
    scene.endpoint.posted.notified().await;
    scene.endpoint.posted.notified().await;
    assert_eq!(scene.token().await.unwrap(), "a1");
    assert!(!hanging.is_finished());
}

#[tokio::test]
async fn new_settings_have_a_grant_read_again_only_where_its_login_means_something_else_now() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let reads = || scene.store.reads.lock().unwrap().all;
    let before = reads();
    let configure = async |app: AppSettings| {
        let apps = [(app.name.clone(), app)].into();
        scene.keeper.configure(apps, TokenSettings { concurrency: 1, ..settings() }).await;
        scene.token().await.map_err(|error| error.to_string())
    };
    assert_eq!(configure(AppSettings { calls_per_day: 7, ..app() }).await.unwrap(), "a1");
    assert_eq!(reads(), before);
    let refused = configure(AppSettings { client_id: "other".to_owned(), ..app() }).await.unwrap_err();
    assert!(refused.contains("another client id") && reads() == before + 1, "{refused}");
    assert_eq!(configure(app()).await.unwrap(), "a1");
}

#[tokio::test]
async fn a_resume_of_everyone_reads_a_few_grants_at_a_time_and_all() {
    const MANY: i64 = 500;
    let scene = Scene::new().await;
    let everyone = |paused| -> Vec<Member> {
        let name = |n| format!("u{n}").parse().unwrap();
        let member = |n| Member { id: UserId(n), name: name(n), app: scene.app.name.clone(), paused };
        (2..2 + MANY).map(member).collect()
    };
    scene.keeper.members(everyone(true)).await;
    let before = scene.store.reads.lock().unwrap().all;
    scene.keeper.members(everyone(false)).await;
    scene.until(|| scene.store.reads.lock().unwrap().all == before + MANY as usize).await;
    assert!(scene.keeper.token(UserId(1 + MANY), Need::default()).await.is_err(), "no login, and an answer");
    let most = scene.store.reads.lock().unwrap().most;
    assert!((2..=64).contains(&most), "{most}");
}

#[tokio::test]
async fn a_run_that_is_due_costs_no_read() {
    let scene = Scene::new().await;
    let keeper = scene.restart().await;
    let before = scene.store.reads.lock().unwrap().all;
    for minutes in [5, 60] {
        keeper.runs_due(vec![(ALICE, Some(scene.clock.now() + Duration::from_secs(60 * minutes)))]).await;
        keeper.health().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.store.reads.lock().unwrap().all, before);
}
