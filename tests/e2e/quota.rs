//! A day's calls: never more than configured, by whatever way they are made, over restarts and daemons; and Spotify's own
//! daily quota, which all apps of a developer account share.

use longplay::sim::{App, Endpoint, Fault, Injection, LimitBody, Reply, Rotation};

use crate::fixture::{Host, SCOPES, at_once, postgres};

/// Calls of the Web API that Spotify saw.
fn calls(host: &Host) -> usize {
    [Endpoint::Recent, Endpoint::Top, Endpoint::Me]
        .map(|endpoint| host.spotify.requests(endpoint))
        .iter()
        .sum()
}

fn with_limit(host: Host, per_day: u32) -> Host {
    host.configure(&format!("calls_per_day = {per_day}"));
    host
}

#[test]
fn a_days_calls_are_never_exceeded_over_restarts_and_without_a_daemon() {
    let host = with_limit(Host::new(), 20);
    let daemon = host.serve();
    host.settled_user("alice");
    host.until("the day's calls are spent", || host.run(&["archive", "alice"]).code == 75);
    assert_eq!(calls(&host), 20);
    let status = host.user("alice");
    assert_eq!((&status["state"], &status["last_run_result"]), (&"waiting".into(), &"rate_limited".into()));
    let reason = status["reason"].as_str().expect("a reason");
    assert!(reason.contains("the 20 calls of quota group default are spent"), "{reason}");
    let told = host.run(&["status"]).ok();
    assert!(told.contains("quota default: 0 of 20 calls left: whoever is due waits"), "{told}");
    assert_eq!(host.metric("longplay_quota_left{app=\"default\"}"), 0.0);
    assert_eq!(host.token("alice", "").status, 200, "a token costs no call");
    assert_eq!(daemon.stop(), 0);
    host.run(&["archive", "alice"]).fails(75);
    let daemon = host.serve();
    for answer in at_once(10, |_| host.run(&["archive", "alice"]).code) {
        assert_eq!(answer, 75);
    }
    assert_eq!(calls(&host), 20);
    // A day later.
    assert_eq!(daemon.stop(), 0);
    host.sql("UPDATE api_calls SET slot_at = slot_at - 86400000 - 600000");
    let _daemon = host.serve();
    host.run(&["archive", "alice"]).ok();
}

#[test]
fn a_kill_forgets_no_call() {
    let host = with_limit(Host::new(), 20);
    for _ in 0..3 {
        let daemon = host.serve();
        if calls(&host) == 0 {
            host.settled_user("alice");
        }
        host.run(&["archive", "alice"]);
        daemon.kill();
    }
    let _daemon = host.serve();
    host.until("the day's calls are spent", || host.run(&["archive", "alice"]).code == 75);
    assert!(calls(&host) <= 20, "{}", calls(&host));
}

#[test]
fn daemons_of_one_store_share_a_days_calls() {
    let here = with_limit(Host::rotating(Rotation::Rotate).on(&postgres::shared().database()), 30);
    let there = with_limit(here.sibling(), 30);
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    at_once(2, |n| {
        let host = if n == 0 { &here } else { &there };
        host.until("the day's calls are spent", || host.run(&["archive", "alice"]).code == 75);
    });
    assert!((29..=30).contains(&calls(&here)), "{}", calls(&here));
    for host in [&here, &there] {
        host.run(&["archive", "alice"]).fails(75);
    }
    assert_eq!(here.get("/v1/status").json()["daemon"]["quotas"][0]["calls_per_day"], 30);
}

#[test]
fn spotifys_daily_quota_holds_every_app_that_shares_it_and_no_other() {
    let host = Host::new();
    let mut config = String::new();
    for (name, group) in [("second", "default"), ("foreign", "theirs")] {
        host.spotify.register_app(App::pkce(name));
        config += &format!(
            "[apps.{name}]\nclient_id = {name:?}\nquota_group = {group:?}\ntoken_url = {:?}\nauthorize_url = {:?}\napi_url = {:?}\n",
            host.spotify.token_url(),
            host.spotify.authorize_url(),
            host.spotify.api_url()
        );
    }
    host.configure(&config);
    let daemon = host.serve();
    host.settled_user("alice");
    for (user, app) in [("bob", "second"), ("carol", "foreign")] {
        let token = host.spotify.grant(user, app, &SCOPES);
        host.run_with(&["users", "add", user, "--app", app, "--refresh-token-file", "-"], &token).ok();
        host.until("the user is archived", || host.user(user)["last_run_result"] == "ok");
    }
    let spent = Reply::rate_limited(Some("79892"), LimitBody::Quota);
    host.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(spent)).of("alice"));
    host.run(&["archive", "alice"]).fails(75);
    let of_bob = host.requests("bob", Endpoint::Recent);
    let hold = || {
        host.run(&["archive", "bob"]).fails(75);
        assert_eq!(host.user("bob")["state"], "waiting");
        assert_eq!(host.requests("bob", Endpoint::Recent), of_bob);
        host.run(&["archive", "carol"]).ok();
    };
    hold();
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    hold();
}
