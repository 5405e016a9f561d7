//! What each outcome of a refresh does to the login.

use super::*;

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
    let grant = || scene.store.inner.snapshot()[&ALICE].clone();
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
    scene.until(|| scene.store.inner.snapshot()[&ALICE].refusal.is_some()).await;
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
    let before = scene.store.inner.snapshot();
    let refresh_token = RefreshToken::from("other".to_owned());
    let login = LoginGrant { account: Some("B".to_owned()), login_at: None, refresh_token, answer: None };
    let error = scene.keeper.login(ALICE, login).await.unwrap_err();
    assert!(matches!(error, LoginError::OtherAccount { .. }), "{error}");
    assert_eq!(scene.store.inner.snapshot(), before);
}
