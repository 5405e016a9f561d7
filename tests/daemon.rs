//! The shipped program against a simulated Spotify, driven as a user drives it.

mod fixture;

use fixture::Host;
use longplay::domain::Timestamp;

fn now() -> Timestamp {
    use longplay::clock::{Clock as _, SystemClock};
    SystemClock.now()
}

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
