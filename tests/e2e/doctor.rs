//! `longplay doctor`: every fault that is really there is found, with its cure, and no token is spent on it.

use longplay::sim::{Endpoint, Fault, Injection, LimitBody, Reply, Rotation};
use serde_json::Value;

use crate::fixture::Host;
use crate::fixture::postgres::Cluster;

/// The finding of this verdict about that.
#[track_caller]
fn finding(host: &Host, about: &str, verdict: &str) -> Value {
    let ran = host.run(&["doctor", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let findings = told["findings"].as_array().expect("findings").clone();
    let found = findings.iter().find(|found| found["about"] == about && found["verdict"] == verdict);
    let found = found.unwrap_or_else(|| panic!("no {verdict} about {about} in {told:#}")).clone();
    assert_eq!(found["cure"].is_null(), verdict == "good", "{found}");
    let healthy = told["healthy"] == true;
    assert_eq!((healthy, ran.code == 0), (ran.code == 0, healthy), "{ran:?}");
    if verdict == "fault" {
        assert!(!healthy, "{told:#}");
    }
    found
}

#[test]
fn a_well_daemon_is_found_well_and_nothing_is_spent() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.settled_user("alice");
    let (asked, held) = (host.spotify.refreshes("alice").asked, host.token("alice", "").ok());
    let said = host.run(&["doctor"]).ok();
    for about in ["store", "guard", "key", "app default", "clock", "spool", "logins", "socket"] {
        assert!(
            said.lines().any(|line| line.starts_with(&format!("good    {about}: "))),
            "{about} in\n{said}"
        );
    }
    assert!(said.contains("one login can be refreshed"), "{said}");
    assert_eq!(host.spotify.refreshes("alice").asked, asked);
    assert_eq!(host.token("alice", "").ok(), held);
    assert_eq!(host.user("alice")["state"], "ok");
    assert_eq!(daemon.stop(), 0);
    assert!(finding(&host, "daemon", "warning")["cure"].as_str().unwrap().contains("systemctl start"));
    assert_eq!(host.run(&["doctor"]).code, 0);
}

#[test]
fn of_a_store_that_is_away_nothing_else_is_said() {
    let mut cluster = Cluster::start("");
    let host = Host::new().on(&cluster.database());
    let _daemon = host.serve();
    host.settled_user("alice");
    cluster.stop(true);
    finding(&host, "store", "fault");
    let said = host.run(&["doctor"]).stdout;
    for about in ["guard: ", "key: ", "logins: "] {
        assert!(!said.contains(about), "{about} in\n{said}");
    }
    assert_eq!(said.matches("store: ").count(), 1, "{said}");
}

#[test]
fn a_wrong_clock_a_refused_app_a_dead_login_and_a_user_without_one_are_found() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.run(&["users", "add", "bob"]).ok();
    host.spotify.set_clock_skew(chrono::TimeDelta::seconds(-90));
    let found = finding(&host, "clock", "fault");
    assert!(found["found"].as_str().unwrap().contains("s ahead of"), "{found}");
    assert!(found["cure"].as_str().unwrap().contains("timedatectl"), "{found}");
    host.spotify.set_clock_skew(chrono::TimeDelta::zero());
    finding(&host, "clock", "good");
    let found = finding(&host, "user bob", "fault");
    assert!(found["cure"].as_str().unwrap().contains("longplay login bob"));
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    assert!(finding(&host, "user alice", "fault")["cure"].as_str().unwrap().contains("longplay login alice"));
    let config = std::fs::read_to_string(host.path("longplay.toml")).unwrap();
    host.write("longplay.toml", &config.replace("client_id = \"client\"", "client_id = \"nobody\""));
    host.run(&["reload"]).ok();
    let found = finding(&host, "app default", "fault");
    assert!(found["cure"].as_str().unwrap().contains("client_id"), "{found}");
    assert_eq!(host.run(&["doctor"]).code, 1);
}

#[test]
fn an_endpoint_that_is_away_and_one_that_limits_the_rate_are_told_apart() {
    let host = Host::new();
    let _daemon = host.serve();
    let limited = Fault::answer(Reply::rate_limited(Some("3600"), LimitBody::Json));
    host.spotify.inject(Injection::new(Endpoint::Token, limited));
    assert!(finding(&host, "app default", "warning")["found"].as_str().unwrap().contains("rate limit"));
    // It is not asked before its time.
    assert!(finding(&host, "app default", "warning")["found"].as_str().unwrap().contains("not asked"));
    let other = Host::new();
    let config = std::fs::read_to_string(other.path("longplay.toml")).unwrap();
    let away = config.replace(&other.spotify.token_url(), "http://127.0.0.1:9/api/token");
    other.write("longplay.toml", &away);
    assert!(finding(&other, "app default", "fault")["found"].as_str().unwrap().contains("does not answer"));
}

#[test]
fn a_damaged_spool_and_tokens_that_cannot_be_opened_are_found() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let file = host.path("state/spool/1");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(finding(&host, "spool", "warning")["found"].as_str().unwrap().contains("damaged"));
    host.sql("UPDATE grants SET refresh_token = zeroblob(80)");
    let found = finding(&host, "user alice", "fault");
    assert!(found["found"].as_str().unwrap().contains("can't be opened"), "{found}");
    // A spool that can't be written.
    std::fs::remove_dir_all(host.path("state/spool")).unwrap();
    std::fs::create_dir(host.path("state/spool")).unwrap();
    std::fs::create_dir(host.path("state/spool/0")).unwrap();
    let found = finding(&host, "spool", "fault");
    assert!(found["cure"].as_str().unwrap().contains("state directory"), "{found}");
}

#[test]
fn both_ways_out_are_told_of_a_store_that_nobody_accepted() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let db = host.path("state/longplay.db");
    std::fs::copy(&db, host.path("copy.db")).unwrap();
    std::fs::rename(host.path("copy.db"), &db).unwrap();
    let asked = host.spotify.refreshes("alice").asked;
    let cure = finding(&host, "guard", "fault")["cure"].as_str().unwrap().to_owned();
    assert!(cure.contains("longplay adopt") && cure.contains("stop this longplay"), "{cure}");
    assert_eq!(host.spotify.refreshes("alice").asked, asked);
}

#[test]
fn what_keeps_it_from_looking_is_a_finding_with_its_exit_code() {
    let host = Host::new();
    host.run(&["users"]).ok();
    std::fs::remove_file(host.path("state/token-key")).unwrap();
    let ran = host.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.stdout.contains("token key is missing"), "{ran:?}");
    host.configure("[tokens]\nbuffer = \"soon\"");
    let ran = host.run(&["doctor"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.stdout.contains("tokens.buffer"), "{ran:?}");
}

#[test]
fn a_store_that_is_away_is_a_finding_with_or_without_a_daemon() {
    let host = Host::new().on("postgres:///longplay?host=/nowhere&user=nobody");
    for code in [69, 75] {
        let daemon = (code == 75).then(|| host.serve_degraded());
        let ran = host.run(&["doctor", "--json"]);
        assert_eq!(ran.code, code, "{ran:?}");
        let told = ran.stdout.clone();
        assert!(told.contains("\"healthy\":false") || told.contains("\"healthy\": false"), "{told}");
        assert!(told.contains("/nowhere") && told.contains("\"cure\""), "{told}");
        drop(daemon);
    }
}
