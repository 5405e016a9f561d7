//! Requests to the local API that nobody should send: what they hear, and that nobody else notices.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use longplay::sim::{Endpoint, Fault};
use serde_json::json;

use crate::fixture::{GONE, Host, PATIENCE, Sent, now};
use crate::token::open_when_all_are_heard;

#[test]
fn a_body_that_is_not_what_the_route_takes_is_told_and_changes_nothing() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let before = host.user("alice");
    let asked = host.spotify.seen().len();
    let deep = format!("{{\"add\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    let bodies = [
        "{",
        "}",
        "null",
        "7",
        "\"x\"",
        "[]",
        "[1]",
        "<html></html>",
        "{\"a\":}",
        "{'add':true}",
        "{} {}",
        "{\"x\":1}",
        "{\"\\ud800\":1}",
        "\u{0}",
        "valid_for=60",
        &deep,
    ];
    let routes = [
        ("PUT", "/v1/users/carol"),
        ("POST", "/v1/users/alice/token"),
        ("POST", "/v1/users/alice/token/rejected"),
        ("POST", "/v1/users/carol/login"),
        ("POST", "/v1/logins"),
    ];
    for (method, path) in routes {
        for body in bodies {
            let answer = host.ask(method, path, body);
            assert_eq!(answer.problem(400), "bad_request", "{method} {path} {:.40}", body);
            assert!(answer.text.len() < 1_000, "{answer:?}");
        }
    }
    let wrong = [
        ("PUT", "/v1/users/carol", json!({"app": 5}), "invalid type"),
        ("PUT", "/v1/users/carol", json!({"app": "A B"}), "a-z, 0-9"),
        ("PUT", "/v1/users/carol", json!({"add": "yes"}), "invalid type"),
        ("PUT", "/v1/users/carol", json!({"schedule": ["*"]}), "invalid type"),
        ("PUT", "/v1/users/carol", json!({"timezone": {}}), "invalid type"),
        ("PUT", "/v1/users/carol", json!({"refresh_token": 1}), "invalid type"),
        ("PUT", "/v1/users/carol", json!({"refresh_token": ""}), "empty"),
        ("PUT", "/v1/users/carol", json!({"refresh_token": "a b"}), "without spaces"),
        ("PUT", "/v1/users/carol", json!({"refresh_token": "x".repeat(5_000)}), "4,096"),
        ("PUT", "/v1/users/carol", json!({"login_at": "yesterday", "refresh_token": "x"}), "time"),
        ("PUT", "/v1/users/carol", json!({"login_at": "2026-01-01T00:00:00Z"}), "goes with a refresh token"),
        ("PUT", "/v1/users/carol", json!({"name": "carol"}), "unknown field"),
        ("POST", "/v1/users/alice/token", json!({"valid_for": -1}), "-1"),
        ("POST", "/v1/users/alice/token", json!({"valid_for": 1.5}), "1.5"),
        ("POST", "/v1/users/alice/token", json!({"valid_for": "60"}), "invalid type"),
        ("POST", "/v1/users/alice/token", json!({"fresh": 1}), "invalid type"),
        ("POST", "/v1/users/alice/token/rejected", json!({}), "generation"),
        ("POST", "/v1/users/alice/token/rejected", json!({"generation": "1"}), "invalid type"),
        ("POST", "/v1/users/alice/token/rejected", json!({"generation": 1.5}), "1.5"),
        ("POST", "/v1/logins", json!({"address": null}), "invalid type"),
        ("POST", "/v1/logins", json!({"address": "x".repeat(60_000)}), ""),
    ];
    for (method, path, body, words) in wrong {
        let answer = host.ask(method, path, &body.to_string());
        assert_eq!(answer.problem(400), "bad_request", "{path} {body:.60}");
        assert!(answer.text.contains(words) && answer.text.len() < 1_000, "{body:.60}: {answer:?}");
    }
    let twice = host.token("alice", "{\"valid_for\":1,\"valid_for\":2}");
    assert!(twice.problem(400) == "bad_request" && twice.text.contains("duplicate"), "{twice:?}");
    for generation in [0, 99, u64::MAX] {
        let status = host.reject("alice", generation).status;
        assert!([400, 422].contains(&status), "{generation}: {status}");
    }
    assert_eq!(host.get("/v1/users/carol").status, 404);
    assert_eq!(host.user("alice"), before);
    assert_eq!(host.spotify.seen().len(), asked, "nothing was sent");
}

