//! What leaves the archive: whole, in one order, with and without a daemon; and never half.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::fixture::{Host, now};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A host whose archive has so many plays of alice, in rows that another program wrote: a page of Spotify's has 50.
fn with_plays(count: u32) -> Host {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    fill(&host, count);
    host
}

fn fill(host: &Host, count: u32) {
    host.sql(&format!(
        "INSERT INTO artists (id, key, uri, name)
           WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
           SELECT i, 'spotify:artist:' || i, 'spotify:artist:' || i, 'Artist ' || i FROM n;
         INSERT INTO tracks (id, key, uri, name, isrc, duration_ms)
           WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
           SELECT i, 'spotify:track:' || i, 'spotify:track:' || i, 'Track ' || i, 'X' || i, 200000 FROM n;
         INSERT INTO track_artists (track_id, position, artist_id)
           SELECT id, 0, 1 + id % 300 FROM tracks;
         INSERT INTO plays (user_id, played_at, track_id, context_uri, source)
           WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})
           SELECT (SELECT id FROM users WHERE name = 'alice'), 1500000000000 + i * 200000,
             1 + (i * 7) % 3000, 'spotify:playlist:' || (i % 50), 'api' FROM n"
    ));
}

#[test]
fn the_archive_comes_out_oldest_first_and_the_same_with_and_without_a_daemon() {
    let host = Host::new();
    host.spotify.listen_until("alice", 8, now());
    let daemon = host.serve();
    host.settled_user("alice");
    let formats = ["jsonl", "csv", "listenbrainz"];
    let run = |format: &&str| host.run(&["export", "alice", "--format", format]).ok();
    let with: Vec<String> = formats.iter().map(run).collect();
    let plays = host.plays("alice");
    let exported = lines(&with[0]);
    let ends: Vec<_> = exported.iter().map(|play| play["played_at"].as_str().expect("a time")).collect();
    assert!(ends.len() == 8 && ends.is_sorted(), "{ends:?}");
    for (play, exported) in plays.iter().rev().zip(&exported) {
        for (field, value) in play.as_object().expect("a play") {
            assert_eq!(&exported[field], value, "{field}");
        }
        assert_eq!(
            exported["artists"].as_array().map(Vec::len),
            exported["artist_uris"].as_array().map(Vec::len)
        );
        assert!(exported["album_uri"].is_string() && exported["ms_played"].is_null());
    }
    assert_eq!(with[1].lines().count(), 9);
    let middle = ends[3];
    let some =
        host.run(&["export", "alice", "--format", "jsonl", "--since", middle, "--until", ends[6]]).ok();
    assert_eq!(lines(&some), exported[3..6]);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(formats.iter().map(run).collect::<Vec<_>>(), with);
    assert!(host.run(&["export", "nobody", "--format", "csv"]).fails(1).contains("nobody"));
    assert_eq!(host.run(&["export", "alice"]).code, 2, "the format is asked for");
}

