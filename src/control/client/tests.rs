//! The client against a small router: in this process, and over a real socket.

use std::os::unix::fs::PermissionsExt as _;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tempfile::TempDir;

use super::*;
use crate::control::api::TopQuery;
use crate::domain::{EventKind, Moment, RunResult, Timestamp, TopEntry, TopKind};

fn problem(kind: &str, status: u16, result: Option<RunResult>) -> impl IntoResponse + use<> {
    let problem = Problem {
        kind: format!("urn:longplay:{kind}"),
        title: kind.to_owned(),
        status,
        detail: "log in: longplay login alice".to_owned(),
        retry_after: None,
        faults: Vec::new(),
        result,
    };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem))
}

/// Says back what it heard, in the fields that an answer has.
fn router() -> Router {
    let token = async |Segment(user): Segment<String>, body: Bytes| {
        let heard = format!("{user} {}", String::from_utf8_lossy(&body));
        let expires_at = Timestamp::from_millis(0);
        Json(TokenAnswer { access_token: heard, expires_at, generation: Generation(7) })
    };
    let top = async |RawQuery(query): RawQuery| {
        Json(vec![TopEntry {
            name: query.unwrap_or_default(),
            artists: vec![],
            uri: None,
            plays: 1,
            ms_played: 0,
        }])
    };
    let events = async || {
        let event = |kind: &str| {
            format!("data: {{\"at\":\"2026-01-01T00:00:00Z\",\"kind\":\"{kind}\",\"message\":\"m\"}}\n\n")
        };
        format!(": hello\n\n{}{}", event("archived"), event("reloaded"))
    };
    let unhealthy = Health { healthy: false, problems: vec!["no store".to_owned()], attention: Vec::new() };
    Router::new()
        .route("/v1/users/{user}/token", post(token))
        .route("/v1/users/{user}/top", get(top))
        .route(
            "/v1/users/{user}/archive",
            post(async || problem("needs_login", 409, Some(RunResult::NeedsLogin))),
        )
        .route("/v1/users/{user}/pause", post(async || StatusCode::NO_CONTENT))
        .route("/v1/users", get(async || "not json"))
        .route("/v1/events", get(events))
        .route("/healthz", get(async move || (StatusCode::SERVICE_UNAVAILABLE, Json(unhealthy))))
        .route("/metrics", get(async || "longplay_up 1\n"))
}

fn alice() -> UserName {
    "alice".parse().unwrap()
}

/// Serves the router on a socket in a folder of its own.
fn served() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router()).await });
    (dir, socket)
}

async fn everything_is_carried(client: Client) {
    let question = TokenQuestion { valid_for: Some(600), fresh: Some(true) };
    let answer = client.token(&alice(), &question).await.unwrap();
    assert_eq!(answer.access_token, r#"alice {"valid_for":600,"fresh":true}"#);
    assert_eq!(answer.generation, Generation(7));

    let since = Some(Moment::At(Timestamp::from_millis(0)));
    let query = TopQuery { kind: TopKind::Albums, since, range: None, limit: Some(5) };
    let top = client.top(&alice(), &query).await.unwrap();
    assert_eq!(top[0].name, "kind=albums&limit=5&since=1970-01-01T00%3A00%3A00.000Z");

    let Err(ClientError::Problem(problem)) = client.archive(&alice()).await else { panic!("no problem") };
    assert_eq!((problem.status, problem.result), (409, Some(RunResult::NeedsLogin)));

    client.pause(&alice()).await.unwrap();
    assert!(!client.health().await.unwrap().healthy);
    assert_eq!(client.metrics().await.unwrap(), "longplay_up 1\n");

    let mut events = client.events().await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Archived);
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Reloaded);
    assert!(events.next().await.unwrap().is_none());

    for lost in [client.users().await.map(drop), client.resume_all().await] {
        let Err(ClientError::Lost { source, .. }) = lost else { panic!("an answer") };
        assert!(source.to_string().contains("same version"), "{source}");
    }
}

#[tokio::test]
async fn a_router_in_this_process_answers_like_a_daemon() {
    let client = Client::in_process(router(), ());
    assert!(client.is_in_process());
    everything_is_carried(client).await;
}

#[tokio::test]
async fn a_daemon_answers_over_its_socket() {
    let (_dir, socket) = served();
    let client = Client::open(&socket).unwrap();
    assert!(!client.is_in_process());
    everything_is_carried(client).await;
}

#[tokio::test]
async fn what_keeps_the_router_going_lives_as_long_as_the_client() {
    let lock = std::sync::Arc::new(());
    let client = Client::in_process(router(), std::sync::Arc::clone(&lock));
    let clone = client.clone();
    drop(client);
    assert_eq!(std::sync::Arc::strong_count(&lock), 2);
    drop(clone);
    assert_eq!(std::sync::Arc::strong_count(&lock), 1);
}

fn refused(socket: &Path) -> ClientError {
    Client::open(socket).err().unwrap()
}

#[tokio::test]
async fn a_missing_socket_and_one_that_nobody_listens_on_mean_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    assert!(matches!(refused(&socket), ClientError::NoDaemon(_)));
    assert!(matches!(refused(&socket.join("below")), ClientError::NoDaemon(_)));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(matches!(refused(&socket), ClientError::NoDaemon(_)));
    assert!(matches!(refused(&socket.join("below")), ClientError::NoDaemon(_)));
    let long = dir.path().join("x".repeat(200));
    assert!(matches!(refused(&long), ClientError::Lost { .. }));
}

#[tokio::test]
async fn a_socket_of_others_is_told_from_a_missing_one() {
    let (dir, socket) = served();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    // For root permissions don't hold, so somebody else has to try.
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = as_nobody(move || refused(&socket));
        assert!(matches!(error, ClientError::NotPermitted(_)), "{error}");
    } else {
        assert!(matches!(refused(&socket), ClientError::NotPermitted(_)));
    }
}

/// In a thread of its own whose credentials alone change (on Linux they belong to the thread).
fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let drop_root = || {
        let (nobody, nogroup) = (rustix::fs::Uid::from_raw(65534), rustix::fs::Gid::from_raw(65534));
        rustix::thread::set_thread_res_gid(nogroup, nogroup, nogroup).unwrap();
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    };
    std::thread::spawn(move || {
        drop_root();
        work()
    })
    .join()
    .unwrap()
}