#[test]
fn a_route_method_or_query_that_is_not_there_is_told() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    for (path, words) in [
        ("/v1/users/alice/plays?limit=0", "limit 0"),
        ("/v1/users/alice/plays?limit=-5", "limit -5"),
        ("/v1/users/alice/plays?limit=10001", "10000"),
        ("/v1/users/alice/plays?limit=many", "limit"),
        ("/v1/users/alice/plays?limit=99999999999999999999", "limit"),
        ("/v1/users/alice/plays?limit=1&limit=2", "duplicate"),
        ("/v1/users/alice/plays?since=yesterday", "since"),
        ("/v1/users/alice/plays?until=2026-13-01T00:00:00Z", "until"),
        ("/v1/users/alice/plays?sinse=2026-01-01T00:00:00Z", "unknown field"),
        ("/v1/users/alice/top", "kind"),
        ("/v1/users/alice/top?kind=songs", "songs"),
        ("/v1/users/alice/top?kind=artists&limit=100000", "1000"),
        ("/v1/status?user=A%20B", "a-z, 0-9"),
        ("/v1/status?usr=alice", "unknown field"),
    ] {
        let answer = host.get(path);
        assert_eq!(answer.problem(400), "bad_request", "{path}");
        assert!(answer.text.contains(words), "{words} in {answer:?}");
    }
    for path in ["/v1/users/alice?purge=yes", "/v1/users/alice?purg=true"] {
        assert_eq!(host.ask("DELETE", path, "").problem(400), "bad_request", "{path}");
    }
    for (method, path) in [
        ("DELETE", "/v1/status"),
        ("POST", "/v1/users"),
        ("PATCH", "/v1/users/alice"),
        ("GET", "/v1/users/alice/token"),
        ("PUT", "/v1/users/alice/pause"),
        ("DELETE", "/metrics"),
        ("NONSENSE", "/v1/status"),
    ] {
        assert_eq!(host.ask(method, path, "").problem(405), "method_not_allowed", "{method} {path}");
    }
    for path in ["/", "/v1", "/v2/status", "/v1/status/", "/v1/users/alice/plays/1", "/v1/../etc/passwd"] {
        assert_eq!(host.get(path).problem(404), "not_found", "{path}");
    }
    host.token("alice", "").ok();
}

/// The status that a bare connection is answered with; 0: none.
fn status(mut stream: &UnixStream) -> u16 {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn what_is_no_http_ends_its_connection_only() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let headers = format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"hello\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/users/\xff HTTP/1.1\r\n\r\n",
        b"POST /v1/pause HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/users/carol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        headers.as_bytes(),
    ] {
        let mut stream = UnixStream::connect(host.path("run/control.sock")).expect("it connects");
        // It may be refused before it is all sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let status = status(&stream);
        assert!(
            status == 0 || (400..500).contains(&status),
            "{status}: {:.40}",
            String::from_utf8_lossy(bytes)
        );
    }
    // A body that breaks off is said to have.
    let mut stream = UnixStream::connect(host.path("run/control.sock")).expect("it connects");
    write!(stream, "PUT /v1/users/carol HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{")
        .expect("it is sent");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    assert!([0, 400].contains(&status(&stream)));
    assert_eq!(host.get("/v1/users/carol").status, 404);
    assert_ne!(host.user("alice")["state"], "paused");
    host.token("alice", "").ok();
}

