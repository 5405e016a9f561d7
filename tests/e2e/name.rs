//! Names, zones and schedules that can't be, by every way in: command line, local API, configuration, and a statement
//! of another program's. Each is refused with what is accepted, and nobody else is touched.

use serde_json::{Value, json};

use crate::fixture::{Host, now};

/// What is nobody's name.
fn names() -> Vec<String> {
    let names = [
        "a/b",
        "../../etc/passwd",
        ".",
        "..",
        "a'b",
        "a\"b",
        "'; DROP TABLE users; --",
        "a b",
        " ",
        "a\nb",
        "ALICE",
        "zoë",
        "🎵",
        "alice\u{202e}",
        "a%2Fb",
        "a\\b",
        "$(id)",
        "a:b",
        "a?b",
        "a#b",
    ];
    let mut names: Vec<String> = names.map(str::to_owned).into();
    names.extend(["x".repeat(64), "x".repeat(300), "é".repeat(300)]);
    names
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What a refusal of any of these looks like: a short line with the alphabet.
#[track_caller]
fn is_clear(words: &str, given: &str) {
    assert!(words.contains("a-z, 0-9"), "{given:?}: {words}");
    assert!(words.trim().lines().count() == 1 && words.len() < 700, "{given:?}: {words}");
    assert!(!words.trim().contains(char::is_control) && !words.contains('\u{202e}'), "{given:?}: {words}");
}

#[test]
fn a_name_that_cannot_be_is_refused_on_the_command_line() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("bob");
    for name in names() {
        for args in [&["users", "add", &name][..], &["token", &name], &["archive", "bob", &name]] {
            let error = host.run(args).fails(2);
            assert!(error.contains("a-z, 0-9"), "{name:?}: {error}");
        }
    }
    for odd in ["", "-x", "--purge"] {
        host.run(&["users", "remove", odd]).fails(2);
    }
    assert_eq!(host.run(&["users", "--json"]).json().as_array().map(Vec::len), Some(1));
    host.run(&["token", "bob"]).ok();
}

