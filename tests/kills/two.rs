//! Two daemons on one PostgreSQL: asked for the same users' tokens at once, again and again; and one that stands still in
//! the middle of a refresh for longer than its lease.

use std::time::Duration;

use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, Rotation};

use crate::effort::{asks, say};
use crate::fixture::{Daemon, Host, Sent, at_once, postgres, reached};
use crate::fleet::settled;

const USERS: usize = 8;
const FRESH: &str = "{\"fresh\":true}";

/// Two hosts with one store, one token key and one provider.
fn two(rotation: Rotation) -> (Host, Host) {
    let here = Host::rotating(rotation).on(&postgres::shared().database());
    if let Rotation::RotateWithGrace(_) = rotation {
        here.configure("rotation_grace = \"120s\"");
    }
    let there = here.sibling();
    if let Rotation::RotateWithGrace(_) = rotation {
        there.configure("rotation_grace = \"120s\"");
    }
    (here, there)
}

#[test]
fn two_daemons_asked_for_the_same_tokens_at_once_refresh_one_at_a_time() {
    let (here, there) = two(Rotation::Rotate);
    let _daemons = (here.serve(), there.serve());
    let names: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
    names.iter().for_each(|name| here.settled_user(name));
    for name in &names {
        there.until("the other knows them", || there.token(name, "").status == 200);
    }
    let rounds = asks().div_ceil(USERS);
    let began = std::time::Instant::now();
    let put_off: usize =
        at_once(USERS, |n| asked_at_once(&here, &there, &names[n], rounds)).into_iter().sum();
    let mut refreshes = 0;
    for name in &names {
        let counts = here.spotify.refreshes(name);
        refreshes += counts.accepted;
        assert_eq!((counts.reused, counts.most_at_once), (0, 1), "{name}: {counts:?}");
        assert_eq!(counts.asked, counts.accepted, "{name}: {counts:?}");
        assert!(here.spotify.login_alive(name), "{name}");
        here.until("both have the newest", || {
            let (a, b) = (here.token(name, "").ok(), there.token(name, "").ok());
            a == b
                && a["generation"] == counts.accepted + 1
                && here.spotify.access_valid(a["access_token"].as_str().unwrap())
        });
    }
    // To be put off costs a program a second try: few may be, and nearly every round brings fresh tokens.
    let asked = rounds * USERS;
    assert!(put_off * 10 <= 2 * asked, "{put_off} of {} answers were put off", 2 * asked);
    assert!(refreshes * 10 >= 9 * asked as u64, "{refreshes} refreshes in {asked} rounds");
    say(&format!(
        "both asked at once {} times for {USERS} users' fresh tokens: {refreshes} refreshes, {put_off} answers put off, in {:.0?}",
        rounds * USERS,
        began.elapsed()
    ));
}

/// Answers how many were put off with 503.
fn asked_at_once(here: &Host, there: &Host, name: &str, rounds: usize) -> usize {
    let path = format!("/v1/users/{name}/token");
    let (mut newest, mut put_off) = (0, 0);
    for round in 0..rounds {
        // Neither of the two is always the first.
        let order = if round.is_multiple_of(2) { [here, there] } else { [there, here] };
        let asked = order.map(|host| host.send("POST", &path, FRESH));
        let before = newest;
        for answer in asked.map(Sent::answer) {
            let answer = answer.unwrap();
            match answer.status {
                200 => {
                    let token = answer.json();
                    let generation = token["generation"].as_u64().unwrap();
                    assert!(
                        generation > before,
                        "{name}: {generation} is not fresh, {before} was there before"
                    );
                    assert!(here.spotify.access_valid(token["access_token"].as_str().unwrap()), "{name}");
                    newest = newest.max(generation);
                }
                503 => put_off += 1,
                _ => panic!("{name}: {answer:?}"),
            }
        }
    }
    put_off
}

/// Both daemons, here stopped in the middle of a refresh that the provider holds, before its commit or after it; and its
/// lease is over for so long.
struct Stopped {
    here: Host,
    there: Host,
    stopped: Daemon,
    other: Daemon,
    gate: Gate,
    asked: Sent<std::os::unix::net::UnixStream>,
}

fn stopped(rotation: Rotation, after: bool, over_for: Duration) -> Stopped {
    let (here, there) = two(rotation);
    let (stopped, other) = (here.serve(), there.serve());
    here.settled_user("alice");
    settled(&here, "alice").unwrap();
    let newest = here.token("alice", "").ok();
    there.until("the other knows her", || there.token("alice", "").json() == newest);
    let gate = Gate::new();
    let effect = Effect::Hang(gate.clone());
    let fault = if after { Fault::after(effect) } else { Fault::before(effect) };
    here.spotify.inject(Injection::new(Endpoint::Token, fault));
    let asked = here.send("POST", "/v1/users/alice/token", FRESH);
    reached(&gate, 1);
    stopped.signal("STOP");
    let back = Duration::from_secs(90) + over_for;
    here.sql(&format!("UPDATE grants SET attempt_lease_until = attempt_lease_until - {}", back.as_millis()));
    Stopped { here, there, stopped, other, gate, asked }
}

