//! How runs end.

use super::*;
use crate::domain::{EventKind, GapCause, RunResult, Timestamp};
use crate::sim::{Effect, Endpoint, Fault, Injection, LimitBody, Listen, Reply, music};
use crate::store::PlayQuery;
use crate::tokens::{TokenError, Trouble};
use std::time::Duration;

fn waiting(trouble: Trouble) -> TokenError {
    TokenError::Waiting { reason: "why".to_owned(), retry_after: Duration::from_secs(60), trouble }
}

#[tokio::test]
async fn a_page_is_stored_once_and_the_next_look_follows_from_it() {
    let mut scene = Scene::without_top().await;
    scene.spotify.listen_until("alice", 12, scene.clock_now());
    let outcome = scene.run().await;
    assert_eq!((outcome.result, outcome.new_plays, outcome.reason), (RunResult::Ok, 12, None));
    assert!(outcome.run.is_some() && outcome.gaps.is_empty() && outcome.retry_at.is_none());
    let ended = scene.ended.lock().unwrap().pop().unwrap();
    assert_eq!((ended.result, ended.retry_at, outcome.next_run_at), (RunResult::Ok, None, Some(NEXT)));
    let look = ended.look_again_in.unwrap();
    assert!((LIMITS.min_interval..=LIMITS.max_interval).contains(&look));
    let again = scene.run().await;
    assert_eq!((again.result, again.new_plays), (RunResult::Ok, 0));
    scene.spotify.listen("alice", [Listen::new("Marzipan", scene.clock_now())]);
    assert_eq!(scene.run().await.new_plays, 1);
    assert_eq!(scene.user().await.plays, 13);
    let told: Vec<_> = scene.told().into_iter().map(|(_, message)| message).collect();
    assert_eq!(told, ["12 new plays", "nothing new", "1 new play"]);
    assert_eq!(scene.metric("longplay_runs_total{result=\"ok\"}"), 3.0);
    assert_eq!(scene.metric("longplay_plays_archived_total"), 13.0);
    assert_eq!(scene.metric("longplay_api_calls_total{app=\"default\"}"), 3.0);
    assert_eq!(scene.metric("token_time_until_expiry_seconds_count"), 3.0);
    scene.tokens.no_login.store(true, std::sync::atomic::Ordering::SeqCst);
    scene.run().await;
    assert_eq!(scene.metric("token_time_until_expiry_seconds_count"), 3.0, "there was nothing to measure");
}

#[tokio::test]
async fn an_unreadable_item_makes_the_run_partial_and_loses_nothing_else() {
    let mut scene = Scene::without_top().await;
    let now = scene.clock_now();
    let bad = Listen::new("Tin Moon", now - Duration::from_secs(300)).without_track();
    scene.spotify.listen("alice", [bad, Listen::new("Marzipan", now)]);
    let outcome = scene.run().await;
    let gaps = outcome.gaps.iter().map(|gap| (gap.from, gap.to, gap.cause, gap.at_most));
    let lost = now - Duration::from_secs(300);
    assert_eq!(gaps.collect::<Vec<_>>(), [(lost, lost, GapCause::Unreadable, 1)]);
    assert_eq!((outcome.result, outcome.new_plays), (RunResult::Partial, 1));
    assert_eq!(outcome.reason.as_deref(), Some("1 of 2 items could not be read: item 2: no track"));
    assert_eq!(scene.runs_of(scene.who().id).await[0].reason, outcome.reason);
    assert!(scene.told()[0].1.starts_with("1 new play; 1 of 2"));
}

#[tokio::test]
async fn a_full_page_that_joins_on_to_nothing_leaves_a_gap() {
    let mut scene = Scene::without_top().await;
    let before = scene.clock_now();
    scene.spotify.listen_until("alice", 50, before);
    assert_eq!(scene.run().await.gaps, []);
    scene.clock.pass(24 * 3600);
    scene.spotify.listen_until("alice", 60, scene.clock_now());
    scene.token_errors(&TokenError::NeedsLogin("log in".to_owned()), 1);
    assert_eq!(scene.run().await.result, RunResult::NeedsLogin);
    let outcome = scene.run().await;
    let [gap] = outcome.gaps.try_into().unwrap();
    assert_eq!((outcome.result, outcome.new_plays), (RunResult::Ok, 50));
    assert_eq!((gap.from, gap.cause), (before, GapCause::LoginDead));
    let plays =
        scene.store.plays(scene.who().id, PlayQuery { limit: 100, ..PlayQuery::default() }).await.unwrap();
    assert_eq!(gap.to, plays[49].played_at, "the oldest new one");
    assert_eq!(scene.store.gaps(scene.who().id).await.unwrap(), [gap]);
    assert_eq!(scene.metric("longplay_gaps_total"), 1.0);
    assert!(scene.told().iter().any(|(kind, _)| *kind == EventKind::GapFound));
    assert_eq!(scene.run().await.gaps, []);
}

