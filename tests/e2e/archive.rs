//! Runs: what is stored, and that nothing is stored twice; gaps; schedules.

use std::time::Duration;

use longplay::sim::music::{play, session};
use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection, Listen, Shape};

use crate::fixture::{Host, at_once, now, reached};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_play_is_archived_and_nothing_doubled() {
    let host = Host::new();
    host.spotify.listen_until("alice", 30, now());
    let daemon = host.serve();
    host.add_user("alice").ok();
    host.until("a new login is archived at once", || host.plays("alice").len() == 30);
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: nothing new");
    assert_eq!(host.plays("alice").len(), 30);
    let status = host.status("alice");
    assert_eq!((&status["state"], &status["plays"], &status["gaps"]), (&"ok".into(), &30.into(), &0.into()));
    assert_eq!(host.spotify.refreshes("alice").accepted, 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(host.plays("alice").len(), 30, "read without a daemon");
}

#[test]
fn every_play_is_archived_as_it_was_heard() {
    let host = Host::new();
    host.spotify.listen_until("alice", 20, now());
    // The same track twice in a row, and one that turns up late.
    host.spotify.listen("alice", [play("Again", now() - HOUR * 20), play("Again", now() - HOUR * 19)]);
    host.spotify.listen("alice", [Listen::new("Late", now() - HOUR * 30).visible_at(now() + HOUR)]);
    let _daemon = host.serve();
    host.settled_user("alice");
    let mut heard = host.spotify.heard("alice");
    heard.retain(|play| play.track.name != "Late");
    heard.reverse();
    let archived = host.plays("alice");
    assert_eq!(archived.len(), heard.len());
    for (is, should) in archived.iter().zip(&heard) {
        assert_eq!(is["played_at"], should.played_at.to_string().as_str());
        assert_eq!(is["track"], should.track.name.as_str());
        assert_eq!(is["artists"][0], should.track.artists[0].name.as_str());
        assert_eq!(is["album"].as_str(), should.track.album.as_ref().map(|album| album.name.as_str()));
        assert_eq!(is["track_uri"].as_str(), should.track.uri.as_deref());
        assert_eq!(is["isrc"].as_str(), should.track.isrc.as_deref());
        assert_eq!(is["duration_ms"].as_i64(), should.track.duration_ms);
        assert_eq!(is["context_uri"].as_str(), should.context_uri.as_deref());
        assert_eq!(is["source"], "api");
    }
    // Spotify shows it now; it lies before everything else.
    host.spotify.listen("alice", [play("Late", now() - HOUR * 31)]);
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 1 new play");
    assert_eq!(host.plays("alice").last().expect("plays")["track"], "Late");
}

#[test]
fn a_page_with_nulls_or_without_fields_is_archived_all_the_same() {
    let host = Host::new();
    let _daemon = host.serve();
    for (name, shape) in [("nulls", Shape::Nulls), ("absent", Shape::Absent)] {
        host.spotify.listen_until(name, 10, now());
        host.spotify.set_shape(name, shape);
        host.settled_user(name);
        assert_eq!(host.plays(name).len(), 10, "{name}");
        assert_eq!(host.plays(name)[0]["album"], serde_json::Value::Null);
    }
}

#[test]
fn one_unreadable_item_is_left_out_and_said() {
    let host = Host::new();
    host.spotify.listen("alice", [Listen::new("Gone", now() - HOUR).without_track()]);
    host.spotify.listen_until("alice", 3, now() - HOUR * 2);
    let _daemon = host.serve();
    host.add_user("alice").ok();
    host.until("it is archived", || host.user("alice")["last_run_result"] == "partial");
    let ran = host.run(&["archive", "alice"]);
    assert!(ran.stderr.contains("partial"), "{ran:?}");
    ran.ok();
    assert_eq!(host.plays("alice").len(), 3);
}

#[test]
fn where_more_than_fifty_plays_passed_unseen_a_gap_says_so() {
    let host = Host::new();
    let before = session(10, now() - HOUR * 10);
    host.spotify.listen("alice", before.clone());
    let _daemon = host.serve();
    host.settled_user("alice");
    let after = session(60, now());
    host.spotify.listen("alice", after.clone());
    let ran = host.run(&["archive", "alice"]);
    assert!(ran.stderr.contains("plays may be missing between"), "{ran:?}");
    assert_eq!(ran.ok().trim(), "alice: 50 new plays");
    let gaps = host.run(&["gaps", "alice", "--json"]).json();
    assert_eq!(gaps.as_array().expect("gaps").len(), 1);
    assert_eq!(gaps[0]["from"], before[9].played_at.to_string().as_str());
    assert_eq!(gaps[0]["to"], after[10].played_at.to_string().as_str());
    // They were made before the last look, and not shown then.
    assert_eq!(gaps[0]["cause"], "spotify_late");
    let at_most = after[10].played_at.since(before[9].played_at).as_secs() / 30;
    assert_eq!(gaps[0]["at_most"], at_most);
    assert!(gaps[0]["closed_at"].is_null());
    assert_eq!(host.status("alice")["gaps"], 1);
    assert_eq!(host.metric("longplay_gaps_total"), 1.0);
    // The same page again leaves no second one.
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.status("alice")["gaps"], 1);
}

