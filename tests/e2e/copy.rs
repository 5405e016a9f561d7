//! The whole store moves from one database to another while the daemon is at work, and every login with it.

use longplay::sim::{Endpoint, Fault, Rotation};
use serde_json::Value;

use crate::fixture::{Daemon, Host, now, postgres, reached};

const NAMES: [&str; 2] = ["alice", "bob"];

/// Makes this the store of the configuration.
fn use_store(host: &Host, url: &str) {
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let kept: Vec<&str> = config.lines().filter(|line| !line.starts_with("url = ")).collect();
    let config =
        format!("{}\n", kept.join("\n")).replacen("[store]\n", &format!("[store]\nurl = {url:?}\n"), 1);
    host.write("longplay.toml", &config);
}

fn at_work() -> (Host, Daemon) {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    for (name, heard) in NAMES.into_iter().zip([7, 4]) {
        host.spotify.listen_until(name, heard, now());
        host.settled_user(name);
    }
    (host, daemon)
}

fn exported(host: &Host) -> Vec<String> {
    NAMES.map(|name| host.run(&["export", name, "--format", "jsonl"]).ok()).to_vec()
}

fn rows(copied: &Value, name: &str) -> u64 {
    let tables = copied["tables"].as_array().expect("tables");
    tables.iter().find(|table| table["table"] == name).expect("the table")["rows"].as_u64().expect("a number")
}

/// Every login is refreshed where the daemon is now, plays go on, and no token was ever sent twice.
#[track_caller]
fn goes_on(host: &Host, plays: usize) {
    for name in NAMES {
        let generation = host.token(name, "").ok()["generation"].as_u64();
        assert_eq!(
            host.token(name, "{\"fresh\":true}").ok()["generation"].as_u64(),
            generation.map(|n| n + 1)
        );
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}: a spent token was sent");
        assert_eq!(host.user(name)["state"], "ok", "{name}");
    }
    host.spotify.listen_until("alice", 3, now());
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 3 new plays");
    assert_eq!(host.plays("alice").len(), plays + 3);
    assert_eq!(host.user("alice")["gaps"], 0);
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn a_store_moves_to_postgresql_and_back_and_every_login_with_it() {
    let (host, daemon) = at_work();
    let there = postgres::shared().database();
    let before = exported(&host);
    let copied = host.run(&["copy", "--to", &there, "--json"]).json();
    assert_eq!((rows(&copied, "users"), rows(&copied, "plays"), rows(&copied, "grants")), (2, 11, 2));
    // The old one can be read, and refreshes and archives nothing.
    let asked = NAMES.map(|name| host.spotify.refreshes(name).asked);
    assert_eq!(exported(&host), before);
    for body in ["", "{\"fresh\":true}"] {
        let refused = host.token("alice", body);
        assert_eq!(refused.problem(409), "blocked");
        assert!(refused.text.contains("was copied to PostgreSQL"), "{refused:?}");
    }
    assert!(host.run(&["archive", "bob"]).fails(1).contains("[store] url"));
    assert_eq!(daemon.stop(), 0);
    // A start on it changes nothing of that.
    let daemon = host.serve_degraded();
    assert!(host.token("bob", "").text.contains("was copied to"));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(NAMES.map(|name| host.spotify.refreshes(name).asked), asked);

    use_store(&host, &there);
    // A command may be the first.
    assert_eq!(exported(&host), before);
    let daemon = host.serve();
    assert_eq!(exported(&host), before);
    goes_on(&host, 7);
    let problems = host.run(&["status", "--json"]).json()["daemon"]["problems"].clone();
    assert_eq!(problems, serde_json::json!([]));

    // And back, into a file beside the first.
    let back = format!("sqlite://{}", host.path("state/again.db").display());
    let before = exported(&host);
    let told = host.run(&["copy", "--to", &back]);
    assert!(
        told.code == 0 && told.stdout.starts_with("TABLE") && told.stderr.contains("restart longplay"),
        "{told:?}"
    );
    assert_eq!(daemon.stop(), 0);
    use_store(&host, &back);
    let _daemon = host.serve();
    assert_eq!(exported(&host), before);
    goes_on(&host, 10);
}

#[test]
fn a_copy_waits_for_a_refresh_under_way_and_has_what_it_brought() {
    let (host, daemon) = at_work();
    let there = postgres::shared().database();
    let gate = host.hold(Endpoint::Token, Fault::after);
    let asked = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    std::thread::scope(|scope| {
        let copy = scope.spawn(|| host.run(&["copy", "--to", &there]));
        host.until("it holds what is refreshed", || host.user("bob")["state"] == "blocked");
        assert!(!copy.is_finished());
        gate.open();
        copy.join().expect("it ends").ok();
    });
    drop(asked);
    assert_eq!(daemon.stop(), 0);
    use_store(&host, &there);
    let _daemon = host.serve();
    assert_eq!(host.token("alice", "").ok()["generation"], 3);
    goes_on(&host, 7);
}

