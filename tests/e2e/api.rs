//! The local API and the page's address: routes, problems, metrics, health.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::fixture::{Host, at_once, now};

/// Every route of the product's description.
const ROUTES: [(&str, &str); 26] = [
    ("get", "/v1/status"),
    ("get", "/v1/users"),
    ("get", "/v1/users/{name}"),
    ("put", "/v1/users/{name}"),
    ("delete", "/v1/users/{name}"),
    ("post", "/v1/users/{name}/archive"),
    ("post", "/v1/users/{name}/pause"),
    ("post", "/v1/users/{name}/resume"),
    ("post", "/v1/users/{name}/token"),
    ("post", "/v1/users/{name}/token/rejected"),
    ("get", "/v1/users/{name}/plays"),
    ("get", "/v1/users/{name}/gaps"),
    ("get", "/v1/users/{name}/top"),
    ("get", "/v1/users/{name}/stats"),
    ("get", "/v1/events"),
    ("post", "/v1/pause"),
    ("post", "/v1/resume"),
    ("post", "/v1/users/{name}/replay"),
    ("post", "/v1/reload"),
    ("post", "/v1/users/{name}/imports"),
    ("post", "/v1/users/{name}/imports/rows"),
    ("post", "/v1/users/{name}/imports/end"),
    ("delete", "/v1/imports/{id}"),
    ("post", "/v1/logins"),
    ("get", "/metrics"),
    ("get", "/healthz"),
];

#[test]
fn the_description_lists_every_route_and_every_listed_route_is_there() {
    let host = Host::new();
    let _daemon = host.serve();
    let description = host.get("/v1/openapi.json").ok();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for (method, path) in ROUTES {
        assert!(description["paths"][path][method].is_object(), "{method} {path}");
    }
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let (method, path) =
                (method.to_uppercase(), path.replace("{name}", "nobody").replace("{state}", "x"));
            if path == "/v1/events" {
                continue; // it has no end
            }
            let answer = host.ask(&method, &path, "");
            assert_ne!(answer.status, 405, "{method} {path}");
            if answer.status == 404 {
                let word = answer.problem(404);
                assert!(
                    ["unknown_user", "unknown_import"].contains(&word.as_str()),
                    "{method} {path}: {word}"
                );
            }
        }
    }
    // What an error looks like is described too.
    let problem = &description["components"]["schemas"]["Problem"]["properties"];
    for field in ["type", "title", "status", "detail"] {
        assert!(problem[field].is_object(), "{field}");
    }
}

#[test]
fn every_error_is_a_problem_with_a_type_to_branch_on() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.run(&["users", "add", "bob"]).ok();
    let ask = |method, path, body: &str| host.ask(method, path, body);
    let description = host.get("/v1/openapi.json").ok();
    let described = description["components"]["schemas"]["Word"]["enum"].as_array().expect("words");
    let token = "/v1/users/alice/token";
    let huge = format!("{{\"app\":\"{}\"}}", "x".repeat(70_000));
    for (answer, status, word) in [
        (ask("GET", "/v1/users/nobody", ""), 404, "unknown_user"),
        (ask("POST", "/v1/users/nobody/token", ""), 404, "unknown_user"),
        (ask("POST", "/v1/users/NO%20NAME/archive", ""), 404, "unknown_user"),
        (ask("GET", "/v1/status?user=nobody", ""), 404, "unknown_user"),
        (ask("POST", "/v1/users/nobody/token/rejected", "{\"generation\":1}"), 404, "unknown_user"),
        (ask("DELETE", "/v1/users/nobody", ""), 404, "unknown_user"),
        (ask("GET", "/v1/nothing", ""), 404, "not_found"),
        (ask("GET", token, ""), 405, "method_not_allowed"),
        (ask("POST", token, "{"), 400, "bad_request"),
        (ask("POST", token, "{\"valid_fro\":60}"), 400, "bad_request"),
        (ask("POST", token, "{\"valid_for\":-1}"), 400, "bad_request"),
        (ask("POST", token, "{\"valid_for\":\"5m\"}"), 400, "bad_request"),
        (ask("POST", token, "{\"valid_for\":1801}"), 422, "valid_for_too_long"),
        (ask("POST", token, "{\"valid_for\":18446744073709551615}"), 422, "valid_for_too_long"),
        (ask("POST", "/v1/users/alice/token/rejected", ""), 400, "bad_request"),
        (ask("POST", "/v1/users/bob/token", ""), 409, "needs_login"),
        (ask("POST", "/v1/users/bob/archive", ""), 409, "needs_login"),
        (ask("PUT", "/v1/users/UPPER", "{}"), 400, "bad_request"),
        (ask("PUT", "/v1/users/carol", "{\"schedule\":\"hourly\"}"), 400, "bad_request"),
        (ask("PUT", "/v1/users/carol", "{\"app\":\"none\"}"), 400, "bad_request"),
        (ask("PUT", "/v1/users/carol", &huge), 413, "too_large"),
        (ask("GET", "/v1/users/alice/plays?since=yesterday", ""), 400, "bad_request"),
        (ask("POST", "/v1/logins", "{\"address\":\"hello\"}"), 400, "bad_request"),
    ] {
        assert_eq!(answer.problem(status), word);
        assert!(described.contains(&word.into()), "{word} is in the description");
    }
    assert_eq!(ask("POST", token, "{\"valid_for\":1800}").status, 200, "exactly half is no more than half");
    assert_eq!(ask("GET", "/v1/users/carol", "").status, 404);
}

