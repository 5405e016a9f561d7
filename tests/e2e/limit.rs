//! 429: nobody calls while the app is held, by whatever way they ask, over a restart too.

use std::time::Duration;

use longplay::sim::{Endpoint, Fault, Injection, LimitBody, Reply};

use crate::fixture::{Host, at_once, now};

/// Everything that would call Spotify for alice, if it might.
fn tries(host: &Host) {
    host.run(&["archive", "alice"]).fails(75);
    host.run(&["archive", "--all"]).fails(75);
    host.run(&["token", "alice", "--fresh"]).fails(75);
    for answer in at_once(10, |_| host.token("alice", "{\"fresh\":true}")) {
        assert_eq!(answer.problem(503), "waiting");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

#[test]
fn while_an_app_is_held_nobody_calls() {
    let cases = [
        (Endpoint::Recent, Some("7200"), LimitBody::Json, 7_200),
        (Endpoint::Recent, None, LimitBody::Text, 60),
        (Endpoint::Recent, Some("79892"), LimitBody::Quota, 79_892),
        (Endpoint::Token, Some("3600"), LimitBody::Json, 3_600),
        (Endpoint::Token, None, LimitBody::Text, 60),
        (Endpoint::Token, Some("0"), LimitBody::Text, 60),
    ];
    at_once(cases.len(), |n| {
        let (endpoint, told, body, seconds) = cases[n];
        let host = Host::new();
        let daemon = host.serve();
        host.settled_user("alice");
        host.settled_user("bob");
        host.spotify.inject(Injection::new(endpoint, Fault::answer(Reply::rate_limited(told, body))));
        match endpoint {
            Endpoint::Token => {
                let answer = host.token("alice", "{\"fresh\":true}");
                assert_eq!(answer.problem(503), "waiting");
                let after: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
                assert!((seconds - 20..=seconds).contains(&after), "{endpoint:?} {told:?}: {after}");
            }
            _ => {
                let error = host.run(&["archive", "alice"]).fails(75);
                assert!(error.contains("429") || error.contains("limit"), "{error}");
                assert_eq!(host.user("alice")["last_run_result"], "rate_limited");
            }
        }
        let asked = host.spotify.seen().len();
        tries(&host);
        assert_eq!(host.spotify.seen().len(), asked, "{endpoint:?} {told:?}: called during the hold");
        // It holds for the app, so for everyone.
        for name in ["alice", "bob"] {
            let status = host.user(name);
            assert_eq!(status["state"], "waiting", "{status}");
            assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("limit")), "{status}");
        }
        assert_eq!(host.token("alice", "").status, 200, "the present token is good");
        // Over a restart, and without a daemon.
        assert_eq!(daemon.stop(), 0);
        // However short the hold is, all that comes now is within it.
        let until = now() + Duration::from_secs(3_600);
        host.sql(&format!("UPDATE apps SET state = json_set(state, '$.hold_until', '{until}')"));
        host.run(&["archive", "bob"]).fails(75);
        host.run(&["token", "alice", "--fresh"]).fails(75);
        let _daemon = host.serve();
        tries(&host);
        assert_eq!(host.user("bob")["state"], "waiting");
        assert_eq!(host.spotify.seen().len(), asked, "{endpoint:?} {told:?}: called after the restart");
    });
}

#[test]
fn after_a_short_hold_it_goes_on_by_itself() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let limited = Reply::rate_limited(Some("2"), LimitBody::Json);
    host.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(limited)));
    host.run(&["archive", "alice"]).fails(75);
    let next = host.user("alice")["next_run_at"].clone();
    crate::fixture::is_time(&next);
    host.until("the hold is over", || host.run(&["archive", "alice"]).code == 0);
    assert_eq!(host.user("alice")["state"], "ok");
}

#[test]
fn a_hold_of_one_app_holds_no_other() {
    let host = Host::new();
    host.spotify.register_app(longplay::sim::App::pkce("other"));
    let urls = format!(
        "token_url = {:?}\nauthorize_url = {:?}\napi_url = {:?}",
        host.spotify.token_url(),
        host.spotify.authorize_url(),
        host.spotify.api_url()
    );
    host.configure(&format!("[apps.other]\nclient_id = \"other\"\n{urls}"));
    let _daemon = host.serve();
    host.settled_user("alice");
    let token = host.spotify.grant("bob", "other", &crate::fixture::SCOPES);
    host.run_with(&["users", "add", "bob", "--app", "other", "--refresh-token-file", "-"], &token).ok();
    host.until("bob is archived", || host.user("bob")["last_run_result"] == "ok");
    let limited = Reply::rate_limited(Some("3600"), LimitBody::Json);
    host.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(limited)).of("alice"));
    host.run(&["archive", "alice"]).fails(75);
    host.run(&["archive", "bob"]).ok();
    assert_eq!(host.user("bob")["state"], "ok");
}
