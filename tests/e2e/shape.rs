//! What scripts rely on: the JSON of every command, field by field.

use serde_json::Value;

use crate::fixture::{Host, fields, is_time, now};

/// A host whose alice has everything, and whose bob has nothing.
fn host() -> (Host, crate::fixture::Daemon) {
    let host = Host::new();
    host.spotify.listen_until("alice", 5, now());
    let daemon = host.serve();
    host.settled_user("alice");
    host.run(&["users", "add", "bob"]).ok();
    (host, daemon)
}

#[test]
fn status_has_its_fields() {
    let (host, _daemon) = host();
    let status = host.run(&["status", "--json"]).json();
    assert_eq!(fields(&status), "daemon users");
    let daemon = &status["daemon"];
    assert_eq!(fields(daemon), "healthy instance problems quotas since store version");
    assert_eq!(daemon["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&daemon["healthy"], &daemon["problems"]), (&true.into(), &Value::Array(Vec::new())));
    is_time(&daemon["since"]);
    assert!(daemon["store"].as_str().is_some_and(|store| store.contains("longplay.db")), "{daemon}");
    assert_eq!(daemon["instance"].as_str().map(str::len), Some(36), "a UUID");
    let (alice, bob) = (&status["users"][0], &status["users"][1]);
    for user in [alice, bob] {
        assert_eq!(
            fields(user),
            "access_expires_at app gaps last_archived_at last_run_at last_run_result login_at login_expires_at name \
             next_run_at plays reason schedule state timezone"
        );
        assert_eq!(
            (&user["app"], &user["schedule"], &user["timezone"]),
            (&"default".into(), &"adaptive".into(), &"UTC".into())
        );
    }
    assert_eq!(
        (&alice["name"], &alice["state"], &alice["plays"], &alice["gaps"]),
        (&"alice".into(), &"ok".into(), &5.into(), &0.into())
    );
    assert_eq!((&alice["reason"], &alice["last_run_result"]), (&Value::Null, &"ok".into()));
    for time in ["last_run_at", "last_archived_at", "next_run_at", "access_expires_at"] {
        is_time(&alice[time]);
    }
    for unknown in ["login_at", "login_expires_at"] {
        assert!(alice[unknown].is_null(), "{unknown}: nobody said when the login was given");
    }
    assert_eq!((&bob["name"], &bob["state"]), (&"bob".into(), &"needs_login".into()));
    for unknown in ["last_archived_at", "access_expires_at", "login_at", "login_expires_at"] {
        assert!(bob[unknown].is_null(), "{unknown}");
    }
    let one = host.run(&["status", "alice", "--json"]).json();
    assert_eq!(one["users"].as_array().map(Vec::len), Some(1));
    host.run(&["status", "nobody"]).fails(1);
}

#[test]
fn status_check_fails_unless_all_are_well() {
    let (host, _daemon) = host();
    assert_eq!(host.run(&["status", "--check"]).code, 1, "bob has no login");
    assert_eq!(host.run(&["status", "alice", "--check"]).code, 0);
    host.run(&["pause", "bob"]).ok();
    assert_eq!(host.run(&["status", "--check"]).code, 0);
}

#[test]
fn plays_have_their_fields_in_every_format() {
    let (host, _daemon) = host();
    let names = "album artists context_uri duration_ms isrc played_at source track track_uri";
    let json = host.run(&["plays", "alice", "--format", "json"]).json();
    for play in json.as_array().expect("plays") {
        assert_eq!(fields(play), names);
        is_time(&play["played_at"]);
        assert!(play["artists"].as_array().is_some_and(|artists| artists.iter().all(Value::is_string)));
        assert!(play["duration_ms"].is_i64());
    }
    let lines = host.run(&["plays", "alice", "--format", "jsonl"]).ok();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(Value::Array(lines), json);
    let csv = host.run(&["plays", "alice", "--format", "csv"]).ok();
    let head = csv.lines().next().expect("a head");
    assert_eq!(head, "played_at,track,artists,album,track_uri,isrc,duration_ms,context_uri,source");
    assert_eq!(csv.lines().count(), 6);
    let table = host.run(&["plays", "alice"]).ok();
    assert!(table.contains(json[0]["track"].as_str().expect("a name")), "{table}");
    assert_eq!(host.run(&["plays", "bob", "--json"]).json(), Value::Array(Vec::new()));
}

#[test]
fn a_token_answer_has_its_fields() {
    let (host, _daemon) = host();
    let answer = host.token("alice", "");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = answer.ok();
    assert_eq!(fields(&token), "access_token expires_at generation");
    is_time(&token["expires_at"]);
    assert!(token["generation"].is_u64());
    let printed = host.run(&["token", "alice"]);
    assert_eq!(printed.stderr, "");
    assert_eq!(printed.ok(), format!("{}\n", token["access_token"].as_str().expect("a token")));
}

#[test]
fn users_and_gaps_and_top_and_config_are_lists() {
    let (host, _daemon) = host();
    let users = host.run(&["users", "--json"]).json();
    assert_eq!(fields(&users[0]), "app name origin schedule timezone");
    host.sql("INSERT INTO gaps (user_id, from_at, to_at, cause, at_most, closed_at) VALUES (1, 1000, 2000, 'daemon_down', 3, NULL), (1, 5000, 6001, 'blocked', 4, 9000)");
    let gaps = host.run(&["gaps", "alice", "--json"]).json();
    for gap in gaps.as_array().expect("gaps") {
        assert_eq!(fields(gap), "at_most cause closed_at from to");
    }
    assert_eq!(gaps[0]["to"], "1970-01-01T00:00:06.001Z", "newest first");
    assert_eq!(
        (&gaps[0]["closed_at"], &gaps[1]["closed_at"]),
        (&"1970-01-01T00:00:09.000Z".into(), &Value::Null)
    );
    let top = host.run(&["top", "alice", "--json"]).json();
    assert!(top[0]["plays"].is_u64() && top[0]["name"].is_string(), "{top}");
    let config = host.run(&["config", "--json"]).json();
    assert_eq!(fields(&config[0]), "from key value");
}

#[test]
fn colour_is_for_terminals_and_errors_are_a_line_each_with_the_cure() {
    let (host, _daemon) = host();
    for args in [&["status"][..], &["users"], &["plays", "alice"], &["top", "alice"]] {
        let ran = host.run(args);
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran:?}");
    }
    let error = host.run(&["token", "bob"]).fails(77);
    assert_eq!(error.lines().count(), 1);
    assert!(error.contains("longplay login bob"), "{error}");
    host.run(&["nonsense"]).fails(2);
    host.run(&["token"]).fails(2);
    assert!(host.run(&["--version"]).ok().contains(env!("CARGO_PKG_VERSION")));
    assert!(host.run(&["--help"]).ok().contains("archive"));
}
