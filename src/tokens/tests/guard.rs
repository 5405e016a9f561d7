//! What is not spent, and what is not given out, while the store is not what it was.

use super::*;
use crate::domain::{Attempt, Generation};

#[tokio::test]
async fn a_store_that_was_set_back_unnoticed_costs_no_spent_token() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let before = scene.store.inner.grants();
    scene.ask(FRESH).await.unwrap();
    scene.store.inner.put_grants(before);
    // Nobody offers the spool: nobody knows of it.
    let apps = [(scene.app.name.clone(), scene.app.clone())].into();
    let (keeper, _) = start(scene.exchange.clone(), apps, settings());
    scene.join(&keeper).await;
    let posts = scene.journal.count("post");
    let token = keeper.token(ALICE, FRESH).await.unwrap();
    assert_eq!(token.access_token.expose(), "a2", "what the spool had");
    assert_eq!(scene.journal.count("post"), posts);
}

#[tokio::test]
async fn while_the_store_does_not_take_what_the_spool_has_nothing_is_sent() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    let before = scene.store.inner.grants();
    scene.ask(FRESH).await.unwrap();
    scene.store.inner.put_grants(before);
    let apps = [(scene.app.name.clone(), scene.app.clone())].into();
    let (keeper, _) = start(scene.exchange.clone(), apps, settings());
    scene.join(&keeper).await;
    keeper.token(ALICE, Need::default()).await.unwrap();
    let posts = scene.journal.count("post");
    scene.store.fail("read", false, 1);
    let refused = keeper.token(ALICE, FRESH).await.unwrap_err();
    assert!(matches!(refused, TokenError::Waiting { trouble: Trouble::Store, .. }), "{refused:?}");
    assert_eq!((scene.journal.count("post"), scene.journal.count("read fails")), (posts, 1));
    scene.clock.advance(Duration::from_secs(60));
    let token = keeper.token(ALICE, FRESH).await.unwrap();
    assert_eq!(
        token.generation,
        Generation(4),
        "what the spool had came first, and then a refresh with that"
    );
}

#[tokio::test]
async fn behind_shut_gates_nobody_gets_a_token_and_nothing_is_sent() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    scene.script([Err(PostError::Lost("reset".to_owned()))]);
    scene.ask(FRESH).await.unwrap_err();
    scene.exchange.gate.shut(Some("it was restored"));
    let posts = scene.journal.count("post");
    for need in [Need::default(), FRESH, Need { insist: true, ..FRESH }] {
        assert_eq!(scene.ask(need).await.unwrap_err(), TokenError::Blocked("it was restored".to_owned()));
    }
    let refused = scene.keeper.rejected(ALICE, Generation(2)).await.unwrap_err();
    assert_eq!(refused, TokenError::Blocked("it was restored".to_owned()));
    // Neither a doubt nor a timer sends anything.
    for _ in 0..100 {
        scene.clock.advance(Duration::from_secs(60));
        scene.keeper.health().await.unwrap();
    }
    assert_eq!(scene.journal.count("post"), posts);
    scene.exchange.gate.shut(None);
    scene.keeper.reread_all().await;
    scene.token().await.unwrap();
}

