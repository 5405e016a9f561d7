//! Imports: every shape of export, on both databases, with and without a daemon; what is there already, what is broken,
//! what is broken off, and what is taken back.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use longplay::domain::{Play, Timestamp};
use longplay::sim::music::{Listen, session};
use serde_json::{Value, json};

use crate::fixture::export::{self, BEGIN, History, Truth, file};
use crate::fixture::{Host, Ran, now, postgres};

const MINUTE: i64 = 60_000;
const LONG: &str = "Spotify Extended Streaming History/Streaming_History_Audio_2020.json";

/// A host on each database, with a user who has no login.
fn hosts() -> [Host; 2] {
    let hosts = [Host::new(), Host::new().on(&postgres::shared().database())];
    for host in &hosts {
        host.run(&["users", "add", "alice"]).ok();
    }
    hosts
}

fn written(host: &Host, name: &str, bytes: &[u8]) -> PathBuf {
    let path = host.path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    path
}

fn run(host: &Host, user: &str, paths: &[&Path]) -> Ran {
    let paths = paths.iter().map(|path| path.to_str().expect("a name"));
    host.run(&["import", "--json", user].into_iter().chain(paths).collect::<Vec<_>>())
}

/// Imports, and sees that every row is accounted for.
#[track_caller]
fn import(host: &Host, user: &str, paths: &[&Path]) -> Value {
    let receipt = run(host, user, paths).json();
    adds_up(&receipt);
    receipt
}

/// Imports what is damaged: the receipt, and what is said besides.
#[track_caller]
fn damaged(host: &Host, user: &str, paths: &[&Path]) -> (Value, String) {
    let ran = run(host, user, paths);
    let receipt = serde_json::from_str(&ran.stdout).expect("a receipt");
    adds_up(&receipt);
    (receipt, ran.fails(1))
}

#[track_caller]
fn adds_up(receipt: &Value) {
    let parts = [
        "imported",
        "already_there",
        "below_threshold",
        "podcasts",
        "audiobooks",
        "without_track",
        "unreadable",
    ];
    let sum: i64 = parts.iter().map(|part| receipt[part].as_i64().expect("a number")).sum();
    assert_eq!(sum, receipt["read"], "{receipt}");
}

fn plays(host: &Host, user: &str) -> Vec<Value> {
    let plays = host.run(&["plays", user, "--format", "json", "--limit", "10000"]).json();
    plays.as_array().expect("plays").clone()
}

/// A row of the extended history about a play that Spotify also shows.
fn row_of(play: &Play) -> String {
    let (at, track) = (play.played_at.utc().format("%Y-%m-%dT%H:%M:%SZ"), &play.track);
    json!({
        "ts": at.to_string(), "ms_played": 180_000, "ip_addr": "203.0.113.7",
        "master_metadata_track_name": track.name,
        "master_metadata_album_artist_name": track.artists[0].name,
        "master_metadata_album_album_name": null,
        "spotify_track_uri": track.uri,
    })
    .to_string()
}

fn account_row_of(play: &Play) -> String {
    let (at, track) = (play.played_at.utc().format("%Y-%m-%d %H:%M"), &play.track);
    json!({
        "endTime": at.to_string(), "msPlayed": 180_000, "trackName": track.name,
        "artistName": track.artists[0].name,
    })
    .to_string()
}

