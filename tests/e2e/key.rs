//! The token key is changed: while everything goes on, without a daemon, and by the configuration of several daemons.

use longplay::sim::Rotation;

use crate::fixture::postgres;
use crate::fixture::{Host, TOKEN_KEY};

const NEW_KEY: &str = "ANOTHERKEYANOTHERKEYANOTHERKEYANOTHERKEYANE=";

fn key(host: &Host) -> String {
    key_of(host, "token-key")
}

fn key_of(host: &Host, file: &str) -> String {
    std::fs::read_to_string(host.path("state").join(file)).expect("a key")
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
    let doctor = host.run(&["doctor", "--json"]).json();
    let of_key = |finding: &&serde_json::Value| finding["about"] == "key";
    let found = doctor["findings"].as_array().and_then(|all| all.iter().find(of_key)).expect("a finding");
    assert_eq!(found["verdict"], "good", "nothing is left to do: {found}");
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
    second.token("alice", "{\"fresh\":true}").ok();
    other.signal("STOP");
    // As after two minutes.
    host.sql("UPDATE daemons SET seen_at = seen_at - 120000");
    host.run(&["key", "rotate"]).ok();
    other.signal("CONT");
    host.until("it says so", || second.get("/healthz").text.contains("token key"));
    let doctor = second.run(&["doctor"]);
    let (code, said) = (doctor.code, doctor.stdout);
    assert!(code == 1 && said.contains("FAULT   key: ") && !said.contains("longplay adopt"), "{said}");
    assert!(said.contains("rename") && said.contains("token-key-old"), "{said}");
    let refused = second.token("alice", "{\"fresh\":true}");
    assert_eq!(refused.problem(409), "blocked");
    for command in [["adopt"].as_slice(), &["key", "rotate"]] {
        assert!(second.run(command).fails(78).contains("token-key-old"));
    }
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(other.stop(), 0);
    // The cure that it gives: nothing of what its spool has is lost.
    let old = second.path("token-key-old");
    std::fs::rename(second.path("token-key"), &old).unwrap();
    second.write("token-key", &key(&host));
    let config = std::fs::read_to_string(second.path("longplay.toml")).expect("the configuration");
    let both = format!("[tokens]\nold_key_file = {old:?}\n");
    second.write("longplay.toml", &config.replacen("[tokens]\n", &both, 1));
    let _other = second.serve();
    second.token("alice", "{\"fresh\":true}").ok();
    let doctor = second.run(&["doctor"]).ok();
    assert!(!doctor.contains("another token key"), "{doctor}");
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}

#[test]
fn the_key_in_use_is_not_thrown_away_where_its_file_was_changed() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    let in_use = key(&host);
    host.write("state/token-key", &format!("{NEW_KEY}\n"));
    host.run(&["reload"]).ok();
    let said = host.run(&["key", "rotate"]).fails(78);
    assert!(said.contains("another key than the one in use"), "{said}");
    host.token("alice", "{\"fresh\":true}").ok();
    // It was given as the old key: then nothing is lost either.
    host.write("state/token-key-old", &in_use);
    host.run(&["key", "rotate"]).ok();
    assert!(key(&host).contains(NEW_KEY) && !host.path("state/token-key-old").exists());
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    host.token("alice", "{\"fresh\":true}").ok();
}

#[test]
fn a_key_that_is_given_by_a_reload_waits_for_a_restart() {
    let host = Host::rotating(Rotation::Rotate).on(&postgres::shared().database());
    let daemon = host.serve();
    host.settled_user("alice");
    host.write("token-key", &format!("{NEW_KEY}\n"));
    for _ in 0..2 {
        let reloaded = host.run(&["reload"]).ok();
        assert!(reloaded.contains("tokens.key_file"), "it is still to be done: {reloaded}");
    }
    host.token("alice", "{\"fresh\":true}").ok();
    host.write("token-key", &format!("{TOKEN_KEY}\n"));
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    host.token("alice", "").ok();
}

#[test]
fn tokens_that_cannot_be_opened_stop_nobody_elses_and_are_named() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.settled_user("carol");
    let before = key(&host);
    host.sql("UPDATE grants SET refresh_token = (SELECT refresh_token FROM grants WHERE user_id = 1) WHERE user_id = 2");
    for _ in 0..2 {
        let said = host.run(&["key", "rotate"]);
        assert!(said.code != 0 && said.stderr.contains("longplay login bob"), "{said:?}");
        assert!(!said.stderr.contains("carol") && !said.stderr.contains("alice"), "{said:?}");
        assert_eq!(key_of(&host, "token-key-old"), before, "it is kept");
    }
    let new = key(&host);
    assert_ne!(new, before);
    // Nobody else needs the old one any more.
    assert_eq!(daemon.stop(), 0);
    std::fs::remove_file(host.path("state/token-key-old")).unwrap();
    let daemon = host.serve();
    for name in ["alice", "carol"] {
        host.token(name, "{\"fresh\":true}").ok();
    }
    assert_eq!(daemon.stop(), 0);
    host.write("state/token-key-old", &before);
    let _daemon = host.serve();
    assert!(host.path("state/token-key-old").exists());
    host.run(&["users", "remove", "bob"]).ok();
    host.run(&["key", "rotate"]).ok();
    assert_eq!(key(&host), new);
    assert!(!host.path("state/token-key-old").exists());
}

#[test]
fn a_change_that_failed_before_the_new_key_was_in_place_makes_one_when_it_is_tried_again() {
    let host = Host::rotating(Rotation::Rotate);
    let _daemon = host.serve();
    host.settled_user("alice");
    let before = key(&host);
    host.write("state/token-key-old", &before);
    host.run(&["key", "rotate"]).ok();
    assert_ne!(key(&host), before);
    host.token("alice", "{\"fresh\":true}").ok();
}
