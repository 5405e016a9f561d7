//! Several daemons on one PostgreSQL: any of them answers for any user, and what one does the others know.

use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, LimitBody, Reply, Rotation};

use crate::fixture::{Host, at_once, now, postgres, reached};

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
    here.spotify.listen_until("alice", 5, now());
    let asked = here.requests("alice", Endpoint::Recent);
    let gate = Gate::new();
    here.spotify.inject(Injection::new(Endpoint::Recent, Fault::before(Effect::Hang(gate.clone()))));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| here.run(&["archive", "alice"]));
        reached(&gate, 1);
        let second = scope.spawn(|| there.run(&["archive", "alice"]));
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert_eq!(here.requests("alice", Endpoint::Recent), asked + 1);
        gate.open();
        let (first, second) = (first.join().unwrap().ok(), second.join().unwrap().ok());
        assert!(first.contains('5') && second.contains('5'), "{first} {second}");
    });
    assert_eq!(here.requests("alice", Endpoint::Recent), asked + 1);
}
