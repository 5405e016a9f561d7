//! Users: added, changed, removed; declared by files; added by other programs; paused.

use longplay::sim::Endpoint;
use serde_json::json;

use crate::fixture::{Host, NOTICED, SCOPES, now};

#[test]
fn a_refresh_token_from_elsewhere_comes_from_a_file_or_from_standard_input() {
    let host = Host::new();
    let _daemon = host.serve();
    for (name, ending) in [("alice", "\n"), ("bob", "\r\n"), ("carol", "")] {
        host.spotify.listen_until(name, 2, now());
        let token = host.spotify.grant(name, "client", &SCOPES);
        host.write("token", &format!("{token}{ending}"));
        let file = host.path("token");
        let file = file.to_str().expect("text");
        let added = host.run(&["users", "add", name, "--refresh-token-file", file, "--login-at", "30d"]).ok();
        assert!(added.contains(name) && !added.contains(&token), "{added}");
        host.until("it is archived", || host.user(name)["plays"] == 2);
    }
    let status = host.status("alice");
    crate::fixture::is_time(&status["login_at"]);
    crate::fixture::is_time(&status["login_expires_at"]);
    let token = host.spotify.grant("erin", "client", &SCOPES);
    let given = ["users", "add", "erin", "--refresh-token-file", "-", "--login-at", "2026-08-31T10:00:00Z"];
    host.run_with(&given, &token).ok();
    assert_eq!(host.status("erin")["login_at"], "2026-08-31T10:00:00.000Z");
    assert_eq!(host.status("erin")["login_expires_at"], "2027-02-28T10:00:00.000Z", "calendar months");
    host.run(&["users", "remove", "erin", "--purge"]).ok();
    let token = host.spotify.grant("dave", "client", &SCOPES);
    host.run_with(&["users", "add", "dave", "--refresh-token-file", "-"], &token).ok();
    host.until("it is archived", || host.user("dave")["last_run_result"] == "ok");
    assert!(host.status("dave")["login_at"].is_null(), "nobody knows when");
    // What is no token is refused without a trace.
    host.run_with(&["users", "add", "erin", "--refresh-token-file", "-"], "two words").fails(2);
    host.run(&["users", "add", "erin", "--refresh-token-file", "/nowhere/at/all"]).fails(2);
    assert_eq!(host.get("/v1/users/erin").problem(404), "unknown_user");
}

#[test]
fn a_user_is_added_changed_and_listed() {
    let host = Host::new();
    let _daemon = host.serve();
    let said = host.run(&["users", "add", "alice", "--schedule", "5 * * * *"]).ok();
    assert!(said.contains("longplay login alice"), "{said}");
    assert_eq!(host.status("alice")["state"], "needs_login");
    host.run(&["users", "add", "alice"]).fails(1);
    host.run(&["users", "set", "alice", "--timezone", "Europe/Berlin"]).ok();
    let alice = json!({"name": "alice", "app": "default", "schedule": "5 * * * *", "timezone": "Europe/Berlin",
        "origin": "store"});
    assert_eq!(host.run(&["users", "--json"]).json(), json!([alice]));
    assert_eq!(host.get("/v1/users/alice").ok(), alice);
    let next = |host: &Host| host.status("alice")["next_run_at"].as_str().expect("a time").to_owned();
    // Each user has a moment of their own within the minute.
    assert_eq!(next(&host)[14..16], *"05", "{}", next(&host));
    let moment = next(&host)[17..].to_owned();
    host.run(&["users", "set", "alice", "--schedule", "0 5 * * *", "--timezone", "Asia/Tokyo"]).ok();
    assert_eq!(next(&host)[11..], format!("20:00:{moment}"), "five in Tokyo");
    host.run(&["users", "set", "alice", "--schedule", "5 * * * *", "--timezone", "Europe/Berlin"]).ok();
    host.run(&["users", "set", "alice"]).fails(2);
    host.run(&["users", "set", "bob", "--schedule", "5 * * * *"]).fails(1);
    host.run(&["users", "set", "alice", "--schedule", "hourly"]).fails(2);
    host.run(&["users", "set", "alice", "--timezone", "Mars/Olympus"]).fails(2);
    host.run(&["users", "set", "alice", "--app", "none"]).fails(2);
    host.run(&["users", "add", "Alice!"]).fails(2);
    assert_eq!(host.run(&["users", "--json"]).json(), json!([alice]));
    let table = host.run(&["users"]).ok();
    assert!(table.contains("alice") && table.contains("Europe/Berlin"), "{table}");
}

