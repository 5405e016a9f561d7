//! Kill -9: what is committed stays, what is under way is found again, and a loss is flagged.

use std::time::{Duration, Instant};

use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, Rotation};

use crate::fixture::{Host, now, postgres, reached};

/// More than the 60 s that a request may take, and less than the 90 s for which it is its daemon's.
const TOO_LONG: Duration = Duration::from_secs(61);

#[test]
fn killed_right_after_a_refresh_the_login_lives() {
    let host = Host::rotating(Rotation::Rotate);
    let mut daemon = host.serve();
    host.settled_user("alice");
    for round in 0..10 {
        let seen = host.token("alice", "{\"fresh\":true}").ok();
        daemon.kill();
        daemon = host.serve();
        let held = host.token("alice", "").ok();
        assert_eq!(held, seen, "round {round}: what was seen is durable");
    }
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert!(host.spotify.login_alive("alice"));
    assert_eq!(host.user("alice")["state"], "ok");
}

/// Kills the daemon while Spotify holds a refresh, before or after its own commit.
fn killed_in_a_refresh(rotation: Rotation, after: bool) -> Host {
    let host = Host::rotating(rotation);
    let daemon = host.serve();
    host.settled_user("alice");
    let gate = Gate::new();
    let effect = Effect::Hang(gate.clone());
    let fault = if after { Fault::after(effect) } else { Fault::before(effect) };
    host.spotify.inject(Injection::new(Endpoint::Token, fault));
    std::thread::scope(|scope| {
        scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        daemon.kill();
    });
    assert!(["ok", "in_doubt"].contains(&host.status("alice")["state"].as_str().expect("a state")));
    gate.open();
    host.until("Spotify has ended it", || host.spotify.refreshes("alice").under_way == 0);
    host
}

#[test]
fn killed_while_a_refresh_is_under_way_a_login_lives_where_the_provider_lets_it() {
    for rotation in [Rotation::Never, Rotation::RotateWithGrace(Duration::from_secs(600))] {
        for after in [false, true] {
            let host = killed_in_a_refresh(rotation, after);
            let _daemon = host.serve();
            host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
            assert!(host.spotify.login_alive("alice"), "{rotation:?} {after}");
            assert_eq!(host.spotify.refreshes("alice").reused, 0);
            assert_eq!(host.user("alice")["state"], "ok");
        }
    }
}

#[test]
fn killed_while_a_strict_providers_answer_was_on_its_way_the_loss_is_flagged() {
    let host = killed_in_a_refresh(Rotation::Rotate, true);
    let _daemon = host.serve();
    host.until("it is said", || host.user("alice")["state"] == "needs_login");
    let reason = host.status("alice")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("answer was lost") && reason.contains("longplay login alice"), "{reason}");
}

#[test]
fn killed_in_a_run_the_next_one_loses_and_doubles_nothing() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 30, now());
    let gate = host.hold(Endpoint::Recent, Fault::after);
    std::thread::scope(|scope| {
        scope.spawn(|| host.run(&["archive", "alice"]));
        reached(&gate, 1);
        daemon.kill();
    });
    gate.open();
    let _daemon = host.serve();
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.plays("alice").len(), 30);
    assert_eq!(host.status("alice")["last_run_result"], "ok");
}

#[test]
fn killed_at_any_moment_of_many_refreshes_no_login_is_lost_silently() {
    let host = Host::rotating(Rotation::Rotate);
    let users = ["alice", "bob", "carol", "dave"];
    let mut daemon = host.serve();
    for name in users {
        host.settled_user(name);
    }
    for round in 0..8 {
        let before = host.spotify.requests(Endpoint::Token);
        std::thread::scope(|scope| {
            let asking = users.map(|name| {
                let host = &host;
                scope.spawn(move || (0..5).for_each(|_| drop(host.token(name, "{\"fresh\":true}"))))
            });
            // A different moment each time: of 20 refreshes so many have come to Spotify, where no login is dead yet.
            while host.spotify.requests(Endpoint::Token) <= before + 2 * round
                && !asking.iter().all(|asking| asking.is_finished())
            {
                std::thread::yield_now();
            }
            daemon.signal("KILL");
        });
        drop(daemon);
        daemon = host.serve();
    }
    for name in users {
        let decided = || match host.token(name, "{\"fresh\":true}") {
            answer if answer.status == 200 => Some(true),
            answer if answer.status == 409 => Some(false),
            _ => None,
        };
        host.until("an answer decides", || decided().is_some());
        let alive = decided() == Some(true);
        assert_eq!(alive, host.spotify.login_alive(name), "{name}: what is said is the truth");
        let state = host.user(name)["state"].clone();
        assert_eq!(state, if alive { "ok" } else { "needs_login" });
    }
}

#[test]
fn a_process_that_stands_still_for_longer_than_a_request_may_take_still_reads_the_answer() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::after);
    let fresh = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    daemon.signal("STOP");
    let stopped = Instant::now();
    gate.open();
    // The stopped daemon is told by its own clock: nothing else can be waited for.
    host.until("a request would be over", || stopped.elapsed() > TOO_LONG);
    daemon.signal("CONT");
    let answer = fresh.answer().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert!(host.spotify.login_alive("alice"));
}

#[test]
fn a_daemon_that_stood_still_for_longer_than_its_lease_costs_no_login_whatever_another_does_meanwhile() {
    // Where the provider rotates the other leaves it to the sender; where it does not, it sends at once.
    for (rotation, of_other) in [(Rotation::Rotate, 503), (Rotation::Never, 200)] {
        let here = Host::rotating(rotation).on(&postgres::shared().database());
        let there = here.sibling();
        let (daemon, _other) = (here.serve(), there.serve());
        here.settled_user("alice");
        here.token("alice", "{\"fresh\":true}").ok();
        let newest = here.token("alice", "").ok();
        there.until("the other knows her", || there.token("alice", "").json() == newest);
        let gate = Gate::new();
        here.spotify.inject(Injection::new(Endpoint::Token, Fault::after(Effect::Hang(gate.clone()))));
        let fresh = here.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
        reached(&gate, 1);
        daemon.signal("STOP");
        // As if its ninety seconds had passed, by the store's clock.
        here.sql("UPDATE grants SET attempt_lease_until = attempt_lease_until - 91000");
        let other = there.token("alice", "{\"fresh\":true}");
        assert_eq!(other.status, of_other, "{rotation:?}: {other:?}");
        gate.open();
        daemon.signal("CONT");
        let answer = fresh.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{rotation:?}: {answer:?}");
        there.until("both have the newest", || {
            let (a, b) = (here.token("alice", "").json(), there.token("alice", "").json());
            a == b && here.spotify.access_valid(a["access_token"].as_str().expect("a token"))
        });
        there.until("the other can refresh", || there.token("alice", "{\"fresh\":true}").status == 200);
        assert_eq!(here.spotify.refreshes("alice").reused, 0, "{rotation:?}");
        assert!(here.spotify.login_alive("alice"), "{rotation:?}");
    }
}
