//! Tokens for programs: one refresh for however many ask, rotation of every kind, rejections, validity.

use std::time::Duration;

use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, Rotation};
use serde_json::Value;

use crate::fixture::{Answer, Host, at_once, now, reached};

/// Asks `count` times at once while the refresh is held, and opens the gate when the daemon has heard all of them.
fn crowd(host: &Host, gate: &Gate, count: usize, path: &str, body: &str) -> Vec<Answer> {
    let asked: Vec<_> = (0..count).map(|_| host.send("POST", path, body)).collect();
    open_when_all_are_heard(host, gate);
    asked.into_iter().map(|asked| asked.answer().expect("an answer")).collect()
}

/// Opens the gate when the daemon has heard everyone who has asked until now.
pub fn open_when_all_are_heard(host: &Host, gate: &Gate) {
    reached(gate, 1);
    // Each of these came after all of the others, and has gone through the store and back.
    for _ in 0..20 {
        host.token("nobody", "").problem(404);
    }
    gate.open();
}

#[test]
fn a_hundred_who_want_a_fresh_token_at_once_cost_one_refresh() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let before = host.spotify.refreshes("alice");
    let gate = host.hold(Endpoint::Token, Fault::before);
    let answers = crowd(&host, &gate, 100, "/v1/users/alice/token", "{\"fresh\":true}");
    let answers: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer == &answers[0]), "all receive the same token");
    assert!(host.spotify.access_valid(answers[0]["access_token"].as_str().expect("a token")));
    let after = host.spotify.refreshes("alice");
    assert_eq!((after.asked, after.most_at_once), (before.asked + 1, 1));
    assert_eq!(after.reused, 0);
}

#[test]
fn a_hundred_who_want_a_token_while_there_is_none_cost_one_refresh() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    let gate = host.hold(Endpoint::Token, Fault::before);
    host.add_user("alice").ok();
    let answers = crowd(&host, &gate, 100, "/v1/users/alice/token", "");
    let answers: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(host.spotify.refreshes("alice").asked, 1);
}

#[test]
fn who_asks_while_the_token_is_valid_gets_it_without_a_refresh() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let answers = at_once(50, |_| host.token("alice", "{}").ok());
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(host.spotify.refreshes("alice").asked, 1);
    let printed = host.run(&["token", "alice"]).ok();
    assert_eq!(printed.trim_end(), answers[0]["access_token"], "and nothing else");
    let fresh = host.run(&["token", "alice", "--fresh"]).ok();
    assert_ne!(fresh, printed);
    assert_eq!(host.spotify.refreshes("alice").asked, 2);
}

#[test]
fn twenty_rejections_of_one_generation_cost_one_refresh() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let first = host.token("alice", "").ok();
    let generation = first["generation"].as_u64().expect("a generation");
    host.spotify.kill_access_tokens("alice");
    let before = host.spotify.refreshes("alice").asked;
    let gate = host.hold(Endpoint::Token, Fault::before);
    let said = format!("{{\"generation\":{generation}}}");
    for answer in crowd(&host, &gate, 20, "/v1/users/alice/token/rejected", &said) {
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(host.spotify.refreshes("alice").asked, before + 1);
    let second = host.token("alice", "").ok();
    assert_eq!(second["generation"], generation + 1);
    assert!(host.spotify.access_valid(second["access_token"].as_str().expect("a token")));
    // Late ones, of this generation and of older ones, are settled already.
    for old in [generation, generation, generation - 1] {
        assert_eq!(host.reject("alice", old).status, 204);
    }
    assert_eq!(host.spotify.refreshes("alice").asked, before + 1);
    // Refused again, so soon: that is no matter of the token.
    let again = host.reject("alice", generation + 1);
    assert_eq!(again.problem(409), "fresh_rejected");
    assert_eq!(host.reject("alice", generation + 99).status, 422, "never issued");
    assert_eq!(host.spotify.refreshes("alice").asked, before + 1);
    assert_eq!(host.token("alice", "").ok(), second, "it goes on being given out");
}

