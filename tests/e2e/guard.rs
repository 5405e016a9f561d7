//! A store that was copied, restored or set back: nothing is spent until a person accepts it, and everything says so.

use std::path::{Path, PathBuf};

use longplay::sim::Rotation;

use crate::fixture::notified::Notified;
use crate::fixture::postgres::{self, Cluster};
use crate::fixture::{Daemon, Host, now};

const FILES: [&str; 2] = ["longplay.db", "longplay.db-wal"];

fn state(host: &Host, name: &str) -> PathBuf {
    host.path("state").join(name)
}

/// Puts a copy of the store in its place, as a restored back-up or a copied disk is.
fn restored(host: &Host) {
    for name in FILES {
        let (file, copy) = (state(host, name), state(host, "copy"));
        if file.exists() {
            std::fs::copy(&file, &copy).expect("the file is copied");
            std::fs::rename(&copy, &file).expect("the copy takes its place");
        }
    }
}

fn saved(host: &Host) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    FILES.map(|name| (state(host, name), std::fs::read(state(host, name)).ok())).to_vec()
}

/// Writes what was saved over what is there, into the same files.
fn set_back(saved: Vec<(PathBuf, Option<Vec<u8>>)>) {
    for (file, content) in saved {
        match content {
            Some(content) => std::fs::write(file, content).expect("the file is set back"),
            None => drop(std::fs::remove_file(file)),
        }
    }
}

fn asked(host: &Host, name: &str) -> u64 {
    host.spotify.refreshes(name).asked
}

/// Everything that a daemon with a store that nobody accepted must do and leave.
#[track_caller]
fn is_guarded(host: &Host, daemon: &Daemon, users: &[&str]) {
    let before = host.spotify.seen().len();
    for name in users {
        for body in ["", "{\"fresh\":true}"] {
            let refused = host.token(name, body);
            assert_eq!(refused.problem(409), "blocked", "{refused:?}");
            assert!(refused.text.contains("longplay adopt"), "{refused:?}");
        }
        assert!(host.run(&["token", name]).fails(1).contains("longplay adopt"));
        assert!(host.run(&["archive", name]).fails(1).contains("longplay adopt"));
        let status = host.user(name);
        assert_eq!(status["state"], "blocked");
        assert!(status["reason"].as_str().is_some_and(|why| why.contains("longplay adopt")), "{status}");
        assert_eq!(host.reject(name, 1).problem(409), "blocked");
    }
    let health = host.get("/healthz");
    assert_eq!(health.status, 503);
    assert!(
        health.text.contains("longplay adopt") && health.text.contains("stop this longplay"),
        "{health:?}"
    );
    let status = host.run(&["status", "--json"]).json();
    assert!(
        status["daemon"]["problems"][0].as_str().is_some_and(|why| why.contains("longplay doctor")),
        "{status}"
    );
    assert_eq!(host.metric("longplay_store_not_accepted"), 1.0);
    host.until("the journal says so", || daemon.log().contains("event=\"store_refused\""));
    assert_eq!(host.run(&["status", "--check"]).code, 1);
    // Whoever lets alone what is not theirs sends nothing.
    assert_eq!(host.spotify.seen().len(), before, "{:?}", host.spotify.seen());
}

#[track_caller]
fn is_well(host: &Host, users: &[&str]) {
    host.until("the daemon is well", || host.get("/healthz").status == 200);
    assert_eq!(host.metric("longplay_store_not_accepted"), 0.0);
    for name in users {
        host.until("the doubt ends", || host.user(name)["state"] == "ok");
        host.token(name, "{\"fresh\":true}").ok();
        host.run(&["archive", name]).ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}: a spent token was sent");
    }
}

