//! A store that goes away in the middle, or comes back as it was before: no token is shown before it is durable, and
//! none that was shown is lost.

use std::path::PathBuf;

use longplay::sim::{Endpoint, Fault, Rotation};
use sqlx::{Connection as _, Executor as _};

use crate::fixture::{Host, now, reached};

/// Another program that keeps the store to itself until this is dropped.
struct Locked {
    runtime: tokio::runtime::Runtime,
    store: Option<sqlx::SqliteConnection>,
}

impl Locked {
    fn of(host: &Host) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("sqlite://{}", host.path("state/longplay.db").display());
        let store = runtime.block_on(async {
            let mut store = sqlx::SqliteConnection::connect(&url).await?;
            store.execute("BEGIN EXCLUSIVE").await?;
            Ok::<_, sqlx::Error>(store)
        });
        Self { runtime, store: Some(store.expect("the store can be locked")) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            self.runtime.block_on(store.close()).expect("the lock ends");
        }
    }
}

/// The store's files.
fn files(host: &Host) -> Vec<PathBuf> {
    ["longplay.db", "longplay.db-wal", "longplay.db-shm"].map(|name| host.path("state").join(name)).to_vec()
}

#[test]
fn while_the_store_is_locked_no_token_is_spent_and_the_present_one_is_given_out() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let held = host.token("alice", "").ok();
    let asked = host.spotify.refreshes("alice").asked;
    let locked = Locked::of(&host);
    assert_eq!(host.token("alice", "").ok(), held);
    let fresh = host.token("alice", "{\"fresh\":true}");
    assert_eq!(fresh.problem(503), "waiting");
    assert!(fresh.header("retry-after").is_some() && fresh.text.contains("store"), "{fresh:?}");
    assert_eq!(host.spotify.refreshes("alice").asked, asked, "the store must be writable first");
    assert!(host.get("/metrics").text.contains("token_refresh_success_total"), "counters need no store");
    drop(locked);
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}

/// A daemon whose refresh was answered, and can't be committed since the store is locked.
fn answered_but_not_committed(host: &Host) -> Locked {
    let gate = host.hold(Endpoint::Token, Fault::after);
    let _unread = host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}");
    reached(&gate, 1);
    let locked = Locked::of(host);
    gate.open();
    host.until("the answer waits for the store", || {
        std::fs::read_to_string(host.path("log")).is_ok_and(|log| log.contains("waits for the store"))
    });
    locked
}

#[test]
fn a_rotated_token_is_durable_before_anyone_sees_it() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    let held = host.token("alice", "").ok();
    let locked = answered_but_not_committed(&host);
    assert_eq!(host.token("alice", "").ok(), held, "the new one is not seen");
    drop(locked);
    host.until("it is seen", || host.token("alice", "").ok()["generation"] == 3);
    let seen = host.token("alice", "").ok();
    daemon.kill();
    let _daemon = host.serve();
    assert_eq!(host.token("alice", "").ok(), seen);
    assert!(host.spotify.access_valid(seen["access_token"].as_str().expect("a token")));
}

#[test]
fn killed_with_an_answer_that_was_not_committed_the_login_lives() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    let locked = answered_but_not_committed(&host);
    daemon.kill();
    drop(locked);
    let _daemon = host.serve();
    assert_eq!(host.token("alice", "").ok()["generation"], 3, "the spool had it");
    host.token("alice", "{\"fresh\":true}").ok();
    let counts = host.spotify.refreshes("alice");
    assert_eq!((counts.accepted, counts.reused), (3, 0));
    assert_eq!(host.user("alice")["state"], "ok");
}

#[test]
fn told_to_stop_with_an_answer_that_was_not_committed_the_login_lives() {
    let host = Host::rotating(Rotation::Rotate);
    let mut daemon = host.serve();
    host.settled_user("alice");
    let locked = answered_but_not_committed(&host);
    daemon.signal("TERM");
    host.until("it waits", || daemon.log().contains("being finished"));
    assert!(!daemon.has_ended());
    daemon.signal("TERM");
    daemon.ended();
    drop(locked);
    // By a command without a daemon this time.
    host.run(&["token", "alice", "--fresh"]).ok();
    let counts = host.spotify.refreshes("alice");
    assert_eq!((counts.accepted, counts.reused), (3, 0));
}

#[test]
fn a_store_that_was_set_back_gets_its_last_tokens_from_the_spool() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    assert_eq!(daemon.stop(), 0);
    let old: Vec<_> = files(&host).into_iter().map(|file| (std::fs::read(&file).ok(), file)).collect();
    let daemon = host.serve();
    let seen = host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(daemon.stop(), 0);
    for (content, file) in old {
        match content {
            Some(content) => std::fs::write(file, content).expect("the file is set back"),
            None => drop(std::fs::remove_file(file)),
        }
    }
    let _daemon = host.serve();
    let found = host.token("alice", "").ok();
    assert_eq!((&found["access_token"], &found["generation"]), (&seen["access_token"], &seen["generation"]));
    for name in ["alice", "bob"] {
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}");
    }
}

#[test]
fn a_run_waits_for_a_store_that_is_locked_for_a_moment() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 5, now());
    let pages = host.requests("alice", Endpoint::Recent);
    let gate = host.hold(Endpoint::Recent, Fault::after);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(&["archive", "alice"]));
        reached(&gate, 1);
        let locked = Locked::of(&host);
        gate.open();
        host.until("the daemon can't write", || host.get("/healthz").status == 503);
        assert!(!run.is_finished());
        drop(locked);
        assert_eq!(run.join().expect("it ends").ok().trim(), "alice: 5 new plays");
    });
    assert_eq!(host.requests("alice", Endpoint::Recent), pages + 1, "the page is not fetched again");
}
