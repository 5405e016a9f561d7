//! The configuration: every fault of every file, layers, the environment; what the daemon makes of it.

use crate::fixture::{Host, Ran};

fn with_env(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Ran {
    host.command(args).envs(env.iter().copied()).output().expect("the program runs").into()
}

fn shown(host: &Host, key: &str, env: &[(&str, &str)]) -> (String, String) {
    let all = with_env(host, &["config", "--json"], env).json();
    let setting = all.as_array().expect("settings").iter().find(|setting| setting["key"] == key);
    let setting = setting.unwrap_or_else(|| panic!("no {key} in {all}"));
    let text = |field: &str| setting[field].as_str().expect("text").to_owned();
    (text("value"), text("from"))
}

#[test]
fn every_fault_of_every_file_is_said_and_nothing_starts() {
    let host = Host::new();
    std::fs::create_dir(host.path("conf.d")).expect("a folder");
    host.configure("rotation_grace = \"often\"\ncalls_per_day = 0");
    host.write("conf.d/1.toml", "[tokens]\nbufer = \"5m\"\n[nonsense]\na = 1\n");
    host.write("conf.d/2.toml", "[users.alice]\napp = \"none\"\nschedule = \"hourly\"\n[users.'No Name']\n");
    let env = [("LONGPLAY_ARCHIVE__TIMEZONE", "Mars/Olympus"), ("LONGPLAY_LOG__COLOUR", "yes")];
    let error = with_env(&host, &["check"], &env).fails(78);
    for expected in [
        ("longplay.toml", "rotation_grace"),
        ("longplay.toml", "calls_per_day"),
        ("conf.d/1.toml", "tokens.bufer"),
        ("conf.d/1.toml", "nonsense"),
        ("conf.d/2.toml", "users.alice.app"),
        ("conf.d/2.toml", "users.alice.schedule"),
        ("conf.d/2.toml", "No Name"),
        ("LONGPLAY_ARCHIVE__TIMEZONE", "Mars/Olympus"),
        ("LONGPLAY_LOG__COLOUR", "log.colour"),
    ] {
        let said = error.lines().any(|line| line.contains(expected.0) && line.contains(expected.1));
        assert!(said, "{expected:?} in\n{error}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&with_env(&host, &["check", "--json"], &env).stdout).expect("JSON");
    assert_eq!(json["good"], false);
    let faults = json["faults"].as_array().expect("faults");
    assert_eq!(faults.len(), error.lines().count());
    assert!(faults.iter().all(|fault| crate::fixture::fields(fault) == "accepted file got key"));
    let served = with_env(&host, &["serve"], &env).fails(78);
    assert_eq!(served.lines().count(), error.lines().count(), "{served}");
    assert!(!host.path("state").exists(), "nothing was made");
    // A file that is no TOML is a fault among the others.
    host.write("conf.d/3.toml", "this is no TOML\n");
    let error = host.run(&["check"]).fails(78);
    assert!(error.contains("conf.d/3.toml: line 1") && error.contains("tokens.bufer"), "{error}");
}

#[test]
fn a_misspelt_key_is_shown_with_the_right_one() {
    let host = Host::new();
    host.configure("[tokens]\nbufer = \"5m\"");
    let error = host.run(&["check"]).fails(78);
    assert!(error.contains("buffer"), "{error}");
}

#[test]
fn later_layers_win_and_each_setting_says_where_it_came_from() {
    let host = Host::new();
    std::fs::create_dir(host.path("conf.d")).expect("a folder");
    let config = |key: &str| shown(&host, key, &[]);
    assert_eq!(config("tokens.buffer"), ("5m".to_owned(), "default".to_owned()));
    host.configure("[tokens]\nbuffer = \"4m\"");
    assert!(config("tokens.buffer").1.ends_with("longplay.toml"));
    host.write("conf.d/20.toml", "[tokens]\nbuffer = \"2m\"\n");
    host.write("conf.d/10.toml", "[tokens]\nbuffer = \"3m\"\n");
    host.write("conf.d/30.toml.off", "[tokens]\nbuffer = \"1m\"\n");
    let (value, from) = config("tokens.buffer");
    assert!(value == "2m" && from.ends_with("conf.d/20.toml"), "{value} {from}");
    let (value, from) = shown(&host, "tokens.buffer", &[("LONGPLAY_TOKENS__BUFFER", "90s")]);
    assert!(value == "90s" && from.contains("LONGPLAY_TOKENS__BUFFER"), "{value} {from}");
    assert_eq!(host.run(&["check"]).ok().trim(), "the configuration is good: 1 app, 0 users");
}

#[test]
fn secrets_are_hidden_and_plain_http_is_for_loopback_only() {
    let host = Host::new();
    host.write("secret", "hunter2hunter2\n");
    host.configure("auth = \"secret\"\nclient_secret_file = \"secret\"");
    let printed = host.run(&["config"]).ok() + &host.run(&["config", "--json"]).ok();
    assert!(!printed.contains("hunter2"), "{printed}");
    host.run(&["check"]).ok();
    std::fs::remove_file(host.path("secret")).expect("removed");
    assert!(host.run(&["check"]).fails(78).contains("client_secret_file"));
    let host = Host::new();
    host.configure("[apps.far]\nclient_id = \"x\"\ntoken_url = \"http://example.com/token\"");
    assert!(host.run(&["check"]).fails(78).contains("apps.far.token_url"));
    let host = Host::new();
    host.configure("[apps.far]\nclient_id = \"x\"\nredirect_uri = \"http://localhost:1/callback\"");
    assert!(host.run(&["check"]).fails(78).contains("apps.far.redirect_uri"));
}

#[test]
fn a_page_that_others_reach_needs_a_password() {
    let host = Host::new();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let config = config.replace(
        &format!("listen = \"127.0.0.1:{}\"", host.port),
        &format!("listen = \"0.0.0.0:{}\"", host.port),
    );
    host.write("longplay.toml", &config);
    assert!(host.run(&["check"]).fails(78).contains("password_file"));
    host.write("password", "open sesame\n");
    host.write(
        "longplay.toml",
        &config.replace("[apps.default]", "password_file = \"password\"\n[apps.default]"),
    );
    host.run(&["check"]).ok();
    let _daemon = host.serve();
    assert_eq!(host.page("/metrics", "127.0.0.1").status, 401);
    assert_eq!(host.page("/healthz", "127.0.0.1").status, 200);
}

#[test]
fn a_command_reads_only_what_it_needs() {
    let host = Host::new();
    host.write("secret", "right\n");
    host.configure("auth = \"secret\"\nclient_secret_file = \"secret\"");
    let _daemon = host.serve();
    // A member of the socket's group can't read the secret.
    std::fs::remove_file(host.path("secret")).expect("removed");
    host.run(&["status"]).ok();
    host.run(&["users", "add", "alice"]).ok();
}

#[test]
fn a_configuration_file_that_is_not_there_is_said() {
    let host = Host::new();
    std::fs::remove_file(host.path("longplay.toml")).expect("removed");
    for args in [&["check"][..], &["status"], &["serve"]] {
        let error = host.run(args).fails(78);
        assert!(error.contains("longplay.toml"), "{error}");
    }
}

#[test]
fn a_wrong_or_missing_token_key_is_refused_with_the_cure() {
    let host = Host::new();
    host.add_user("alice").ok();
    let key = host.path("state/token-key");
    let right = std::fs::read_to_string(&key).expect("a key was made");
    std::fs::remove_file(&key).expect("removed");
    for args in [&["serve"][..], &["token", "alice"]] {
        let error = host.run(args).fails(78);
        assert!(error.contains("token-key") && error.contains("back-up"), "{error}");
    }
    assert!(!key.exists(), "no key is made for a store that is sealed");
    host.write("state/token-key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    let error = host.run(&["serve"]).fails(78);
    assert!(error.contains("another token key than this longplay has"), "{error}");
    assert_eq!(host.spotify.refreshes("alice").asked, 1);
    host.write("state/token-key", &right);
    host.run(&["token", "alice"]).ok();
}