#[test]
fn a_page_that_overlaps_the_archive_leaves_no_gap() {
    let host = Host::new();
    host.spotify.listen_until("alice", 10, now() - HOUR * 10);
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 49, now());
    assert_eq!(host.run(&["archive", "alice"]).ok().trim(), "alice: 49 new plays");
    assert_eq!(host.run(&["gaps", "alice", "--json"]).json(), serde_json::json!([]));
}

#[test]
fn a_schedule_of_two_seconds_archives_by_itself() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.run(&["users", "set", "alice", "--schedule", "*/2 * * * * *"]).ok();
    assert_eq!(host.user("alice")["schedule"], "*/2 * * * * *");
    host.spotify.listen_until("alice", 3, now());
    host.until("the new plays come in by themselves", || host.user("alice")["plays"] == 3);
    let runs = host.requests("alice", Endpoint::Recent);
    host.until("it goes on", || host.requests("alice", Endpoint::Recent) >= runs + 2);
    // Off again: a year's wait.
    host.run(&["users", "set", "alice", "--schedule", "0 0 0 1 1 *"]).ok();
    host.until("the next run is far", || {
        let next = host.user("alice")["next_run_at"].as_str().expect("a time").to_owned();
        next.contains("-01-01T00:00:")
    });
}

#[test]
fn a_missed_run_is_made_up_once_when_the_daemon_starts() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    host.run(&["users", "set", "alice", "--schedule", "0 0 0 1 1 *"]).ok();
    assert_eq!(daemon.stop(), 0);
    let runs = host.requests("alice", Endpoint::Recent);
    let yesterday = (now() - HOUR * 24).as_millis();
    host.sql(&format!("UPDATE users SET next_run_at = {yesterday}"));
    let _daemon = host.serve();
    host.until("it is made up", || host.requests("alice", Endpoint::Recent) == runs + 1);
    host.until("the next is planned", || {
        host.user("alice")["next_run_at"].as_str().is_some_and(|at| at.contains("-01-01T00:00:"))
    });
    assert_eq!(host.requests("alice", Endpoint::Recent), runs + 1);
}