#[test]
fn a_zip_a_folder_and_files_come_to_the_same_archive() {
    let history = History::new(7, 400);
    let rows = history.extended(false);
    let (first, second) = rows.split_at(150);
    for (n, host) in hosts().into_iter().enumerate() {
        // With a daemon, and without.
        let daemon = (n == 0).then(|| host.serve());
        for name in ["bob", "carol"] {
            host.run(&["users", "add", name]).ok();
        }
        let zip = export::zip([
            (
                "Spotify Extended Streaming History/ReadMeFirst_ExtendedStreamingHistory.pdf",
                "%PDF".to_owned(),
            ),
            ("Spotify Extended Streaming History/Streaming_History_Audio_2020_1.json", file(second)),
            (LONG, file(first)),
        ]);
        let zip = written(&host, "my_spotify_data.zip", &zip);
        let one = written(&host, "data/deep/endsong_0.json", file(second).as_bytes());
        let two = written(&host, "data/endsong_1.json", file(first).as_bytes());
        written(&host, "data/Playlist1.json", br#"{"playlists":[{"name":"P","items":[]}]}"#);
        written(&host, "data/Userdata.json", br#"{"username":"u"}"#);
        let receipts = [
            import(&host, "alice", &[&zip]),
            import(&host, "bob", &[&host.path("data")]),
            import(&host, "carol", &[&two, &one]),
        ];
        for receipt in &receipts {
            assert_eq!(receipt["read"], 400);
            assert_eq!(receipt["imported"], history.long());
            assert_eq!(receipt["below_threshold"], 400 - history.long());
        }
        let archived = plays(&host, "alice");
        assert_eq!(archived.len(), history.long());
        assert_eq!((&plays(&host, "bob"), &plays(&host, "carol")), (&archived, &archived));
        let last = history.plays.iter().rfind(|play| play.ms_played >= 30_000).expect("a play");
        assert_eq!(archived[0]["played_at"], Timestamp::from_millis(last.at / 1000 * 1000).to_string());
        assert_eq!(archived[0]["track_uri"], export::uri(last.track));
        assert_eq!(archived[0]["source"], "import");
        assert_eq!(host.status("alice")["plays"], history.long());
        let again = import(&host, "alice", &[&zip, &host.path("data")]);
        assert_eq!((&again["imported"], &again["read"]), (&json!(0), &json!(800)));
        assert_eq!(plays(&host, "alice"), archived);
        drop(daemon);
    }
}

#[test]
fn every_row_is_accounted_for_and_a_broken_one_stops_nothing() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    let good = |n: i64| {
        let track = usize::try_from(n).expect("small");
        export::extended(&Truth { at: BEGIN + n * 5 * MINUTE, track, ms_played: 200_000 }, n % 2 == 0)
    };
    let rows = [
        good(1),
        good(1),
        r#"{"ts":"2020-01-01T00:00:00Z","ms_played":"long","spotify_track_uri":"spotify:track:x"}"#
            .to_owned(),
        r#"{"ms_played":200000,"spotify_track_uri":"spotify:track:x"}"#.to_owned(),
        r#"{"ts":"1066-10-14T09:00:00Z","ms_played":200000,"spotify_track_uri":"spotify:track:x"}"#
            .to_owned(),
        "null".to_owned(),
        r#"{"ts": oops}"#.to_owned(),
        export::podcast(BEGIN + MINUTE),
        export::audiobook(BEGIN + 2 * MINUTE),
        export::nothing(BEGIN + 3 * MINUTE),
        good(2),
    ];
    let whole = written(&host, "a/Streaming_History_Audio_1.json", file(&rows).as_bytes());
    let cut = file(&[good(3), good(4)]);
    let cut = written(&host, "b/Streaming_History_Audio_2.json", &cut.as_bytes()[..cut.len() - 100]);
    let senseless = written(&host, "b/Streaming_History_Video_3.json", b"\x00\x01 what is this");
    let last = written(&host, "c/Streaming_History_Audio_4.json", file(&[good(5)]).as_bytes());
    let (receipt, error) = damaged(&host, "alice", &[&whole, &cut, &senseless, &last]);
    assert_eq!(receipt["damaged_files"], 1, "of the other each row can't be read");
    assert!(error.contains("1 file could not be read to the end"), "{error}");
    let parts =
        ["read", "imported", "already_there", "podcasts", "audiobooks", "without_track", "unreadable"];
    let counts: Vec<i64> = parts.iter().map(|part| receipt[part].as_i64().expect("a number")).collect();
    assert_eq!(counts, [15, 4, 1, 1, 1, 1, 7], "{receipt}");
    let told: Vec<(String, i64)> = receipt["unreadable_rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let name = row["file"].as_str().expect("a file").rsplit('/').next().unwrap_or_default();
            (name.trim_end_matches(".json").to_owned(), row["row"].as_i64().expect("a number"))
        })
        .collect();
    let audio = |row| ("Streaming_History_Audio_1".to_owned(), row);
    let others = [("Streaming_History_Audio_2".to_owned(), 2), ("Streaming_History_Video_3".to_owned(), 1)];
    assert_eq!(told[..5], [audio(3), audio(4), audio(5), audio(6), audio(7)]);
    assert_eq!(told[5..], others);
    assert_eq!(plays(&host, "alice").len(), 4);
}

