//! The raw journal: what is kept of Spotify's answers, and `longplay replay`.

use std::io::{Read as _, Write as _};

use longplay::sim::{Endpoint, Fault, Injection, Reply};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use crate::fixture::{Daemon, Host, at_once, fields, is_time, now};

const ON: &str = "[archive]\nraw_journal_days = 7";

/// A daemon that keeps pages, and alice with fifty plays.
fn keeping() -> (Host, Daemon) {
    let host = Host::new();
    host.configure(ON);
    host.spotify.listen_until("alice", 50, now());
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(host.plays("alice").len(), 50);
    (host, daemon)
}

/// The kept pages, the oldest first, each with the run that fetched it.
fn kept(host: &Host) -> Vec<(i64, String)> {
    let url = format!("sqlite://{}", host.path("state/longplay.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = runtime.block_on(async {
        let mut store = sqlx::SqliteConnection::connect(&url).await?;
        sqlx::query("SELECT run_id, body FROM raw_pages ORDER BY fetched_at").fetch_all(&mut store).await
    });
    let unpacked = |body: Vec<u8>| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).expect("gzip");
        text
    };
    rows.expect("the journal").iter().map(|row| (row.get("run_id"), unpacked(row.get("body")))).collect()
}

/// Puts another body in the place of the one that a run kept.
fn alter(host: &Host, run: i64, page: &Value) {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(page.to_string().as_bytes()).expect("memory");
    let hex: String = gzip.finish().expect("memory").iter().map(|byte| format!("{byte:02x}")).collect();
    host.sql(&format!("UPDATE raw_pages SET body = x'{hex}' WHERE run_id = {run}"));
}

fn replayed(host: &Host) -> Value {
    let replayed = host.run(&["replay", "alice", "--json"]).json();
    assert_eq!(fields(&replayed), "faults gaps_closed held_back new_plays pages raw_journal_days unreadable");
    replayed
}