#[test]
fn two_runs_of_a_user_never_overlap() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.spotify.listen_until("alice", 5, now());
    let runs = host.requests("alice", Endpoint::Recent);
    let gate = Gate::new();
    let held = Fault::before(Effect::Hang(gate.clone()));
    host.spotify.inject(Injection::new(Endpoint::Recent, held).of("alice").until_cleared());
    // The schedule fires all the while.
    for name in ["alice", "bob"] {
        host.run(&["users", "set", name, "--schedule", "* * * * * *"]).ok();
    }
    let outcomes = std::thread::scope(|scope| {
        let asked = scope.spawn(|| at_once(5, |_| host.run(&["archive", "alice"])));
        reached(&gate, 1);
        let others = host.requests("bob", Endpoint::Recent);
        host.until("another's schedule has fired thrice", || {
            host.requests("bob", Endpoint::Recent) >= others + 3
        });
        assert_eq!(host.requests("alice", Endpoint::Recent), runs + 1, "one page at a time");
        host.spotify.clear_faults();
        gate.open();
        asked.join().expect("they end")
    });
    for ran in outcomes {
        assert!(["alice: 5 new plays", "alice: nothing new"].contains(&ran.ok().trim()));
    }
    assert_eq!(host.plays("alice").len(), 5);
}

#[test]
fn several_users_are_archived_and_the_highest_outcome_counts() {
    let host = Host::new();
    let _daemon = host.serve();
    for name in ["alice", "bob"] {
        host.spotify.listen_until(name, 4, now());
        host.settled_user(name);
    }
    host.run(&["archive", "--all"]).ok();
    host.run(&["users", "add", "carol"]).ok();
    let error = host.run(&["archive", "alice", "bob", "carol"]).fails(77);
    assert!(error.contains("longplay login carol"), "{error}");
    let error = host.run(&["archive", "nobody"]).fails(1);
    assert!(error.contains("nobody"), "{error}");
    host.run(&["pause", "bob"]).ok();
    host.run(&["archive", "alice", "bob"]).ok();
    host.run(&["archive", "bob"]).fails(1);
}

#[test]
fn what_was_heard_most_comes_from_the_archive_and_from_spotify() {
    let host = Host::new();
    host.spotify.listen("alice", (1..=5).map(|n| play("Marzipan", now() - HOUR * n)));
    host.spotify.listen("alice", (1..=2).map(|n| play("Glasshouse", now() - HOUR * (10 + n))));
    host.spotify.listen("alice", [play("Rust and Honey", now() - HOUR * 24 * 40)]);
    let _daemon = host.serve();
    host.settled_user("alice");
    let top = |args: &[&str]| host.run(&[&["top", "alice", "--json"], args].concat()).json();
    let tracks = top(&["--kind", "tracks"]);
    assert_eq!((&tracks[0]["name"], &tracks[0]["plays"]), (&"Marzipan".into(), &5.into()));
    assert_eq!((&tracks[1]["name"], &tracks[1]["plays"]), (&"Glasshouse".into(), &2.into()));
    assert_eq!(tracks.as_array().expect("tracks").len(), 2, "four weeks, unless more is asked for");
    assert_eq!(top(&["--kind", "tracks", "--range", "all"]).as_array().expect("tracks").len(), 3);
    let artist = &host.spotify.heard("alice").last().expect("a play").track.artists[0].name.clone();
    assert_eq!(top(&[])[0]["name"], artist.as_str());
    assert_eq!(top(&["--kind", "albums"])[0]["plays"], 5);
    host.until("Spotify's list is stored", || {
        top(&["--source", "spotify"]).as_array().is_some_and(|top| !top.is_empty())
    });
    assert_eq!(top(&["--source", "spotify"])[0]["rank"], 1);
    assert!(host.run(&["top", "alice"]).ok().contains(artist.as_str()));
}

#[test]
fn plays_are_followed_as_they_come_in() {
    let host = Host::new();
    host.spotify.listen("alice", [play("Glasshouse", now() - HOUR)]);
    let _daemon = host.serve();
    host.settled_user("alice");
    let mut follow = host.talk(&["plays", "alice", "--follow", "--format", "jsonl"]);
    assert!(follow.line().contains("Glasshouse"));
    host.spotify.listen("alice", [play("Marzipan", now())]);
    host.run(&["archive", "alice"]).ok();
    assert!(follow.line().contains("Marzipan"));
    follow.child.kill().expect("it is ended");
}
