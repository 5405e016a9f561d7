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
async fn a_new_refresh_token_is_kept_though_no_access_token_came_with_it() {
    let scene = Scene::new().await;
    let odd = |n: u32| Ok(answer(200, &format!(r#"{{"access_token":null,"refresh_token":"odd{n}"}}"#)));
    scene.script([odd(1), odd(2)]);
    let kept = || {
        let grant = scene.store.inner.grants()[&ALICE].clone();
        let view = scene.exchange.view(&scene.app, grant, scene.exchange.glance(0)).unwrap().unwrap();
        (
            view.generation.0,
            view.refresh_token.expose().to_owned(),
            view.access.is_some(),
            view.doubt.is_some(),
        )
    };
    for n in [1_u8, 2] {
        let error = scene.token().await.unwrap_err();
        assert!(error.to_string().contains("no access token"), "{error}");
        assert_eq!(kept(), (i64::from(n) + 1, format!("odd{n}"), false, false));
        assert_eq!(scene.token().await.unwrap_err(), error, "not at once");
        assert_eq!(scene.journal.count("post"), usize::from(n));
        scene.clock.advance(Duration::from_secs(3));
    }
    // Killed before the commit it would have come from the spool.
    let odd = scene.spool.kept.lock().unwrap()[0].clone();
    let mut lost = scene.store.inner.grants();
    lost.get_mut(&ALICE).unwrap().generation = odd.sent;
    scene.store.inner.put_grants(lost);
    let keeper = scene.restart().await;
    assert_eq!(kept(), (3, "odd2".to_owned(), false, false));
    assert_eq!(keeper.token(ALICE, Need::default()).await.unwrap().access_token.expose(), "a1");
    assert_eq!(kept().0, 4);
}

#[tokio::test]
async fn an_answer_that_brings_back_the_spent_token_alone_is_doubt() {
    let scene = Scene::new().await;
    scene.script([Ok(answer(200, r#"{"access_token":7,"refresh_token":"r0"}"#))]);
    assert!(matches!(scene.token().await, Err(TokenError::InDoubt { .. })));
    assert_eq!(scene.store.grant(ALICE).await.unwrap().unwrap().generation.0, 1);
}

#[tokio::test]
async fn an_old_answer_says_nothing_of_the_app_as_it_is_now() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let (name, gate) = (&scene.app.name, &scene.exchange.gate);
    let subject = Subject { user: ALICE, name: "alice".parse().unwrap(), app: Arc::new(scene.app.clone()) };
    let newest = scene.spool.kept.lock().unwrap()[0].clone();
    let refused = answer(400, r#"{"error":"invalid_grant"}"#);
    gate.refuse(name, "invalid_client").await;
    gate.hold(name, None).await;
    for (raw, applied) in [(newest.answer.clone(), true), (refused, true)] {
        let mut stood = scene.store.inner.grants();
        let grant = stood.get_mut(&ALICE).unwrap();
        grant.generation = newest.sent;
        grant.attempt = Some(crate::domain::Attempt {
            id: newest.attempt,
            owner: scene.exchange.owner,
            lease_until: scene.clock.now(),
            cause: newest.cause,
        });
        scene.store.inner.put_grants(stood);
        let kept = Kept { answer: raw, ..newest.clone() };
        assert_eq!(scene.exchange.offer(&subject, kept).await.unwrap(), applied);
        assert!(gate.fault(name).is_some());
    }
    scene.clock.advance(Duration::from_secs(60));
    let again = gate.hold(name, None).await;
    assert_eq!(again.since(scene.clock.now()), Duration::from_secs(120), "the second in a row");
}

#[tokio::test]
async fn a_login_that_has_come_to_its_age_is_counted_as_what_its_reason_says() {
    let scene = Scene::new().await;
    let refresh_token = RefreshToken::from("old".to_owned());
    let login_at = Some(Timestamp::from_millis(0));
    let login = LoginGrant { account: Some("A".to_owned()), login_at, refresh_token, answer: None };
    scene.keeper.login(ALICE, login).await.unwrap();
    scene.script([invalid_grant()]);
    let reason = scene.token().await.unwrap_err().to_string();
    assert!(reason.contains("come to its age"), "{reason}");
    let metrics = scene.exchange.metrics.render(&UsersSeen::default());
    assert!(metrics.contains("longplay_logins_lost_total{reason=\"expired\"} 1"), "{metrics}");
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
async fn a_try_of_a_refused_app_that_shows_nothing_of_it_is_made_again_soon() {
    let scene = Scene::new().await;
    scene.script([Ok(answer(400, r#"{"error":"invalid_client"}"#)), Ok(answer(503, "upstream"))]);
    assert!(matches!(scene.token().await, Err(TokenError::Blocked(_))));
    scene.clock.advance(Duration::from_secs(6 * 3_600));
    assert!(matches!(scene.token().await, Err(TokenError::InDoubt { .. })));
    scene.until(|| scene.exchange.gate.fault(&scene.app.name).is_none()).await;
    assert_eq!(scene.token().await.unwrap(), "a1");
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
