//! What is on record before whom sees what, and what a store or a spool that fails does to it.

use super::*;

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
