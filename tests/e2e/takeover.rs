//! A refresh token from elsewhere for a user whose account is known: what it is still worth where that fails.

use longplay::sim::{Endpoint, Fault, Injection, Reply, Rotation};

use crate::fixture::{Host, Ran, SCOPES};

/// A host with a user whose account is known and whose login is dead.
fn dead(rotation: Rotation) -> Host {
    let host = Host::rotating(rotation);
    {
        let _daemon = host.serve();
        host.settled_user("alice");
        host.spotify.revoke("alice");
        host.run(&["token", "alice", "--fresh"]).fails(77);
    }
    host
}

fn give(host: &Host, token: &str) -> Ran {
    host.run_with(&["users", "set", "alice", "--refresh-token-file", "-"], token)
}

#[test]
fn a_token_that_came_without_an_access_token_is_used_and_not_lost() {
    for rotation in [Rotation::Rotate, Rotation::Never] {
        let host = dead(rotation);
        let _daemon = host.serve();
        let [given, next] = [(); 2].map(|()| host.spotify.grant("alice", "client", &SCOPES));
        let alone = format!("{{\"refresh_token\":\"{next}\",\"expires_in\":3600}}");
        let alone = Fault::answer(Reply::new(200, "application/json", alone));
        host.spotify.inject(Injection::new(Endpoint::Token, alone));
        give(&host, &given).ok();
        host.until("alice is archived again", || host.user("alice")["state"] == "ok");
        host.token("alice", "{\"fresh\":true}").ok();
        assert_eq!(host.spotify.refreshes("alice").reused, 0);
    }
}

#[test]
fn a_token_that_was_spent_in_vain_is_said_to_be_spent_and_one_that_was_not_is_not() {
    for (rotation, expected) in
        [(Rotation::Rotate, "is spent and worth nothing"), (Rotation::Never, "is not spent: try again")]
    {
        let host = dead(rotation);
        let daemon = host.serve();
        let given = host.spotify.grant("alice", "client", &SCOPES);
        let refused = Fault::answer(Reply::new(403, "application/json", "{}"));
        host.spotify.inject(Injection::new(Endpoint::Me, refused));
        let said = give(&host, &given).fails(1);
        assert!(said.contains(expected) && !said.contains("again in"), "{said}");
        assert_eq!(said.contains("longplay login alice"), rotation == Rotation::Rotate, "{said}");
        assert_eq!(
            daemon.log().contains("worth nothing"),
            rotation == Rotation::Rotate,
            "it is in the journal"
        );
        assert_eq!(host.spotify.alive("alice", &given), rotation == Rotation::Never);
        // Another's is spent too.
        host.spotify.add_account("mallory");
        let said = give(&host, &host.spotify.grant("mallory", "client", &SCOPES)).fails(1);
        assert!(said.contains("this is the Spotify account") && said.contains(expected), "{said}");
    }
}

#[test]
fn what_a_spent_token_brought_outlives_an_outage_of_the_web_api() {
    let host = dead(Rotation::Rotate);
    let _daemon = host.serve();
    let given = host.spotify.grant("alice", "client", &SCOPES);
    host.spotify.inject(Injection::new(Endpoint::Me, Fault::answer(Reply::outage(503))).times(2));
    give(&host, &given).ok();
    assert_eq!(host.spotify.faults_waiting(), 0);
    host.until("alice is archived again", || host.user("alice")["state"] == "ok");
}
