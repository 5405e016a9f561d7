//! A provider that refuses everyone for an hour, on simulated time: forty users whom a program asks for all day.

use std::collections::BTreeMap;

use super::*;

const USERS: i64 = 40;
const MINUTE: Duration = Duration::from_secs(60);
/// The bad hour, in minutes from the beginning.
const BAD: std::ops::Range<u64> = 120..180;
/// Who withdraws the consent in the middle of it.
const GONE: i64 = 17;
const GONE_AT: u64 = 150;

/// One login as the provider knows it.
#[derive(Debug, Default, Clone)]
struct Login {
    rotated: u32,
    revoked: bool,
    /// In which minutes it was asked for new tokens.
    asked: Vec<u64>,
}

/// Rotates strictly, and refuses every token in the bad hour. The refresh token `7.3` is user 7's third.
struct Provider {
    clock: Arc<SimulatedClock>,
    began: Timestamp,
    logins: Mutex<BTreeMap<i64, Login>>,
}

impl Provider {
    fn minute(&self) -> u64 {
        self.clock.now().since(self.began).as_secs() / 60
    }

    fn login(&self, user: i64) -> Login {
        self.logins.lock().unwrap()[&user].clone()
    }
}

#[async_trait]
impl Transport for Provider {
    async fn post(&self, request: TokenRequest) -> Result<RawAnswer, PostError> {
        let minute = self.minute();
        let form = url::form_urlencoded::parse(request.form().as_bytes());
        let token = form.into_iter().find(|(name, _)| name == "refresh_token").unwrap().1.into_owned();
        let (user, number) = token.split_once('.').unwrap();
        let mut logins = self.logins.lock().unwrap();
        let login = logins.get_mut(&user.parse().unwrap()).unwrap();
        login.asked.push(minute);
        if BAD.contains(&minute) {
            return invalid_grant();
        }
        login.revoked |= number.parse() != Ok(login.rotated);
        if login.revoked {
            return invalid_grant();
        }
        login.rotated += 1;
        let body = format!(
            r#"{{"access_token":"a{token}","refresh_token":"{user}.{}","expires_in":3600}}"#,
            login.rotated
        );
        Ok(answer(200, &body))
    }
}

#[tokio::test]
async fn an_hour_of_false_refusals_costs_few_requests_and_no_login_but_the_one_that_was_withdrawn() {
    let scene = Scene::new().await;
    let provider = Arc::new(Provider {
        clock: Arc::clone(&scene.clock),
        began: scene.clock.now(),
        logins: Mutex::new((1..=USERS).map(|user| (user, Login::default())).collect()),
    });
    let old = &scene.exchange;
    let exchange = Arc::new(Exchange {
        store: old.store.clone(),
        transport: provider.clone(),
        spool: old.spool.clone(),
        vault: old.vault.clone(),
        clock: old.clock.clone(),
        clock_note: old.clock_note.clone(),
        random: old.random.clone(),
        gate: old.gate.clone(),
        metrics: old.metrics.clone(),
        events: old.events.clone(),
        owner: old.owner,
        stopping: CancellationToken::new(),
    });
    scene.store.inner.add_users(USERS);
    let (keeper, _) = start(exchange, [(scene.app.name.clone(), scene.app.clone())].into(), settings());
    for user in 1..=USERS {
        let (name, app) = (format!("u{user}").parse().unwrap(), scene.app.name.clone());
        keeper.members(vec![Member { id: UserId(user), name, app, paused: false }]).await;
        let refresh_token = RefreshToken::from(format!("{user}.0"));
        let login = LoginGrant { account: None, login_at: None, refresh_token, answer: None };
        keeper.login(UserId(user), login).await.unwrap();
    }
    // By minute, how many were given no token.
    let mut refused = BTreeMap::new();
    for minute in 0..28 * 60 {
        if minute == GONE_AT {
            provider.logins.lock().unwrap().get_mut(&GONE).unwrap().revoked = true;
        }
        for user in 1..=USERS {
            // Every third minute, from another one on for each.
            if minute >= user.unsigned_abs() && (minute + user.unsigned_abs()).is_multiple_of(3) {
                let token = keeper.token(UserId(user), Need::default()).await;
                *refused.entry(minute).or_insert(0) += usize::from(token.is_err());
                assert!(user == GONE || token.is_ok() || minute >= BAD.start, "{user} {minute}: {token:?}");
                assert!(user == GONE || token.is_ok() || minute < BAD.end + 20, "{user} {minute}: {token:?}");
            }
        }
        scene.clock.advance(MINUTE);
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
    }
    assert!(refused[&(BAD.end - 1)] > 10, "most were refused by then: {refused:?}");
    for user in (1..=USERS).filter(|user| *user != GONE) {
        let login = provider.login(user);
        assert!(!login.revoked, "{user}: {login:?}");
        let in_vain = login.asked.iter().filter(|minute| BAD.contains(minute)).count();
        assert!((1..=2).contains(&in_vain), "{user}: {in_vain} in the bad hour: {login:?}");
        let back = login.asked.iter().find(|minute| **minute >= BAD.end).unwrap();
        assert!(*back < BAD.end + 20, "{user}: back after {back} minutes");
    }
    let gone = provider.login(GONE);
    let spent = gone.asked.iter().filter(|minute| **minute >= BAD.start).count();
    assert!(gone.revoked && (2..=5).contains(&spent), "{spent} on a login that is over: {gone:?}");
    assert!(matches!(keeper.token(UserId(GONE), Need::default()).await, Err(TokenError::NeedsLogin(_))));
}