#[test]
fn ten_megabytes_are_heard_out_and_refused() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let huge = json!({"schedule": "x".repeat(10 << 20)}).to_string();
    for (method, path) in
        [("PUT", "/v1/users/carol"), ("POST", "/v1/users/alice/token"), ("POST", "/v1/logins")]
    {
        let answer = host.ask(method, path, &huge);
        assert_eq!(answer.problem(413), "too_large", "{path}");
        assert!(answer.text.contains("65536 bytes"), "{answer:?}");
    }
    assert_eq!(host.get("/v1/users/carol").status, 404);
    host.token("alice", "").ok();
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_client_that_sends_a_byte_a_second_is_given_up_on_and_holds_up_nobody() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let begun = Barrier::new(3);
    let drip = |head: &str, drop: &str| {
        let mut stream = UnixStream::connect(host.path("run/control.sock")).expect("it connects");
        stream.write_all(head.as_bytes()).expect("the head is sent");
        begun.wait();
        let began = Instant::now();
        // Until the daemon hangs up.
        while stream.write_all(drop.as_bytes()).is_ok() {
            assert!(began.elapsed() < PATIENCE, "the daemon goes on listening");
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
            let mut answer = [0; 4_096];
            if let Ok(n) = (&stream).read(&mut answer) {
                return String::from_utf8_lossy(&answer[..n]).into_owned();
            }
        }
        String::new()
    };
    let body = "PUT /v1/users/carol HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{";
    std::thread::scope(|scope| {
        let slow_body = scope.spawn(|| drip(body, " "));
        let slow_head = scope.spawn(|| drip("GET /v1/status HTTP/1.1\r\nx: ", "y"));
        begun.wait();
        host.token("alice", "{\"fresh\":true}").ok();
        host.run(&["archive", "alice"]).ok();
        assert!(!slow_head.is_finished(), "nobody waited for it");
        let answer = slow_body.join().expect("it ends");
        assert!(answer.contains(" 408 ") && answer.contains("did not come within 10 s"), "{answer}");
        slow_head.join().expect("it ends");
    });
    assert_eq!(host.get("/v1/users/carol").status, 404);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn clients_that_read_nothing_hold_up_neither_others_nor_the_end() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let mute: Vec<UnixStream> = (0..64)
        .map(|n| {
            let mut stream = UnixStream::connect(host.path("run/control.sock")).expect("it connects");
            stream.set_nonblocking(true).expect("it need not take all");
            let path = if n % 2 == 0 { "/v1/openapi.json" } else { "/v1/events" };
            for _ in 0..200 {
                // More than fits between the two.
                if write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").is_err() {
                    break;
                }
            }
            stream
        })
        .collect();
    for _ in 0..300 {
        assert_eq!(host.post("/v1/resume", "").status, 204);
    }
    host.token("alice", "{\"fresh\":true}").ok();
    host.run(&["archive", "alice"]).ok();
    host.settled_user("bob");
    let told = Instant::now();
    assert_eq!(daemon.stop(), 0);
    assert!(told.elapsed() < GONE, "{:?}", told.elapsed());
    drop(mute);
}

#[test]
fn two_hundred_and_fifty_six_clients_at_once_are_all_answered() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 3, now());
    host.spotify.kill_access_tokens("alice");
    let asked = host.requests("alice", Endpoint::Token);
    let gate = host.hold(Endpoint::Token, Fault::before);
    let clients: Vec<_> = (0..256)
        .map(|n| match n % 4 {
            0 => host.send("POST", "/v1/users/alice/token", "{\"fresh\":true}"),
            1 => host.send("GET", "/v1/status", ""),
            2 => host.send("POST", "/v1/users/nobody/token", ""),
            _ => host.send("POST", "/v1/users/alice/token", "{"),
        })
        .collect();
    let (waiting, others): (Vec<_>, Vec<_>) = clients.into_iter().enumerate().partition(|(n, _)| n % 4 == 0);
    let answered = |(n, client): (usize, Sent<UnixStream>)| {
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, [200, 200, 404, 400][n % 4], "client {n}");
    };
    others.into_iter().for_each(answered);
    open_when_all_are_heard(&host, &gate);
    waiting.into_iter().for_each(answered);
    assert_eq!(host.requests("alice", Endpoint::Token) - asked, 1, "they share a refresh");
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 3 new plays");
}
