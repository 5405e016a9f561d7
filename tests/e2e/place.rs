//! Places that longplay can't have: a state directory that can't be written, a database that is somebody else's or of a
//! newer longplay, a socket path that is taken or too long. Each is said with its cure, and left as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use crate::fixture::{Host, Ran};

/// Somebody who is not root: who owns the state directory is whom root becomes.
const NOBODY: u32 = 65_534;

fn mode(host: &Host, path: &str, mode: u32) {
    fs::set_permissions(host.path(path), Permissions::from_mode(mode)).expect("the mode is set");
}

/// Gives the folder and what is in it to somebody else; only root can.
fn give_away(host: &Host, folder: &str) {
    for entry in fs::read_dir(host.path(folder)).expect("a folder").flatten() {
        chown(entry.path(), Some(NOBODY), Some(NOBODY)).expect("it is given away");
    }
    chown(host.path(folder), Some(NOBODY), Some(NOBODY)).expect("it is given away");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_said_and_left_as_it_was() {
    let host = Host::new();
    host.add_user("alice").ok();
    let daemon = host.serve();
    let token = host.token("alice", "").ok();
    assert_eq!(daemon.stop(), 0);
    if rustix::process::geteuid().is_root() {
        // Root could write anywhere.
        mode(&host, "", 0o755);
        fs::create_dir_all(host.path("run")).expect("a folder");
        give_away(&host, "run");
        give_away(&host, "state/spool");
        give_away(&host, "state");
    }
    fs::remove_file(host.path("state/lock")).expect("it was made");
    mode(&host, "state", 0o500);
    let state = host.path("state").display().to_string();
    for args in [&["serve"][..], &["token", "alice"], &["status"], &["users", "add", "bob"]] {
        let ran = host.run(args);
        assert_ne!(ran.code, 0, "{args:?}: {ran:?}");
        let said = ran.stderr.contains(&state) && ran.stderr.contains("store.state_dir must be a folder");
        assert!(said && ran.stderr.trim().lines().count() == 1, "{args:?}: {ran:?}");
    }
    mode(&host, "state", 0o700);
    let _daemon = host.serve();
    assert_eq!(host.token("alice", "").ok(), token);
    host.token("alice", "{\"fresh\":true}").ok();
    assert!(host.user("bob").is_null());
}

#[test]
fn a_state_directory_that_cannot_be_made_is_said() {
    let host = Host::new();
    let config = fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let state = format!("{:?}", host.path("state"));
    host.write("file", "");
    // Nobody makes a folder in a file, nor in /proc.
    for place in [format!("{:?}", host.path("file/state")), "\"/proc/longplay/state\"".to_owned()] {
        host.write("longplay.toml", &config.replace(&state, &place));
        for args in [&["serve"][..], &["users", "add", "alice"]] {
            let ran = host.run(args);
            assert_ne!(ran.code, 0, "{ran:?}");
            assert!(
                ran.stderr.contains(place.trim_matches('"')) && ran.stderr.contains("store.state_dir"),
                "{ran:?}"
            );
        }
    }
}

/// What every command says of this database; the file stays as it was.
fn refused(host: &Host, words: &str) {
    let file = host.path("state/longplay.db");
    let before = fs::read(&file).expect("the database");
    for args in [&["serve"][..], &["status"], &["token", "alice"], &["users", "add", "bob"]] {
        let error = host.run(args).fails(78);
        assert!(error.contains(words) && error.contains("longplay.db"), "{args:?}: {error}");
        assert_eq!(error.trim().lines().count(), 1, "{error}");
    }
    assert!(fs::read(&file).expect("the database") == before, "{words}: not a byte changes");
}

#[test]
fn a_database_that_is_somebody_elses_or_newer_is_refused_and_left_as_it_was() {
    let host = Host::new();
    fs::create_dir(host.path("state")).expect("a folder");
    host.write("state/longplay.db", "These are my notes, and no database at all.\n".repeat(100).as_str());
    refused(&host, "is not longplay's: it holds no SQLite database; choose another store.url");
    host.write("state/longplay.db", "");
    host.sql("CREATE TABLE bookmarks (url TEXT)");
    refused(&host, "it holds other tables (bookmarks); choose another store.url");
    host.write("state/longplay.db", "");
    host.sql("PRAGMA application_id = 252006674");
    refused(&host, "it holds another program's mark");
    assert_eq!(host.spotify.seen().len(), 0);
    fs::remove_file(host.path("state/longplay.db")).expect("it is removed");
    host.add_user("alice").ok();
    let migrated = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                    VALUES (9999, 'later', TRUE, x'00', 0)";
    host.sql(migrated);
    let asked = host.spotify.seen().len();
    refused(&host, "has schema 9999");
    assert_eq!(host.spotify.seen().len(), asked, "no token is spent");
    host.sql("DELETE FROM _sqlx_migrations WHERE version = 9999");
    host.run(&["token", "alice", "--fresh"]).ok();
}

#[test]
fn a_database_whose_place_is_a_folder_is_said() {
    let host = Host::new();
    fs::create_dir_all(host.path("state/longplay.db")).expect("a folder");
    for args in [&["status"][..], &["users", "add", "alice"]] {
        let ran = host.run(args);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains("longplay.db") && ran.stderr.trim().lines().count() == 1, "{ran:?}");
    }
}