impl Stopped {
    /// The provider goes on, and the daemon too; the first answer is taken.
    fn go_on(self) -> (Host, Host, [Daemon; 2]) {
        self.gate.open();
        self.stopped.signal("CONT");
        let answer = self.asked.answer().unwrap();
        assert!([200, 409, 503].contains(&answer.status), "{answer:?}");
        (self.here, self.there, [self.stopped, self.other])
    }
}

fn both_end_with_the_newest(here: &Host, there: &Host, what: &str) {
    for host in [here, there] {
        host.until("a fresh token can be had", || host.token("alice", FRESH).status == 200);
    }
    here.until("both have the newest", || {
        let (a, b) = (here.token("alice", "").json(), there.token("alice", "").json());
        a == b && here.spotify.access_valid(a["access_token"].as_str().unwrap())
    });
    assert_eq!(here.spotify.refreshes("alice").reused, 0, "{what}");
    assert!(here.spotify.login_alive("alice"), "{what}");
}

#[test]
fn a_daemon_that_stood_still_beyond_its_lease_costs_no_login_while_the_other_waits_for_its_answer() {
    at_once(2, |n| {
        let what = if n == 0 { "stopped before the commit" } else { "stopped after it" };
        let scene = stopped(Rotation::Rotate, n == 1, Duration::from_secs(60));
        let before = scene.here.spotify.refreshes("alice").asked;
        // The sender may yet come back with the answer.
        assert_eq!(scene.there.token("alice", FRESH).problem(503), "in_doubt", "{what}");
        assert_eq!(scene.here.spotify.refreshes("alice").asked, before, "{what}");
        let (here, there, _daemons) = scene.go_on();
        both_end_with_the_newest(&here, &there, what);
        assert_eq!(here.spotify.refreshes("alice").most_at_once, 1, "{what}");
    });
}

#[test]
fn where_a_spent_token_may_be_tried_again_the_other_does_not_wait_and_nothing_is_lost() {
    let grace = Rotation::RotateWithGrace(Duration::from_secs(120));
    let cases = [(Rotation::Never, false), (Rotation::Never, true), (grace, false), (grace, true)];
    at_once(cases.len(), |n| {
        let (rotation, after) = cases[n];
        let scene = stopped(rotation, after, Duration::from_secs(1));
        scene.there.until("the other has a fresh one", || scene.there.token("alice", FRESH).status == 200);
        let (here, there, _daemons) = scene.go_on();
        both_end_with_the_newest(&here, &there, &format!("{rotation:?}, after the commit: {after}"));
    });
}

/// A quarter of an hour after the lease the other tries, since the sender may never come back: on a provider that rotates
/// strictly both can't be right.
#[test]
fn a_daemon_that_comes_back_when_the_other_has_given_it_up_costs_the_login_and_that_is_told() {
    at_once(2, |n| {
        let after = n == 1;
        let scene = stopped(Rotation::Rotate, after, Duration::from_secs(16 * 60));
        let tried = || scene.there.token("alice", FRESH).status;
        // Before the commit it gets new tokens; after it, it finds the old one spent.
        scene.there.until("the other has tried", || tried() == if after { 409 } else { 200 });
        let (here, there, _daemons) = scene.go_on();
        here.until("the provider has answered", || here.spotify.refreshes("alice").under_way == 0);
        assert_eq!(here.spotify.refreshes("alice").reused, 1, "after the commit: {after}");
        for host in [&here, &there] {
            host.until("it is told", || host.token("alice", FRESH).status == 409);
            host.until("it stays told", || host.user("alice")["state"] == "needs_login");
            let reason = host.status("alice")["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("longplay login alice"), "{reason}");
        }
        let asked = here.spotify.refreshes("alice").asked;
        at_once(8, |n| [&here, &there][n % 2].token("alice", FRESH).problem(409));
        assert_eq!(here.spotify.refreshes("alice").asked, asked, "and nothing more is spent on it");
    });
}

#[cfg(feature = "failpoints")]
#[test]
fn a_daemon_that_stood_still_between_its_lease_and_its_request_sends_nothing() {
    let (here, there) = two(Rotation::Rotate);
    let daemon = here.serve();
    here.settled_user("alice");
    settled(&here, "alice").unwrap();
    assert_eq!(daemon.stop(), 0);
    let daemon = here.serve_with(|command| {
        command.env("FAILPOINTS", "refresh-after-intent=1*sleep(2000)").env("LONGPLAY_LOG__LEVEL", "debug");
    });
    let _other = there.serve();
    let asked = here.send("POST", "/v1/users/alice/token", FRESH);
    here.until("the intent is on record", || daemon.log().contains("step refresh-after-intent"));
    daemon.signal("STOP");
    here.sql("UPDATE grants SET attempt_lease_until = attempt_lease_until - 1080000");
    there.until("the other has a fresh one", || there.token("alice", FRESH).status == 200);
    let before = here.spotify.refreshes("alice").asked;
    // By the boot clock, longer than a request may be put off behind its intent.
    std::thread::sleep(Duration::from_secs(27));
    daemon.signal("CONT");
    let answer = asked.answer().unwrap();
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    assert_eq!(here.spotify.refreshes("alice").asked, before, "nothing was sent");
    both_end_with_the_newest(&here, &there, "stopped before the request");
}
