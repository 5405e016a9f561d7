//! What may be missing is told: before it is lost, and afterwards.

use std::time::Duration;

use crate::fixture::{Host, now};

#[test]
fn who_must_log_in_is_told_how_long_it_takes_until_plays_are_lost() {
    let host = Host::new();
    host.spotify.listen_until("alice", 40, now() - Duration::from_secs(8 * 3_600));
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    let status = host.user("alice");
    assert_eq!(status["state"], "needs_login");
    let reason = status["reason"].as_str().expect("a reason");
    assert!(reason.contains("; log in within ") && reason.ends_with(", or plays will be lost"), "{reason}");
    // Days later.
    host.sql("UPDATE users SET last_archived_at = last_archived_at - 30 * 86400000");
    host.sql("UPDATE habits SET from_hour = from_hour - 30 * 24");
    let reason = host.user("alice")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("; plays may have been lost since "), "{reason}");
}

#[test]
fn a_gap_of_a_spent_quota_is_told_with_its_cause_and_closed_by_a_page_that_shows_it_whole() {
    let host = Host::new();
    host.configure("calls_per_day = 6");
    host.spotify.listen_until("alice", 10, now() - Duration::from_secs(86_400));
    let daemon = host.serve();
    host.settled_user("alice");
    host.until("the day's calls are spent", || host.run(&["archive", "alice"]).code == 75);
    host.spotify.listen_until("alice", 60, now());
    assert_eq!(daemon.stop(), 0);
    host.sql("UPDATE api_calls SET slot_at = slot_at - 86400000 - 600000");
    let _daemon = host.serve();
    host.run(&["archive", "alice"]).ok();
    let gaps = host.run(&["gaps", "alice", "--json"]).json();
    assert_eq!(gaps[0]["cause"], "quota", "{gaps}");
    assert!(
        gaps[0]["at_most"].as_i64().is_some_and(|most| most >= 10) && gaps[0]["closed_at"].is_null(),
        "{gaps}"
    );
    // As if its older end had been shown once more.
    let (from, to) = (
        "(SELECT min(played_at) FROM plays WHERE played_at > gaps.from_at)",
        "(SELECT max(played_at) FROM plays)",
    );
    host.sql(&format!("UPDATE gaps SET from_at = {from} + 1, to_at = {to}"));
    host.run(&["archive", "alice"]).ok();
    let gaps = host.run(&["gaps", "alice", "--json"]).json();
    crate::fixture::is_time(&gaps[0]["closed_at"]);
    assert_eq!(host.user("alice")["gaps"], 0);
}
