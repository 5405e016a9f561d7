//! The command line as a whole: what it offers, what it refuses, and what it asks of a daemon.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A socket that knows alice, who is well, and bob, who is paused; on a thread of its own, since a command takes its
/// thread for itself.
struct Daemon {
    dir: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        std::fs::write(dir.path().join("l.toml"), format!("[control]\nsocket = {socket:?}\n")).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&heard);
        let answer = move |method: Method, uri: Uri, body: Bytes| {
            let body = String::from_utf8_lossy(&body).into_owned();
            noting.lock().unwrap().push(format!("{method} {uri} {body}").trim_end().to_owned());
            std::future::ready(answer(&method, uri.path()))
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(answer)).await
            })
        });
        Self { dir, heard }
    }

    /// The exit code of a command, and what the daemon heard of it.
    fn asked(&self, line: &str) -> (u8, Vec<String>) {
        let mut cli = parsed(line).unwrap();
        cli.config = Some(self.dir.path().join("l.toml"));
        let exit = dispatched(cli).unwrap_or_else(|error| error.exit);
        (exit.code(), std::mem::take(&mut *self.heard.lock().unwrap()))
    }
}

fn answer(method: &Method, path: &str) -> Response {
    let problem = |status: StatusCode, word: &str| {
        let kind = format!("urn:longplay:{word}");
        let problem = json!({"type": kind, "title": word, "status": status.as_u16(), "detail": word});
        (status, Json(problem)).into_response()
    };
    let entry = |name| json!({"name": name, "app": "default", "schedule": "adaptive", "timezone": "UTC", "origin": "store"});
    match (method.as_str(), path) {
        ("GET", "/v1/users") => Json(json!([entry("alice"), entry("bob")])).into_response(),
        ("GET", "/v1/users/alice") => Json(entry("alice")).into_response(),
        ("POST", "/v1/users/bob/archive") => problem(StatusCode::CONFLICT, "paused"),
        ("POST", "/v1/users/carol/archive") => problem(StatusCode::CONFLICT, "needs_login"),
        ("POST", "/v1/users/alice/archive") => {
            Json(json!({"result": "ok", "reason": null, "new_plays": 3, "gaps": []})).into_response()
        }
        ("POST", "/v1/users/alice/login") => Json(json!({
            "authorize_url": "https://accounts.example/authorize",
            "state": "S",
            "redirect_uri": "http://127.0.0.1:8467/callback",
            "served": true,
        }))
        .into_response(),
        ("GET", "/v1/logins/S") => Json(json!({"progress": "done", "message": "saved"})).into_response(),
        ("GET", _) => problem(StatusCode::NOT_FOUND, "unknown_user"),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

#[test]
fn adding_asks_for_somebody_new_and_changing_for_somebody_who_exists() {
    let daemon = Daemon::start();
    assert_eq!(daemon.asked("users set zoe --app b"), (1, vec!["GET /v1/users/zoe".to_owned()]));
    assert_eq!(daemon.asked("users set alice"), (2, Vec::new()));
    let (code, heard) = daemon.asked("users add zoe --timezone Europe/Berlin");
    let put = r#"PUT /v1/users/zoe {"add":true,"timezone":"Europe/Berlin"}"#;
    assert_eq!((code, heard), (0, vec![put.to_owned()]));
    let (code, heard) = daemon.asked("users set alice --schedule 5_*_*_*_*");
    assert_eq!((code, heard[1].as_str()), (0, r#"PUT /v1/users/alice {"schedule":"5 * * * *"}"#));
    let purged = vec!["DELETE /v1/users/alice?purge=true".to_owned()];
    assert_eq!(daemon.asked("users remove alice --purge"), (0, purged));
}

#[test]
fn everyone_is_archived_and_the_highest_outcome_counts() {
    let daemon = Daemon::start();
    let (code, heard) = daemon.asked("archive --all");
    assert_eq!((code, heard.len()), (0, 3));
    assert_eq!(daemon.asked("archive bob").0, 1);
    assert_eq!(daemon.asked("archive alice bob carol").0, 77);
}

#[test]
fn a_login_that_the_daemon_serves_is_waited_for_there() {
    let (code, heard) = Daemon::start().asked("login alice --app b");
    assert_eq!(code, 0);
    assert_eq!(heard, [r#"POST /v1/users/alice/login {"app":"b"}"#, "GET /v1/logins/S"]);
}

#[test]
fn everyone_and_each_alone_can_be_paused() {
    let daemon = Daemon::start();
    assert_eq!(daemon.asked("pause --all"), (0, vec!["POST /v1/pause".to_owned()]));
    let each = ["alice", "bob"].map(|user| format!("POST /v1/users/{user}/resume"));
    assert_eq!(daemon.asked("resume alice bob"), (0, each.to_vec()));
}

#[test]
fn without_a_daemon_a_command_that_needs_one_says_so() {
    let daemon = Daemon::start();
    std::fs::remove_file(daemon.dir.path().join("s")).unwrap();
    for line in ["watch", "reload"] {
        assert_eq!(daemon.asked(line), (69, Vec::new()), "{line}");
    }
}

fn parsed(line: &str) -> Result<Cli, ErrorKind> {
    let words = line.split_whitespace().map(|word| word.replace('_', " "));
    Cli::try_parse_from(std::iter::once("longplay".to_owned()).chain(words)).map_err(|e| e.kind())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_handbook_is_understood() {
    for line in [
        "serve",
        "demo",
        "check --json",
        "config --json --config /etc/longplay/longplay.toml",
        "--config x.toml login alice --app default --paste",
        "users",
        "users --json",
        "users add alice --app default --schedule adaptive --timezone Europe/Berlin",
        "users add alice --refresh-token-file - --login-at 2026-01-02",
        "users set alice --schedule 0_5_*_*_*_*",
        "users remove alice --purge",
        "pause alice",
        "pause --all",
        "resume alice bob",
        "resume --all",
        "status",
        "status alice --check --json",
        "archive alice bob",
        "archive --all",
        "plays alice --since 7d --until 2026-01-02T03:04:05Z --limit 10 --format jsonl",
        "plays alice --json",
        "plays alice --follow --format csv",
        "top alice --kind tracks --range 6mo --json",
        "top alice --source spotify",
        "gaps alice --json",
        "replay alice --since 7d --json",
        "token alice --valid-for 600 --fresh",
        "watch --json",
        "reload",
        "completions zsh",
    ] {
        assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
    }
}

#[test]
fn what_can_not_be_meant_is_a_usage_error() {
    for line in [
        "login Alice",
        "users add alice --schedule hourly",
        "users add alice --timezone Berlin",
        "users add alice --login-at 2026-01-02",
        "pause",
        "pause alice --all",
        "archive",
        "plays alice --since yesterday",
        "plays alice --limit 0",
        "plays alice --format xml",
        "plays alice --json --format csv",
        "plays alice --follow --until 2026-01-02",
        "top alice --range 4m",
        "token alice --valid-for soon",
        "export alice",
    ] {
        let error = parsed(line).err().unwrap_or_else(|| panic!("{line}: understood"));
        assert!(!matches!(error, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{line}");
    }
}

#[test]
fn what_every_command_does_is_said() {
    fn undocumented(command: &clap::Command) -> Vec<String> {
        let arguments =
            command.get_arguments().filter(|a| a.get_help().is_none()).map(|a| a.get_id().to_string());
        let own = command.get_about().is_none().then(|| command.get_name().to_owned());
        own.into_iter().chain(arguments).chain(command.get_subcommands().flat_map(undocumented)).collect()
    }
    assert_eq!(undocumented(&Cli::command()), Vec::<String>::new());
}