#[test]
fn what_the_api_knows_is_not_doubled_and_stays_as_it_was() {
    for host in [Host::new(), Host::new().on(&postgres::shared().database())] {
        let heard = session(30, now() - Duration::from_secs(3_600));
        host.spotify.listen("alice", heard.clone());
        let _daemon = host.serve();
        host.settled_user("alice");
        let before = plays(&host, "alice");
        assert_eq!(before.len(), 30);
        let rows: Vec<String> = heard.iter().map(row_of).collect();
        let extended = written(&host, "Streaming_History_Audio_9.json", file(&rows).as_bytes());
        let receipt = import(&host, "alice", &[&extended]);
        assert_eq!((&receipt["imported"], &receipt["already_there"]), (&json!(0), &json!(30)));
        let rows: Vec<String> = heard.iter().map(account_row_of).collect();
        let account = written(&host, "StreamingHistory_music_0.json", file(&rows).as_bytes());
        assert_eq!(import(&host, "alice", &[&account])["imported"], 0);
        assert_eq!(plays(&host, "alice"), before);
        // What stands there twice and can't have ended twice in a minute was written twice, and so was a copy of the file.
        let copies = file(&[rows[0].clone(), rows[0].clone()]);
        for name in
            ["StreamingHistory_music_0.json", "StreamingHistory_music_0 (1).json", "b/StreamingHistory0.json"]
        {
            written(&host, &format!("twice/{name}"), copies.as_bytes());
        }
        assert_eq!(import(&host, "alice", &[&host.path("twice")])["imported"], 0);
        // A short one may have come again: it is one more than is known.
        let short = rows[0].replace("180000", "31000");
        let more =
            written(&host, "more/StreamingHistory_music_0.json", file(&[short.clone(), short]).as_bytes());
        assert_eq!(import(&host, "alice", &[&more])["imported"], 1);
        assert_eq!(host.status("alice")["plays"], 31);
    }
}

#[test]
fn what_was_imported_first_becomes_what_the_api_shows() {
    for host in [Host::new(), Host::new().on(&postgres::shared().database())] {
        let heard = session(30, now() - Duration::from_secs(3_600));
        let (coarse, fine) = heard.split_at(12);
        host.run(&["users", "add", "alice"]).ok();
        let _daemon = host.serve();
        let rows: Vec<String> = coarse.iter().map(account_row_of).collect();
        let account = written(&host, "StreamingHistory_music_0.json", file(&rows).as_bytes());
        let rows: Vec<String> = fine.iter().map(row_of).collect();
        let extended = written(&host, "Streaming_History_Audio_9.json", file(&rows).as_bytes());
        assert_eq!(import(&host, "alice", &[&account, &extended])["imported"], 30);
        host.spotify.listen("alice", heard.clone());
        host.settled_user("alice");
        let archived = plays(&host, "alice");
        assert_eq!(archived.len(), 30, "{archived:?}");
        for (is, should) in archived.iter().zip(heard.iter().rev()) {
            assert_eq!(is["played_at"], should.played_at.to_string());
            assert_eq!((&is["source"], &is["isrc"]), (&json!("api"), &json!(should.track.isrc)));
        }
        assert_eq!(host.status("alice")["plays"], 30);
        // What the API shows is its own, also when the import goes.
        host.run(&["import", "--undo", "1"]).ok();
        assert_eq!(plays(&host, "alice"), archived);
    }
}