#[test]
fn a_removed_users_tokens_go_and_the_archive_stays_until_it_is_purged() {
    let host = Host::new();
    let _daemon = host.serve();
    host.spotify.listen_until("alice", 6, now());
    host.settled_user("alice");
    host.run(&["users", "remove", "alice"]).ok();
    assert_eq!(host.run(&["users", "--json"]).json(), json!([]));
    assert_eq!(host.token("alice", "").problem(404), "unknown_user");
    assert_eq!(host.plays("alice").len(), 6, "the archive stays");
    let asked = host.spotify.seen().len();
    host.run(&["archive", "alice"]).fails(1);
    assert_eq!(host.spotify.seen().len(), asked);
    // The same name again: what is archived is theirs still, and nothing is doubled.
    let archived = host.requests("alice", Endpoint::Recent);
    let token = host.spotify.grant("alice", "client", &SCOPES);
    host.run_with(&["users", "add", "alice", "--refresh-token-file", "-"], &token).ok();
    host.until("it is archived", || host.requests("alice", Endpoint::Recent) > archived);
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.plays("alice").len(), 6);
    host.run(&["users", "remove", "alice", "--purge"]).ok();
    host.run(&["plays", "alice"]).fails(1);
    host.run(&["users", "remove", "alice", "--purge"]).fails(1);
    assert_eq!(host.get("/v1/users/alice/plays").problem(404), "unknown_user");
}

#[test]
fn a_user_who_was_removed_can_still_be_purged() {
    let host = Host::new();
    let _daemon = host.serve();
    host.spotify.listen_until("alice", 2, now());
    host.settled_user("alice");
    host.run(&["users", "remove", "alice"]).ok();
    host.run(&["users", "remove", "alice", "--purge"]).ok();
    host.run(&["plays", "alice"]).fails(1);
}

#[test]
fn for_a_user_that_a_file_declares_the_file_wins() {
    let host = Host::new();
    std::fs::create_dir(host.path("conf.d")).expect("a folder");
    host.write(
        "conf.d/users.toml",
        "[users.alice]\nschedule = \"5 * * * *\"\ntimezone = \"Europe/Berlin\"\n",
    );
    let _daemon = host.serve();
    let listed = || host.run(&["users", "--json"]).json();
    assert_eq!(
        listed(),
        json!([{"name": "alice", "app": "default", "schedule": "5 * * * *", "timezone": "Europe/Berlin",
            "origin": "file"}])
    );
    for refused in [
        host.run(&["users", "set", "alice", "--schedule", "6 * * * *"]).fails(1),
        host.run(&["users", "remove", "alice"]).fails(1),
        host.run(&["users", "remove", "alice", "--purge"]).fails(1),
    ] {
        assert!(refused.contains("conf.d/users.toml"), "{refused}");
    }
    let put = host.ask("PUT", "/v1/users/alice", "{\"schedule\":\"6 * * * *\"}");
    assert_eq!(put.problem(409), "file_user");
    assert!(put.text.contains("conf.d/users.toml"), "{put:?}");
    assert_eq!(host.ask("DELETE", "/v1/users/alice", "").problem(409), "file_user");
    // A login is no change of what the file says.
    host.spotify.listen_until("alice", 2, now());
    host.add_user("alice").ok();
    host.until("it is archived", || host.user("alice")["plays"] == 2);
    // Leaving the file ends the archiving, and the archive keeps everything.
    host.write("conf.d/users.toml", "");
    host.run(&["reload"]).ok();
    assert_eq!(listed(), json!([]));
    assert_eq!(host.plays("alice").len(), 2);
    assert_eq!(host.token("alice", "").problem(404), "unknown_user");
    // Back in the file, the login is still there.
    host.write("conf.d/users.toml", "[users.alice]\n");
    host.run(&["reload"]).ok();
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.status("alice")["schedule"], "adaptive");
}

