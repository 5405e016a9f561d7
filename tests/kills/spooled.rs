//! What the spool alone has: it brings back what a store has lost, and where it is damaged itself, that is said and
//! nothing is guessed.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use longplay::sim::Rotation;

use crate::fixture::postgres::Cluster;
use crate::fixture::{Daemon, Host, SCOPES, at_once};
use crate::fleet::settled;

#[test]
fn a_postgresql_that_is_set_back_while_daemons_run_gets_its_last_tokens_from_their_spools() {
    let mut cluster = Cluster::start("");
    let here = Host::rotating(Rotation::Rotate).on(&cluster.database());
    let there = here.sibling();
    let mut daemons = [here.serve(), there.serve()];
    let names: Vec<String> = (0..6).map(|n| format!("u{n}")).collect();
    names.iter().for_each(|name| drop(here.add_user(name).ok()));
    for name in &names {
        here.until("the run is over", || here.user(name)["last_run_result"] == "ok");
        settled(&there, name).unwrap();
    }
    let data = cluster.folder().join("data");
    let copy = cluster.folder().join("copy");
    cluster.stop(false);
    copied(&data, &copy);
    cluster.start_again();
    let host_of = |n: usize| if n.is_multiple_of(2) { &here } else { &there };
    for host in [&here, &there] {
        host.until("all is well", || host.get("/healthz").status == 200);
    }
    let seen: Vec<_> = names.iter().enumerate().map(|(n, name)| settled(host_of(n), name).unwrap()).collect();
    cluster.stop(true);
    for host in [&here, &there] {
        host.until("it is said", || host.get("/healthz").text.contains("PostgreSQL"));
    }
    std::fs::remove_dir_all(&data).unwrap();
    copied(&copy, &data);
    cluster.start_again();
    for host in [&here, &there] {
        host.until("all is well", || host.get("/healthz").status == 200);
        for (n, name) in names.iter().enumerate() {
            // The other's spool may be offered a moment later.
            host.until("the newest is there", || {
                let token = host.token(name, "").ok();
                token["generation"] == seen[n].0 && token["access_token"] == seen[n].1
            });
        }
    }
    for (n, name) in names.iter().enumerate() {
        settled(host_of(n + 1), name).unwrap();
        assert_eq!(here.spotify.refreshes(name).reused, 0, "{name}");
        assert!(here.spotify.login_alive(name));
    }
    assert!(daemons.iter_mut().all(|daemon| !daemon.has_ended()));
}

fn copied(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// What is done to a spool's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    CutInHalf,
    /// In the newest answer, and in what stands in front of it.
    FlippedAnswer,
    FlippedHead,
}

/// Kills a daemon whose refresh of alice's tokens stands at this step, with the answer in this slot.
fn killed_at(step: &str, slot: u64) -> (Host, PathBuf, u64) {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.add_user("alice").ok();
    host.until("her run is over", || host.user("alice")["last_run_result"] == "ok");
    let file = host.path("state/spool/1");
    while newest(&file) == slot {
        settled(&host, "alice").unwrap();
    }
    host.add_user("bob").ok();
    host.until("his run is over", || host.user("bob")["last_run_result"] == "ok");
    let generation = host.token("alice", "").ok()["generation"].as_u64().unwrap();
    assert_eq!(daemon.stop(), 0);
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", format!("{step}=pause")).env("TOKIO_WORKER_THREADS", "8");
        command.env("LONGPLAY_LOG__LEVEL", "debug");
    });
    let mut asking = host.command(&["token", "alice", "--fresh"]);
    let mut asking = asking.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    host.until("the step is reached", || daemon.log().contains(&format!("step {step}")));
    assert_eq!(newest(&file), slot);
    daemon.kill();
    asking.wait().unwrap();
    (host, file, generation)
}