#[test]
fn a_name_that_cannot_be_is_nobody_to_the_api() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("bob");
    for name in names() {
        let path = format!("/v1/users/{}", encoded(&name));
        for (answer, status, word) in [
            (host.ask("PUT", &path, "{}"), 400, "bad_request"),
            (host.post(&format!("{path}/login"), ""), 400, "bad_request"),
            (host.get(&path), 404, "unknown_user"),
            (host.ask("DELETE", &format!("{path}?purge=true"), ""), 404, "unknown_user"),
            (host.post(&format!("{path}/token"), ""), 404, "unknown_user"),
            (host.get(&format!("{path}/plays")), 404, "unknown_user"),
            (host.get(&format!("/v1/status?user={}", encoded(&name))), 400, "bad_request"),
        ] {
            assert_eq!(answer.problem(status), word, "{name:?}");
            is_clear(answer.json()["detail"].as_str().expect("words"), &name);
        }
    }
    // What is no text, or no name at all.
    for path in ["%FF", "%00", "a%00b", "%C3%28", "%ED%A0%80"] {
        let answer = host.ask("PUT", &format!("/v1/users/{path}"), "{}");
        assert_eq!(answer.problem(400), "bad_request", "{path}");
        let answer = host.post(&format!("/v1/users/{path}/token"), "");
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        answer.problem(answer.status);
    }
    for path in ["/v1/users/", "/v1/users//token", "/v1/users/a/b/token", "/v1/users/%"] {
        let answer = host.get(path);
        assert!([400, 404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(host.get("/v1/users").ok().as_array().map(Vec::len), Some(1));
    host.token("bob", "").ok();
}

#[test]
fn a_name_that_cannot_be_is_a_fault_of_the_configuration() {
    let host = Host::new();
    let names = names();
    let tables = |section: &str| -> String {
        // A JSON string is one of TOML, too.
        let table = |name: &String| format!("[{section}.{}]\n", json!(name));
        names.iter().map(table).collect()
    };
    std::fs::create_dir(host.path("conf.d")).expect("a folder");
    host.write("conf.d/users.toml", &tables("users"));
    host.write("conf.d/apps.toml", &tables("apps").replace("]\n", "]\nclient_id = 'x'\n"));
    let error = host.run(&["check"]).fails(78);
    for (file, what) in [("conf.d/users.toml", "users."), ("conf.d/apps.toml", "apps.")] {
        let of = |line: &&str| line.contains(&format!("{file}: {what}")) && line.contains("a-z, 0-9");
        assert_eq!(error.lines().filter(of).count(), names.len(), "{error}");
    }
    assert!(error.lines().all(|line| line.len() < 700), "{error}");
    assert_eq!(host.serve_in_vain().code, 78);
    assert!(!host.path("state").exists(), "nothing was made");
}

#[test]
fn a_name_that_cannot_be_and_another_program_inserted_is_told_and_touches_nobody() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("bob");
    host.sql("INSERT INTO users (name, app) VALUES ('carol', '../secret')");
    for name in names() {
        host.sql(&format!("INSERT INTO users (name) VALUES ('{}')", name.replace('\'', "''")));
    }
    host.sql("INSERT INTO users (name) VALUES ('dave')");
    host.until("who has a name is taken in", || !host.user("dave").is_null());
    host.until("the others are told", || {
        let health = host.get("/healthz");
        health.status == 503 && health.text.contains("a-z, 0-9") && health.text.contains("carol")
    });
    let listed = host.run(&["users", "--json"]).json();
    let listed: Vec<&Value> = listed.as_array().expect("users").iter().map(|user| &user["name"]).collect();
    assert_eq!(listed, ["bob", "dave"]);
    let table = host.run(&["status"]).ok();
    assert!(!table.contains('\u{202e}'), "{table}");
    host.run(&["archive", "bob"]).ok();
    host.token("bob", "{\"fresh\":true}").ok();
}

#[test]
fn a_schedule_or_zone_that_cannot_be_is_refused_by_every_way_in() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("bob");
    let long = "* ".repeat(300);
    let schedules = [
        "0 0 31 2 *",
        "0 0 30 2 +1",
        "0 0 0 1 1 * 2020",
        "",
        "hourly",
        "* * * *",
        "61 * * * *",
        "*/0 * * * *",
        "@never",
        "0 0 * * 7#6",
        "* * * * *; rm -rf /",
        "🎵 * * * *",
        &long,
    ];
    let zones =
        ["Mars/Olympus", "", "UTC+25", "../../etc/localtime", "Europe/Berlin/", "🎵", &"Z".repeat(300)];
    let all = schedules.iter().map(|s| ("schedule", *s)).chain(zones.iter().map(|z| ("timezone", *z)));
    for (key, value) in all {
        let accepted =
            if key == "schedule" { ["cron expression of 5 fields", "never fires"] } else { ["IANA"; 2] };
        let error = host.run(&["users", "set", "bob", &format!("--{key}={value}")]).fails(2);
        assert!(accepted.iter().any(|words| error.contains(words)), "{value:?}: {error}");
        let answer = host.ask("PUT", "/v1/users/erin", &json!({ key: value }).to_string());
        assert_eq!(answer.problem(400), "bad_request", "{value:?}");
        assert!(accepted.iter().any(|words| answer.text.contains(words)), "{answer:?}");
        host.write("other.toml", &format!("[archive]\n{key} = {}\n", json!(value)));
        let fault = host.run_on("other.toml", &["check"]).fails(78);
        assert!(fault.contains(&format!("other.toml: archive.{key}: got")), "{fault}");
    }
    assert_eq!(host.get("/v1/users/erin").status, 404, "nothing half-done");
    assert_eq!(
        (&host.user("bob")["schedule"], &host.user("bob")["timezone"]),
        (&json!("adaptive"), &json!("UTC"))
    );
}

#[test]
fn a_schedule_that_another_program_wrote_and_never_fires_makes_no_run_and_is_told() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("bob");
    for (name, schedule, zone) in [
        ("past", "0 0 0 1 1 * 2020", "UTC"),
        ("never", "0 0 31 2 *", "UTC"),
        ("nowhere", "0 5 * * *", "Mars/Olympus"),
        ("rare", "0 0 29 2 +1", "UTC"),
    ] {
        host.settled_user(name);
        host.sql(&format!(
            "UPDATE users SET schedule = '{schedule}', timezone = '{zone}' WHERE name = '{name}'"
        ));
    }
    host.until("what can't be is told", || {
        let health = host.get("/healthz").text;
        ["past", "never", "nowhere"].iter().all(|name| health.contains(&format!("{name}: ")))
    });
    host.until("the rare one has its time", || {
        host.user("rare")["next_run_at"].as_str().is_some_and(|at| at.contains("-02-29T00:00"))
    });
    let runs = |name| host.requests(name, longplay::sim::Endpoint::Recent);
    let odd = ["past", "never", "nowhere", "rare"];
    let before = odd.map(runs);
    host.run(&["users", "set", "bob", "--schedule", "* * * * * *"]).ok();
    let others = runs("bob");
    host.until("another's schedule has fired thrice", || runs("bob") >= others + 3);
    assert_eq!(odd.map(runs), before, "no run follows upon another");
    for name in ["past", "never", "nowhere"] {
        let status = host.user(name);
        let next = longplay::domain::Timestamp::parse(status["next_run_at"].as_str().expect("a time"));
        assert!(next.expect("a time") > now(), "{status}");
        host.run(&["archive", name]).ok();
    }
    host.sql("UPDATE users SET schedule = NULL, timezone = NULL");
    host.until("all is well", || host.get("/healthz").status == 200);
}