#[test]
fn users_that_another_program_adds_are_noticed_unasked() {
    let host = Host::new();
    let _daemon = host.serve();
    let token = host.spotify.grant("bob", "client", &SCOPES);
    host.sql("INSERT INTO users (name) VALUES ('alice')");
    host.sql(
        "INSERT INTO users (name, app, schedule, timezone) VALUES ('bob', 'default', '* * * * * *', 'Asia/Tokyo')",
    );
    // By the daemon itself, without being asked for them.
    host.until_within(NOTICED, "the schedule fires", || host.user("bob")["last_run_result"] == "needs_login");
    host.run_with(&["users", "set", "bob", "--refresh-token-file", "-"], &token).ok();
    host.until("it is archived", || host.user("bob")["last_run_result"] == "ok");
    assert_eq!(host.user("bob")["timezone"], "Asia/Tokyo");
    assert_eq!(host.user("alice")["schedule"], "adaptive");
    let due = |name: &str| host.user(name)["next_run_at"].as_str().map(|at| at[5..16].to_owned());
    host.sql("UPDATE users SET schedule = '0 5 1 1 *' WHERE name = 'bob'");
    let in_tokyo = || due("bob").as_deref() == Some("12-31T20:00");
    host.until_within(NOTICED, "the new schedule holds, in his zone", in_tokyo);
    host.sql("UPDATE users SET timezone = 'Europe/Berlin' WHERE name = 'bob'");
    let in_berlin = || due("bob").as_deref() == Some("01-01T04:00");
    host.until_within(NOTICED, "the new zone holds", in_berlin);
    host.sql("UPDATE users SET schedule = 'nonsense' WHERE name = 'alice'");
    host.until("what can't be read is told", || {
        let daemon = host.get("/v1/status").json()["daemon"].clone();
        daemon["problems"].as_array().is_some_and(|all| all.iter().any(|p| p.to_string().contains("alice")))
    });
    host.sql("UPDATE users SET schedule = NULL WHERE name = 'alice'");
    host.until("and that it is mended", || {
        host.get("/v1/status").json()["daemon"]["problems"].as_array().is_some_and(Vec::is_empty)
    });
    host.sql("UPDATE users SET active = FALSE WHERE name = 'alice'");
    host.until("she is gone", || host.get("/v1/status?user=alice").status == 404);
}

#[test]
fn a_pause_stops_runs_refreshes_and_tokens_and_survives_a_restart() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    for name in ["alice", "bob"] {
        host.run(&["users", "set", name, "--schedule", "* * * * * *"]).ok();
    }
    host.run(&["pause", "alice"]).ok();
    let still = |host: &Host| {
        // What was under way when it was paused may end.
        host.until("nothing is under way", || host.spotify.seen().iter().all(|seen| seen.answered.is_some()));
        let asked = host.spotify.requests_of("alice", Endpoint::Recent);
        let status = host.status("alice");
        assert_eq!(status["state"], "paused");
        assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("longplay resume alice")));
        assert!(status["next_run_at"].is_null());
        assert_eq!(host.token("alice", "").problem(409), "paused");
        assert_eq!(host.token("alice", "{\"fresh\":true}").problem(409), "paused");
        assert_eq!(host.reject("alice", 2).problem(409), "paused");
        assert_eq!(host.post("/v1/users/alice/archive", "").problem(409), "paused");
        host.run(&["token", "alice"]).fails(1);
        host.run(&["archive", "alice"]).fails(1);
        let others = host.requests("bob", Endpoint::Recent);
        host.until("another's schedule has fired thrice", || {
            host.requests("bob", Endpoint::Recent) >= others + 3
        });
        assert_eq!(host.spotify.requests_of("alice", Endpoint::Recent), asked, "the schedule is silent");
    };
    still(&host);
    host.run(&["status", "--check"]).ok();
    host.run(&["archive", "bob"]).ok();
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    still(&host);
    let runs = host.requests("alice", Endpoint::Recent);
    host.run(&["resume", "alice"]).ok();
    host.until("it goes on", || host.requests("alice", Endpoint::Recent) > runs);
    assert_eq!(host.spotify.refreshes("alice").asked, 1);
    host.run(&["pause", "--all"]).ok();
    assert!(["alice", "bob"].iter().all(|name| host.status(name)["state"] == "paused"));
    assert_eq!(host.post("/v1/resume", "").status, 204);
    assert!(["alice", "bob"].iter().all(|name| host.status(name)["state"] == "ok"));
    assert_eq!(host.post("/v1/users/bob/pause", "").status, 204);
    assert_eq!(host.status("bob")["state"], "paused");
    host.run(&["pause", "nobody"]).fails(1);
}

#[test]
fn a_pause_needs_no_daemon() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    daemon.stop();
    host.run(&["pause", "alice"]).ok();
    assert_eq!(host.status("alice")["state"], "paused");
    let daemon = host.serve();
    assert_eq!(host.token("alice", "").problem(409), "paused");
    daemon.stop();
    host.run(&["resume", "--all"]).ok();
    host.run(&["token", "alice"]).ok();
}
