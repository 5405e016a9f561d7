//! Kill -9 at every named step of a refresh, on both stores, against a provider that rotates strictly, without grace;
//! afterwards the provider's own record decides. And at every named step of a change of the token key: every token is
//! read afterwards.
#![cfg(feature = "failpoints")]
#![expect(clippy::unwrap_used, reason = "a test")]

mod fixture;

use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use fixture::notified::Notified;
use fixture::{Host, postgres};
use longplay::sim::{App, Options, Rotation};

/// Where the tokens are kept.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
}

const STORES: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// Kills the daemon while a refresh stands at this step; answers the host, with the daemon down.
fn killed_at(step: &str, kind: Kind) -> Host {
    let host = Host::with(Options::default(), App::pkce("client").rotation(Rotation::Rotate));
    let host = match kind {
        Kind::Sqlite => host,
        Kind::Postgres => host.on(&postgres::shared().database()),
    };
    host.configure("[log]\nlevel = \"debug\"");
    let daemon = host.serve();
    host.add_user("alice").ok();
    host.until("the first run is over", || host.status("alice")["last_run_result"] == "ok");
    assert_eq!(daemon.stop(), 0);
    let accepted = host.spotify.refreshes("alice").accepted;

    std::fs::remove_file(host.path("log")).unwrap();
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", format!("{step}=pause"));
    });
    let mut asking = host
        .command(&["token", "alice", "--fresh"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    host.until("the step is reached", || daemon.log().contains(&format!("step {step}")));
    let sent = matches!(step, "refresh-after-post" | "refresh-after-spool" | "refresh-after-commit");
    assert_eq!(host.spotify.refreshes("alice").accepted, accepted + u64::from(sent), "{step}");
    daemon.kill();
    asking.wait().unwrap();
    host
}

#[test]
fn a_kill_at_these_steps_costs_no_login() {
    let steps =
        ["refresh-before-intent", "refresh-after-intent", "refresh-after-spool", "refresh-after-commit"];
    for (step, kind) in steps.into_iter().flat_map(|step| STORES.map(|kind| (step, kind))) {
        let host = killed_at(step, kind);
        let daemon = host.serve();
        assert!(!host.run(&["token", "alice", "--fresh"]).ok().trim().is_empty(), "{step} {kind:?}");
        assert!(host.spotify.login_alive("alice"), "{step} {kind:?}");
        assert_eq!(host.spotify.refreshes("alice").reused, 0, "{step} {kind:?}: a spent token was sent");
        assert_eq!(host.status("alice")["state"], "ok", "{step} {kind:?}");
        assert_eq!(daemon.stop(), 0);
    }
}

#[test]
fn a_kill_between_the_providers_commit_and_the_spool_is_told_with_its_true_reason() {
    for kind in STORES {
        let host = killed_at("refresh-after-post", kind);
        let _daemon = host.serve();
        host.until("the loss is told", || host.status("alice")["state"] == "needs_login");
        let reason = host.status("alice")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("an answer was lost") && reason.contains("longplay login alice"), "{reason}");
        host.run(&["token", "alice"]).fails(77);
    }
}

/// A host with a user, and systemd's end of its daemon's notify socket.
fn notified() -> (Host, Notified) {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let systemd = Notified::of(&host);
    (host, systemd)
}

#[test]
fn a_daemon_whose_refresh_actor_hangs_says_that_it_stops() {
    let (host, systemd) = notified();
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", "token-asked=return").env("NOTIFY_SOCKET", host.path("notify.sock"));
    });
    systemd.next_with("READY=1");
    let _unanswered = host.send("POST", "/v1/users/alice/token", "");
    host.until("the actor hangs", || daemon.log().contains("the refresh actor does not answer"));
    daemon.signal("TERM");
    systemd.next_with("STOPPING=1");
    host.until("it waits for what is under way", || daemon.log().contains("stopping"));
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn a_panic_and_the_end_that_it_brings_are_errors_to_the_journal() {
    let (host, systemd) = notified();
    let journal = std::fs::File::create(host.path("journal")).unwrap();
    let file = journal.metadata().unwrap();
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", "token-asked=panic").env("NOTIFY_SOCKET", host.path("notify.sock"));
        command.env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()));
        command.env("RUST_BACKTRACE", "1").stderr(journal);
    });
    let _unanswered = host.send("POST", "/v1/users/alice/token", "");
    assert_eq!(daemon.ended(), 1);
    let told = std::fs::read_to_string(host.path("journal")).unwrap();
    let errors: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("<3>")).collect();
    assert!(errors.iter().any(|line| line.contains("a task broke off")), "{told}");
    assert!(errors.iter().any(|line| line.contains("panic::")), "each line of the backtrace: {told}");
    assert!(errors.iter().any(|line| line.contains("the refresh actor ended")), "{told}");
    systemd.until_status("the refresh actor ended");
}

