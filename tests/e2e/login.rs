//! Logins: by paste and by the daemon's own address, with and without a daemon; and everything that goes wrong.

use longplay::sim::{App, Consent, Endpoint, Fault, Injection, Options, Reply};

use crate::fixture::{Answer, Host, Ran, now, reached};

/// Logs a user in by `--paste`; `back` is what the browser's address becomes before it is pasted.
fn pasted(host: &Host, args: &[&str], back: impl Fn(String) -> String) -> Ran {
    let mut login = host.talk(&[&["login"], args, &["--paste"]].concat());
    let address = login.line();
    let came_to = host.open_in_browser(&address);
    login.answer(&back(came_to))
}

fn as_it_is(address: String) -> String {
    address
}

/// The page's answer to a browser that follows this address.
fn followed(host: &Host, address: &str) -> Answer {
    let path =
        address.strip_prefix(&format!("http://127.0.0.1:{}", host.port)).expect("the daemon's address");
    host.page(path, &format!("127.0.0.1:{}", host.port))
}

#[test]
fn a_login_is_pasted_and_archived_at_once() {
    let host = Host::new();
    host.spotify.listen_until("alice", 7, now());
    let _daemon = host.serve();
    pasted(&host, &["alice"], as_it_is).ok();
    host.until("it is archived at once", || host.user("alice")["plays"] == 7);
    let status = host.status("alice");
    assert_eq!(status["state"], "ok");
    crate::fixture::is_time(&status["login_at"]);
    crate::fixture::is_time(&status["login_expires_at"]);
    assert_eq!(host.spotify.refreshes("alice").asked, 0, "the login brought a token");
    assert_eq!(host.token("alice", "").ok()["generation"], 1);
}

#[test]
fn a_login_is_pasted_without_a_daemon() {
    let host = Host::new();
    host.spotify.listen_until("alice", 3, now());
    let said = pasted(&host, &["alice"], as_it_is);
    assert!(said.stderr.contains("alice is logged in"), "{said:?}");
    said.ok();
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.plays("alice").len(), 3);
    // The lock is not held while the person is waited for.
    let mut login = host.talk(&["login", "alice", "--paste"]);
    let address = login.line();
    host.run(&["status"]).ok();
    let daemon = host.serve();
    login.answer(&host.open_in_browser(&address)).ok();
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_login_comes_back_to_the_daemons_own_address() {
    let host = Host::new();
    host.spotify.listen_until("alice", 2, now());
    let _daemon = host.serve();
    let mut login = host.talk(&["login", "alice"]);
    let address = login.line();
    let page = followed(&host, &host.open_in_browser(&address));
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("Logged in") && page.text.contains("alice"), "{page:?}");
    login.ended().ok();
    host.until("it is archived", || host.user("alice")["plays"] == 2);
}

#[test]
fn a_login_without_a_daemon_comes_back_to_the_command() {
    let host = Host::new();
    host.spotify.add_account("alice");
    let mut login = host.talk(&["login", "alice"]);
    let address = login.line();
    let page = followed(&host, &host.open_in_browser(&address));
    assert_eq!(page.status, 200, "{page:?}");
    login.ended().ok();
    host.run(&["archive", "alice"]).ok();
}

#[test]
fn a_login_with_a_secret_works_too() {
    let host = Host::with(Options::default(), App::with_secret("client", "s3cret"));
    host.spotify.add_account("alice");
    host.write("secret", "s3cret\n");
    host.configure("auth = \"secret\"\nclient_secret_file = \"secret\"");
    let _daemon = host.serve();
    pasted(&host, &["alice"], as_it_is).ok();
    host.token("alice", "{\"fresh\":true}").ok();
}

#[test]
fn a_denied_login_changes_nothing() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let before = host.status("alice");
    for by_paste in [true, false] {
        host.spotify.next_consent(Consent::Deny);
        let error = match by_paste {
            true => pasted(&host, &["alice"], as_it_is).fails(1),
            false => {
                let mut login = host.talk(&["login", "alice"]);
                let address = login.line();
                let page = followed(&host, &host.open_in_browser(&address));
                assert_eq!(page.status, 400, "{page:?}");
                assert!(page.text.contains("access_denied"), "{page:?}");
                login.ended().fails(1)
            }
        };
        assert!(error.contains("access_denied"), "{error}");
    }
    assert_eq!(host.status("alice"), before);
    assert_eq!(host.spotify.requests(Endpoint::Token), 1);
    // Nobody is added by a login that failed.
    host.spotify.next_consent(Consent::Deny);
    pasted(&host, &["bob"], as_it_is).fails(1);
    assert_eq!(host.get("/v1/users/bob").problem(404), "unknown_user");
}

