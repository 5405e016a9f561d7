//! The daemon's life: stop, reload, watch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use longplay::sim::{Endpoint, Fault, Gate, Injection, Rotation};

use crate::fixture::{Daemon, GONE, Host, Sent, Talking, now, reached};

/// A daemon with a refresh under way that Spotify holds.
fn refreshing(host: &Host) -> (Daemon, Gate) {
    let daemon = host.serve();
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::after);
    (daemon, gate)
}

/// `watch` with these arguments, and the first line that it printed. Nobody can tell when it listens, but that it does: a
/// resume of nobody paused is harmless and told.
fn watching(host: &Host, args: &[&str]) -> (Talking, String) {
    let mut watch = host.talk(&[&["watch"], args].concat());
    let heard = AtomicBool::new(false);
    let line = std::thread::scope(|scope| {
        scope.spawn(|| {
            host.until("the watch prints a line", || {
                host.post("/v1/resume", "");
                heard.load(Ordering::SeqCst)
            });
        });
        let line = watch.lines.next();
        heard.store(true, Ordering::SeqCst);
        line
    });
    (watch, line.expect("a line").expect("text"))
}

#[test]
fn with_nothing_under_way_it_is_soon_gone() {
    for signal in ["TERM", "INT"] {
        let host = Host::new();
        let daemon = host.serve();
        host.settled_user("alice");
        // Whoever listens is let go.
        let (watch, _) = watching(&host, &[]);
        let told = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.ended(), 0, "{signal}");
        assert!(told.elapsed() < GONE, "{signal}: {:?}", told.elapsed());
        watch.ended().fails(69);
        assert!(!host.path("run/control.sock").exists(), "no socket is left behind");
    }
}

#[test]
fn while_it_starts_nobody_is_unknown_who_is_in_the_store() {
    let host = Host::new();
    drop(host.serve());
    host.sql(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 900)
         INSERT INTO users (name, app, schedule, timezone) SELECT 'u' || n, 'default', '5 * * * *', 'UTC' FROM numbers",
    );
    for _ in 0..3 {
        let daemon = host.start(|_| {});
        host.until("it listens", || host.get("/healthz").status != 0);
        // One by one, since whoever asks before anyone is taken in waits for that.
        let asked: Vec<_> = (0..400)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                host.try_to_send("POST", "/v1/users/u1/token", "")
            })
            .collect();
        for answer in asked.into_iter().flatten().flat_map(Sent::answer) {
            assert_ne!(answer.status, 404, "{answer:?}");
        }
        host.until("all are taken in", || host.token("u900", "").status == 409);
        drop(daemon);
    }
}

#[test]
fn a_refresh_under_way_is_finished_before_it_ends() {
    let host = Host::rotating(Rotation::Rotate);
    let (mut daemon, gate) = refreshing(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        daemon.signal("TERM");
        host.until("it says what it waits for", || daemon.log().contains("being finished"));
        assert!(!daemon.has_ended());
        gate.open();
        let answer = asked.join().expect("an answer");
        assert!([200, 503].contains(&answer.status), "{answer:?}");
    });
    assert_eq!(daemon.ended(), 0);
    let _daemon = host.serve();
    assert_eq!(host.token("alice", "").ok()["generation"], 3, "what came was committed");
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}