#[test]
fn a_file_is_replaced_only_by_a_whole_one() {
    let host = with_plays(5_000);
    let daemon = host.serve();
    let path = host.path("out.jsonl");
    std::fs::write(&path, "old").expect("a file");
    let to = |user: &str| {
        host.run(&["export", user, "--format", "jsonl", "--output", path.to_str().expect("a path")])
    };
    to("nobody").fails(1);
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "old");
    let printed = to("alice");
    assert!(
        printed.code == 0 && printed.stdout.is_empty() && printed.stderr.contains("out.jsonl"),
        "{printed:?}"
    );
    assert!(!printed.stderr.contains('\r'), "no progress where nobody watches: {printed:?}");
    let text = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(text.lines().count(), 5_000);
    assert_eq!(text, host.run(&["export", "alice", "--format", "jsonl"]).ok());
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // In the present folder, by a bare name.
    let mut here = host.command(&["export", "alice", "--format", "csv", "--output", "here.csv"]);
    assert!(here.current_dir(host.folder.path()).status().expect("it runs").success());
    assert_eq!(std::fs::read_to_string(host.path("here.csv")).expect("it is there").lines().count(), 5_001);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(parts(host.folder.path()), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_said() {
    let host = with_plays(5_000);
    for args in
        [&["export", "alice", "--format", "csv", "--output", "/dev/full"][..], &["backup", "/dev/full"]]
    {
        let error = host.run(args).fails(1);
        assert!(error.contains("/dev/full") && error.contains("No space left"), "{error}");
    }
    assert!(std::path::Path::new("/dev/full").exists(), "a device is not replaced");
}

/// What an export that was broken off has left.
fn parts(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("a folder").flatten();
    names.filter_map(|e| e.file_name().into_string().ok()).filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn whoever_reads_only_the_beginning_ends_it_without_an_error() {
    let host = with_plays(100_000);
    for daemon in [Some(host.serve()), None] {
        let mut command = host.command(&["export", "alice", "--format", "jsonl"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
        assert!(first.starts_with("{\"played_at\":\"2017-"), "{first}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert_eq!(said, "");
        if let Some(daemon) = daemon {
            assert_eq!(host.get("/healthz").status, 200);
            assert_eq!(daemon.stop(), 0);
        }
    }
}

/// An export to a file, of which the daemon has sent three pages and no more.
#[cfg(feature = "failpoints")]
fn under_way(host: &Host) -> (crate::fixture::Daemon, std::process::Child) {
    let path = host.path("out.jsonl");
    std::fs::write(&path, "old").expect("a file");
    // What the log told of an earlier one.
    let _ = std::fs::remove_file(host.path("log"));
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", "export-page=3*off->pause");
    });
    let path = path.to_str().expect("a path");
    let mut command = host.command(&["export", "alice", "--format", "jsonl", "--output", path]);
    let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    host.until("it stands in the middle", || daemon.log().matches("step export-page").count() == 4);
    (daemon, child)
}

#[test]
#[cfg(feature = "failpoints")]
fn what_is_cut_off_is_an_error_and_leaves_what_was_there() {
    let host = with_plays(20_000);
    host.configure("[log]\nlevel = \"debug\"");
    for how in ["kill the daemon", "interrupt", "kill"] {
        let (mut daemon, mut child) = under_way(&host);
        match how {
            "kill the daemon" => daemon.end(),
            "interrupt" => {
                let sent =
                    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
                assert!(sent.expect("kill runs").success());
            }
            _ => child.kill().expect("it is killed"),
        }
        let ended = child.wait().expect("it ends");
        if how == "kill the daemon" {
            assert_eq!(ended.code(), Some(69), "{how}");
            let mut said = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
            assert!(said.contains("export failed"), "{how}: {said}");
        } else {
            assert_eq!(ended.code(), None, "{how}");
        }
        assert_eq!(std::fs::read_to_string(host.path("out.jsonl")).expect("it is there"), "old", "{how}");
        assert_eq!(parts(host.folder.path()), Vec::<String>::new(), "{how}");
    }
}

#[test]
fn a_stop_ends_an_export_and_what_was_cut_off_does_not_look_whole() {
    let host = with_plays(100_000);
    let daemon = host.serve();
    let mut command = host.command(&["export", "alice", "--format", "csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut text = String::new();
    out.read_line(&mut text).expect("a line");
    let began = std::time::Instant::now();
    assert_eq!(daemon.stop(), 0);
    assert!(began.elapsed() < crate::fixture::GONE, "{:?}", began.elapsed());
    out.read_to_string(&mut text).expect("the rest");
    assert!(text.lines().count() < 100_001);
    assert_eq!(child.wait().expect("it ends").code(), Some(69));
}

#[test]
fn memory_does_not_grow_with_the_archive() {
    let most = |count: u32| {
        let host = with_plays(count);
        let daemon = host.serve();
        let peak = || {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
        };
        let before = peak();
        let path = host.path("out.jsonl");
        let path = path.to_str().expect("a path");
        host.run(&["export", "alice", "--format", "jsonl", "--output", path]).ok();
        let text = std::fs::metadata(path).expect("it is there").len();
        println!("{count} plays: {text} bytes, peak {before} kB before, {} kB after", peak());
        assert_eq!(std::fs::read_to_string(path).expect("text").lines().count(), count as usize);
        peak() - before
    };
    let grown = most(300_000);
    assert!(grown < 30_000, "{grown} kB for what is more than 100 MB");
}