#[test]
fn an_address_that_is_not_this_logins_is_refused() {
    let host = Host::new();
    host.spotify.add_account("alice");
    let _daemon = host.serve();
    let refused = [
        pasted(&host, &["alice"], |address| format!("{address}x").replace("state=", "state=y")).fails(1),
        pasted(&host, &["alice"], |address| address.split('?').next().expect("a path").to_owned()).fails(1),
        pasted(&host, &["alice"], |_| "hello".to_owned()).fails(1),
        pasted(&host, &["alice"], |_| String::new()).fails(1),
    ];
    assert!(refused.iter().all(|error| error.trim().len() > 20), "{refused:?}");
    assert_eq!(host.spotify.requests(Endpoint::Token), 0, "no code is spent on them");
    assert_eq!(host.get("/v1/users/alice").problem(404), "unknown_user");
}

#[test]
fn an_address_works_once_and_for_ten_minutes() {
    let host = Host::new();
    host.spotify.add_account("alice");
    let _daemon = host.serve();
    let mut login = host.talk(&["login", "alice", "--paste"]);
    let used = host.open_in_browser(&login.line());
    login.answer(&used).ok();
    let exchanges = host.spotify.requests(Endpoint::Token);
    let error = pasted(&host, &["alice"], |_| used.clone()).fails(1);
    assert!(error.contains("used"), "{error}");
    let page = followed(&host, &used);
    assert_eq!(page.status, 400, "{page:?}");
    let error = pasted(&host, &["alice"], |address| {
        host.sql(&format!("UPDATE logins SET expires_at = {}", now().as_millis() - 1));
        address
    });
    assert!(error.fails(1).contains("ten minutes"));
    assert_eq!(host.spotify.requests(Endpoint::Token), exchanges);
    assert_eq!(host.status("alice")["state"], "ok");
}

#[test]
fn a_code_that_spotify_refuses_changes_nothing() {
    let options = Options { code_lifetime: std::time::Duration::ZERO, ..Options::default() };
    let host = Host::with(options, App::pkce("client"));
    host.spotify.add_account("alice");
    let _daemon = host.serve();
    let error = pasted(&host, &["alice"], as_it_is).fails(1);
    assert!(error.contains("Authorization code expired"), "{error}");
    assert_eq!(host.get("/v1/users/alice").problem(404), "unknown_user");
}

#[test]
fn a_login_without_a_scope_that_is_needed_is_refused() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    let held = host.token("alice", "").ok();
    let partly = vec!["user-top-read".to_owned()];
    host.spotify.next_consent(Consent::Partly("alice".to_owned(), partly));
    let error = pasted(&host, &["alice"], as_it_is).fails(1);
    assert!(error.contains("user-read-recently-played"), "{error}");
    assert_eq!(host.token("alice", "").ok(), held, "nothing was overwritten");
}

#[test]
fn a_renewal_by_another_account_is_refused_and_nothing_overwritten() {
    let host = Host::new();
    host.spotify.listen_until("alice", 4, now());
    host.spotify.listen_until("mallory", 4, now());
    let daemon = host.serve();
    pasted(&host, &["alice"], as_it_is).ok();
    host.settled_user("bob");
    for name in ["alice", "bob"] {
        let held = host.token(name, "").ok();
        host.spotify.next_consent(Consent::By("mallory".to_owned()));
        let error = pasted(&host, &[name], as_it_is).fails(1);
        assert!(error.contains("this is the Spotify account"), "{error}");
        assert_eq!(host.token(name, "").ok(), held);
        host.run(&["archive", name]).ok();
    }
    assert_eq!(host.plays("alice").len(), 4);
    assert_eq!(host.spotify.requests_of("mallory", Endpoint::Recent), 0);
    // Without a daemon too.
    assert_eq!(daemon.stop(), 0);
    host.spotify.next_consent(Consent::By("mallory".to_owned()));
    pasted(&host, &["alice"], as_it_is).fails(1);
    // The same person under another id is the same person.
    let account = "0123456789012345678901".to_owned();
    host.spotify.set_identity("carol", "carol", Some(&account));
    host.spotify.next_consent(Consent::By("carol".to_owned()));
    pasted(&host, &["carol"], as_it_is).ok();
    host.spotify.set_identity("carol", "carol-renamed", Some(&account));
    host.spotify.next_consent(Consent::By("carol".to_owned()));
    pasted(&host, &["carol"], as_it_is).ok();
}

