//! Kill -9 at every named step of a refresh, on both stores, against a provider that rotates strictly, without grace.
//! Afterwards the provider's own record decides.
#![cfg(feature = "failpoints")]
#![expect(clippy::unwrap_used, reason = "a test")]

mod fixture;

use std::process::Stdio;

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
