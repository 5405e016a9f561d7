//! Several daemons on one PostgreSQL: any of them answers for any user, and what one does the others know.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, LimitBody, Reply, Rotation};
use serde_json::json;

use crate::fixture::{Host, NOTICED, Sent, at_once, now, postgres, reached};

/// More than the 90 s for which a claim holds.
const LAPSED: Duration = Duration::from_secs(92);

/// Two hosts with one store, one token key and one Spotify.
fn two() -> (Host, Host) {
    let here = Host::rotating(Rotation::Rotate).on(&postgres::shared().database());
    let there = here.sibling();
    (here, there)
}

#[test]
fn a_user_of_one_is_a_user_of_the_other_and_so_are_their_login_and_their_pause() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    assert_eq!(there.token("alice", "").json(), here.token("alice", "").json());
    here.run(&["pause", "alice"]).ok();
    there.until("the other has paused her", || there.token("alice", "").status == 409);
    there.run(&["resume", "alice"]).ok();
    here.until("both go on", || here.token("alice", "").status == 200);
    there.run(&["users", "remove", "alice", "--purge"]).ok();
    here.until("she is gone from both", || here.token("alice", "").status == 404);
}

#[test]
fn both_asked_at_once_and_often_refresh_one_at_a_time_and_end_with_the_newest_token() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    for _ in 0..10 {
        let tokens = at_once(16, |n| {
            let host = if n % 2 == 0 { &here } else { &there };
            host.token("alice", "{\"fresh\":true}").status
        });
        assert!(tokens.iter().all(|status| [200, 503].contains(status)), "{tokens:?}");
    }
    let refreshes = here.spotify.refreshes("alice");
    assert_eq!((refreshes.reused, refreshes.most_at_once), (0, 1), "{refreshes:?}");
    assert!(here.spotify.login_alive("alice"));
    here.until("both have the newest", || {
        let (a, b) = (here.token("alice", "").json(), there.token("alice", "").json());
        a == b && here.spotify.access_valid(a["access_token"].as_str().unwrap())
    });
}

#[test]
fn a_token_that_one_renewed_is_what_the_other_gives_out() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    let renewed = here.token("alice", "{\"fresh\":true}").json();
    there.until("the other has heard", || there.token("alice", "").json() == renewed);
    let asked = here.spotify.refreshes("alice").asked;
    let old = renewed["generation"].as_u64().unwrap() - 1;
    assert_eq!(there.reject("alice", old).status, 204, "a newer one is known");
    assert_eq!(here.spotify.refreshes("alice").asked, asked);
}

#[test]
fn a_dead_login_costs_one_request_whichever_daemon_is_asked() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    here.spotify.revoke("alice");
    let asked = here.spotify.refreshes("alice").asked;
    assert_eq!(here.token("alice", "{\"fresh\":true}").problem(409), "needs_login");
    assert_eq!(there.token("alice", "{\"fresh\":true}").problem(409), "needs_login");
    assert_eq!(here.spotify.refreshes("alice").asked, asked + 1);
}

#[test]
fn a_retry_after_that_one_was_told_holds_for_the_other() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    here.spotify.inject(Injection::new(
        Endpoint::Recent,
        Fault::answer(Reply::rate_limited(Some("3600"), LimitBody::Json)),
    ));
    assert_ne!(here.run(&["archive", "alice"]).code, 0);
    let asked = here.requests("alice", Endpoint::Recent);
    there.until("the other has heard", || there.user("alice")["state"] == "waiting");
    there.run(&["archive", "alice"]).fails(75);
    assert_eq!(here.requests("alice", Endpoint::Recent), asked, "not a single call");
}

#[test]
fn a_daemon_with_another_key_is_refused() {
    let (here, there) = two();
    let _daemon = here.serve();
    there.write("token-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let said = there.serve_in_vain().fails(78);
    assert!(said.contains("token key"), "{said}");
}

#[test]
fn a_user_is_archived_by_one_daemon_at_a_time_and_who_asks_the_other_gets_the_same_outcome() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    here.settled_user("alice");
    there.until("the other knows her", || there.token("alice", "").status == 200);
    there.settled_user("bob");
    here.spotify.listen_until("alice", 5, now());
    let asked = here.requests("alice", Endpoint::Recent);
    let (gate, first) = hanging_run(&here, "alice", Fault::before);
    let second = there.send("POST", "/v1/users/alice/archive", "");
    // Whoever asks after that is archived from beginning to end: alice would have been, too.
    for _ in 0..3 {
        there.run(&["archive", "bob"]).ok();
    }
    assert_eq!(here.requests("alice", Endpoint::Recent), asked + 1);
    gate.open();
    let outcomes = [first, second].map(|asked| asked.answer().expect("an answer").ok());
    assert_eq!(outcomes[0], json!({"result": "ok", "reason": null, "new_plays": 5, "gaps": []}));
    assert_eq!(outcomes[1], outcomes[0]);
    assert_eq!(here.requests("alice", Endpoint::Recent), asked + 1);
}

/// A run that hangs in its call, made by this host's daemon; and the question that waits for its outcome.
fn hanging_run(host: &Host, name: &str, fault: fn(Effect) -> Fault) -> (Gate, Sent<UnixStream>) {
    let gate = Gate::new();
    let hang = fault(Effect::Hang(gate.clone()));
    host.spotify.inject(Injection::new(Endpoint::Recent, hang).of(name));
    let asked = host.send("POST", &format!("/v1/users/{name}/archive"), "");
    reached(&gate, 1);
    (gate, asked)
}