#[test]
fn whose_account_a_bare_token_is_of_is_asked_again_after_the_next_run() {
    let host = Host::new();
    let _daemon = host.serve();
    let outage = Fault::answer(Reply::outage(503));
    host.spotify.inject(Injection::new(Endpoint::Me, outage).of("alice"));
    host.add_user("alice").ok();
    host.until("it was asked in vain", || host.spotify.faults_waiting() == 0);
    host.until("that is told", || {
        host.run(&["archive", "alice"]).ok();
        host.spotify.requests_of("alice", Endpoint::Me) == 2
    });
    host.until("nothing of it is under way", || {
        host.spotify.seen().iter().all(|seen| seen.answered.is_some())
    });
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    host.spotify.add_account("mallory");
    let token = host.spotify.grant("mallory", "client", &crate::fixture::SCOPES);
    let error = host.run_with(&["users", "set", "alice", "--refresh-token-file", "-"], &token).fails(1);
    assert!(error.contains("this is the Spotify account"), "{error}");
}

#[test]
fn a_bare_token_of_another_account_is_refused_and_nothing_overwritten() {
    const SCOPES: [&str; 2] = ["user-read-recently-played", "user-top-read"];
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.until("whose account it is is known", || host.spotify.requests_of("alice", Endpoint::Me) >= 1);
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    host.spotify.add_account("mallory");
    let take_over = |whose: &str| {
        let token = host.spotify.grant(whose, "client", &SCOPES);
        host.run_with(&["users", "set", "alice", "--refresh-token-file", "-"], &token)
    };
    let error = take_over("mallory").fails(1);
    assert!(error.contains("this is the Spotify account"), "{error}");
    assert_eq!(host.status("alice")["state"], "needs_login");
    assert_eq!(host.spotify.requests_of("mallory", Endpoint::Recent), 0);
    take_over("alice").ok();
    host.until("alice is archived again", || host.user("alice")["state"] == "ok");
}

#[test]
fn a_renewal_ends_a_dead_login_and_is_archived_at_once() {
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    let generation = 2;
    host.spotify.listen_until("alice", 3, now());
    pasted(&host, &["alice"], as_it_is).ok();
    host.until("it is archived at once", || host.user("alice")["plays"] == 3);
    assert_eq!(host.status("alice")["state"], "ok");
    let renewed = host.token("alice", "").ok()["generation"].as_u64().expect("a number");
    assert!(renewed > generation, "it rises over logins");
}

#[test]
fn a_stop_finishes_the_login_whose_code_is_spent() {
    for in_the_daemon in [true, false] {
        let host = Host::new();
        host.spotify.add_account("alice");
        let daemon = in_the_daemon.then(|| host.serve());
        let mut login = host.talk(&["login", "alice", "--paste"]);
        let address = host.open_in_browser(&login.line());
        let gate = host.hold(Endpoint::Token, Fault::after);
        login.say(&address);
        reached(&gate, 1);
        match daemon {
            Some(daemon) => {
                daemon.signal("TERM");
                host.until("it waits", || daemon.log().contains("a login is being finished"));
                gate.open();
                assert_eq!(daemon.ended(), 0);
                login.ended().ok();
            }
            None => {
                login.signal("INT");
                while !login.complaint().contains("finishing what was begun") {}
                gate.open();
                assert_eq!(login.ended().code, -1, "it ends by the signal");
            }
        }
        let _daemon = host.serve();
        crate::fixture::is_time(&host.status("alice")["login_at"]);
        assert_eq!(host.user("alice")["state"], "ok");
        host.token("alice", "{\"fresh\":true}").ok();
    }
}