#[test]
fn whoever_changes_their_mind_accepts_the_old_store() {
    let (host, _daemon) = at_work();
    host.run(&["copy", "--to", &postgres::shared().database()]).ok();
    // What would be written now, the copy would not have.
    for write in [
        &["users", "add", "dora"][..],
        &["users", "remove", NAMES[0]],
        &["pause", "--all"],
        &["import", "--undo", "1"],
        &["replay", NAMES[0]],
    ] {
        let refused = host.run(write).fails(1);
        assert!(refused.contains("it was copied to"), "{write:?}: {refused}");
    }
    host.run(&["plays", NAMES[0]]).ok();
    assert_eq!(host.run(&["adopt", "--json"]).json()["in_doubt"], 2);
    host.run(&["users", "add", "dora"]).ok();
    host.until("the doubts end", || NAMES.iter().all(|name| host.user(name)["state"] == "ok"));
    goes_on(&host, 7);
}

#[test]
fn what_can_not_be_copied_into_is_refused_and_the_daemon_goes_on() {
    let (host, _daemon) = at_work();
    let full = postgres::shared().database();
    let other = Host::new().on(&full);
    other.run(&["users", "add", "zoe"]).ok();
    let own = format!("sqlite://{}", host.path("state/longplay.db").display());
    let refused: [(&str, &str); 5] = [
        (&full, "is not empty"),
        (&own, "in use"),
        ("mysql://u:hunter2@h/d", "names no store"),
        ("sqlite:///nowhere/at/all.db", "nowhere/at/all.db"),
        ("postgres:///none?host=/nowhere", "systemctl status postgresql"),
    ];
    for (url, why) in refused {
        let ran = host.run(&["copy", "--to", url]);
        assert!([2, 75].contains(&ran.code), "{url}: {ran:?}");
        assert!(ran.stderr.contains(why) && !ran.stderr.contains("hunter2"), "{url}: {ran:?}");
    }
    assert_eq!(other.run(&["users", "--json"]).json()[0]["name"], "zoe");
    goes_on(&host, 7);
}

#[test]
fn a_copy_needs_no_daemon() {
    let (host, daemon) = at_work();
    assert_eq!(daemon.stop(), 0);
    let before = exported(&host);
    let there = postgres::shared().database();
    let ran = host.run_with(&["copy", "--to", "-"], &format!("{there}\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(host.run(&["token", "alice"]).fails(1).contains("was copied to"));
    use_store(&host, &there);
    assert_eq!(exported(&host), before);
    let _daemon = host.serve();
    goes_on(&host, 7);
}

#[test]
#[cfg(feature = "failpoints")]
fn a_kill_at_any_step_of_a_copy_costs_no_login() {
    for step in ["copy-held", "copy-before-check", "copy-before-commit", "copy-after-commit"] {
        let (host, daemon) = at_work();
        assert_eq!(daemon.stop(), 0);
        host.configure("[log]\nlevel = \"debug\"");
        let there = postgres::shared().database();
        let mut daemon = host.serve_with(|command| {
            command.env("FAILPOINTS", format!("{step}=pause"));
        });
        let mut command = host.command(&["copy", "--to", &there]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
        host.until("the step is reached", || daemon.log().contains(&format!("step {step}")));
        daemon.end();
        assert_eq!(child.wait().expect("it ends").code(), Some(69), "{step}");
        let daemon = host.serve_degraded();
        let why = host.token("alice", "").text;
        match step {
            // It was not complete, and is made again.
            "copy-held" | "copy-before-check" => {
                assert!(why.contains("is being copied to"), "{step}: {why}");
                host.run(&["copy", "--to", &there]).ok();
            }
            // It was not, though the old store says so: whoever accepts that can make it again.
            "copy-before-commit" => {
                assert!(why.contains("was copied to"), "{step}: {why}");
                host.run(&["adopt"]).ok();
                host.until("the doubts end", || NAMES.iter().all(|name| host.user(name)["state"] == "ok"));
                host.run(&["copy", "--to", &there]).ok();
            }
            _ => assert!(why.contains("was copied to"), "{step}: {why}"),
        }
        assert_eq!(daemon.stop(), 0);
        use_store(&host, &there);
        let _daemon = host.serve();
        goes_on(&host, 7);
    }
}

#[test]
fn whoever_interrupts_a_copy_lets_the_daemon_go_on() {
    let (host, _daemon) = at_work();
    let there = postgres::shared().database();
    // A run that waits for Spotify: the copy waits for the run.
    let gate = host.hold(Endpoint::Recent, Fault::before);
    let asked = host.send("POST", "/v1/users/alice/archive", "");
    reached(&gate, 1);
    let mut command = host.command(&["copy", "--to", &there]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
    host.until("it holds what is refreshed", || host.user("bob")["state"] == "blocked");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    host.until("it is let go", || host.user("bob")["state"] == "ok");
    gate.open();
    drop(asked);
    host.until("the run ends", || host.user("alice")["state"] == "ok");
    host.run(&["archive", "alice"]).ok();
    goes_on(&host, 7);
}