#[test]
fn a_user_is_put_and_deleted_by_a_program() {
    let host = Host::new();
    let _daemon = host.serve();
    let put = |body: Value| host.ask("PUT", "/v1/users/alice", &body.to_string());
    let alice = put(json!({"schedule": "5 * * * *"})).ok();
    assert_eq!(alice["schedule"], "5 * * * *");
    assert_eq!(
        put(json!({"timezone": "Europe/Berlin"})).ok()["schedule"],
        "5 * * * *",
        "what isn't given stays"
    );
    host.spotify.listen_until("alice", 3, now());
    let token = host.spotify.grant("alice", "client", &crate::fixture::SCOPES);
    put(json!({"refresh_token": token})).ok();
    host.until("it is archived at once", || host.user("alice")["plays"] == 3);
    assert_eq!(host.ask("DELETE", "/v1/users/alice", "").status, 204);
    assert_eq!(host.get("/v1/users/alice").status, 404);
    assert_eq!(host.get("/v1/users/alice/plays").json().as_array().map(Vec::len), Some(3));
    assert_eq!(host.ask("DELETE", "/v1/users/alice?purge=true", "").status, 204);
    assert_eq!(host.get("/v1/users/alice/plays").status, 404);
}

#[test]
fn plays_are_read_by_time_and_number() {
    let host = Host::new();
    host.spotify.listen_until("alice", 10, now());
    let _daemon = host.serve();
    host.settled_user("alice");
    let plays = |query: &str| host.get(&format!("/v1/users/alice/plays{query}")).ok();
    let all = plays("");
    let at = |n: usize| all[n]["played_at"].as_str().expect("a time").to_owned();
    assert_eq!(all.as_array().map(Vec::len), Some(10));
    assert!((0..9).all(|n| at(n) > at(n + 1)), "newest first");
    assert_eq!(plays("?limit=3").as_array().map(Vec::len), Some(3));
    assert_eq!(plays(&format!("?since={}", at(4)))[4], all[4], "since is within");
    assert_eq!(plays(&format!("?since={}", at(4))).as_array().map(Vec::len), Some(5));
    assert_eq!(plays(&format!("?until={}", at(4)))[0], all[5], "until is not");
    let ran = host.run(&["plays", "alice", "--since", &at(6), "--until", &at(2), "--json"]).json();
    assert_eq!(ran.as_array().map(Vec::len), Some(4));
}

