//! Bad days of Spotify's: outages, broken answers and refusals, at the token endpoint and at the Web API.

use longplay::sim::{App, Effect, Endpoint, Fault, Injection, Options, Reply, Rotation};

use crate::fixture::{Host, at_once, now};

/// What passes: each with what the command would say of it if it stayed.
fn passing() -> Vec<(&'static str, Fault)> {
    vec![
        ("an outage", Fault::answer(Reply::outage(503))),
        ("a page for people", Fault::answer(Reply::html(200))),
        ("an empty body", Fault::answer(Reply::empty())),
        ("half a document", Fault::answer(Reply::not_json())),
        ("ten megabytes", Fault::answer(Reply::huge())),
        ("a cut body", Fault::after(Effect::HalfABody)),
        ("a dropped connection", Fault::before(Effect::Drop)),
        ("a redirect", Fault::answer(Reply::redirect("http://127.0.0.1:9/"))),
    ]
}

#[test]
fn a_fault_of_the_web_api_that_passes_is_overcome_within_the_run() {
    let faults = passing();
    at_once(faults.len(), |n| {
        let (what, fault) = faults[n].clone();
        let host = Host::new();
        let _daemon = host.serve();
        host.settled_user("alice");
        host.spotify.listen_until("alice", 2, now());
        let pages = host.requests("alice", Endpoint::Recent);
        host.spotify.inject(Injection::new(Endpoint::Recent, fault));
        assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 2 new plays", "{what}");
        assert_eq!(host.requests("alice", Endpoint::Recent), pages + 2, "{what}");
        assert_eq!(host.spotify.refreshes("alice").asked, 1, "{what}");
        assert_eq!(host.user("alice")["state"], "ok", "{what}");
    });
}

#[test]
fn an_unclear_answer_to_a_refresh_is_a_doubt_that_ends_by_itself() {
    let faults = passing();
    at_once(faults.len(), |n| {
        let (what, fault) = faults[n].clone();
        let host = Host::new();
        let _daemon = host.serve();
        host.settled_user("alice");
        let held = host.token("alice", "").ok();
        host.spotify.inject(Injection::new(Endpoint::Token, fault));
        let answer = host.token("alice", "{\"fresh\":true}");
        assert_eq!(answer.problem(503), "in_doubt", "{what}");
        let after: u64 = answer.header("retry-after").expect("when to ask again").parse().expect("seconds");
        assert!((1..=3).contains(&after), "{what}: {after}");
        // The next try may be made already; either token is good.
        let present = host.token("alice", "").ok();
        assert!(present["generation"].as_u64() >= held["generation"].as_u64(), "{what}");
        host.until("it is tried again without being asked", || host.user("alice")["state"] == "ok");
        let fresh = host.token("alice", "").ok();
        assert_eq!(fresh["generation"].as_u64(), held["generation"].as_u64().map(|g| g + 1), "{what}");
        let counts = host.spotify.refreshes("alice");
        assert_eq!((counts.reused, host.spotify.login_alive("alice")), (0, true), "{what}");
    });
}

#[test]
fn while_in_doubt_the_present_token_is_given_out_and_status_says_so() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let held = host.token("alice", "").ok();
    let lost = Fault::before(Effect::Drop);
    host.spotify.inject(Injection::new(Endpoint::Token, lost).until_cleared());
    assert_eq!(host.token("alice", "{\"fresh\":true}").problem(503), "in_doubt");
    let status = host.status("alice");
    assert_eq!(status["state"], "in_doubt");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("tried again")), "{status}");
    assert_eq!(host.token("alice", "").ok(), held);
    host.run(&["token", "alice", "--fresh"]).fails(75);
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.metric("longplay_refreshes_in_doubt"), 1.0);
    assert!(host.metric("token_refresh_failure_total{error_type=\"network_error\"}") >= 1.0);
    // A restart doesn't forget it.
    assert_eq!(daemon.stop(), 0);
    assert_eq!(host.status("alice")["state"], "in_doubt");
    host.spotify.clear_faults();
    let _daemon = host.serve();
    host.until("doubt ends", || host.user("alice")["state"] == "ok");
}

#[test]
fn an_answer_lost_after_a_strict_rotation_is_flagged_and_said() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.spotify.inject(Injection::new(Endpoint::Token, Fault::after(Effect::Drop)).of("alice"));
    assert_eq!(host.token("alice", "{\"fresh\":true}").problem(503), "in_doubt");
    host.until("an answer ends the doubt", || host.user("alice")["state"] == "needs_login");
    let reason = host.status("alice")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("answer was lost") && reason.contains("longplay login alice"), "{reason}");
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"answer_lost\"}"), 1.0);
    assert_eq!(host.user("bob")["state"], "ok");
}

