//! Many who ask, many users, and the end.

use super::*;

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
async fn a_run_that_is_due_costs_no_read_on_demand() {
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