#[tokio::test]
async fn the_answers_of_somebody_who_had_the_number_before_are_not_a_new_login() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new().await;
    let exchange = scene.on_files(folder.path());
    let user = UserId(77);
    scene.store.inner.add_users(user.0);
    let body = r#"{"access_token":"bobs","refresh_token":"bobs","expires_in":3600}"#;
    let at = scene.clock.now();
    let bobs = Kept {
        user,
        // Of a host whose clock was ahead.
        epoch: Epoch(at.as_millis() / 1_000 + 60),
        sent: Generation(1),
        refresh_token: RefreshToken::from("r".to_owned()),
        attempt: AttemptId(Uuid::from_u128(1)),
        cause: crate::domain::Cause::Expiry,
        sent_at: at,
        received_at: at,
        answer: answer(200, body),
    };
    exchange.spool.keep(&bobs).await.unwrap();
    let subject = Subject { user, name: "carol".parse().unwrap(), app: Arc::new(scene.app.clone()) };
    let refresh_token = RefreshToken::from("carols".to_owned());
    let login = LoginGrant { account: None, login_at: None, refresh_token, answer: None };
    crate::tokens::login::commit(&exchange, &subject, login).await.unwrap();
    offer_spool(&exchange, async |_| Ok(vec![subject.clone()])).await.unwrap();
    let grant = exchange.store.grant(user).await.unwrap().unwrap();
    assert_eq!((grant.generation, grant.access_token), (Generation(1), None), "carol's, as she gave it");
    let aside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|f| f.file_name()).collect();
    assert_eq!(aside, ["77.aside-1"], "and nothing is lost");
}

#[tokio::test]
async fn what_another_daemon_has_of_a_login_that_the_store_lost_is_not_taken_for_the_next_login() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scene = Scene::new().await;
    let (exchange, other) = (scene.on_files(here.path()), scene.on_files(there.path()));
    let user = UserId(77);
    scene.store.inner.add_users(user.0);
    // The number may have been given to somebody else: that is the same.
    let subject = Subject { user, name: "erin".parse().unwrap(), app: Arc::new(scene.app.clone()) };
    let login = async |token: &str| {
        let refresh_token = RefreshToken::from(token.to_owned());
        let login = LoginGrant { account: None, login_at: None, refresh_token, answer: None };
        crate::tokens::login::commit(&exchange, &subject, login).await.unwrap();
        exchange.store.grant(user).await.unwrap().unwrap()
    };
    let backup = scene.store.inner.snapshot();
    let lost = login("lost").await;
    let body = r#"{"access_token":"dead","refresh_token":"dead","expires_in":3600}"#;
    let dead = Kept {
        user,
        epoch: lost.epoch,
        sent: Generation(40),
        refresh_token: RefreshToken::from("r".to_owned()),
        attempt: AttemptId(Uuid::from_u128(1)),
        cause: crate::domain::Cause::Expiry,
        sent_at: scene.clock.now(),
        received_at: scene.clock.now(),
        answer: answer(200, body),
    };
    other.spool.keep(&dead).await.unwrap();
    scene.store.inner.restore(backup);
    scene.clock.advance(Duration::from_secs(600));
    let given = login("new").await;
    assert_eq!(other.ahead_of_store().await.unwrap(), [], "no alarm");
    offer_spool(&other, async |_| Ok(vec![subject.clone()])).await.unwrap();
    assert!(exchange.store.grant(user).await.unwrap().unwrap() == given, "nothing of it was changed");
}

#[tokio::test]
async fn a_store_is_ahead_behind_or_level_with_the_spool() {
    let scene = Scene::new().await;
    scene.token().await.unwrap();
    scene.ask(FRESH).await.unwrap();
    let grant = scene.store.grant(ALICE).await.unwrap().unwrap();
    assert_eq!(grant.generation, Generation(3));
    let attempt: Option<Attempt> = None;
    for (epoch, generation, ahead) in
        [(0, 3, false), (0, 4, false), (0, 2, false), (0, 1, true), (-1, 9, true), (1, 1, false)]
    {
        let (epoch, generation) = (Epoch(grant.epoch.0 + epoch), Generation(generation));
        let set = Grant { epoch, generation, attempt, ..grant.clone() };
        scene.store.inner.put_grants([(ALICE, set)].into());
        let found = scene.exchange.ahead_of_store().await.unwrap();
        assert_eq!(found == [ALICE], ahead, "{epoch:?} {generation:?}");
    }
    scene.store.inner.put_grants([].into());
    assert_eq!(scene.exchange.ahead_of_store().await.unwrap(), [], "who is gone proves nothing");
}