#[test]
fn a_copied_file_is_left_alone_until_it_is_adopted() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 3, now());
    host.run(&["archive", "alice"]).ok();
    assert_eq!(daemon.stop(), 0);
    restored(&host);

    let systemd = Notified::of(&host);
    let daemon = host.serve_degraded_with(|command| {
        command.env("NOTIFY_SOCKET", host.path("notify.sock"));
    });
    is_guarded(&host, &daemon, &["alice"]);
    let told = systemd.next_with("STATUS=");
    assert!(told.contains("1 blocked") && told.contains("longplay adopt"), "{told}");
    assert_eq!(host.plays("alice").len(), 3, "what is there can be read");
    // A restart forgets nothing of it, and neither does a command.
    assert_eq!(daemon.stop(), 0);
    assert!(host.run(&["token", "alice"]).fails(1).contains("longplay adopt"));
    let daemon = host.serve_degraded();
    is_guarded(&host, &daemon, &["alice"]);

    let adopted = host.run(&["adopt", "--json"]).json();
    assert_eq!(adopted["in_doubt"], 1);
    is_well(&host, &["alice"]);
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    is_well(&host, &["alice"]);
}

#[test]
fn a_copy_is_adopted_without_a_daemon_too() {
    let host = Host::rotating(Rotation::Rotate);
    host.add_user("alice").ok();
    host.run(&["token", "alice", "--fresh"]).ok();
    restored(&host);
    assert!(host.run(&["token", "alice", "--fresh"]).fails(1).contains("longplay adopt"));
    assert!(host.run(&["login", "alice", "--paste"]).fails(1).contains("longplay adopt"));
    assert_eq!(host.spotify.refreshes("alice").asked, 2);
    let said = host.run(&["adopt"]).ok();
    assert!(said.contains("1 login in doubt"), "{said}");
    // Its own first try may have ended the doubt by now.
    let state = host.status("alice")["state"].clone();
    assert!(["ok", "in_doubt"].contains(&state.as_str().unwrap()), "{state}");
    host.run(&["token", "alice", "--fresh"]).ok();
    assert_eq!(host.status("alice")["state"], "ok");
}

#[test]
fn staging_with_a_copy_does_not_kill_productions_login() {
    let production = Host::rotating(Rotation::Rotate);
    let daemon = production.serve();
    production.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let staging = production.beside();
    copy_folder(&production.path("state"), &staging.path("state"));
    let _production = production.serve();
    production.token("alice", "{\"fresh\":true}").ok();
    let daemon = staging.serve_degraded();
    is_guarded(&staging, &daemon, &["alice"]);
    drop(daemon);
    production.token("alice", "{\"fresh\":true}").ok();
    assert!(production.spotify.login_alive("alice"));
    assert_eq!(production.spotify.refreshes("alice").reused, 0);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder is read").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("a file is copied")),
        }
    }
}

#[test]
fn a_store_that_was_set_back_by_more_than_one_answer_gets_back_what_the_spool_has_and_waits_to_be_adopted() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    assert_eq!(daemon.stop(), 0);
    let old = saved(&host);
    let daemon = host.serve();
    for _ in 0..3 {
        host.token("alice", "{\"fresh\":true}").ok();
    }
    let seen = host.token("alice", "").ok();
    assert_eq!(daemon.stop(), 0);
    set_back(old);

    let daemon = host.serve_degraded();
    is_guarded(&host, &daemon, &["alice", "bob"]);
    assert!(host.get("/healthz").text.contains("more than one answer for alice"));
    daemon.kill();
    // What shows it is given back by now; that it was so is on record.
    let daemon = host.serve_degraded();
    is_guarded(&host, &daemon, &["alice", "bob"]);
    let adopted = host.run(&["adopt", "--json"]).json();
    assert_eq!(adopted["in_doubt"], 1, "alice's newest answer was in the spool");
    assert_eq!(host.token("alice", "").ok()["access_token"], seen["access_token"]);
    is_well(&host, &["alice", "bob"]);
    assert!(host.spotify.login_alive("alice") && host.spotify.login_alive("bob"));
}

#[test]
fn a_store_that_lost_one_answer_of_everybody_gets_them_back_and_raises_no_alarm() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    let users = ["alice", "bob", "carol"];
    users.iter().for_each(|name| host.settled_user(name));
    assert_eq!(daemon.stop(), 0);
    let old = saved(&host);
    let daemon = host.serve();
    let held = users.map(|name| host.token(name, "{\"fresh\":true}").ok());
    daemon.kill();
    set_back(old);
    let _daemon = host.serve();
    assert_eq!(users.map(|name| host.token(name, "").ok()), held);
    is_well(&host, &users);
}

