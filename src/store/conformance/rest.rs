//! The store itself, apps, events, and what is forgotten.

use std::time::Duration;

use super::{Bench, START, name, sealed};
use crate::domain::{AppFault, AppName, AppState, Event, EventKind, Rotation, Trigger};
use crate::store::{Changed, PageStored, PendingLogin, PlayQuery};

pub async fn opening_again_answers_the_same_deployment(bench: &Bench) {
    let deployment = bench.store.open().await.unwrap();
    assert_eq!(bench.store.open().await.unwrap(), deployment);
    assert_eq!(deployment.get_version_num(), 4);
    assert!(!bench.store.describe().is_empty());
}

pub async fn the_first_key_probe_stays(bench: &Bench) {
    assert_eq!(bench.store.key_probe().await.unwrap(), None);
    assert_eq!(bench.store.keep_key_probe(sealed("first")).await.unwrap(), sealed("first"));
    assert_eq!(bench.store.keep_key_probe(sealed("second")).await.unwrap(), sealed("first"));
    assert_eq!(bench.store.key_probe().await.unwrap(), Some(sealed("first")));
}

pub async fn an_app_is_remembered(bench: &Bench) {
    let app: AppName = "default".parse().unwrap();
    assert_eq!(bench.store.app_state(&app).await.unwrap(), AppState::default());
    let state = AppState {
        quota_spent_at: Some(START),
        hold_until: Some(bench.now()),
        holds_in_a_row: 3,
        fault: Some(AppFault { reason: "invalid_client".to_owned(), since: START, retry_at: bench.now() }),
        rotation: Rotation::Rotates,
        version: 0,
    };
    assert!(bench.store.save_app_state(&app, &state).await.unwrap());
    assert_eq!(bench.store.app_state(&app).await.unwrap(), AppState { version: 1, ..state });
    let calm = AppState { rotation: Rotation::Keeps, version: 1, ..AppState::default() };
    assert!(bench.store.save_app_state(&app, &calm).await.unwrap());
    assert_eq!(bench.store.app_state(&app).await.unwrap(), AppState { version: 2, ..calm.clone() });
    assert!(!bench.store.save_app_state(&app, &calm).await.unwrap(), "made from an older state");
    assert_eq!(bench.store.app_state(&"other".parse().unwrap()).await.unwrap(), AppState::default());
}

pub async fn several_apps_are_read_at_once(bench: &Bench) {
    let app = |name: &str| -> AppName { name.parse().unwrap() };
    for (name, holds_in_a_row) in [("one", 1), ("two", 2), ("three", 3)] {
        let state = AppState { holds_in_a_row, ..AppState::default() };
        assert!(bench.store.save_app_state(&app(name), &state).await.unwrap());
    }
    let mut read = bench.store.app_states(&[app("three"), app("new"), app("one")]).await.unwrap();
    read.sort_by_key(|(_, state)| state.holds_in_a_row);
    let expected = [("one", 1), ("three", 3)].map(|(name, holds_in_a_row)| {
        (app(name), AppState { holds_in_a_row, version: 1, ..AppState::default() })
    });
    assert_eq!(read, expected);
}

pub async fn what_another_daemon_changed_is_found(bench: &Bench) {
    let app: AppName = "default".parse().unwrap();
    let grant = bench.logged_in("alice").await;
    bench.store.save_app_state(&app, &AppState::default()).await.unwrap();
    let state = AppState { version: 1, ..AppState::default() };
    let nothing = Changed { at: bench.now(), apps: Vec::new(), tokens: Vec::new() };
    let all = Changed { apps: vec![(app, state)], tokens: vec![(grant.user, grant.generation)], ..nothing };
    assert_eq!(bench.store.changed_since(Some(bench.now())).await.unwrap(), all);
    for since in [None, Some(bench.now() + Duration::from_secs(61))] {
        let changed = bench.store.changed_since(since).await.unwrap();
        assert_eq!((changed.apps.len(), changed.tokens.len(), changed.at), (0, 0, bench.now()));
    }
}

fn event(minutes: u64, user: Option<&str>) -> Event {
    Event {
        at: START + Duration::from_secs(60 * minutes),
        kind: EventKind::TokenRefreshed,
        user: user.map(name),
        app: Some("default".parse().unwrap()),
        run: Some(7),
        attempt: Some("attempt".to_owned()),
        message: format!("event {minutes}"),
    }
}

pub async fn events_come_newest_first_and_by_user(bench: &Bench) {
    let bare = Event { app: None, run: None, attempt: None, ..event(3, None) };
    let events = [event(1, Some("alice")), event(2, Some("bob")), bare, event(4, Some("alice"))];
    bench.store.add_events(&events[..1]).await.unwrap();
    bench.store.add_events(&events[1..]).await.unwrap();
    let [first, second, third, fourth] = events;
    let last = bench.store.events(None, 3).await.unwrap();
    assert_eq!(last, [fourth.clone(), third, second]);
    assert_eq!(bench.store.events(Some(&name("alice")), 9).await.unwrap(), [fourth, first]);
}

pub async fn pruning_forgets_runs_events_and_logins_but_never_plays_and_gaps(bench: &Bench) {
    let store = &bench.store;
    let alice = bench.add("alice").await.id;
    let gap = crate::domain::Gap {
        from: START,
        to: START,
        cause: crate::domain::GapCause::DaemonDown,
        at_most: 1,
        closed_at: None,
    };
    let page = PageStored { gaps: vec![gap], ..bench.page(alice, &[bench.play(1, 1)]).await };
    store.store_page(&page).await.unwrap();
    store.add_events(&[event(0, Some("alice"))]).await.unwrap();
    let login = PendingLogin {
        state: "s".to_owned(),
        user: name("alice"),
        app: "default".parse().unwrap(),
        verifier: sealed("verifier"),
        expires_at: bench.now() + Duration::from_secs(600),
    };
    store.begin_login(&login).await.unwrap();
    store.end_login("s", &Ok("done".to_owned())).await.unwrap();

    bench.clock.advance(Duration::from_secs(86_400));
    let begun = bench.begin_run(alice, Trigger::Schedule).await;
    store.add_events(&[event(1440, None)]).await.unwrap();
    store.prune(bench.now()).await.unwrap();
    assert_eq!(store.runs(alice, 9).await.unwrap().iter().map(|r| r.id).collect::<Vec<_>>(), [begun]);
    assert_eq!(store.events(None, 9).await.unwrap(), [event(1440, None)]);
    assert_eq!(store.login_progress("s").await.unwrap(), None);
    assert_eq!(store.gaps(alice).await.unwrap().len(), 1);
    let all = PlayQuery { limit: 9, ..PlayQuery::default() };
    assert_eq!(store.plays(alice, all).await.unwrap().len(), 1);

    // Run numbers go on where they were.
    bench.clock.advance(Duration::from_secs(86_400));
    store.prune(bench.now()).await.unwrap();
    assert!(bench.begin_run(alice, Trigger::Schedule).await > begun);
}