/// Which slot has the newest answer: behind a mark of eight bytes stands a number that rises.
fn newest(file: &PathBuf) -> u64 {
    let bytes = std::fs::read(file).unwrap();
    let number = |slot: usize| u64::from_le_bytes(bytes[8 * 1024 * slot + 8..][..8].try_into().unwrap());
    u64::from(number(1) > number(0))
}

fn damage(file: &PathBuf, slot: u64, how: Damage) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let begin = slot * 8 * 1024;
    let flip = |at| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    };
    match how {
        Damage::CutInHalf => file.set_len(file.metadata().unwrap().len() / 2).unwrap(),
        Damage::FlippedAnswer => flip(begin + 300),
        Damage::FlippedHead => flip(begin + 24),
    }
}

fn damages() -> Vec<(u64, Damage)> {
    let all = [Damage::CutInHalf, Damage::FlippedAnswer, Damage::FlippedHead];
    all.into_iter().flat_map(|how| [(0, how), (1, how)]).collect()
}

/// The daemon stays up and names the file; whoever is not concerned goes on.
fn served_and_said(host: &Host, what: &str) -> Daemon {
    let daemon = host.serve_degraded();
    let health = host.get("/healthz").text;
    assert!(
        health.contains("spool/1: the answer in slot") && health.contains("damaged or cut"),
        "{what}: {health}"
    );
    settled(host, "bob").unwrap();
    daemon
}

#[test]
fn an_answer_that_only_a_damaged_spool_had_is_a_loss_that_is_told_and_nothing_is_guessed() {
    let cases = damages();
    at_once(cases.len(), |n| {
        let (slot, how) = cases[n];
        let what = format!("{how:?} with the answer in slot {slot}");
        let (host, file, generation) = killed_at("refresh-after-spool", slot);
        damage(&file, slot, how);
        let _daemon = served_and_said(&host, &what);
        if (slot, how) == (0, Damage::CutInHalf) {
            // The other half held an older one.
            assert_eq!(host.token("alice", "").ok()["generation"], generation + 1, "{what}");
        } else {
            assert!(settled(&host, "alice").is_none(), "{what}");
            let user = host.user("alice");
            assert_eq!(user["state"], "needs_login", "{what}");
            assert!(user["reason"].as_str().unwrap().contains("an answer was lost"), "{what}: {user}");
            assert_eq!(host.spotify.refreshes("alice").reused, 1, "{what}: one request told it");
            let token = host.spotify.grant("alice", "client", &SCOPES);
            host.ask("PUT", "/v1/users/alice", &format!("{{\"refresh_token\":\"{token}\"}}")).ok();
        }
        settled(&host, "alice").unwrap();
        settled(&host, "alice").unwrap();
        assert!(host.spotify.login_alive("alice"), "{what}");
        host.until_within(Duration::from_secs(100), "all is well once newer answers are there", || {
            host.get("/healthz").status == 200
        });
    });
}

#[test]
fn a_damaged_spool_whose_answers_the_store_has_costs_nothing() {
    let cases = damages();
    at_once(cases.len(), |n| {
        let (slot, how) = cases[n];
        let what = format!("{how:?} with the answer in slot {slot}");
        let (host, file, generation) = killed_at("refresh-after-commit", slot);
        damage(&file, slot, how);
        let asked = host.spotify.refreshes("alice").asked;
        // An altered head could be of an answer that counts; where another seal proves it, that is enough.
        let daemon = match how {
            Damage::FlippedAnswer => host.serve(),
            Damage::CutInHalf | Damage::FlippedHead => served_and_said(&host, &what),
        };
        assert_eq!(host.token("alice", "").ok()["generation"], generation + 1, "{what}");
        assert_eq!(host.spotify.refreshes("alice").asked, asked, "{what}: nothing had to be asked");
        settled(&host, "alice").unwrap();
        assert_eq!(host.spotify.refreshes("alice").reused, 0, "{what}");
        assert_eq!(host.user("alice")["state"], "ok", "{what}");
        assert_eq!(daemon.stop(), 0);
    });
}
