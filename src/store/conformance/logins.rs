//! Logins that were begun.

use std::time::Duration;

use super::{Bench, name, sealed};
use crate::store::{LoginProgress, PendingLogin};

fn pending(bench: &Bench, state: &str) -> PendingLogin {
    PendingLogin {
        state: state.to_owned(),
        user: name("alice"),
        app: "default".parse().unwrap(),
        verifier: sealed("verifier"),
        expires_at: bench.now() + Duration::from_secs(600),
    }
}

pub async fn a_login_is_taken_once(bench: &Bench) {
    let login = pending(bench, "s");
    bench.store.begin_login(&login).await.unwrap();
    bench.store.begin_login(&login).await.unwrap();
    assert_eq!(bench.store.take_login("other").await.unwrap(), None);
    assert_eq!(bench.store.take_login("s").await.unwrap(), Some(login));
    assert_eq!(bench.store.take_login("s").await.unwrap(), None);
}

pub async fn an_expired_login_is_not_taken(bench: &Bench) {
    bench.store.begin_login(&pending(bench, "s")).await.unwrap();
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.store.take_login("s").await.unwrap(), None);
    assert_eq!(bench.store.login_progress("s").await.unwrap(), None);
    bench.store.begin_login(&pending(bench, "t")).await.unwrap();
    assert_eq!(bench.store.login_progress("t").await.unwrap(), Some(LoginProgress::Pending));
}

pub async fn whoever_waits_for_a_login_hears_how_it_ended(bench: &Bench) {
    for (state, outcome, told) in [
        ("s", Ok("welcome".to_owned()), LoginProgress::Done("welcome".to_owned())),
        ("t", Err("refused".to_owned()), LoginProgress::Failed("refused".to_owned())),
    ] {
        bench.store.begin_login(&pending(bench, state)).await.unwrap();
        bench.store.take_login(state).await.unwrap().unwrap();
        assert_eq!(bench.store.login_progress(state).await.unwrap(), Some(LoginProgress::Pending));
        bench.store.end_login(state, &outcome).await.unwrap();
        assert_eq!(bench.store.login_progress(state).await.unwrap(), Some(told));
    }
    assert_eq!(bench.store.login_progress("unknown").await.unwrap(), None);
}