#[test]
fn nothing_new_is_started_while_it_stops() {
    let host = Host::new();
    host.add_user("bob").ok();
    let (daemon, gate) = refreshing(&host);
    let runs = host.requests("bob", Endpoint::Recent);
    host.run(&["users", "set", "bob", "--schedule", "* * * * * *"]).ok();
    let began = Instant::now();
    host.until("bob's schedule fires twice", || host.requests("bob", Endpoint::Recent) >= runs + 2);
    let twice = began.elapsed();
    std::thread::scope(|scope| {
        scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        daemon.signal("TERM");
        host.until("it stops", || daemon.log().contains("being finished"));
        let (asked, runs) = (host.spotify.requests(Endpoint::Token), host.requests("bob", Endpoint::Recent));
        let refused = host.token("bob", "{\"fresh\":true}");
        assert!([0, 503].contains(&refused.status), "{refused:?}");
        // Nothing tells that a schedule is silent but that twice as long goes by as it took to fire twice.
        let stopped = Instant::now();
        host.until("it would have fired", || stopped.elapsed() > 2 * twice);
        assert_eq!(host.spotify.requests(Endpoint::Token), asked);
        assert!(host.requests("bob", Endpoint::Recent) <= runs + 1, "one may have been on its way");
        gate.open();
    });
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn a_second_signal_hurries() {
    let host = Host::new();
    let (daemon, gate) = refreshing(&host);
    std::thread::scope(|scope| {
        scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        daemon.signal("TERM");
        host.until("it waits", || daemon.log().contains("being finished"));
        let hurried = Instant::now();
        daemon.signal("TERM");
        daemon.ended();
        assert!(hurried.elapsed() < GONE, "{:?}", hurried.elapsed());
        gate.open();
    });
    // Spotify doesn't rotate here, so that nothing was lost.
    let _daemon = host.serve();
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
}

#[test]
fn a_run_that_waits_to_try_again_does_not_hold_up_the_end() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let outage = Fault::answer(longplay::sim::Reply::outage(503));
    host.spotify.inject(Injection::new(Endpoint::Recent, outage).until_cleared());
    let pages = host.requests("alice", Endpoint::Recent);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(&["archive", "alice"]));
        host.until("it has tried once", || host.requests("alice", Endpoint::Recent) == pages + 1);
        let told = Instant::now();
        assert_eq!(daemon.stop(), 0);
        assert!(told.elapsed() < GONE, "{:?}", told.elapsed());
        let ran = run.join().expect("it ends");
        assert!([69, 75].contains(&ran.code), "{ran:?}");
    });
    assert_eq!(host.status("alice")["last_run_result"], "cancelled");
}

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one_whole() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let good = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.configure("[archive]\ntimezone = \"Europe/Berlin\"\n[users.bob]\n");
    let said = host.run(&["reload"]).ok();
    assert!(said.contains("in force"), "{said}");
    assert_eq!(host.status("alice")["timezone"], "Europe/Berlin");
    assert_eq!(host.status("bob")["state"], "needs_login");
    // Three faults, and one good change that must not come through alone.
    host.write(
        "longplay.toml",
        &format!(
            "{good}[archive]\ntimezone = \"Mars/Olympus\"\nmin_interval = \"soon\"\n[tokens]\nbufer = \"1m\"\n[users.carol]\n"
        ),
    );
    let error = host.run(&["reload"]).fails(78);
    for fault in ["Mars/Olympus", "soon", "tokens.bufer"] {
        assert!(error.contains(fault), "{fault} in {error}");
    }
    assert_eq!(error.lines().count(), 3, "{error}");
    let answer = host.post("/v1/reload", "");
    assert_eq!(answer.problem(422), "configuration");
    assert_eq!(answer.json()["faults"].as_array().map(Vec::len), Some(3));
    assert_eq!(host.status("alice")["timezone"], "Europe/Berlin", "the old settings hold");
    assert!(host.status("carol").is_null() && !host.status("bob").is_null());
    let health = host.get("/healthz");
    assert_eq!(health.status, 503);
    assert!(health.text.contains("Mars/Olympus"), "{health:?}");
    // By signal, bad and good.
    daemon.signal("HUP");
    host.token("alice", "{\"fresh\":true}").ok();
    host.write("longplay.toml", &format!("{good}[archive]\ntimezone = \"Asia/Tokyo\"\n"));
    daemon.signal("HUP");
    host.until("it is taken", || host.user("alice")["timezone"] == "Asia/Tokyo");
    host.until("all is well", || host.get("/healthz").status == 200);
    host.until("bob, who left the file, is gone", || host.status("bob").is_null());
    // What needs a restart is said.
    host.write("longplay.toml", &good.replace(&format!("\"127.0.0.1:{}\"", host.port), "\"\""));
    let said = host.run(&["reload"]).ok();
    assert!(said.contains("web.listen") && said.contains("restart"), "{said}");
    assert_eq!(host.page("/healthz", "127.0.0.1").status, 200, "until then it is as it was");
}

#[test]
fn a_reload_during_a_refresh_disturbs_nothing() {
    let host = Host::rotating(Rotation::Rotate);
    let (_daemon, gate) = refreshing(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        host.configure("[tokens]\nbuffer = \"4m\"");
        host.run(&["reload"]).ok();
        gate.open();
        asked.join().expect("an answer").ok();
    });
    let counts = host.spotify.refreshes("alice");
    assert_eq!((counts.asked, counts.reused), (2, 0));
}

#[test]
fn watch_shows_events_as_they_happen() {
    let host = Host::new();
    let _daemon = host.serve();
    let kind = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        crate::fixture::is_time(&event["at"]);
        assert!(event["message"].as_str().is_some_and(|message| !message.is_empty()));
        event["kind"].as_str().expect("a kind").to_owned()
    };
    let (mut watch, first) = watching(&host, &["--json"]);
    let mut kinds = vec![kind(&first)];
    assert_eq!(kinds, ["resumed"]);
    let mut until = |last: &str| {
        while kinds.last().is_none_or(|kind| kind != last) {
            kinds.push(kind(&watch.line()));
        }
    };
    host.spotify.listen_until("alice", 1, now());
    host.add_user("alice").ok();
    until("archived");
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    until("login_lost");
    kinds.retain(|kind| kind != "resumed");
    assert_eq!(kinds, ["user_added", "logged_in", "token_refreshed", "archived", "login_lost"]);
    watch.child.kill().expect("it is ended");
}
