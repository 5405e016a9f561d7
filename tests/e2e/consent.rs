//! The consent clock as people see it: a login that ends is told of in time, its end is said everywhere with the cure,
//! and a renewal goes on where the archive stood.

use std::time::Duration;

use longplay::sim::music::session;

use crate::fixture::notified::Notified;
use crate::fixture::{Host, SCOPES, now};

/// So old, a login of six calendar months ends in three to six days.
const AGED: Duration = Duration::from_secs(178 * 86_400);

/// A user whose login was given so long ago, added before a daemon runs.
fn add_aged(host: &Host, name: &str, age: Duration) {
    let given = now() - age;
    let token = host.spotify.grant_at(name, "client", &SCOPES, given);
    let args = ["users", "add", name, "--refresh-token-file", "-", "--login-at", &given.to_string()];
    host.run_with(&args, &format!("{token}\n")).ok();
}

fn renew(host: &Host, name: &str) -> String {
    let mut login = host.talk(&["login", name, "--paste"]);
    let address = host.open_in_browser(&login.line());
    let ran = login.answer(&address);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stderr
}

fn attention(host: &Host) -> Vec<String> {
    let health = host.get("/healthz");
    assert_eq!(health.status, 200, "a login that is to be renewed is no fault of the daemon's: {health:?}");
    let said = health.json()["attention"].clone();
    said.as_array().into_iter().flatten().filter_map(|said| said.as_str().map(str::to_owned)).collect()
}

#[test]
fn a_login_about_to_end_is_told_of_once_and_shown_wherever_people_look() {
    let host = Host::new();
    add_aged(&host, "alice", AGED);
    for round in 0..2 {
        let daemon = host.serve();
        host.until("the look is over", || host.metric("longplay_logins_ending{days=\"7\"}") == 1.0);
        assert_eq!(daemon.log().matches("event=\"login_ending\"").count(), 1, "round {round}");
        assert_eq!(daemon.stop(), 0);
    }
    let daemon = host.serve();
    let cure = "the login of alice ends within 7 days: run `longplay login alice`";
    host.until("it is said", || attention(&host) == [cure]);
    let status = host.status("alice");
    let ends = status["login_expires_at"].as_str().expect("an end");
    assert_eq!(&status["login_at"].as_str().expect("a time")[10..], &ends[10..], "the same time of day");
    assert_eq!(status["state"], "ok", "until then all is well");
    let [one, all] = [host.run(&["status", "alice"]).ok(), host.run(&["status"]).ok()];
    assert!(one.contains("logged in") && one.contains("login ends"), "{one}");
    assert!(all.contains("LOGIN ENDS"), "{all}");
    assert_eq!(host.metric("longplay_logins_ending{days=\"1\"}"), 0.0);
    assert!(
        host.get("/metrics").text.contains("longplay_user_login_ends_timestamp_seconds{user=\"alice\"} ")
    );
    // The renewal ends it all, and says until when it holds.
    let said = renew(&host, "alice");
    let renewed = host.user("alice")["login_expires_at"].as_str().expect("an end").to_owned();
    assert!(said.contains(&format!("alice is logged in until {renewed}")), "{said}");
    assert!(renewed.as_str() > ends);
    host.until("nothing is to be done", || attention(&host).is_empty());
    host.until("none is about to end", || host.metric("longplay_logins_ending{days=\"30\"}") == 0.0);
    assert_eq!(daemon.log().matches("event=\"login_ending\"").count(), 1);
}