#[test]
fn a_401_costs_one_refresh_and_the_call_is_made_once_more() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 3, now());
    host.spotify.kill_access_tokens("alice");
    let (refreshes, pages) =
        (host.spotify.refreshes("alice").asked, host.requests("alice", Endpoint::Recent));
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 3 new plays");
    assert_eq!(host.spotify.refreshes("alice").asked, refreshes + 1);
    assert_eq!(host.requests("alice", Endpoint::Recent), pages + 2);
    assert_eq!(host.metric("longplay_unauthorized_total"), 1.0);
}

#[test]
fn a_401_to_the_fresh_token_too_ends_the_run_as_a_bad_answer() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let (refreshes, pages) =
        (host.spotify.refreshes("alice").asked, host.requests("alice", Endpoint::Recent));
    let refused = Fault::answer(longplay::sim::Reply::false_unauthorized());
    host.spotify.inject(Injection::new(Endpoint::Recent, refused).times(2));
    let error = host.run(&["archive", "alice"]).fails(75);
    assert!(error.contains("bad_answer") || error.contains("401"), "{error}");
    assert_eq!(host.status("alice")["last_run_result"], "bad_answer");
    assert_eq!(host.spotify.refreshes("alice").asked, refreshes + 1);
    assert_eq!(host.requests("alice", Endpoint::Recent), pages + 2);
    assert_eq!(host.status("alice")["state"], "waiting");
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.status("alice")["state"], "ok");
}

#[test]
fn a_token_lives_through_every_kind_of_rotation_and_a_restart() {
    let kinds = [
        Rotation::Never,
        Rotation::Null,
        Rotation::Empty,
        Rotation::Same,
        Rotation::Rotate,
        Rotation::RotateWithGrace(Duration::from_secs(30)),
    ];
    for rotation in kinds {
        let host = Host::rotating(rotation);
        let daemon = host.serve();
        host.settled_user("alice");
        for _ in 0..3 {
            host.token("alice", "{\"fresh\":true}").ok();
        }
        assert_eq!(daemon.stop(), 0);
        let _daemon = host.serve();
        let answer = host.token("alice", "{\"fresh\":true}").ok();
        assert_eq!(answer["generation"], 6, "{rotation:?}: the login and five refreshes");
        let counts = host.spotify.refreshes("alice");
        assert_eq!((counts.accepted, counts.reused), (5, 0), "{rotation:?}");
        assert!(host.spotify.login_alive("alice"), "{rotation:?}");
    }
}

#[test]
fn with_six_minutes_left_a_token_is_given_out_and_with_four_it_is_refreshed() {
    let host = Host::new();
    // Else a token that a program asked for would be refreshed ahead of time.
    host.configure("[tokens]\nrefresh = \"on-demand\"");
    let daemon = host.serve();
    host.settled_user("alice");
    daemon.stop();
    let aged = |left: i64| {
        let sent = now().as_millis() - (60 - left) * 60_000;
        host.sql(&format!(
            "UPDATE grants SET access_sent_at = {sent}, access_expires_at = {sent} + 3600000, committed_at = {sent}"
        ));
    };
    let refreshes = || host.spotify.refreshes("alice").asked;
    aged(6);
    host.run(&["token", "alice"]).ok();
    assert_eq!(refreshes(), 1);
    aged(4);
    host.run(&["token", "alice"]).ok();
    assert_eq!(refreshes(), 2);
    // More can be asked for than the buffer, up to half the lifetime.
    aged(20);
    host.run(&["token", "alice", "--valid-for", "19m"]).ok();
    assert_eq!(refreshes(), 2);
    host.run(&["token", "alice", "--valid-for", "21m"]).ok();
    assert_eq!(refreshes(), 3);
    let error = host.run(&["token", "alice", "--valid-for", "31m"]).fails(2);
    assert!(error.contains("1800 s"), "{error}");
    assert_eq!(refreshes(), 3);
}

