//! No token, code or client secret is ever printed, logged or stored in the open.

use longplay::sim::{App, Consent, Effect, Endpoint, Fault, Injection, Options, Reply, Rotation};

use crate::fixture::{Host, now, postgres};

const CLIENT_SECRET: &str = "client-secret-0123456789";

/// Everything that was printed, answered and written, by where it was seen.
#[derive(Default)]
pub struct Seen(pub Vec<(String, Vec<u8>)>);

impl Seen {
    pub fn run(&mut self, host: &Host, args: &[&str]) {
        let ran = host.run(args);
        self.0.push((
            format!("longplay {}", args.join(" ")),
            format!("{}{}", ran.stdout, ran.stderr).into_bytes(),
        ));
    }

    pub fn get(&mut self, host: &Host, path: &str) {
        let answers = [host.get(path), host.page(path, "localhost")];
        self.0.extend(answers.map(|answer| (format!("GET {path}"), format!("{answer:?}").into_bytes())));
    }

    pub fn files(&mut self, host: &Host) {
        let ours = |path: &std::path::Path| path.ends_with("client-secret");
        let files = host.everything_written().into_iter().filter(|(path, _)| !ours(path));
        self.0.extend(files.map(|(path, bytes)| (path.display().to_string(), bytes)));
    }

    /// Any part of a secret that is long enough to be told from chance.
    #[track_caller]
    pub fn holds_nothing_of(&self, secrets: &[String]) {
        for secret in secrets {
            let parts = [&secret[..20], &secret[secret.len() - 20..]];
            for (place, bytes) in &self.0 {
                let found =
                    parts.iter().any(|part| bytes.windows(20).any(|window| window == part.as_bytes()));
                assert!(!found, "{place} holds {secret}:\n{}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

#[test]
fn nothing_that_is_printed_logged_or_stored_holds_a_token_or_a_secret() {
    let app = App::with_secret("client", CLIENT_SECRET).rotation(Rotation::Rotate);
    let host = Host::with(Options::default(), app);
    host.write("client-secret", &format!("{CLIENT_SECRET}\n"));
    host.configure("auth = \"secret\"\nclient_secret_file = \"client-secret\"\n[log]\nlevel = \"trace\"");
    host.spotify.listen_until("alice", 12, now());
    let daemon = host.serve();
    let mut seen = Seen::default();
    host.settled_user("alice");
    host.settled_user("bob");
    // A login by paste, one that is denied, one whose code is refused.
    for consent in [Consent::By("carol".to_owned()), Consent::Deny] {
        host.spotify.next_consent(consent);
        let mut login = host.talk(&["login", "carol", "--paste"]);
        let address = host.open_in_browser(&login.line());
        let ran = login.answer(&address);
        seen.0.push(("login".to_owned(), format!("{ran:?}").into_bytes()));
    }
    host.until("carol is archived", || host.user("carol")["last_run_result"] == "ok");
    // Good days and bad days.
    for fault in [
        Fault::before(Effect::Drop),
        Fault::after(Effect::HalfABody),
        Fault::answer(Reply::html(500)),
        Fault::answer(Reply::rate_limited(Some("1"), longplay::sim::LimitBody::Text)),
    ] {
        host.spotify.inject(Injection::new(Endpoint::Token, fault).of("bob"));
        host.token("bob", "{\"fresh\":true}");
        host.until("it has passed or is flagged", || {
            ["ok", "needs_login"].contains(&host.user("bob")["state"].as_str().unwrap_or_default())
        });
    }
    host.spotify.kill_access_tokens("alice");
    seen.run(&host, &["archive", "alice", "bob", "carol"]);
    host.spotify.revoke("carol");
    seen.run(&host, &["archive", "carol"]);
    host.token("carol", "{\"fresh\":true}");
    let commands: [&[&str]; 12] = [
        &["status"],
        &["status", "--json"],
        &["users"],
        &["plays", "alice"],
        &["top", "alice"],
        &["gaps", "alice"],
        &["config"],
        &["config", "--json"],
        &["check"],
        &["reload"],
        &["pause", "bob"],
        &["users", "remove", "bob"],
    ];
    commands.iter().for_each(|args| seen.run(&host, args));
    for path in ["/v1/status", "/v1/users", "/metrics", "/healthz", "/v1/openapi.json", "/"] {
        seen.get(&host, path);
    }
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", daemon.pid())).expect("the process is there");
        seen.0.push((file.to_owned(), bytes));
    }
    seen.files(&host);
    assert_eq!(daemon.stop(), 0);
    seen.run(&host, &["token", "carol"]);
    seen.files(&host);
    let mut secrets = host.spotify.issued();
    assert!(secrets.len() > 12, "the search is worth something");
    secrets.push(CLIENT_SECRET.to_owned());
    seen.holds_nothing_of(&secrets);
    let key = std::fs::read_to_string(host.path("state/token-key")).expect("a key was made");
    seen.0.retain(|(place, _)| !place.ends_with("token-key"));
    seen.holds_nothing_of(&[key.trim().to_owned()]);
}

#[test]
fn words_of_the_providers_that_repeat_a_token_are_not_repeated() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    host.settled_user("carol");
    let access = host.token("carol", "").ok()["access_token"].as_str().expect("a token").to_owned();
    let mut seen = Seen::default();
    for (name, error) in [("alice", "invalid_grant"), ("bob", "invalid_request")] {
        let token = host.spotify.current_refresh_token(name).expect("a login");
        let body = format!("{{\"error\":\"{error}\",\"error_description\":\"{token} is no good\"}}");
        let reply = Reply::new(400, "application/json", body);
        host.spotify.inject(Injection::new(Endpoint::Token, Fault::answer(reply)).of(name));
        let answer = host.token(name, "{\"fresh\":true}");
        assert_eq!(answer.status, 409, "{answer:?}");
        seen.0.push(("token".to_owned(), answer.text.into_bytes()));
        seen.run(&host, &["status", name, "--json"]);
    }
    // The Web API as well, in words of its own.
    let reply = Reply::new(403, "text/plain", format!("not with Bearer {access}"));
    host.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(reply)).of("carol"));
    seen.run(&host, &["archive", "carol"]);
    assert_eq!(host.spotify.faults_waiting(), 0, "every fault was met");
    seen.run(&host, &["status"]);
    assert_eq!(daemon.stop(), 0);
    seen.files(&host);
    seen.holds_nothing_of(&host.spotify.issued());
}

#[test]
fn a_token_in_the_open_is_found_wherever_a_test_ends() {
    for on_postgres in [false, true] {
        for column in ["", "blocked", "refresh_token"] {
            let host = Host::new();
            let host = if on_postgres { host.on(&postgres::shared().database()) } else { host };
            host.add_user("alice").ok();
            let token = host.spotify.current_refresh_token("alice").expect("a login");
            match (column, on_postgres) {
                ("blocked", _) => host.sql(&format!("UPDATE users SET blocked = 'not {token}'")),
                ("refresh_token", false) => {
                    host.sql(&format!("UPDATE grants SET refresh_token = CAST('{token}' AS BLOB)"));
                }
                ("refresh_token", true) => {
                    host.sql(&format!("UPDATE grants SET refresh_token = convert_to('{token}', 'UTF8')"));
                }
                _ => host.write("log", &token),
            }
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(host)));
            let found = found.expect_err("it is found");
            assert!(found.downcast_ref::<String>().expect("words").contains("holds AQ"));
        }
    }
}

