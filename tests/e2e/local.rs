//! Without a daemon: commands work on the store themselves, one at a time, and end when their work is done.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;

use longplay::sim::{Endpoint, Fault, Rotation};

use crate::fixture::{Host, SCOPES, Talking, at_once, now, reached};

#[test]
fn everything_that_reads_works_without_a_daemon() {
    let host = Host::new();
    host.spotify.listen_until("alice", 8, now());
    let daemon = host.serve();
    host.settled_user("alice");
    let commands: [&[&str]; 7] = [
        &["plays", "alice", "--format", "json"],
        &["plays", "alice", "--format", "csv"],
        &["top", "alice", "--kind", "tracks", "--json"],
        &["top", "alice", "--source", "spotify", "--json"],
        &["gaps", "alice", "--json"],
        &["users", "--json"],
        &["token", "alice"],
    ];
    let with: Vec<_> = commands.iter().map(|args| host.run(args).ok()).collect();
    assert_eq!(daemon.stop(), 0);
    let without: Vec<_> = commands.iter().map(|args| host.run(args).ok()).collect();
    assert_eq!(without, with);
    let status = host.run(&["status", "--json"]).json();
    assert_eq!(status["users"][0]["plays"], 8);
    assert_eq!(status["daemon"]["healthy"], true);
    let told = host.run(&["status"]);
    assert!(format!("{}{}", told.stdout, told.stderr).contains("no daemon is running"), "{told:?}");
    // What can't be without one says so.
    for args in [&["watch"][..], &["reload"], &["plays", "alice", "--follow"]] {
        let error = host.run(args).fails(69);
        assert!(error.contains("longplay serve"), "{error}");
    }
}

#[test]
fn a_login_is_archived_without_a_daemon_ever() {
    let host = Host::rotating(Rotation::Rotate);
    host.spotify.listen_until("alice", 5, now());
    host.add_user("alice").ok();
    assert_eq!(host.plays("alice").len(), 5, "a new login is archived at once");
    host.run(&["archive", "alice"]).ok();
    host.run(&["archive", "--all"]).ok();
    assert_eq!(host.plays("alice").len(), 5);
    for _ in 0..3 {
        host.run(&["token", "alice", "--fresh"]).ok();
    }
    let counts = host.spotify.refreshes("alice");
    assert_eq!((counts.accepted, counts.reused), (4, 0));
    assert_eq!(host.status("alice")["state"], "ok");
}

#[test]
fn commands_at_once_take_turns_and_never_refresh_side_by_side() {
    let host = Host::rotating(Rotation::Rotate);
    host.add_user("alice").ok();
    // On a slow machine one may give up after waiting for 10 s: it says so, and can ask again.
    let in_turn = |_| loop {
        let ran = host.run(&["token", "alice", "--fresh"]);
        if ran.code != 69 {
            break ran.ok();
        }
        assert!(ran.stderr.contains("another longplay (process "), "{ran:?}");
    };
    let tokens = at_once(4, in_turn);
    assert!(tokens.iter().all(|token| token.starts_with("BQ")));
    let counts = host.spotify.refreshes("alice");
    assert_eq!((counts.reused, counts.most_at_once), (0, 1));
    assert!(host.spotify.login_alive("alice"));
    host.run(&["token", "alice", "--fresh"]).ok();
}

#[test]
fn a_command_that_holds_the_lock_for_long_is_named() {
    let host = Host::new();
    host.add_user("alice").ok();
    let gate = host.hold(Endpoint::Token, Fault::before);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| host.run(&["token", "alice", "--fresh"]));
        reached(&gate, 1);
        let error = host.run(&["plays", "alice"]).fails(69);
        assert!(error.contains("another longplay (process "), "{error}");
        gate.open();
        first.join().expect("it ends").ok();
    });
    host.run(&["plays", "alice"]).ok();
}

/// Waits until the command says that it finishes what was begun.
fn finishing(command: &mut Talking) {
    let mut said = String::new();
    let mut stderr = BufReader::new(command.child.stderr.take().expect("piped"));
    stderr.read_line(&mut said).expect("a line");
    assert!(said.contains("finishing what was begun"), "{said}");
}

#[test]
fn a_signal_ends_a_command_once_its_refresh_is_finished() {
    // The end of a session sends two, one right after the other.
    for signals in [&["INT"][..], &["TERM", "HUP"], &["TERM", "TERM", "TERM"]] {
        let host = Host::rotating(Rotation::Rotate);
        host.add_user("alice").ok();
        let gate = host.hold(Endpoint::Token, Fault::after);
        let mut command = host.talk(&["token", "alice", "--fresh"]);
        reached(&gate, 1);
        signals.iter().for_each(|signal| command.signal(signal));
        finishing(&mut command);
        gate.open();
        assert!(command.child.wait().expect("it ends").signal().is_some(), "{signals:?}");
        host.run(&["token", "alice", "--fresh"]).ok();
        let counts = host.spotify.refreshes("alice");
        assert_eq!((counts.accepted, counts.reused), (3, 0), "{signals:?}: the answer was saved");
    }
}