#[test]
fn within_the_grace_a_lost_answer_costs_nothing() {
    let grace = std::time::Duration::from_secs(600);
    let host = Host::rotating(Rotation::RotateWithGrace(grace));
    host.configure("rotation_grace = \"10m\"");
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.inject(Injection::new(Endpoint::Token, Fault::after(Effect::HalfABody)));
    assert_eq!(host.token("alice", "{\"fresh\":true}").problem(503), "in_doubt");
    host.until("doubt ends", || host.user("alice")["state"] == "ok");
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert!(host.spotify.login_alive("alice"));
}

#[test]
fn a_revoked_login_costs_one_request_however_often_it_is_asked_for() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    let plays = host.plays("alice");
    host.spotify.revoke("alice");
    let before = host.spotify.refreshes("alice").asked;
    let error = host.run(&["token", "alice", "--fresh"]).fails(77);
    assert!(error.contains("longplay login alice"), "{error}");
    let asked = at_once(20, |n| match n % 4 {
        0 => host.token("alice", "{\"fresh\":true}").problem(409),
        1 => host.token("alice", "").problem(409),
        2 => host.post("/v1/users/alice/archive", "").problem(409),
        _ => host.reject("alice", 2).problem(409),
    });
    assert!(asked.iter().all(|word| word == "needs_login"), "{asked:?}");
    host.run(&["archive", "alice"]).fails(77);
    host.run(&["archive", "alice", "bob"]).fails(77);
    let dead = host.spotify.refreshes("alice").asked;
    assert_eq!(dead, before + 1);
    let status = host.status("alice");
    assert_eq!(
        (&status["state"], &status["last_run_result"]),
        (&"needs_login".into(), &"needs_login".into())
    );
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("longplay login alice")));
    assert_eq!(host.run(&["status", "--check"]).code, 1);
    assert_eq!(host.metric("token_refresh_failure_total{error_type=\"invalid_refresh_token\"}"), 1.0);
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"revoked\"}"), 1.0);
    host.until("she is counted", || host.metric("longplay_users{state=\"needs_login\"}") == 1.0);
    // Nobody else is stopped, the archive stays, and a restart asks nothing.
    host.token("bob", "{\"fresh\":true}").ok();
    host.run(&["archive", "bob"]).ok();
    assert_eq!(host.plays("alice"), plays);
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    host.run(&["token", "alice"]).fails(77);
    assert_eq!(host.spotify.refreshes("alice").asked, dead);
}

#[test]
fn a_login_over_its_age_says_so() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.expire_login("alice");
    let error = host.run(&["token", "alice", "--fresh"]).fails(77);
    assert!(error.contains("age") && error.contains("longplay login alice"), "{error}");
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"expired\"}"), 1.0);
}

#[test]
fn a_wrong_client_secret_costs_one_request_and_is_mended_by_a_reload() {
    let host = Host::with(Options::default(), App::with_secret("client", "right"));
    host.write("secret", "wrong\n");
    host.configure("auth = \"secret\"\nclient_secret_file = \"secret\"");
    let daemon = host.serve();
    host.add_user("alice").ok();
    host.until("the app is refused", || host.user("alice")["state"] == "blocked");
    let asked = || host.spotify.requests(Endpoint::Token);
    host.until("the run is over", || host.user("alice")["last_run_result"] == "blocked");
    assert_eq!(asked(), 1);
    let reason = host.status("alice")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("app default") && reason.contains("longplay reload"), "{reason}");
    let words = at_once(10, |_| host.token("alice", "{\"fresh\":true}").problem(409));
    assert!(words.iter().all(|word| word == "blocked"), "{words:?}");
    host.run(&["token", "alice"]).fails(1);
    assert_eq!(asked(), 1);
    assert_eq!(host.metric("token_refresh_failure_total{error_type=\"client_error\"}"), 1.0);
    // A second user changes nothing of that, and a start or a reload tries once more.
    host.add_user("bob").ok();
    host.until("bob is blocked too", || host.user("bob")["last_run_result"] == "blocked");
    assert_eq!(asked(), 1);
    assert_eq!(daemon.stop(), 0);
    let daemon = host.serve();
    let failed = || daemon.log().matches("event=\"run_failed\"").count();
    host.until("it is tried in vain", || failed() == 3);
    assert_eq!(asked(), 2);
    host.run(&["reload"]).ok();
    host.until("it is tried in vain", || failed() == 4);
    assert_eq!(asked(), 3);
    host.write("secret", "right\n");
    host.run(&["reload"]).ok();
    for name in ["alice", "bob"] {
        host.until("all is well by itself", || host.user(name)["state"] == "ok");
        host.until("and archived", || host.user(name)["last_run_result"] == "ok");
        assert!(host.spotify.login_alive(name));
        assert_eq!(host.spotify.refreshes(name).accepted, 1);
    }
}