/// The host's configuration with another socket, as `other.toml`.
fn with_socket(host: &Host, socket: &str) {
    let config = fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let ours = format!("{:?}", host.path("run/control.sock"));
    host.write("other.toml", &config.replace(&ours, &format!("{socket:?}")));
}

#[test]
fn a_socket_path_that_is_too_long_is_a_fault_of_the_configuration() {
    let host = Host::new();
    let socket = format!("{}/control.sock", host.path(&"x".repeat(120)).display());
    with_socket(&host, &socket);
    for args in [&["check"][..], &["serve"], &["status"]] {
        let error = host.run_on("other.toml", args).fails(78);
        let clear = ["other.toml: control.socket", &format!("{} bytes", socket.len()), "at most 107 bytes"];
        assert!(clear.iter().all(|words| error.contains(words)), "{args:?}: {error}");
    }
    assert!(!host.path("state").exists(), "nothing was made");
}

#[test]
fn a_socket_that_is_a_live_daemons_or_no_socket_is_left_alone_and_a_dead_ones_is_replaced() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    // Another daemon with a state directory of its own.
    let config = fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let config = config.replace(&format!("{:?}", host.path("state")), &format!("{:?}", host.path("second")));
    host.write("other.toml", &config);
    let error = host.run_on("other.toml", &["serve"]).fails(1);
    let socket = host.path("run/control.sock").display().to_string();
    assert!(error.contains(&socket) && error.contains("choose another control.socket"), "{error}");
    host.token("alice", "{\"fresh\":true}").ok();
    daemon.kill();
    assert!(host.path("run/control.sock").exists(), "it was left behind");
    let daemon = host.serve();
    host.token("alice", "").ok();
    assert_eq!(daemon.stop(), 0);
    host.write("file", "mine");
    fs::create_dir(host.path("folder")).expect("a folder");
    for (taken, words) in [
        ("file", "is there and is no socket"),
        ("folder", "is there and is no socket"),
        ("file/control.sock", "can't be made"),
    ] {
        with_socket(&host, &host.path(taken).display().to_string());
        let Ran { code, stderr, .. } = host.run_on("other.toml", &["serve"]);
        assert!(
            code != 0 && stderr.contains(words) && stderr.contains("control.socket"),
            "{taken}: {stderr}"
        );
    }
    assert_eq!(fs::read_to_string(host.path("file")).expect("a file"), "mine");
    assert!(host.path("folder").is_dir());
}