#[test]
fn a_signal_waits_for_the_first_run_of_a_new_login_too() {
    let host = Host::new();
    host.spotify.listen_until("alice", 3, now());
    let gate = host.hold(Endpoint::Recent, Fault::before);
    host.spotify.add_account("alice");
    let token = host.spotify.grant("alice", "client", &SCOPES);
    host.write("token", &token);
    let file = host.path("token");
    let mut command =
        host.talk(&["users", "add", "alice", "--refresh-token-file", file.to_str().expect("text")]);
    reached(&gate, 1);
    command.signal("INT");
    finishing(&mut command);
    gate.open();
    assert_eq!(command.child.wait().expect("it ends").signal(), Some(2));
    assert_eq!(host.plays("alice").len(), 3);
}

#[test]
fn once_that_is_said_another_signal_ends_it_at_once() {
    let host = Host::new();
    host.add_user("alice").ok();
    let _gate = host.hold(Endpoint::Token, Fault::before);
    let mut command = host.talk(&["token", "alice", "--fresh"]);
    host.until("it is under way", || host.spotify.refreshes("alice").under_way == 1);
    command.signal("INT");
    finishing(&mut command);
    command.signal("TERM");
    assert_eq!(command.child.wait().expect("it ends").signal(), Some(15));
}

#[test]
fn a_second_daemon_is_refused_and_harms_nothing() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let error = host.serve_in_vain().fails(1);
    assert!(error.contains("control.sock") || error.contains("another longplay"), "{error}");
    host.token("alice", "").ok();
    // The same state directory under another socket.
    let other = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let other =
        other.replace("control.sock", "other.sock").replace(&format!("\"127.0.0.1:{}\"", host.port), "\"\"");
    host.write("other.toml", &other);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_longplay"));
    command.args(["serve", "--config"]).arg(host.path("other.toml"));
    let refused: crate::fixture::Ran = command.output().expect("it runs").into();
    let error = refused.fails(1);
    assert!(error.contains("another longplay (process "), "{error}");
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn a_command_and_a_daemon_see_the_same_users() {
    let host = Host::new();
    host.add_user("alice").ok();
    host.run(&["users", "add", "bob"]).ok();
    let daemon = host.serve();
    assert_eq!(host.status("alice")["state"], "ok");
    assert_eq!(host.status("bob")["state"], "needs_login");
    host.run(&["users", "remove", "bob"]).ok();
    assert_eq!(daemon.stop(), 0);
    assert!(host.status("bob").is_null());
}

#[test]
fn an_outage_in_the_first_moment_is_worth_trying_again_and_no_fault_of_the_configuration() {
    use sqlx::{Connection as _, Executor as _};
    let host = Host::new();
    host.add_user("alice").ok();
    let url = format!("sqlite://{}", host.path("state/longplay.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut other = runtime.block_on(sqlx::SqliteConnection::connect(&url)).expect("the archive");
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).expect("the write lock");
    let said = host.run(&["users"]).fails(75);
    assert!(said.contains("locked"), "{said}");
    runtime.block_on(other.execute("ROLLBACK")).expect("the lock is given back");
    host.run(&["users"]).ok();
}

/// As where the service alone knows its store, from a credential: the state directory's key belongs to that.
#[test]
fn without_a_daemon_no_other_store_is_worked_on_with_the_state_directorys_key() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let key = std::fs::read(host.path("state/token-key")).unwrap();
    let other = format!("sqlite://{}", host.path("other.db").display());
    for args in [&["key", "rotate"][..], &["users", "add", "bob"], &["status"], &["adopt"]] {
        for url in [other.as_str(), "postgres:///nothing?host=/nowhere"] {
            let ran = host.command(args).env("LONGPLAY_STORE__URL", url).output().unwrap();
            let told = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(78), "{args:?} {told}");
            assert!(told.contains("not the store that this state directory works with"), "{told}");
        }
    }
    assert_eq!(std::fs::read(host.path("state/token-key")).unwrap(), key);
    host.run(&["token", "alice"]).ok();
    // Who means it says so.
    std::fs::remove_file(host.path("state/store")).unwrap();
    let added = host.command(&["users", "add", "bob"]).env("LONGPLAY_STORE__URL", &other).output().unwrap();
    assert!(added.status.success(), "{added:?}");
}
