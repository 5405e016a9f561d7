//! The token key is changed: while everything goes on, without a daemon, and by the configuration of several daemons.

use longplay::sim::Rotation;

use crate::fixture::postgres;
use crate::fixture::{Host, TOKEN_KEY};

const NEW_KEY: &str = "ANOTHERKEYANOTHERKEYANOTHERKEYANOTHERKEYANE=";

fn key(host: &Host) -> String {
    std::fs::read_to_string(host.path("state/token-key")).expect("a key")
}

/// Whether a file of the state directory has what is sealed with a key, by the key's id.
fn sealed_with(host: &Host, id: &[u8]) -> bool {
    let state = host.path("state");
    host.everything_written().iter().any(|(path, content)| {
        path.starts_with(&state) && content.windows(id.len()).any(|window| window == id)
    })
}

/// The id in front of the first answer in a user's file of the spool: behind a head of 57 bytes in the clear.
fn key_id(host: &Host, user: u64) -> Vec<u8> {
    let file = std::fs::read(host.path(&format!("state/spool/{user}"))).expect("the spool is read");
    file[54..62].to_vec()
}

#[test]
fn a_new_key_is_made_while_tokens_are_asked_for_and_refreshed() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    let users = ["alice", "bob", "carol", "dave"];
    for name in users {
        host.settled_user(name);
    }
    let before = key(&host);
    std::thread::scope(|scope| {
        for name in users {
            let host = &host;
            scope.spawn(move || (0..20).for_each(|_| drop(host.token(name, "{\"fresh\":true}").ok())));
        }
        for _ in 0..3 {
            let said = host.run(&["key", "rotate", "--json"]).json();
            assert!(said["message"].as_str().is_some_and(|said| said.contains("back up")), "{said}");
        }
    });
    assert_ne!(key(&host), before);
    daemon.kill();
    let _daemon = host.serve();
    for name in users {
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0);
    }
    assert_eq!(host.run(&["doctor", "--json"]).json()["healthy"], true);
}

#[test]
fn without_a_daemon_nothing_stays_sealed_with_the_old_key() {
    let host = Host::rotating(Rotation::Rotate);
    host.add_user("alice").ok();
    for _ in 0..3 {
        host.run(&["token", "alice", "--fresh"]).ok();
    }
    let old = key_id(&host, 1);
    let held = host.run(&["token", "alice"]).ok();
    assert!(sealed_with(&host, &old));
    let said = host.run(&["key", "rotate"]).ok();
    assert!(said.contains("1 logins") && said.contains("1 users"), "{said}");
    assert_ne!(key_id(&host, 1), old);
    // What SQLite no longer uses of its file may still hold the old text.
    host.sql("VACUUM");
    host.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(!sealed_with(&host, &old));
    assert_eq!(host.run(&["token", "alice"]).ok(), held);
    host.run(&["token", "alice", "--fresh"]).ok();
}

#[test]
fn a_key_of_the_configuration_is_changed_when_every_daemon_has_it() {
    let host = Host::rotating(Rotation::Rotate).on(&postgres::shared().database());
    let second = host.sibling();
    let (first_daemon, second_daemon) = (host.serve(), second.serve());
    host.settled_user("alice");
    let said = host.run(&["key", "rotate"]).fails(78);
    assert!(said.contains("tokens.old_key_file"), "{said}");

    let give = |host: &Host| {
        host.write("token-key", &format!("{NEW_KEY}\n"));
        host.write("token-key-old", &format!("{TOKEN_KEY}\n"));
        let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
        let old = format!("[tokens]\nold_key_file = {:?}\n", host.path("token-key-old"));
        host.write("longplay.toml", &config.replacen("[tokens]\n", &old, 1));
    };
    give(&host);
    let reloaded = host.run(&["reload"]).ok();
    assert!(reloaded.contains("tokens.key_file"), "{reloaded}");
    assert_eq!(first_daemon.stop(), 0);
    let first_daemon = host.serve();
    let said = host.run(&["key", "rotate"]).fails(78);
    let instance = second.run(&["status", "--json"]).json()["daemon"]["instance"].clone();
    assert!(said.contains(instance.as_str().expect("an instance")), "{said}");

    give(&second);
    assert_eq!(second_daemon.stop(), 0);
    let second_daemon = second.serve();
    second.token("alice", "{\"fresh\":true}").ok();
    let said = host.run(&["key", "rotate"]).ok();
    assert!(said.contains("can be taken out"), "{said}");

    // Without the old key everything is still read, and with it alone nothing starts.
    let take = |host: &Host| {
        let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
        let lines: Vec<&str> = config.lines().filter(|line| !line.starts_with("old_key_file")).collect();
        host.write("longplay.toml", &format!("{}\n", lines.join("\n")));
    };
    for (host, daemon) in [(&host, first_daemon), (&second, second_daemon)] {
        take(host);
        assert_eq!(daemon.stop(), 0);
        let daemon = host.serve();
        host.token("alice", "{\"fresh\":true}").ok();
        assert_eq!(daemon.stop(), 0);
    }
    host.write("token-key", &format!("{TOKEN_KEY}\n"));
    assert!(host.serve_in_vain().fails(78).contains("token key"));
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}

#[test]
fn a_key_that_longplay_made_is_not_changed_under_another_daemon() {
    let host = Host::rotating(Rotation::Rotate).alone_on(&postgres::shared().database());
    let daemon = host.serve();
    host.settled_user("alice");
    let second = host.sibling();
    second.write("token-key", &key(&host));
    let other = second.serve();
    let before = key(&host);
    let said = host.run(&["key", "rotate"]).fails(78);
    assert!(said.contains("instance ") && said.contains("tokens.key_file"), "{said}");
    assert_eq!(key(&host), before);
    drop((other, daemon));
}

#[test]
fn a_daemon_that_stood_still_while_the_key_was_changed_does_nothing_more_and_says_why() {
    let host = Host::rotating(Rotation::Rotate).alone_on(&postgres::shared().database());
    let _daemon = host.serve();
    host.settled_user("alice");
    let second = host.sibling();
    second.write("token-key", &key(&host));
    let other = second.serve();
    other.signal("STOP");
    // As after two minutes.
    host.sql("UPDATE daemons SET seen_at = seen_at - 120000");
    host.run(&["key", "rotate"]).ok();
    other.signal("CONT");
    host.until("it says so", || second.get("/healthz").text.contains("token key"));
    let doctor = second.run(&["doctor"]);
    let (code, said) = (doctor.code, doctor.stdout);
    assert!(code == 1 && said.contains("FAULT   key: ") && !said.contains("longplay adopt"), "{said}");
    let refused = second.token("alice", "{\"fresh\":true}");
    assert_eq!(refused.problem(409), "blocked");
    host.token("alice", "{\"fresh\":true}").ok();
    second.write("token-key", &key(&host));
    assert_eq!(other.stop(), 0);
    let _other = second.serve();
    second.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}