#[test]
fn account_data_and_extended_history_come_to_one_history_in_either_order() {
    let history = History::new(3, 500);
    for host in hosts() {
        host.run(&["users", "add", "bob"]).ok();
        let account = written(&host, "a/StreamingHistory_music_0.json", file(&history.account()).as_bytes());
        let extended = written(&host, "e/endsong_0.json", file(&history.extended(true)).as_bytes());
        assert_eq!(import(&host, "alice", &[&account])["imported"], history.long());
        assert_eq!(import(&host, "alice", &[&extended])["imported"], 0);
        assert_eq!(import(&host, "alice", &[&account])["imported"], 0);
        assert_eq!(import(&host, "bob", &[&extended])["imported"], history.long());
        assert_eq!(import(&host, "bob", &[&account])["imported"], 0);
        assert_eq!(plays(&host, "alice"), plays(&host, "bob"), "the better one is kept");
        // Taken back, the plays are known to the minute again.
        host.run(&["import", "--undo", "2"]).ok();
        let coarse = plays(&host, "alice");
        assert_eq!(coarse.len(), history.long());
        assert!(coarse.iter().all(|play| play["track_uri"].is_null()));
        host.run(&["import", "--undo", "1"]).ok();
        assert_eq!(plays(&host, "alice").len(), 0);
        assert_eq!(host.status("alice")["plays"], 0);
        assert_eq!(plays(&host, "bob").len(), history.long());
    }
}

#[test]
fn an_import_can_be_taken_back_once_and_a_dry_run_changes_nothing() {
    let history = History::new(5, 300);
    for host in hosts() {
        let gap = |from: i64, to: i64| {
            host.sql(&format!(
                "INSERT INTO gaps (user_id, from_at, to_at, cause, at_most) VALUES (1, {from}, {to}, 'daemon_down', 50)"
            ));
        };
        let (first, last) = (history.plays[0].at, history.plays[299].at);
        gap(first + 60_000, first + 600_000);
        gap(last - 60_000, last + 600_000);
        host.sql("UPDATE users SET gaps = 2");
        let zip = written(&host, "export.zip", &export::zip([(LONG, file(&history.extended(false)))]));
        let zip = zip.to_str().expect("a name");
        let before = host.run(&["gaps", "alice", "--json"]).json();
        let dry = host.run(&["import", "alice", zip, "--dry-run", "--json"]).json();
        adds_up(&dry);
        assert_eq!((&dry["imported"], &dry["gaps_closed"]), (&json!(history.long()), &json!(1)));
        assert_eq!(dry["gaps_narrowed"], 1);
        assert!(dry["import"].is_null());
        assert_eq!(plays(&host, "alice").len(), 0);
        assert_eq!(host.run(&["gaps", "alice", "--json"]).json(), before);
        // Nothing at all is there: whatever refers to a user may be deleted with them.
        host.sql(
            "CREATE TABLE seen AS SELECT (SELECT count(*) FROM imports) + (SELECT count(*) FROM short_plays)
            + (SELECT count(*) FROM tracks) + (SELECT count(*) FROM artists) AS number",
        );
        host.sql("INSERT INTO users (name, plays) SELECT 'seen', number FROM seen");
        host.sql("DROP TABLE seen");
        assert_eq!(host.status("seen")["plays"], 0);

        let receipt = host.run(&["import", "alice", zip, "--json"]).json();
        let id = receipt["import"].as_i64().expect("a number").to_string();
        assert_eq!(receipt["gaps_closed"], 1);
        assert_eq!(host.status("alice")["gaps"], 1);
        // Of what lies across the end the rest is left.
        let gaps = host.run(&["gaps", "alice", "--json"]).json();
        let open = gaps.as_array().expect("gaps").iter().find(|gap| gap["closed_at"].is_null());
        let open = open.expect("an open gap");
        let end = Timestamp::from_millis(last / 1_000 * 1_000 + 999).to_string();
        assert_eq!((&open["from"], &open["at_most"]), (&json!(end), &json!(19)));
        let undone = host.run(&["import", "--undo", &id, "--json"]).json();
        assert_eq!(undone["plays"], history.long());
        assert_eq!(undone["short_plays"], 300 - history.long());
        assert_eq!(plays(&host, "alice").len(), 0);
        assert_eq!((&host.status("alice")["gaps"], &host.status("alice")["plays"]), (&json!(2), &json!(0)));
        assert_eq!(host.run(&["gaps", "alice", "--json"]).json(), before);
        assert!(host.run(&["import", "--undo", &id]).fails(1).contains("taken back before"));
        // And imported again it is there again.
        assert_eq!(host.run(&["import", "alice", zip, "--json"]).json()["imported"], history.long());
        host.run(&["users", "remove", "alice", "--purge"]).ok();
    }
}