#[test]
fn a_user_whom_spotify_refuses_is_blocked_and_tried_when_asked() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.spotify.set_allow_listed("alice", false);
    host.run(&["archive", "alice"]).fails(1);
    let status = host.status("alice");
    assert_eq!((&status["state"], &status["last_run_result"]), (&"blocked".into(), &"blocked".into()));
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("registered")), "{status}");
    host.run(&["archive", "alice", "bob"]).ok();
    host.spotify.set_allow_listed("alice", true);
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.status("alice")["state"], "ok");
    host.spotify.set_premium("client", false);
    host.run(&["archive", "bob"]).fails(1);
    let reason = host.status("bob")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("premium"), "{reason}");
}

#[test]
fn while_spotify_is_away_users_wait_and_lose_nothing() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.stop();
    let answer = host.token("alice", "{\"fresh\":true}");
    assert_eq!(answer.problem(503), "waiting");
    assert!(answer.header("retry-after").is_some());
    host.run(&["token", "alice"]).ok();
    assert_eq!(host.get("/healthz").status, 200, "Spotify's outage is not the daemon's");
    host.spotify.resume().expect("it listens again");
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    assert!(host.spotify.login_alive("alice"));
}

#[test]
fn a_clock_that_is_wrong_is_shown_and_the_pessimistic_reading_counts() {
    for (minutes, way) in [(10, "behind"), (60, "behind"), (-60, "ahead of")] {
        let host = Host::new();
        let daemon = host.serve();
        host.settled_user("alice");
        let sound = host.token("alice", "").ok();
        // Spotify's time is off, as seen from this host: the clock here is wrong.
        host.spotify.set_clock_skew(chrono::TimeDelta::minutes(minutes));
        let skewed = host.token("alice", "{\"fresh\":true}").ok();
        host.until("it is shown", || {
            let health = host.get("/healthz");
            health.status == 503 && health.text.contains("clock") && health.text.contains(way)
        });
        let asked = || host.requests("alice", Endpoint::Token);
        let before = asked();
        let given = at_once(20, |_| host.token("alice", "{\"valid_for\":1700}").ok());
        assert!(given.iter().all(|token| token["access_token"] == skewed["access_token"]), "{way}");
        host.run(&["archive", "alice"]).ok();
        assert_eq!(asked(), before, "{way}: a wrong clock is no reason to refresh");
        // A daemon that starts with a wrong clock doesn't know of it: at most it refreshes once.
        assert_eq!(daemon.stop(), 0);
        let _daemon = host.serve();
        let after = at_once(20, |_| host.token("alice", "").ok());
        assert!(asked() <= before + 1, "{way}: {} refreshes", asked() - before);
        host.spotify.set_clock_skew(chrono::TimeDelta::zero());
        let mended = host.token("alice", "{\"fresh\":true}").ok();
        host.until("it is well again", || host.get("/healthz").status == 200);
        for token in [sound, skewed, after[0].clone(), mended] {
            let valid = host.spotify.access_valid(token["access_token"].as_str().expect("a token"));
            let until = longplay::domain::Timestamp::parse(token["expires_at"].as_str().expect("a time"));
            let until = until.expect("a time");
            assert!(valid && until <= now() + std::time::Duration::from_secs(3_600), "{way}: {token}");
        }
        assert!(host.spotify.login_alive("alice"));
    }
}

#[test]
fn a_login_of_another_client_id_must_be_given_anew() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.write("longplay.toml", &config.replace("client_id = \"client\"", "client_id = \"other\""));
    host.run(&["reload"]).ok();
    let asked = host.spotify.seen().len();
    host.run(&["token", "alice"]).fails(77);
    host.run(&["archive", "alice"]).fails(77);
    let status = host.status("alice");
    assert_eq!(status["state"], "needs_login");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("client id")), "{status}");
    assert_eq!(host.spotify.seen().len(), asked, "Spotify is not asked");
    host.write("longplay.toml", &config);
    host.run(&["reload"]).ok();
    host.run(&["archive", "alice"]).ok();
}

#[test]
fn an_app_that_leaves_the_configuration_blocks_its_users_until_it_is_back() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.write("longplay.toml", &config.replace("[apps.default]", "[apps.new]"));
    host.run(&["reload"]).ok();
    assert_eq!(host.user("alice")["state"], "blocked");
    assert_eq!(host.token("alice", "").problem(409), "blocked");
    host.run(&["archive", "alice"]).fails(1);
    host.write("longplay.toml", &config);
    host.run(&["reload"]).ok();
    host.until("it goes on", || host.user("alice")["state"] == "ok");
    host.token("alice", "").ok();
}