#[test]
fn metrics_have_their_fixed_names_on_both_addresses() {
    let host = Host::new();
    host.spotify.listen_until("alice", 3, now());
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.run(&["pause", "bob"]).ok();
    assert_eq!(host.metric("token_refresh_success_total"), 2.0);
    for error in [
        "invalid_refresh_token",
        "network_error",
        "rate_limited",
        "provider_error",
        "client_error",
        "store_error",
    ] {
        assert_eq!(host.metric(&format!("token_refresh_failure_total{{error_type=\"{error}\"}}")), 0.0);
    }
    for bucket in [60, 180, 300, 600, 1_800, 3_600] {
        host.metric(&format!("token_time_until_expiry_seconds_bucket{{le=\"{bucket}\"}}"));
    }
    // The schedule may have come due beside the run of a new login.
    assert!(host.metric("token_time_until_expiry_seconds_count") >= 2.0);
    assert_eq!(host.metric("longplay_plays_archived_total"), 3.0);
    assert!(host.metric("longplay_runs_total{result=\"ok\"}") >= 2.0);
    // A count that took long holds for a while.
    host.until("they are counted", || {
        ["ok", "paused"]
            .iter()
            .all(|state| host.metric(&format!("longplay_users{{state=\"{state}\"}}")) == 1.0)
    });
    assert!(host.metric("longplay_api_calls_total{app=\"default\"}") >= 4.0);
    assert!(host.metric("longplay_user_last_success_timestamp_seconds{user=\"alice\"}") > 1.7e9);
    assert!(host.metric("longplay_oldest_success_timestamp_seconds") > 1.7e9);
    assert!(host.metric("longplay_refresh_duration_seconds_count") >= 2.0);
    let socket = host.get("/metrics");
    assert!(socket.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let names = |text: &str| -> BTreeSet<String> {
        let line = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
        text.lines().filter(|line| !line.starts_with('#')).map(line).filter(|name| !name.is_empty()).collect()
    };
    let fixed =
        ["token_refresh_success_total", "token_refresh_failure_total", "token_time_until_expiry_seconds"];
    for name in names(&socket.text) {
        assert!(name.starts_with("longplay_") || fixed.iter().any(|fixed| name.starts_with(fixed)), "{name}");
    }
    let page = host.page("/metrics", "localhost");
    assert_eq!(names(&page.text), names(&socket.text));
}

#[test]
fn on_the_pages_address_a_foreign_host_is_misdirected_and_the_api_is_not_open() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let ours = [format!("127.0.0.1:{}", host.port), format!("localhost:{}", host.port), "[::1]".to_owned()];
    // That alice had no login yet may be told of for a while.
    host.until("nobody is told to do anything", || {
        host.page("/healthz", &ours[0]).ok() == json!({"healthy": true})
    });
    for name in &ours {
        assert_eq!(host.page("/healthz", name).ok(), json!({"healthy": true}), "{name}");
    }
    for foreign in ["evil.example", "127.0.0.1.evil.example", "evil.example:8467", "10.0.0.1"] {
        for path in ["/", "/healthz", "/metrics", "/callback?state=x&code=y"] {
            assert_eq!(host.page(path, foreign).status, 421, "{foreign} {path}");
        }
    }
    for closed in ["/v1/status", "/v1/users/alice/token", "/v1/users", "/v1/openapi.json", "/v1/events"] {
        assert_eq!(host.page(closed, &ours[0]).status, 404, "{closed}");
    }
    assert_eq!(host.page("/callback?state=unknown&code=y", &ours[0]).status, 400);
}

#[test]
fn a_page_that_is_off_listens_nowhere() {
    let host = Host::new();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.write(
        "longplay.toml",
        &config.replace(&format!("listen = \"127.0.0.1:{}\"", host.port), "listen = \"\""),
    );
    let _daemon = host.serve();
    assert_eq!(host.page("/healthz", "localhost").status, 0);
}

#[test]
fn an_address_that_is_taken_is_a_problem_and_no_end() {
    let host = Host::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", host.port)).expect("a port");
    let daemon = host.serve_degraded();
    host.until("it says so", || {
        let health = host.get("/healthz");
        health.status == 503 && health.text.contains("web.listen")
    });
    host.add_user("alice").ok();
    host.until("it works all the same", || host.user("alice")["last_run_result"] == "ok");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_store_that_is_away_degrades_the_daemon_and_is_found_again() {
    let host = Host::new();
    let url = format!("sqlite://{}", host.path("disk/longplay.db").display());
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.write("longplay.toml", &config.replace("[store]\n", &format!("[store]\nurl = \"{url}\"\n")));
    let daemon = host.serve_degraded();
    let health = host.get("/healthz");
    assert_eq!((health.status, &health.json()["healthy"]), (503, &json!(false)), "{health:?}");
    assert_eq!(host.get("/v1/status").problem(503), "store");
    host.run(&["status"]).fails(75);
    std::fs::create_dir(host.path("disk")).expect("a folder");
    host.until("it is well by itself", || host.get("/healthz").status == 200);
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn the_socket_is_for_its_group_and_takes_hundreds_at_once() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let socket = host.path("run/control.sock");
    assert_eq!(std::fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o660);
    // 256 that say nothing, and one after them that is answered all the same.
    let idle: Vec<_> = (0..256).map(|_| UnixStream::connect(&socket).expect("it connects")).collect();
    assert!(at_once(16, |_| host.token("alice", "").status).iter().all(|status| *status == 200));
    drop(idle);
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn events_are_server_sent() {
    let host = Host::new();
    let _daemon = host.serve();
    let mut stream = UnixStream::connect(host.path("run/control.sock")).expect("it connects");
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: longplay\r\n\r\n").expect("it is asked");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line.contains("text/event-stream")), "{head:?}");
    host.run(&["users", "add", "alice"]).ok();
    let data = lines.find_map(|line| line.strip_prefix("data:").map(str::to_owned)).expect("an event");
    let event: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!((&event["kind"], &event["user"]), (&json!("user_added"), &json!("alice")));
}