#[test]
fn a_damaged_zip_in_a_folder_is_told_of_and_closes_no_gap() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    let history = History::new(8, 100);
    let (first, last) = (history.plays[0].at, history.plays[99].at);
    host.sql(&format!(
        "INSERT INTO gaps (user_id, from_at, to_at, cause, at_most) VALUES (1, {first}, {last}, 'daemon_down', 50)"
    ));
    let rows = history.extended(false);
    let (here, there) = rows.split_at(50);
    written(&host, "data/endsong_0.json", file(&rows).as_bytes());
    written(&host, "data/Playlist1.json", br#"{"playlists":[]}"#);
    written(&host, "data/photo.png", b"\x89PNG");
    let mut zip = export::zip([("my/endsong_0.json", file(here)), ("my/endsong_1.json", file(there))]);
    // The second file begins with something else than the list says.
    let header = zip.windows(4).rposition(|bytes| bytes == b"PK\x03\x04").expect("its header");
    zip[header + 3] = 9;
    let zip = written(&host, "data/my_spotify_data.zip", &zip);
    let (receipt, error) = damaged(&host, "alice", &[&host.path("data")]);
    assert_eq!((&receipt["read"], &receipt["unreadable"]), (&json!(151), &json!(1)));
    assert_eq!((&receipt["gaps_closed"], &receipt["gaps_narrowed"]), (&json!(0), &json!(0)));
    let told = &receipt["unreadable_rows"][0];
    assert_eq!(told["file"], format!("{}/my/endsong_1.json", zip.display()));
    assert!(told["why"].as_str().expect("why").contains("download it again"), "{told}");
    assert!(error.contains("1 file could not be read to the end"), "{error}");
    assert_eq!(plays(&host, "alice").len(), history.long(), "the rest is imported");
    std::fs::write(&zip, export::zip([(LONG, file(there))])).expect("the zip is mended");
    assert_eq!(import(&host, "alice", &[&host.path("data")])["gaps_closed"], 1);
}

#[test]
fn what_is_no_export_is_refused_by_name_before_anything_is_imported() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    let good = written(&host, "endsong_0.json", file(&History::new(1, 10).extended(true)).as_bytes());
    written(&host, "empty/notes.txt", b"nothing");
    let picture = written(&host, "cover.jpg", b"\xff\xd8\xff");
    let other = written(&host, "other.json", br#"[{"a":1},{"a":2}]"#);
    let other_zip = written(&host, "other.zip", &export::zip([("a.json", "[{}]".to_owned())]));
    let broken_zip = written(&host, "broken.zip", b"PK\x03\x04 and then nothing");
    let mut bomb = "[".to_owned();
    bomb.push_str(&" ".repeat(80 << 20));
    let bomb = written(&host, "bomb.zip", &export::zip([(LONG, bomb)]));
    for path in [picture, other, other_zip, broken_zip, bomb, host.path("empty"), host.path("not/there")] {
        let error = run(&host, "alice", &[&good, &path]).fails(1);
        assert!(error.contains(path.to_str().expect("a name")), "{error}");
        assert_eq!(plays(&host, "alice").len(), 0, "{error}");
    }
    let error = run(&host, "nobody", &[&good]).fails(1);
    assert!(error.contains("there is no user nobody"), "{error}");
}