#[test]
fn a_store_without_a_note_of_where_it_lives_is_taken_as_it_is() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    host.sql("DELETE FROM meta WHERE name = 'home'");
    std::fs::remove_file(state(&host, "store")).unwrap();
    let daemon = host.serve();
    is_well(&host, &["alice"]);
    assert_eq!(daemon.stop(), 0);
    // From then on it is known.
    restored(&host);
    let daemon = host.serve_degraded();
    is_guarded(&host, &daemon, &["alice"]);
}

#[test]
fn what_another_daemon_has_is_given_back_before_anybody_can_adopt_a_store_that_was_set_back() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let second = host.sibling();
    let daemon = host.serve();
    let _other = second.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.sql("CREATE SCHEMA old");
    host.sql("CREATE TABLE old.grants AS SELECT * FROM grants");
    host.sql("CREATE TABLE old.generations AS SELECT * FROM grant_generations");
    second.token("alice", "{\"fresh\":true}").ok();
    for _ in 0..3 {
        host.token("bob", "{\"fresh\":true}").ok();
    }
    assert_eq!(daemon.stop(), 0);
    // As a back-up that is read back in place does, under the other daemon.
    host.sql(
        "BEGIN; DELETE FROM grants; INSERT INTO grants SELECT * FROM old.grants;
         DELETE FROM grant_generations; INSERT INTO grant_generations SELECT * FROM old.generations; COMMIT",
    );
    let daemon = host.serve_degraded();
    host.until("it is said", || host.get("/healthz").text.contains("more than one answer for bob"));
    let doubted = "SELECT count(*) FROM grants WHERE doubt_since IS NOT NULL";
    let given_back = || postgres::shared().sql(name, doubted) == "0";
    host.until("the other daemon gives alice's answer back", given_back);
    host.until("it says so", || second.get("/healthz").text.contains("longplay adopt"));
    is_guarded(&host, &daemon, &["alice", "bob"]);
    assert_eq!(host.run(&["adopt", "--json"]).json()["in_doubt"], 0);
    for host in [&host, &second] {
        is_well(host, &["alice", "bob"]);
    }
}

#[test]
fn what_changes_nothing_about_the_store_raises_no_alarm() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    // As an upgrade, a maintenance window and a renamed folder do.
    host.sql("VACUUM");
    std::fs::rename(host.path("state"), host.path("elsewhere")).unwrap();
    std::fs::rename(host.path("elsewhere"), host.path("state")).unwrap();
    let daemon = host.serve();
    is_well(&host, &["alice"]);
    daemon.kill();
    let _daemon = host.serve();
    is_well(&host, &["alice"]);
}

#[test]
fn adopting_what_is_accepted_doubts_everyone_as_after_a_snapshot_of_the_whole_machine() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let before = asked(&host, "alice");
    assert_eq!(host.run(&["adopt", "--json"]).json()["in_doubt"], 1);
    is_well(&host, &["alice"]);
    assert!(asked(&host, "alice") > before, "the old token was tried");
}

#[test]
fn after_adopting_too_old_a_store_the_loss_is_told_with_its_true_reason() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let old = saved(&host);
    let daemon = host.serve();
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(daemon.stop(), 0);
    std::fs::remove_dir_all(state(&host, "spool")).unwrap();
    set_back(old);
    restored(&host);
    let _daemon = host.serve_degraded();
    host.run(&["adopt"]).ok();
    host.until("the loss is told", || host.user("alice")["state"] == "needs_login");
    let reason = host.user("alice")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("restored") && reason.contains("longplay login alice"), "{reason}");
    assert_eq!(host.metric("longplay_logins_lost_total{reason=\"store_restored\"}"), 1.0);
}

#[test]
fn a_dump_that_was_restored_as_another_database_is_left_alone_until_it_is_adopted() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let sql = |sql: &str| drop(postgres::shared().sql("postgres", sql));
    sql(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    sql(&format!("DROP DATABASE {name}"));
    sql(&format!("ALTER DATABASE {name}_copy RENAME TO {name}"));
    let daemon = host.serve_degraded();
    is_guarded(&host, &daemon, &["alice"]);
    assert_eq!(daemon.log().matches("event=\"store_refused\"").count(), 1, "said once");
    host.run(&["adopt"]).ok();
    is_well(&host, &["alice"]);
    assert_eq!(daemon.log().matches("event=\"store_adopted\"").count(), 1);
}

