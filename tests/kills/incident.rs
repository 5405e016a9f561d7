//! A provider's bad hour, and an operator's bad reload: whoever was refused for no reason of their own comes back by
//! themselves, for few requests; whoever withdrew their consent meanwhile does not.

use std::time::Duration;

use longplay::sim::{App, Effect, Endpoint, Fault, Injection, Options, Reply, Rotation};

use crate::fixture::{Host, at_once};
use crate::fleet::settled;

const NAMES: [&str; 6] = ["u0", "u1", "u2", "u3", "u4", "gone"];
const FRESH: &str = "{\"fresh\":true}";

fn is(host: &Host, name: &str, state: &str) -> bool {
    host.user(name)["state"] == state
}

#[test]
fn after_an_hour_of_false_refusals_everyone_comes_back_but_who_withdrew() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    NAMES.iter().for_each(|name| host.settled_user(name));
    let before = NAMES.map(|name| host.spotify.refreshes(name).asked);
    let asked = |n: usize| host.spotify.refreshes(NAMES[n]).asked - before[n];
    // Slow enough that two tries at once would be seen.
    let refused = Fault::before(Effect::Late(Duration::from_millis(100), Reply::false_invalid_grant()));
    host.spotify.inject(Injection::new(Endpoint::Token, refused).until_cleared());
    for _ in 0..5 {
        let answers = at_once(NAMES.len(), |n| host.token(NAMES[n], FRESH).problem(409));
        assert!(answers.iter().all(|word| word == "needs_login"), "{answers:?}");
    }
    host.spotify.revoke("gone");
    assert!((0..NAMES.len()).all(|n| asked(n) == 1), "however often they are asked for");
    assert_eq!(daemon.stop(), 0);
    // As if a quarter of an hour had passed: one user at a time is tried, in vain.
    let is_due = "UPDATE grants SET refusal_next_try_at = 1";
    host.sql(is_due);
    host.spotify.take_most_at_once();
    let daemon = host.serve();
    // Read when they are asked for, which costs nothing else.
    at_once(NAMES.len(), |n| host.token(NAMES[n], "").problem(409));
    host.until("each was tried again", || (0..NAMES.len()).all(|n| asked(n) == 2));
    assert_eq!(host.spotify.take_most_at_once(), 1, "one user at a time");
    assert_eq!(daemon.stop(), 0);
    // The hour is over, and one is due.
    host.spotify.clear_faults();
    host.sql(
        "UPDATE grants SET refusal_next_try_at = 1 WHERE user_id = (SELECT id FROM users WHERE name = 'u0')",
    );
    let _daemon = host.serve();
    at_once(NAMES.len(), |n| drop(host.token(NAMES[n], "")));
    for name in &NAMES[..5] {
        host.until("they come back by themselves", || is(&host, name, "ok"));
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}");
    }
    host.until("each was tried once more", || (0..NAMES.len()).all(|n| asked(n) == 3));
    host.until("who withdrew stays refused", || is(&host, "gone", "needs_login"));
    let reason = host.status("gone")["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("Spotify refuses the login") && reason.contains("longplay login gone"),
        "{reason}"
    );
    for name in &NAMES[..5] {
        settled(&host, name).unwrap();
        host.run(&["archive", name]).ok();
    }
    host.token("gone", FRESH).problem(409);
    assert_eq!(asked(5), 3, "nothing more is spent on it");
}

#[test]
fn a_wrong_client_secret_blocks_the_apps_users_touches_no_login_and_is_over_with_a_reload() {
    let host = Host::with(Options::default(), App::with_secret("client", "right").rotation(Rotation::Rotate));
    host.write("secret", "right\n");
    host.configure("auth = \"secret\"\nclient_secret_file = \"secret\"");
    let daemon = host.serve();
    NAMES.iter().for_each(|name| host.settled_user(name));
    // Nobody's login can be sent of these.
    (0..40).for_each(|n| drop(host.ask("PUT", &format!("/v1/users/idle{n}"), "{}").ok()));
    host.spotify.revoke("u4");
    host.token("u4", FRESH).problem(409);
    let held = NAMES.map(|name| host.spotify.current_refresh_token(name));
    host.write("secret", "wrong\n");
    host.run(&["reload"]).ok();
    let requests = || host.spotify.requests(Endpoint::Token);
    let before = requests();
    assert_eq!(host.token("u0", FRESH).problem(409), "blocked");
    for _ in 0..5 {
        at_once(4, |n| assert_eq!(host.token(NAMES[n], FRESH).problem(409), "blocked"));
    }
    assert_eq!(requests(), before + 1, "one request told it");
    for name in ["u0", "u1", "u2", "u3", "gone"] {
        host.until("all are blocked", || is(&host, name, "blocked"));
        let reason = host.status(name)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("app default") && reason.contains("longplay reload"), "{reason}");
    }
    host.spotify.revoke("gone");
    assert_eq!(daemon.log().matches("event=\"app_refused\"").count(), 1, "said once");
    assert_eq!(NAMES.map(|name| host.spotify.current_refresh_token(name)), held, "no login is touched");
    assert_eq!(daemon.log().matches("event=\"login_lost\"").count(), 1, "but u4's, which was over before");
    host.write("secret", "right\n");
    host.run(&["reload"]).ok();
    for name in &NAMES[..4] {
        host.until("all is well by itself", || is(&host, name, "ok"));
        settled(&host, name).unwrap();
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}");
    }
    assert!(is(&host, "u4", "needs_login"));
    assert_eq!(host.token("gone", FRESH).problem(409), "needs_login");
    let asked = ["u4", "gone"].map(|name| host.spotify.refreshes(name).asked);
    ["u4", "gone"].iter().for_each(|name| drop(host.token(name, FRESH).problem(409)));
    assert_eq!(["u4", "gone"].map(|name| host.spotify.refreshes(name).asked), asked);
}