/// Kills an import once `begun`, and runs it again.
fn killed(host: &Host, begun: impl Fn() -> bool) {
    let history = History::new(11, 80_000);
    let zip = written(host, "export.zip", &export::zip([(LONG, file(&history.extended(false)))]));
    let mut command = host.command(&["import", "alice", zip.to_str().expect("a name")]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    host.until("some of it is there", begun);
    child.kill().expect("it is killed");
    child.wait().expect("it is gone");
    let receipt = import(host, "alice", &[&zip]);
    assert_eq!(receipt["imported"], history.long(), "as if it had never been broken off");
    assert_eq!(receipt["import"], 1);
    assert_eq!(host.status("alice")["plays"], history.long());
    assert_eq!(import(host, "alice", &[&zip])["imported"], 0);
}

#[test]
fn an_import_that_is_killed_goes_on_when_it_is_run_again() {
    let host = Host::new();
    let _daemon = host.serve();
    host.run(&["users", "add", "alice"]).ok();
    killed(&host, || host.user("alice")["plays"].as_i64() > Some(0));
}

#[test]
fn so_it_does_without_a_daemon() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).expect("a database's name").to_owned();
    let host = Host::new().on(&url);
    host.run(&["users", "add", "alice"]).ok();
    killed(&host, || !postgres::shared().sql(&name, "SELECT 1 FROM users WHERE plays > 0").trim().is_empty());
}

#[test]
fn when_the_daemon_goes_away_what_is_there_is_kept_and_the_way_on_is_said() {
    let host = Host::new();
    let daemon = host.serve();
    host.run(&["users", "add", "alice"]).ok();
    let history = History::new(13, 80_000);
    let zip = written(&host, "export.zip", &export::zip([(LONG, file(&history.extended(false)))]));
    let zip = zip.to_str().expect("a name");
    let importing = host.talk(&["import", "alice", zip, "--json"]);
    host.until("some of it is there", || host.user("alice")["plays"].as_i64() > Some(0));
    daemon.kill();
    let error = importing.ended().fails(69);
    assert!(error.contains("the same command goes on") && error.contains("--undo 1"), "{error}");
    assert_eq!(host.run(&["import", "alice", zip, "--json"]).json()["imported"], history.long());
}

#[test]
fn the_daemon_goes_on_archiving_during_an_import() {
    let history = History::new(12, 120_000);
    for host in [Host::new(), Host::new().on(&postgres::shared().database())] {
        host.configure("calls_per_day = 1000000");
        let _daemon = host.serve();
        host.settled_user("alice");
        let already = host.spotify.heard("alice").len();
        let zip = written(&host, "export.zip", &export::zip([(LONG, file(&history.extended(false)))]));
        let importing = host.talk(&["import", "alice", zip.to_str().expect("a name"), "--json"]);
        let archive_one = || {
            host.spotify.listen("alice", [Listen::new("Meanwhile", now())]);
            assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 1 new play");
        };
        host.until("some of it is there", || {
            archive_one();
            host.user("alice")["plays"].as_u64() > Some(1_000)
        });
        importing.signal("STOP");
        archive_one();
        assert!(
            host.user("alice")["plays"].as_u64() < u64::try_from(history.long()).ok(),
            "it is still under way"
        );
        importing.signal("CONT");
        archive_one();
        assert_eq!(importing.ended().json()["imported"], history.long());
        let heard = host.spotify.heard("alice").len();
        assert!(heard > already + 2);
        assert_eq!(host.status("alice")["plays"], history.long() + heard);
    }
}