/// The steps of a change of the token key, in order.
const KEY_STEPS: [&str; 11] = [
    "key-after-make",
    "key-after-old",
    "key-after-switch",
    "key-in-use",
    "key-after-probe",
    "key-in-tokens",
    "key-after-tokens",
    "key-in-answers",
    "key-after-answers",
    "key-before-forget",
    "key-after-forget",
];
const USERS: [&str; 3] = ["alice", "bob", "carol"];

fn with_users(host: Host) -> Host {
    host.configure("[log]\nlevel = \"debug\"");
    let daemon = host.serve();
    for name in USERS {
        host.settled_user(name);
        host.token(name, "{\"fresh\":true}").ok();
    }
    assert_eq!(daemon.stop(), 0);
    host
}

/// Kills whoever changes the key at this step, and then the start that goes on with it, if `again`.
fn key_change_killed_at(host: &Host, step: &str, again: Option<&str>) {
    let held: Vec<_> = USERS.map(|name| host.run(&["token", name]).ok()).to_vec();
    let spent: Vec<_> = USERS.map(|name| host.spotify.refreshes(name).asked).to_vec();
    let old = std::fs::read(host.path("state/token-key")).unwrap();
    let _ = std::fs::remove_file(host.path("log"));
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", format!("{step}=pause"));
    });
    let mut changing =
        host.command(&["key", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    host.until(&format!("{step} is reached"), || daemon.log().contains(&format!("step {step}")));
    daemon.kill();
    changing.wait().unwrap();
    if let Some(step) = again {
        std::fs::remove_file(host.path("log")).unwrap();
        let daemon = host.start(|command| {
            command.env("FAILPOINTS", format!("{step}=pause"));
        });
        host.until(&format!("{step} is reached again"), || daemon.log().contains(&format!("step {step}")));
        daemon.kill();
    }
    let daemon = host.serve();
    for (name, held) in USERS.iter().zip(held) {
        assert_eq!(host.run(&["token", name]).ok(), held, "{step}: {name}'s access token is read");
    }
    assert_eq!(USERS.map(|name| host.spotify.refreshes(name).asked).to_vec(), spent, "{step}");
    assert_eq!(host.run(&["doctor", "--json"]).json()["healthy"], true, "{step}");
    assert_eq!(daemon.stop(), 0);
    // Nothing is left half done, and nothing is sealed with a key that is gone.
    let left = ["token-key-next", "token-key-old", "token-key.new"].map(|name| host.path("state").join(name));
    assert!(left.iter().all(|file| !file.exists()), "{step}: {left:?}");
    let changed = std::fs::read(host.path("state/token-key")).unwrap() != old;
    assert_eq!(changed, !["key-after-make", "key-after-old"].contains(&step), "{step}");
    let daemon = host.serve();
    for name in USERS {
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{step}");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_kill_at_any_step_of_a_key_change_costs_no_token_on_sqlite() {
    let host = with_users(Host::rotating(Rotation::Rotate));
    for step in KEY_STEPS {
        key_change_killed_at(&host, step, None);
    }
}

#[test]
fn a_kill_at_any_step_of_a_key_change_costs_no_token_on_postgresql() {
    let url = postgres::shared().database();
    let host = with_users(Host::rotating(Rotation::Rotate).alone_on(&url));
    for step in KEY_STEPS {
        key_change_killed_at(&host, step, None);
    }
}

#[test]
fn a_second_kill_while_the_next_start_goes_on_costs_no_token_either() {
    let host = with_users(Host::rotating(Rotation::Rotate));
    for step in
        ["key-after-probe", "key-in-tokens", "key-in-answers", "key-before-forget", "key-after-forget"]
    {
        key_change_killed_at(&host, "key-in-use", Some(step));
    }
}

#[test]
fn who_starts_while_the_key_is_changed_and_has_the_old_one_alone_keeps_it_from_being_forgotten() {
    let host = with_users(Host::rotating(Rotation::Rotate).alone_on(&postgres::shared().database()));
    let old = std::fs::read(host.path("state/token-key")).unwrap();
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", "key-in-use=pause");
    });
    let mut changing =
        host.command(&["key", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    host.until("the step is reached", || daemon.log().contains("step key-in-use"));
    // Another one has said that it is at work, with the key that the probe still names.
    host.sql(
        "INSERT INTO daemons SELECT decode(md5('another'), 'hex'), substring(value FROM 2 FOR 8), seen_at + 600000
         FROM meta, daemons WHERE name = 'key_probe' LIMIT 1",
    );
    daemon.kill();
    changing.wait().unwrap();
    let daemon = host.serve();
    assert!(daemon.log().contains("the old key is kept"), "{}", daemon.log());
    assert_eq!(std::fs::read(host.path("state/token-key-old")).unwrap(), old);
    assert!(host.run(&["key", "rotate"]).stderr.contains("others work on this store"));
    host.sql("DELETE FROM daemons");
    host.run(&["key", "rotate"]).ok();
    assert!(!host.path("state/token-key-old").exists());
    for name in USERS {
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0);
    }
}