#[test]
fn who_must_log_in_is_told_in_every_place_with_the_cure_and_the_event_comes_once() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let serve = || {
        host.serve_with(|command| {
            command.env("NOTIFY_SOCKET", host.path("notify.sock"));
        })
    };
    let daemon = serve();
    host.settled_user("alice");
    let mut watch = host.talk(&["watch", "--json"]);
    assert_eq!(attention(&host), [""; 0]);
    host.spotify.expire_login("alice");
    let cure = "run `longplay login alice`";
    for _ in 0..3 {
        let said = host.run(&["token", "alice", "--fresh"]).fails(77);
        assert!(said.contains(cure), "{said}");
    }
    let status = host.status("alice");
    assert_eq!(status["state"], "needs_login");
    let reason = status["reason"].as_str().expect("a reason");
    assert!(reason.contains("come to its age") && reason.contains(cure), "{reason}");
    let line = loop {
        let line = systemd.next_with("STATUS=");
        if line.contains("must log in") {
            break line;
        }
    };
    assert!(line.contains("1 must log in") && line.contains(&format!("alice must log in: {cure}")), "{line}");
    assert_eq!(attention(&host), [format!("alice must log in: {cure}")]);
    let event = loop {
        let event: serde_json::Value = serde_json::from_str(&watch.line()).expect("JSON");
        if event["kind"] == "login_lost" {
            break event;
        }
    };
    assert_eq!(event["user"], "alice");
    assert!(event["message"].as_str().is_some_and(|message| message.contains(cure)), "{event}");
    assert_eq!(host.metric("longplay_users{state=\"needs_login\"}"), 1.0);
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"expired\"}"), 1.0);
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"revoked\"}"), 0.0);
    assert_eq!(host.run(&["status", "--check"]).code, 1);
    watch.child.kill().expect("it is ended");
    assert_eq!(daemon.stop(), 0);
    // A restart shows it again where it is a state, and tells it again nowhere.
    let daemon = serve();
    host.until("it is shown", || attention(&host) == [format!("alice must log in: {cure}")]);
    systemd.until_status(&format!("alice must log in: {cure}"));
    host.run(&["token", "alice"]).fails(77);
    assert_eq!(daemon.log().matches("event=\"login_lost\"").count(), 1, "{}", daemon.log());
    assert_eq!(host.metric("longplay_users{state=\"needs_login\"}"), 1.0);
    renew(&host, "alice");
    host.until("all is well", || attention(&host).is_empty() && host.user("alice")["state"] == "ok");
}

#[test]
fn the_calendar_tells_why_a_login_ended_where_spotify_does_not() {
    let host = Host::new();
    host.spotify.set_login_lifetime(None);
    add_aged(&host, "alice", Duration::from_secs(190 * 86_400));
    // "Refresh token revoked" is all that Spotify says.
    host.spotify.revoke("alice");
    let daemon = host.serve();
    let said = host.run(&["token", "alice", "--fresh"]).fails(77);
    assert!(said.contains("come to its age") && said.contains("run `longplay login alice`"), "{said}");
    let lost = |reason: &str| host.metric(&format!("longplay_logins_lost_total{{reason=\"{reason}\"}}"));
    assert_eq!((lost("expired"), lost("revoked")), (1.0, 0.0));
    assert!(daemon.log().contains("come to its age"));
}

#[test]
fn a_renewal_goes_on_where_the_archive_stood() {
    let host = Host::new();
    let _daemon = host.serve();
    let began = now();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    host.spotify.add_account("alice");
    host.spotify.listen("alice", session(10, began - minutes(600)));
    host.settled_user("alice");
    assert_eq!(host.plays("alice").len(), 10);
    for (heard, at, gaps) in [(30, minutes(300), 0), (60, minutes(0), 1)] {
        host.spotify.expire_login("alice");
        host.run(&["token", "alice", "--fresh"]).fails(77);
        host.run(&["archive", "alice"]).fails(77);
        host.spotify.listen("alice", session(heard, began - at));
        let (before, login_at) = (host.plays("alice").len(), host.user("alice")["login_at"].clone());
        renew(&host, "alice");
        let shown = heard.min(50);
        host.until("what was heard meanwhile is there", || host.plays("alice").len() == before + shown);
        let status = host.user("alice");
        assert_eq!((&status["state"], &status["gaps"]), (&"ok".into(), &gaps.into()), "{status}");
        assert_ne!(status["login_at"], login_at);
    }
    let plays = host.plays("alice");
    let times: std::collections::BTreeSet<_> = plays.iter().map(|play| play["played_at"].as_str()).collect();
    assert_eq!(times.len(), plays.len(), "every play once");
    let gaps = host.run(&["gaps", "alice", "--json"]).json();
    assert_eq!(gaps[0]["cause"], "login_dead", "{gaps}");
}

#[test]
fn who_has_no_password_learns_from_the_health_check_nothing_but_well_or_not() {
    let host = Host::new();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.write("password", "open sesame\n");
    let guarded = format!("listen = \"127.0.0.1:{}\"\npassword_file = \"password\"", host.port);
    host.write("longplay.toml", &config.replace(&format!("listen = \"127.0.0.1:{}\"", host.port), &guarded));
    host.run(&["users", "add", "alice"]).ok();
    let _daemon = host.serve();
    host.until("it is said", || attention(&host) == ["alice must log in: run `longplay login alice`"]);
    assert_eq!(host.page("/healthz", "localhost").ok(), serde_json::json!({"healthy": true}));
}