#[tokio::test]
async fn without_a_token_no_call_is_made_and_the_run_says_why() {
    for (error, result) in [
        (TokenError::NeedsLogin("log in".to_owned()), RunResult::NeedsLogin),
        (TokenError::Blocked("invalid_client".to_owned()), RunResult::Blocked),
        (TokenError::Paused, RunResult::Blocked),
        (waiting(Trouble::RateLimited), RunResult::RateLimited),
        (waiting(Trouble::Store), RunResult::StoreError),
        (TokenError::UnknownUser, RunResult::Cancelled),
        (TokenError::Stopped, RunResult::Cancelled),
    ] {
        let mut scene = Scene::new().await;
        scene.token_errors(&error, 1);
        let outcome = scene.run().await;
        assert_eq!(outcome.result, result, "{error:?}");
        assert_eq!(outcome.reason, Some(error.to_string()));
        let ended = scene.ended.lock().unwrap().pop().unwrap();
        assert_eq!((outcome.new_plays, ended.look_again_in, ended.result), (0, None, result));
        assert_eq!((ended.retry_at, outcome.next_run_at), (outcome.retry_at, Some(NEXT)));
        assert_eq!(outcome.retry_at.is_some(), result == RunResult::RateLimited);
        assert_eq!(scene.results().await, [Some(result)]);
        assert_eq!(scene.user().await.blocked, None, "only a 403 blocks a user");
        assert_eq!(scene.spotify.seen().len(), 0);
        assert_eq!(scene.clock.taken(), [0_u64; 0]);
        let failed = scene.told().iter().filter(|(kind, _)| *kind == EventKind::RunFailed).count();
        assert_eq!(failed, usize::from(result != RunResult::Cancelled));
        assert_eq!(scene.metric(&format!("longplay_runs_total{{result=\"{}\"}}", result.as_str())), 1.0);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_after_5_10_and_20_seconds() {
    for (fault, result) in [
        (Fault::before(Effect::Drop), RunResult::Unreachable),
        (Fault::after(Effect::HalfABody), RunResult::Unreachable),
        (Fault::answer(Reply::outage(503)), RunResult::Unreachable),
        (Fault::answer(Reply::html(200)), RunResult::BadAnswer),
        (Fault::answer(Reply::new(200, "application/json", r#"{"items":null}"#)), RunResult::BadAnswer),
    ] {
        let scene = Scene::without_top().await;
        scene.fault(fault.clone(), 3);
        assert_eq!(scene.run().await.result, RunResult::Ok, "{fault:?}");
        assert_eq!(scene.clock.taken(), [5, 10, 20]);
        assert_eq!((scene.spotify.faults_waiting(), scene.tokens.needs.lock().unwrap().len()), (0, 4));
        scene.fault(fault.clone(), 4);
        assert_eq!(scene.run().await.result, result, "{fault:?}");
        assert_eq!(scene.clock.taken(), [5, 10, 20]);
        assert_eq!(scene.results().await, [Some(RunResult::Ok), Some(result)]);
        assert_eq!(scene.spotify.requests(Endpoint::Recent), 8);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_or_in_doubt_is_waited_for_too() {
    let in_doubt = TokenError::InDoubt { reason: "reset".to_owned(), retry_after: Duration::from_secs(1) };
    for error in [waiting(Trouble::Unreachable), in_doubt] {
        let scene = Scene::without_top().await;
        scene.token_errors(&error, 3);
        assert_eq!(scene.run().await.result, RunResult::Ok);
        assert_eq!(scene.clock.taken(), [5, 10, 20]);
        scene.token_errors(&error, 4);
        let outcome = scene.run().await;
        assert_eq!(outcome.result, RunResult::Unreachable);
        let in_doubt = matches!(error, TokenError::InDoubt { .. });
        assert_eq!(outcome.reason.unwrap().contains("in doubt"), in_doubt);
    }
}

#[tokio::test]
async fn a_401_is_reported_once_and_the_call_made_once_more() {
    let scene = Scene::without_top().await;
    scene.fault(Fault::answer(Reply::false_unauthorized()), 1);
    assert_eq!(scene.run().await.result, RunResult::Ok);
    let page = "/v1/me/player/recently-played";
    let run = scene.journal.take();
    assert_eq!(run[2..7], ["token", page, "rejected 1", "token", page]);
    assert_eq!(scene.metric("longplay_unauthorized_total"), 1.0);

    scene.fault(Fault::answer(Reply::false_unauthorized()), 2);
    let outcome = scene.run().await;
    assert_eq!(outcome.result, RunResult::BadAnswer);
    assert!(outcome.reason.unwrap().contains("fresh access token"));
    assert_eq!(scene.journal.take()[2..7], ["token", page, "rejected 2", "token", page]);
    assert_eq!(scene.metric("longplay_unauthorized_total"), 3.0);

    scene.fault(Fault::answer(Reply::false_unauthorized()), 1);
    scene.tokens.rejections.lock().unwrap().push_back(TokenError::FreshRejected);
    let outcome = scene.run().await;
    assert_eq!(outcome.result, RunResult::BadAnswer);
    assert!(outcome.reason.unwrap().contains("fresh access token"));
    assert_eq!((scene.clock.taken(), scene.spotify.faults_waiting()), (vec![], 0));
}

#[tokio::test]
async fn a_403_blocks_the_user_and_is_told_of_once() {
    let mut scene = Scene::without_top().await;
    scene.spotify.set_allow_listed("alice", false);
    for _ in 0..2 {
        let outcome = scene.run().await;
        assert_eq!(outcome.result, RunResult::Blocked);
        let reason = outcome.reason.unwrap();
        assert!(reason.contains("may not be registered") && reason.contains("User Management"), "{reason}");
        assert_eq!(scene.user().await.blocked, Some(reason));
    }
    let blocked =
        |scene: &mut Scene| scene.told().iter().filter(|(kind, _)| *kind == EventKind::UserBlocked).count();
    assert_eq!(blocked(&mut scene), 1);
    scene.spotify.set_allow_listed("alice", true);
    scene.spotify.set_premium("app", false);
    scene.run().await;
    assert_eq!(blocked(&mut scene), 1, "another reason is news");
    scene.spotify.set_premium("app", true);
    assert_eq!(scene.run().await.result, RunResult::Ok);
    assert_eq!((scene.user().await.blocked, scene.clock.taken()), (None, vec![]));
}

#[tokio::test]
async fn a_429_holds_the_app_and_no_call_is_made_until_it_is_over() {
    let mut scene = Scene::without_top().await;
    scene.fault(Fault::answer(Reply::rate_limited(Some("19056"), LimitBody::Quota)), 1);
    let until = Some(scene.clock_now() + Duration::from_secs(19_056));
    let outcome = scene.run().await;
    assert_eq!((outcome.result, outcome.retry_at), (RunResult::RateLimited, until));
    assert!(outcome.reason.unwrap().contains("quota"));
    scene.journal.take();
    let held = scene.run().await;
    assert_eq!((held.result, held.retry_at), (RunResult::RateLimited, until));
    assert_eq!(
        scene.journal.take(),
        ["begin_run", "left", "token", "fail_run"],
        "the token source knows of the hold"
    );
    assert_eq!(scene.told().iter().filter(|(kind, _)| *kind == EventKind::RateLimited).count(), 1);
    scene.clock.pass(19_056);
    assert_eq!(scene.run().await.result, RunResult::Ok);
}

#[tokio::test]
async fn holds_without_a_retry_after_double_only_in_a_row() {
    let scene = Scene::without_top().await;
    for seconds in [60, 120] {
        scene.fault(Fault::answer(Reply::rate_limited(None, LimitBody::Json)), 1);
        let until = Some(scene.clock_now() + Duration::from_secs(seconds));
        assert_eq!(scene.run().await.retry_at, until);
        scene.clock.pass(seconds);
    }
    assert_eq!(scene.run().await.result, RunResult::Ok);
    scene.fault(Fault::answer(Reply::rate_limited(None, LimitBody::Json)), 1);
    assert_eq!(scene.run().await.retry_at, Some(scene.clock_now() + Duration::from_secs(60)));
}

#[tokio::test]
async fn a_store_that_was_given_up_on_is_not_waited_for_again() {
    let scene = Scene::without_top().await;
    scene.faults.watcher.away("store_page", 4);
    scene.faults.watcher.away("fail_run", 1);
    assert_eq!(scene.run().await.result, RunResult::StoreError);
    assert_eq!((scene.results().await, scene.clock.taken()), (vec![None], vec![5, 10, 20]));
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for_and_nothing_is_lost() {
    let scene = Scene::without_top().await;
    scene.spotify.listen_until("alice", 12, scene.clock_now());
    for method in ["begin_run", "page_facts", "store_page"] {
        scene.faults.watcher.away(method, 3);
        assert_eq!(scene.run().await.result, RunResult::Ok, "{method}");
        assert_eq!(scene.clock.taken(), [5, 10, 20]);
    }
    assert_eq!(scene.spotify.requests(Endpoint::Recent), 3, "a page at hand is not fetched again");
    assert_eq!(scene.user().await.plays, 12);
    for method in ["page_facts", "store_page"] {
        scene.faults.watcher.away(method, 4);
        let outcome = scene.run().await;
        assert_eq!(outcome.result, RunResult::StoreError);
        assert!(outcome.reason.unwrap().ends_with(": injected"));
        assert_eq!(scene.clock.taken(), [5, 10, 20]);
    }
    assert_eq!(scene.results().await[3..], [Some(RunResult::StoreError); 2]);
    scene.faults.watcher.away("begin_run", 4);
    let outcome = scene.run().await;
    assert_eq!((outcome.result, outcome.run), (RunResult::StoreError, None));
    assert_eq!(scene.spotify.requests(Endpoint::Recent), 5, "nothing is asked that can't be stored");
}

#[tokio::test]
async fn what_the_database_refuses_is_not_tried_again() {
    let scene = Scene::without_top().await;
    scene.faults.watcher.refuse("store_page");
    assert_eq!(scene.run().await.result, RunResult::StoreError);
    assert_eq!(scene.clock.taken(), [0_u64; 0]);
}

#[tokio::test]
async fn the_end_of_a_failed_run_is_put_on_record_when_the_store_is_back() {
    let scene = Scene::without_top().await;
    scene.token_errors(&TokenError::NeedsLogin("log in".to_owned()), 1);
    scene.faults.watcher.away("fail_run", 2);
    assert_eq!(scene.run().await.result, RunResult::NeedsLogin);
    assert_eq!(
        (scene.results().await, scene.clock.taken()),
        (vec![Some(RunResult::NeedsLogin)], vec![5, 10])
    );
}

#[tokio::test]
async fn top_artists_fail_without_harm_and_are_asked_for_once_a_day() {
    for fault in [
        Fault::before(Effect::Drop),
        Fault::answer(Reply::outage(500)),
        Fault::answer(Reply::html(200)),
        Fault::answer(Reply::new(403, "text/plain", "Insufficient client scope")),
    ] {
        let mut scene = Scene::new().await;
        scene.spotify.inject(Injection::new(Endpoint::Top, fault));
        for _ in 0..3 {
            assert_eq!(scene.run().await.result, RunResult::Ok);
            scene.idle().await;
            scene.clock.pass(3600);
        }
        assert_eq!(scene.spotify.requests(Endpoint::Top), 1);
        assert!(!scene.journal.take().iter().any(|line| line.starts_with("rejected")));
        assert_eq!(scene.user().await.top_fetched_at, None);
        assert!(scene.told().iter().all(|(kind, _)| *kind == EventKind::Archived));
        assert_eq!(scene.clock.taken(), [0_u64; 0], "nobody waits for them");
        scene.clock.pass(24 * 3600);
        scene.run().await;
        scene.idle().await;
        assert_eq!(scene.user().await.top_fetched_at, Some(scene.clock_now()));
        scene.run().await;
        scene.idle().await;
        assert_eq!(scene.spotify.requests(Endpoint::Top), 2);
    }
}

#[tokio::test]
async fn a_401_to_the_top_artists_counts_for_everyone_and_the_call_is_made_once_more() {
    let scene = Scene::new().await;
    let unauthorized = Fault::answer(Reply::false_unauthorized());
    scene.spotify.inject(Injection::new(Endpoint::Top, unauthorized));
    assert_eq!(scene.run().await.result, RunResult::Ok);
    scene.idle().await;
    let run = scene.journal.take();
    let top = "/v1/me/top/artists";
    let from = run.iter().position(|line| line == top).unwrap();
    assert_eq!(run[from..from + 4], [top, "rejected 1", "token", top]);
    assert_eq!(scene.metric("longplay_unauthorized_total"), 1.0);
    assert_eq!(scene.user().await.top_fetched_at, Some(scene.clock_now()));
}

#[tokio::test]
async fn top_artists_are_kept_and_a_429_for_them_holds_the_app() {
    let scene = Scene::new().await;
    scene.spotify.listen("alice", music::session(40, scene.clock_now()));
    let limited = Fault::answer(Reply::rate_limited(Some("600"), LimitBody::Text));
    scene.spotify.inject(Injection::new(Endpoint::Top, limited));
    assert_eq!(scene.run().await.result, RunResult::Ok);
    scene.idle().await;
    assert_eq!(scene.run().await.result, RunResult::RateLimited);
    scene.clock.pass(24 * 3600);
    assert_eq!(scene.run().await.result, RunResult::Ok);
    scene.idle().await;
    assert_eq!(scene.store.top_artists(scene.who().id).await.unwrap().len(), 5);
}

impl Scene {
    fn clock_now(&self) -> Timestamp {
        use crate::clock::Clock;
        self.clock.now()
    }
}