#[test]
fn what_longplay_exported_is_restored_as_it_was() {
    let lines = [
        json!({"played_at":"2026-02-03T04:05:06.789Z","track":"Low \"Tide\"","artists":["Ines","Harbour"],"album":"Marzipan","track_uri":"spotify:track:T","isrc":"QZ1","duration_ms":194706,"context_uri":"spotify:playlist:p","source":"api","artist_uris":["spotify:artist:a",null],"album_uri":"spotify:album:c","ms_played":null}),
        json!({"played_at":"2020-02-03T04:05:06.000Z","track":"Skip","artists":["Ines"],"album":null,"track_uri":"spotify:track:U","isrc":null,"duration_ms":null,"context_uri":null,"source":"import","artist_uris":[null],"album_uri":null,"ms_played":31000}),
        json!({"played_at":"2019-02-03T04:05:00.001Z","track":"Old","artists":["Ines"],"album":null,"track_uri":null,"isrc":null,"duration_ms":null,"context_uri":null,"source":"import","artist_uris":[null],"album_uri":null,"ms_played":12000}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    for host in hosts() {
        let path = written(&host, "alice.jsonl", text.as_bytes());
        assert_eq!(import(&host, "alice", &[&path])["imported"], 3, "also what is below the threshold");
        let mut expected = lines.to_vec();
        for line in &mut expected {
            let fields = line.as_object_mut().expect("an object");
            for field in ["artist_uris", "album_uri", "ms_played"] {
                fields.remove(field);
            }
        }
        let shown: Vec<Value> = plays(&host, "alice")
            .into_iter()
            .map(|mut play| {
                let fields = play.as_object_mut().expect("an object");
                for field in ["artist_uris", "album_uri", "ms_played"] {
                    fields.remove(field);
                }
                play
            })
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(import(&host, "alice", &[&path])["imported"], 0);
        let csv = "played_at,track,artists,album,track_uri,isrc,duration_ms,context_uri,source,artist_uris,album_uri,ms_played\n\
            2026-02-03T04:05:06.789Z,\"Low \"\"Tide\"\"\",\"[\"\"Ines\"\",\"\"Harbour\"\"]\",Marzipan,spotify:track:T,QZ1,194706,spotify:playlist:p,api,\"[\"\"spotify:artist:a\"\",null]\",spotify:album:c,\n";
        let csv = written(&host, "alice.csv", csv.as_bytes());
        assert_eq!(import(&host, "alice", &[&csv])["already_there"], 1);
        let listen = json!({"listened_at":1_770_091_506,"track_metadata":{"artist_name":"Ines","track_name":"Low \"Tide\"","release_name":"Marzipan","additional_info":{"submission_client":"longplay","spotify_id":"https://open.spotify.com/track/T"}}});
        let listen = written(&host, "listens.jsonl", format!("{listen}\n").as_bytes());
        assert_eq!(import(&host, "alice", &[&listen])["already_there"], 1);
    }
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    let path = written(&host, "endsong_0.json", file(&History::new(2, 40_000).extended(true)).as_bytes());
    let size = path.metadata().expect("a file").len();
    let mut child = host
        .command(&["import", "alice", path.to_str().expect("a name")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut most = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kilobytes.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().expect("it ends").success());
    assert!(most > 0 && most < 100 * 1024, "{most} kB for a file of {size} bytes");
}

#[test]
fn nothing_of_who_and_where_is_kept() {
    let host = Host::new();
    host.run(&["users", "add", "alice"]).ok();
    let path = written(&host, "endsong_0.json", file(&History::new(4, 50).extended(true)).as_bytes());
    let daemon = host.serve();
    import(&host, "alice", &[&path]);
    let log = daemon.log();
    assert_eq!(daemon.stop(), 0);
    let store = std::fs::read(host.path("state/longplay.db")).expect("the store is read");
    let store = String::from_utf8_lossy(&store).into_owned();
    for secret in ["203.0.113.7", "SM-G973F", "unknown"] {
        assert!(!log.contains(secret), "{secret}");
        assert!(secret == "unknown" || !store.contains(secret), "{secret}");
    }
}
