//! Every fault, as a real client sees it, and what it leaves behind in Spotify's record.

use std::io::{Read, Write};

use super::*;
use crate::sim::{Answered, Effect, Endpoint, Fault, Gate, Injection, LimitBody, Reply};

/// A stage with strict rotation, and Ann's refresh token.
fn rotating() -> (Stage, String) {
    let stage = stage_with(Rotation::Rotate);
    let token = stage.spotify.grant("ann", "web", &BOTH);
    (stage, token)
}

impl Stage {
    fn fault(&self, fault: Fault) {
        self.spotify.inject(Injection::new(Endpoint::Token, fault));
    }
}

/// All that a bare socket receives for a refresh, until the connection ends.
fn raw_refresh(stage: &Stage, token: &str) -> String {
    let address = stage.spotify.base_url();
    let mut socket = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let body = format!("grant_type=refresh_token&client_id=web&refresh_token={token}");
    write!(
        socket,
        "POST /api/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut received = Vec::new();
    // A reset is an end as well.
    let _ = socket.read_to_end(&mut received);
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_connection_dropped_before_the_commit_leaves_the_token_unspent() {
    let (stage, token) = rotating();
    stage.fault(Fault::before(Effect::Drop));
    let error = stage.refresh(&token).send().await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    assert!(stage.spotify.alive("ann", &token));
    assert_eq!(stage.spotify.requests(Endpoint::Token), 1);
    assert_eq!(stage.spotify.seen()[0].answered, Some(Answered::Cut));
    assert_eq!(answer(stage.refresh(&token)).await.0, 200);
    assert_eq!(stage.spotify.faults_met(), 1);
}

#[tokio::test]
async fn a_connection_dropped_after_the_commit_loses_the_new_token() {
    let (stage, token) = rotating();
    stage.fault(Fault::after(Effect::Drop));
    assert!(stage.refresh(&token).send().await.is_err());
    assert!(!stage.spotify.alive("ann", &token) && stage.spotify.login_alive("ann"));
    assert_ne!(stage.spotify.current_refresh_token("ann").unwrap(), token);
    assert_eq!(answer(stage.refresh(&token)).await.0, 400);
    assert!(!stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn a_bare_socket_sees_no_byte_of_a_dropped_answer_and_half_of_a_halved_one() {
    let (stage, token) = rotating();
    stage.fault(Fault::before(Effect::Drop));
    assert_eq!(raw_refresh(&stage, &token), "");
    stage.fault(Fault::after(Effect::HalfABody));
    let received = raw_refresh(&stage, &token);
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let promised: usize = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap();
    assert_eq!(body.len(), promised / 2);
    assert!(body.starts_with("{\"access_token\""), "{body}");
}

#[tokio::test]
async fn half_a_body_is_an_error_to_the_client() {
    let (stage, token) = rotating();
    stage.fault(Fault::after(Effect::HalfABody));
    let response = stage.refresh(&token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert!(!stage.spotify.alive("ann", &token));
    assert_eq!(stage.spotify.seen()[0].answered, Some(Answered::Half));
    let (stage, token) = rotating();
    stage.fault(Fault::before(Effect::HalfABody));
    assert!(stage.refresh(&token).send().await.unwrap().bytes().await.is_err());
    assert!(stage.spotify.alive("ann", &token));
}

#[tokio::test]
async fn any_answer_can_be_given_on_either_side_of_the_commit() {
    let fixed = Reply::new(418, "text/plain", "short and stout").header("x-kind", "teapot");
    let answers = [
        (Reply::outage(500), 500, "upstream"),
        (Reply::outage(503), 503, "upstream"),
        (Reply::html(502), 502, "<!DOCTYPE html>"),
        (Reply::html(200), 200, "<!DOCTYPE html>"),
        (Reply::empty(), 200, ""),
        (Reply::not_json(), 200, "{\"access_token\": \"BQ"),
        (Reply::redirect("https://elsewhere.example/"), 302, ""),
        (Reply::false_invalid_grant(), 400, "{\"error\":\"invalid_grant\""),
        (fixed, 418, "short and stout"),
    ];
    for (reply, status, begins) in answers {
        let (stage, token) = rotating();
        stage.fault(Fault::answer(reply.clone()));
        stage.fault(Fault::after(Effect::Answer(reply)));
        for unspent in [true, false] {
            let response = stage.refresh(&token).send().await.unwrap();
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key("date"));
            let body = response.text().await.unwrap();
            assert!(body.starts_with(begins) && body.is_empty() == begins.is_empty(), "{body}");
            assert_eq!(stage.spotify.alive("ann", &token), unspent, "{status} {begins}");
            assert!(stage.spotify.login_alive("ann"));
        }
    }
}

#[tokio::test]
async fn a_rate_limit_comes_with_and_without_a_time_and_a_reason() {
    let (stage, token) = rotating();
    for retry_after in [Some("19056"), Some("0"), None] {
        for body in [LimitBody::Json, LimitBody::Quota, LimitBody::Text] {
            stage.fault(Fault::answer(Reply::rate_limited(retry_after, body)));
            let response = stage.refresh(&token).send().await.unwrap();
            assert_eq!(response.status(), 429);
            let header = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(header.as_deref(), retry_after);
            let text = response.text().await.unwrap();
            assert_eq!(text.contains("QUOTA_EXCEEDED"), body == LimitBody::Quota);
            assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), body != LimitBody::Text);
        }
    }
    assert!(stage.spotify.alive("ann", &token));
}

#[tokio::test]
async fn a_huge_body_is_huge() {
    let (stage, token) = rotating();
    stage.fault(Fault::answer(Reply::huge()));
    let body = stage.refresh(&token).send().await.unwrap().bytes().await.unwrap();
    assert!(body.len() > 10 * 1024 * 1024);
    serde_json::from_slice::<serde::de::IgnoredAny>(&body).unwrap();
}

#[tokio::test]
async fn a_slow_answer_takes_simulated_time_on_the_side_that_was_named() {
    for before in [true, false] {
        let (stage, token) = rotating();
        let slow = Effect::Slow(Duration::from_secs(30));
        stage.fault(if before { Fault::before(slow) } else { Fault::after(slow) });
        let request = tokio::spawn(stage.refresh(&token).send());
        let committed = |stage: &Stage| stage.spotify.refreshes("ann").accepted > 0;
        while stage.spotify.requests(Endpoint::Token) == 0 || (!before && !committed(&stage)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.spotify.alive("ann", &token), before);
        assert!(!request.is_finished());
        while !request.is_finished() {
            stage.pass(31);
            tokio::task::yield_now().await;
        }
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_held_request_goes_on_when_the_gate_opens() {
    let (stage, token) = rotating();
    let gate = Gate::new();
    stage.fault(Fault::before(Effect::Hang(gate.clone())).and_after(Effect::Answer(Reply::html(504))));
    let request = tokio::spawn(stage.refresh(&token).send());
    gate.reached_by(1).await;
    assert!(stage.spotify.alive("ann", &token) && !request.is_finished());
    assert_eq!(stage.spotify.seen()[0].answered, None);
    gate.open();
    assert_eq!(request.await.unwrap().unwrap().status(), 504);
    assert!(!stage.spotify.alive("ann", &token));
}

#[tokio::test]
async fn a_held_request_is_cut_when_spotify_stops() {
    let (stage, token) = rotating();
    let gate = Gate::new();
    stage.fault(Fault::before(Effect::Hang(gate.clone())));
    let request = tokio::spawn(stage.refresh(&token).send());
    gate.reached_by(1).await;
    stage.spotify.stop();
    assert!(request.await.unwrap().is_err());
    assert!(stage.spotify.alive("ann", &token));
}

#[tokio::test]
async fn a_fault_meets_its_endpoint_its_account_and_its_number_of_requests() {
    let (stage, ann) = rotating();
    stage.spotify.set_rotation("web", Rotation::Never);
    let ben = stage.spotify.grant("ben", "web", &BOTH);
    let outage = || Fault::answer(Reply::outage(503));
    stage.spotify.inject(Injection::new(Endpoint::Token, outage()).of("ben").times(2));
    assert_eq!(answer(stage.refresh(&ann)).await.0, 200);
    assert_eq!(answer(stage.refresh(&ben)).await.0, 503);
    assert_eq!(stage.spotify.faults_waiting(), 1);
    assert_eq!(answer(stage.refresh(&ben)).await.0, 503);
    assert_eq!(answer(stage.refresh(&ben)).await.0, 200);
    assert_eq!(stage.spotify.faults_waiting(), 0);

    stage.spotify.inject(Injection::new(Endpoint::Token, outage()).until_cleared());
    for _ in 0..3 {
        assert_eq!(answer(stage.refresh(&ann)).await.0, 503);
    }
    stage.spotify.clear_faults();
    assert_eq!(answer(stage.refresh(&ann)).await.0, 200);
    assert_eq!(stage.spotify.faults_met(), 5);
}

#[tokio::test]
async fn every_endpoint_can_fail() {
    let (stage, token) = rotating();
    let access = answer(stage.refresh(&token)).await.1["access_token"].as_str().unwrap().to_owned();
    for (endpoint, path) in [
        (Endpoint::Me, "/me"),
        (Endpoint::Recent, "/me/player/recently-played"),
        (Endpoint::Top, "/me/top/artists"),
    ] {
        stage.spotify.inject(Injection::new(endpoint, Fault::answer(Reply::false_unauthorized())).of("ann"));
        stage.spotify.inject(Injection::new(endpoint, Fault::before(Effect::Drop)));
        assert_eq!(answer(stage.get(path, &access)).await.0, 401);
        assert!(stage.get(path, &access).send().await.is_err());
        assert_eq!(answer(stage.get(path, &access)).await.0, 200);
    }
    stage.spotify.inject(Injection::new(Endpoint::Authorize, Fault::answer(Reply::html(503))));
    assert_eq!(stage.authorize(&[]).await.status(), 503);
    assert_eq!(stage.authorize(&[]).await.status(), 302);
    assert_eq!(stage.spotify.faults_met(), 7);
}