#[test]
fn plays_that_were_lost_come_back_and_spotify_is_not_asked() {
    let (host, daemon) = keeping();
    let asked = host.requests("alice", Endpoint::Recent);
    let lose = || host.sql("DELETE FROM plays; UPDATE users SET plays = 0");
    lose();
    assert_eq!(host.plays("alice").len(), 0);
    let all = replayed(&host);
    assert_eq!((&all["pages"], &all["new_plays"], &all["gaps_closed"]), (&1.into(), &50.into(), &0.into()));
    assert_eq!((host.plays("alice").len(), host.status("alice")["plays"].clone()), (50, json!(50)));
    assert_eq!(host.plays("alice")[0]["source"], "api");
    let again = host.run(&["replay", "alice"]);
    assert_eq!(again.stderr, "");
    assert_eq!(again.ok(), "alice: 1 page read again: 0 new plays, 0 gaps closed\n");
    let none = host.run(&["replay", "alice", "--since", "2099-01-01"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("nothing of that time"), "{none:?}");

    // Several at once, and a run that meets the same plays.
    lose();
    let status = host.user("alice")["next_run_at"].clone();
    let counts = at_once(4, |_| replayed(&host)["new_plays"].as_u64().expect("a number"));
    assert_eq!((counts.iter().sum::<u64>(), host.status("alice")["plays"].clone()), (50, json!(50)));
    assert_eq!(host.user("alice")["next_run_at"], status);
    lose();
    at_once(4, |n| match n {
        0 => host.run(&["archive", "alice"]).ok(),
        _ => host.run(&["replay", "alice"]).ok(),
    });
    assert_eq!((host.plays("alice").len(), host.status("alice")["plays"].clone()), (50, json!(50)));
    assert_eq!(host.requests("alice", Endpoint::Recent), asked + 1, "by the run");

    // Without the daemon.
    assert_eq!(daemon.stop(), 0);
    lose();
    assert_eq!(replayed(&host)["new_plays"], 50);
    assert_eq!(host.plays("alice").len(), 50);
}

#[test]
fn an_item_that_could_not_be_read_is_archived_once_it_can_and_its_gap_closed() {
    let (host, _daemon) = keeping();
    let minutes_ago = |minutes: i64| now().offset_millis(-60_000 * minutes).to_string();
    let track = |name: &str| json!({"name": name, "uri": format!("spotify:track:{name}")});
    let mut page = json!({"items": [
        {"played_at": minutes_ago(1), "track": track("A")},
        {"played_at": minutes_ago(4), "track": null, "episode": track("B")},
        {"played_at": minutes_ago(8), "track": track("C")},
    ]});
    let answer = Fault::answer(Reply::new(200, "application/json", page.to_string()));
    host.spotify.inject(Injection::new(Endpoint::Recent, answer));
    host.run(&["archive", "alice"]).ok();
    assert_eq!((host.plays("alice").len(), host.status("alice")["gaps"].clone()), (52, json!(1)));

    let unread = host.run(&["replay", "alice"]);
    assert!(
        unread.stderr.contains("the page of ") && unread.stderr.contains("item 2: no track"),
        "{unread:?}"
    );
    assert_eq!(unread.ok(), "alice: 2 pages read again: 0 new plays, 0 gaps closed\n");
    let unread = replayed(&host);
    assert_eq!((&unread["unreadable"], &unread["raw_journal_days"]), (&1.into(), &7.into()));
    assert_eq!(fields(&unread["faults"][0]), "at why");
    is_time(&unread["faults"][0]["at"]);

    let run = kept(&host)[1].0;
    page["items"][1]["track"] = track("B");
    alter(&host, run, &page);
    let read = replayed(&host);
    assert_eq!(
        (&read["new_plays"], &read["gaps_closed"], &read["unreadable"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(host.status("alice")["gaps"], 0);
    is_time(&host.run(&["gaps", "alice", "--json"]).json()[0]["closed_at"]);
    assert_eq!(host.plays("alice").len(), 53);
    let again = replayed(&host);
    assert_eq!((&again["new_plays"], &again["gaps_closed"]), (&0.into(), &0.into()));
}

#[test]
fn nothing_is_kept_unless_it_is_wanted_and_then_no_secret() {
    let host = Host::new();
    host.spotify.listen_until("alice", 3, now());
    let daemon = host.serve();
    host.settled_user("alice");
    let off = host.run(&["replay", "alice"]).fails(1);
    assert!(off.contains("raw journal is off") && off.contains("raw_journal_days"), "{off}");
    assert_eq!(kept(&host), []);
    host.run(&["replay", "nobody"]).fails(1);
    host.run(&["replay", "alice", "--since", "yesterday"]).fails(2);

    host.configure(ON);
    host.run(&["reload"]).ok();
    let empty = host.run(&["replay", "alice"]);
    assert!(empty.code == 0 && empty.stderr.contains("is empty"), "{empty:?}");
    // An answer that is no page, and repeats the token of who asked.
    let token = host.token("alice", "").ok()["access_token"].clone();
    let answer = Fault::answer(Reply::new(200, "application/json", json!({"you_are": token}).to_string()));
    host.spotify.inject(Injection::new(Endpoint::Recent, answer));
    host.run(&["archive", "alice"]).ok();
    let kept = kept(&host);
    assert_eq!((kept.len(), kept[0].1.as_str()), (2, "{\"you_are\":\"[token]\"}"));
    assert!(kept[1].1.contains("played_at"), "{kept:?}");
    for (_, body) in &kept {
        host.watch().none_in("the raw journal", body.as_bytes());
    }
    let replayed = replayed(&host);
    assert_eq!((&replayed["pages"], &replayed["unreadable"]), (&2.into(), &1.into()));

    // Everything of a user goes with them.
    host.run(&["users", "remove", "alice", "--purge"]).ok();
    assert_eq!(daemon.stop(), 0);
    assert_eq!(self::kept(&host), []);
}