#[test]
fn what_is_private_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = Host::new();
    host.add_user("alice").ok();
    let mode = |name: &str| std::fs::metadata(host.path(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/spool"), mode("state/token-key")), (0o700, 0o700, 0o600));
}

#[test]
fn what_watches_for_leaks_sees_either_end_of_every_secret() {
    let host = Host::with(Options::default(), App::with_secret("client", CLIENT_SECRET));
    host.write("client-secret", CLIENT_SECRET);
    host.configure("auth = \"secret\"\nclient_secret_file = \"client-secret\"");
    let _daemon = host.serve();
    host.settled_user("alice");
    let key = std::fs::read_to_string(host.path("state/token-key")).expect("the key that it made");
    let key = key.trim().trim_end_matches('=').to_owned();
    let watch = host.watch();
    watch.none_in(
        "nowhere",
        "alice and /var/lib/longplay/longplay.db, 2026-11-22T06:23:29.710416Z".as_bytes(),
    );
    for secret in host.spotify.issued().into_iter().chain([CLIENT_SECRET.to_owned(), key]) {
        for part in [&secret[..20], &secret[secret.len() - 20..]] {
            let text = format!("Bearer x{part}/, and so on");
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                watch.none_in("here", text.as_bytes())
            }));
            assert!(seen.is_err(), "{text}");
        }
    }
}