#[test]
fn a_second_daemon_on_the_same_database_is_no_clone() {
    let host = Host::rotating(Rotation::Rotate).on(&postgres::shared().database());
    let second = host.sibling();
    let _first = host.serve();
    let _second = second.serve();
    host.settled_user("alice");
    second.token("alice", "{\"fresh\":true}").ok();
    is_well(&host, &["alice"]);
    is_well(&second, &["alice"]);
}

#[test]
fn a_database_that_is_replaced_under_a_running_daemon_is_noticed_before_a_token_is_spent() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let second = host.sibling();
    let daemon = host.serve();
    let other = second.serve();
    host.settled_user("alice");
    let sql = |sql: &str| drop(postgres::shared().sql("postgres", sql));
    daemon.signal("STOP");
    other.signal("STOP");
    let hang_up = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    sql(&hang_up);
    sql(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    sql(&format!("DROP DATABASE {name}"));
    sql(&format!("ALTER DATABASE {name}_copy RENAME TO {name}"));
    let asked_before = asked(&host, "alice");
    daemon.signal("CONT");
    let fresh = host.token("alice", "{\"fresh\":true}");
    assert!([409, 503].contains(&fresh.status), "{fresh:?}");
    assert_eq!(asked(&host, "alice"), asked_before, "nothing was sent");
    host.until("it is said", || host.get("/healthz").text.contains("longplay adopt"));
    is_guarded(&host, &daemon, &["alice"]);
    host.run(&["adopt"]).ok();
    is_well(&host, &["alice"]);
    // What one accepted all have accepted.
    other.signal("CONT");
    // It has yet to notice that its connections are gone.
    second.until("the store is reached", || second.token("alice", "{\"fresh\":true}").status == 200);
    is_well(&second, &["alice"]);
}

#[test]
fn a_promoted_replica_is_gone_on_with_and_a_copy_that_was_promoted_elsewhere_is_not() {
    let mut cluster = Cluster::start("");
    let url = cluster.database();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let daemon = host.serve();
    host.settled_user("alice");
    host.token("alice", "{\"fresh\":true}").ok();
    cluster.promote();
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    is_well(&host, &["alice"]);
    assert_eq!(daemon.stop(), 0);

    // The same seen by a daemon that never worked with this server.
    cluster.promote();
    let stranger = host.sibling();
    let daemon = stranger.serve_degraded();
    is_guarded(&stranger, &daemon, &["alice"]);
    assert!(stranger.get("/healthz").text.contains("promoted"), "{:?}", stranger.get("/healthz"));
    drop(daemon);
    let daemon = host.serve();
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    is_well(&host, &["alice"]);
    assert_eq!(daemon.stop(), 0);
    let _stranger = stranger.serve();
    is_well(&stranger, &["alice"]);
}

#[test]
fn after_a_failover_every_daemon_gives_back_what_it_has_before_anybody_refreshes() {
    let mut cluster = Cluster::start("");
    let url = cluster.database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let second = host.sibling();
    let (_first_daemon, second_daemon) = (host.serve(), second.serve());
    host.settled_user("alice");
    cluster.sql(name, "CREATE SCHEMA old; CREATE TABLE old.grants AS SELECT * FROM grants");
    cluster.sql(name, "CREATE TABLE old.generations AS SELECT * FROM grant_generations");
    second.token("alice", "{\"fresh\":true}").ok();
    second_daemon.signal("STOP");
    cluster.promote();
    // The replica lacks the last commit.
    cluster.sql(
        name,
        "BEGIN; DELETE FROM grants; INSERT INTO grants SELECT * FROM old.grants;
         DELETE FROM grant_generations; INSERT INTO grant_generations SELECT * FROM old.generations; COMMIT",
    );
    // The other one is at work as far as anybody knows, and may have the newest answer.
    let before = asked(&host, "alice");
    host.until("the server is reached", || {
        let fresh = host.token("alice", "{\"fresh\":true}");
        assert_eq!(fresh.problem(503), "waiting");
        fresh.text.contains("looked for first")
    });
    assert_eq!(asked(&host, "alice"), before);
    second_daemon.signal("CONT");
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    for host in [&host, &second] {
        is_well(host, &["alice"]);
    }
}
