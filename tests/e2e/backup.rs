//! A back-up of the whole store, while it is in use: whole or not there, and worth restoring.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use longplay::sim::Rotation;

use crate::fixture::{Host, now, postgres};

fn backup(host: &Host) -> (PathBuf, String) {
    let file = host.path("backup.db");
    let told = host.run(&["backup", file.to_str().expect("a path")]);
    assert_eq!((told.code, told.stdout.as_str()), (0, ""), "{told:?}");
    (file, told.stderr)
}

/// What is in the state directory that a back-up could have left.
fn drafts(host: &Host) -> Vec<String> {
    let names = std::fs::read_dir(host.path("state")).expect("a folder").flatten();
    names.filter_map(|e| e.file_name().into_string().ok()).filter(|name| name.starts_with("backup")).collect()
}

/// Everything that is known of a user's plays.
fn exported(host: &Host, name: &str) -> String {
    host.run(&["export", name, "--format", "jsonl"]).ok()
}

#[test]
fn a_back_up_made_at_work_is_restored_and_goes_on() {
    let host = Host::rotating(Rotation::Rotate);
    let daemon = host.serve();
    host.spotify.listen_until("alice", 5, now());
    for name in ["alice", "bob"] {
        host.settled_user(name);
    }
    let (file, told) = backup(&host);
    assert!(told.contains("2 users and 5 plays") && told.contains("token key"), "{told}");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(drafts(&host), Vec::<String>::new());
    let before = exported(&host, "alice");
    // What comes later is in the next one, of the same name.
    host.token("bob", "{\"fresh\":true}").ok();
    let (_, told) = backup(&host);
    assert!(told.contains("2 users"), "{told}");
    host.token("alice", "{\"fresh\":true}").ok();
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.get("/healthz").status, 200);
    assert_eq!(daemon.stop(), 0);

    let store = host.path("state/longplay.db");
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", store.display()));
    }
    std::fs::remove_file(&store).expect("the store is lost");
    std::fs::copy(&file, &store).expect("the back-up takes its place");
    let _daemon = host.serve_degraded();
    assert_eq!(exported(&host, "alice"), before);
    assert!(host.token("alice", "").text.contains("longplay adopt"));
    host.run(&["adopt"]).ok();
    for name in ["alice", "bob"] {
        host.until("the doubt ends", || host.user(name)["state"] == "ok");
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes(name).reused, 0, "{name}: the spool had the newest");
    }
}

#[test]
fn what_is_no_back_up_is_left_alone_and_so_is_the_store() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    std::fs::write(host.path("letter"), "dear").expect("a file");
    let refused = host.run(&["backup", host.path("letter").to_str().expect("a path")]).fails(1);
    assert!(refused.contains("no back-up") && refused.contains("letter"), "{refused}");
    assert_eq!(std::fs::read_to_string(host.path("letter")).expect("it is there"), "dear");
    let daemon = host.serve();
    let refused = host.run(&["backup", host.path("state/longplay.db").to_str().expect("a path")]).fails(1);
    assert!(refused.contains("in use"), "{refused}");
    host.run(&["backup", host.path("nowhere/file").to_str().expect("a path")]).fails(1);
    assert_eq!(daemon.stop(), 0);
    // Without a daemon too, and from what was backed up.
    let (file, _) = backup(&host);
    let (again, _) = backup(&host);
    assert_eq!(file, again);
}

#[test]
fn a_back_up_of_postgresql_is_a_file_and_goes_back_by_copy() {
    let cluster = postgres::shared();
    let host = Host::rotating(Rotation::Rotate).alone_on(&cluster.database());
    let daemon = host.serve();
    host.spotify.listen_until("alice", 5, now());
    host.settled_user("alice");
    let (file, told) = backup(&host);
    assert!(told.contains("1 user and 5 plays"), "{told}");
    let before = exported(&host, "alice");
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(daemon.stop(), 0);

    // The database is lost: what was backed up goes into another.
    let there = cluster.database();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let old = config.lines().find(|line| line.starts_with("url = ")).expect("a URL").to_owned();
    let with = |url: &str| config.replacen(&old, &format!("url = {url:?}"), 1);
    host.write("restore.toml", &with(&format!("sqlite://{}", file.display())));
    let copied = host.run_on("restore.toml", &["copy", "--to", &there, "--json"]).json();
    let plays = copied["tables"].as_array().expect("tables").iter().find(|table| table["table"] == "plays");
    assert_eq!(plays.expect("plays")["rows"], 5, "{copied}");
    host.write("longplay.toml", &with(&there));
    let _daemon = host.serve_degraded();
    assert!(host.token("alice", "").text.contains("longplay adopt"));
    host.run(&["adopt"]).ok();
    host.until("the doubt ends", || host.user("alice")["state"] == "ok");
    assert_eq!(exported(&host, "alice"), before);
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0, "the spool had the newest");
}

#[test]
#[cfg(feature = "failpoints")]
fn a_kill_in_the_middle_leaves_the_older_back_up_and_nothing_else() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    host.configure("[log]\nlevel = \"debug\"");
    let (file, _) = backup(&host);
    let older = std::fs::read(&file).expect("a back-up");
    for step in ["backup-before-check", "backup-piece"] {
        let _ = std::fs::remove_file(host.path("log"));
        let mut daemon = host.serve_with(|command| {
            command.env("FAILPOINTS", format!("{step}=pause"));
        });
        let mut command = host.command(&["backup", file.to_str().expect("a path")]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
        host.until("the step is reached", || daemon.log().contains(&format!("step {step}")));
        daemon.end();
        assert_eq!(child.wait().expect("it ends").code(), Some(69), "{step}");
        assert_eq!(std::fs::read(&file).expect("a back-up"), older, "{step}");
        let daemon = host.serve();
        assert_eq!(drafts(&host), Vec::<String>::new(), "{step}: a start clears up");
        assert_eq!(daemon.stop(), 0);
    }
    let names = std::fs::read_dir(host.folder.path()).expect("a folder").flatten();
    assert!(names.map(|e| e.file_name()).all(|name| !name.to_string_lossy().ends_with(".part")));
}