#[test]
fn a_killed_daemons_run_is_its_own_again_at_once_when_it_is_started_again() {
    let host = Host::new().on(&postgres::shared().database());
    let daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 3, now());
    let (gate, _unread) = hanging_run(&host, "alice", Fault::before);
    daemon.kill();
    gate.open();
    // The claim itself would lapse in an hour.
    host.sql("UPDATE users SET next_run_at = next_run_at + 3600000");
    let _daemon = host.serve();
    host.until("her run is made", || host.user("alice")["plays"] == 3);
}

#[test]
fn a_killed_daemons_run_is_taken_over_when_its_claim_lapses_and_not_before() {
    let (here, there) = two();
    let (daemon, _other) = (here.serve(), there.serve());
    let names = ["alice", "bob"];
    for name in names {
        here.settled_user(name);
        here.spotify.listen_until(name, 3, now());
    }
    let gates = names.map(|name| hanging_run(&here, name, Fault::before).0);
    let asked = here.requests("alice", Endpoint::Recent);
    daemon.kill();
    gates.iter().for_each(Gate::open);
    // As if so much time had passed, or gone back, by the store's clock.
    here.sql("UPDATE users SET next_run_at = next_run_at + 3600000 WHERE name = 'alice'");
    here.sql("UPDATE users SET next_run_at = 1 WHERE name = 'bob'");
    let waiting = there.send("POST", "/v1/users/alice/archive", "");
    // The other looks for what has lapsed once a minute.
    there.until("bob is taken over", || there.user("bob")["plays"] == 3);
    assert_eq!(here.requests("alice", Endpoint::Recent), asked, "her claim still holds");
    here.sql("UPDATE users SET next_run_at = 1 WHERE name = 'alice'");
    assert_eq!(waiting.answer().expect("an answer").ok()["new_plays"], 3, "who waits for her takes over");
}

#[test]
fn a_daemon_that_stood_still_for_longer_than_its_claim_makes_no_call_in_the_run_that_was_taken_over() {
    let (here, there) = two();
    let daemon = here.serve();
    here.settled_user("alice");
    let _other = there.serve();
    there.until("the other knows her", || there.token("alice", "").status == 200);
    let asked = here.requests("alice", Endpoint::Recent);
    // The first call is answered while the daemon stands still; what it would do next must not be done.
    let outage = |hang| Fault::before(hang).and_after(Effect::Answer(Reply::outage(503)));
    let (gate, run) = hanging_run(&here, "alice", outage);
    daemon.signal("STOP");
    let stopped = Instant::now();
    gate.open();
    here.sql("UPDATE users SET next_run_at = 1");
    here.until("the other has taken over", || here.requests("alice", Endpoint::Recent) == asked + 2);
    // The stopped daemon is told by its own clock, the boot clock: nothing else can be waited for.
    here.until("its claim is over", || stopped.elapsed() > LAPSED);
    daemon.signal("CONT");
    let said = run.answer().expect("an answer");
    assert_eq!(here.requests("alice", Endpoint::Recent), asked + 2, "{said:?}");
    here.until("it is well again", || here.token("alice", "").status == 200);
}

#[test]
fn what_another_program_does_to_users_is_noticed_by_every_daemon_unasked() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    let listed = |host: &Host| host.run(&["users", "--json"]).json();
    let soon = |what: &str, so: &dyn Fn(&Host) -> bool| {
        for host in [&here, &there] {
            host.until_within(NOTICED, what, || so(host));
        }
    };
    here.sql("INSERT INTO users (name) VALUES ('alice')");
    soon("alice is there", &|host| {
        listed(host)[0]["name"] == "alice" && host.user("alice")["state"] == "needs_login"
    });
    here.sql("UPDATE users SET schedule = '7 3 * * *', timezone = 'Asia/Tokyo'");
    soon("her schedule is known", &|host| {
        let user = host.user("alice");
        let next = user["next_run_at"].as_str().unwrap_or_default().to_owned();
        user["schedule"] == "7 3 * * *" && user["timezone"] == "Asia/Tokyo" && next.contains("T18:07:")
    });
    here.sql("INSERT INTO users (name, app, schedule, timezone) SELECT 'u' || n, 'default', '5 * * * *', 'UTC' FROM generate_series(1, 3000) AS n");
    soon("three thousand are there", &|host| host.token("u3000", "").status == 409);
    here.sql("UPDATE users SET paused = TRUE WHERE name = 'alice'");
    soon("she is paused", &|host| host.user("alice")["state"] == "paused");
    here.sql("UPDATE users SET active = FALSE WHERE name = 'alice'");
    soon("she is gone", &|host| host.token("alice", "").status == 404);
}

#[test]
fn users_of_one_daemons_files_are_the_others_too_and_go_with_the_file() {
    let (here, there) = two();
    let _daemons = (here.serve(), there.serve());
    let plain = std::fs::read_to_string(here.path("longplay.toml")).unwrap();
    here.configure("[users.alice]\nschedule = \"5 * * * *\"");
    here.run(&["reload"]).ok();
    there.until_within(NOTICED, "the other knows her", || there.user("alice")["schedule"] == "5 * * * *");
    let said = there.run(&["users", "set", "alice", "--schedule", "adaptive"]).fails(1);
    assert!(said.contains("another daemon's configuration"), "{said}");
    there.run(&["reload"]).ok();
    assert_eq!(
        there.run(&["users", "--json"]).json()[0]["origin"],
        "file",
        "the other's files don't declare her"
    );
    here.write("longplay.toml", &plain);
    here.run(&["reload"]).ok();
    there.until_within(NOTICED, "she is gone", || there.token("alice", "").status == 404);
}