#[test]
fn a_run_too_gets_only_a_token_that_is_valid_for_the_buffer() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    daemon.stop();
    let sent = now().as_millis() - 56 * 60_000;
    host.sql(&format!("UPDATE grants SET access_sent_at = {sent}, access_expires_at = {sent} + 3600000"));
    let _daemon = host.serve();
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.spotify.refreshes("alice").asked, 2);
    // What was left when the run started was seen before the refresh.
    assert_eq!(host.metric("token_time_until_expiry_seconds_bucket{le=\"180\"}"), 0.0);
    assert_eq!(host.metric("token_time_until_expiry_seconds_bucket{le=\"300\"}"), 1.0);
}

#[test]
fn a_late_answer_for_a_user_who_was_removed_brings_nobody_back() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::before);
    let asked = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    host.run(&["users", "remove", "alice"]).ok();
    gate.open();
    assert_ne!(asked.answer().expect("an answer").status, 200, "no token of a user who is gone");
    host.until("Spotify has ended it", || host.spotify.refreshes("alice").under_way == 0);
    host.run(&["users", "add", "alice"]).ok();
    assert_eq!(host.token("alice", "").problem(409), "needs_login");
    assert_eq!(host.user("alice")["state"], "needs_login");
}

#[test]
fn a_late_answer_of_an_old_login_changes_nothing_of_the_new_one() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::after);
    let asked = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    let mut login = host.talk(&["login", "alice", "--paste"]);
    let address = login.line();
    login.answer(&host.open_in_browser(&address)).ok();
    let renewed = host.token("alice", "").ok();
    gate.open();
    let answered = asked.answer().expect("an answer");
    if answered.status == 200 {
        let token = answered.json()["access_token"].as_str().expect("a token").to_owned();
        assert!(host.spotify.access_valid(&token));
    }
    host.until("Spotify has ended it", || host.spotify.refreshes("alice").under_way == 0);
    let now = host.token("alice", "{\"fresh\":true}").ok();
    assert!(now["generation"].as_u64() > renewed["generation"].as_u64());
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert!(host.spotify.login_alive("alice"), "the refresh was of the new login");
}

#[test]
fn a_pause_during_a_refresh_loses_nothing() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::after);
    let asked = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    host.run(&["pause", "alice"]).ok();
    gate.open();
    assert_eq!(asked.answer().expect("an answer").problem(409), "paused");
    host.until("Spotify has ended it", || host.spotify.refreshes("alice").under_way == 0);
    host.run(&["resume", "alice"]).ok();
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}

#[test]
fn no_more_refreshes_are_under_way_than_the_configuration_says() {
    let host = Host::new();
    host.configure("[tokens]\nconcurrency = 3");
    let _daemon = host.serve();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for name in names {
        host.settled_user(name);
    }
    let before = host.spotify.requests(Endpoint::Token);
    let gate = Gate::new();
    let held = Fault::before(Effect::Hang(gate.clone()));
    host.spotify.inject(Injection::new(Endpoint::Token, held).until_cleared());
    let asked = names.map(|name| host.send("POST", &format!("/v1/users/{name}/token"), "{\"fresh\":true}"));
    reached(&gate, 3);
    for _ in 0..20 {
        host.token("nobody", "").problem(404);
    }
    assert_eq!(host.spotify.requests(Endpoint::Token), before + 3);
    // Whoever needs none is not kept waiting.
    host.token("a", "").ok();
    host.spotify.clear_faults();
    gate.open();
    for asked in asked {
        asked.answer().expect("an answer").ok();
    }
    assert_eq!(host.spotify.requests(Endpoint::Token), before + 7);
}

#[test]
fn one_users_slow_refresh_delays_nobody_else() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    let gate = host.hold(Endpoint::Token, Fault::before);
    let slow = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    host.token("bob", "{\"fresh\":true}").ok();
    host.run(&["archive", "bob"]).ok();
    host.run(&["archive", "alice"]).ok();
    gate.open();
    slow.answer().expect("an answer").ok();
}

#[test]
fn whoever_gives_up_stops_nothing() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::before);
    let gone = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    drop(gone);
    gate.open();
    host.until("it is committed all the same", || host.token("alice", "").ok()["generation"] == 3);
    assert_eq!(host.spotify.refreshes("alice").asked, 2);
}
