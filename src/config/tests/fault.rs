//! What is wrong is told, with what was got and what is accepted.

use super::*;

/// Each line of the configuration with the whole of its fault, but for the file's name.
#[test]
fn a_bad_value_is_told_with_what_was_got_and_what_is_accepted() {
    let duration = |range| format!("a duration from {range}, such as \"90s\", \"5m\" or \"1h 30m\"");
    let buffer = duration("\"1s\" to \"30m\"");
    let interval = duration("\"1s\" to \"7days\"");
    let endpoint = "an https URL; plain http on loopback only";
    let redirect = "an https URL, or http on a loopback address, such as \"http://127.0.0.1:8467/callback\"";
    let schedule = "\"adaptive\", or a cron expression of 5 fields, or 6 with seconds, that fits some date";
    let name = "a name of 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
    let store = "\"sqlite://PATH\", or a \"postgres://\" URL";
    let listen = "an IP address and a port, such as \"127.0.0.1:8467\" or \"[::1]:8467\", or \"\"";
    let zone = "an IANA time zone such as \"Europe/Berlin\" or \"UTC\"";
    let secret = "a readable file with the secret on one line";
    let months = "\"N months\" with N from 1 to 120, or \"\" where logins don't end";
    let table = [
        ("[tokens]\nbuffer = '0s'", "tokens.buffer: got \"0s\"", buffer.as_str()),
        ("[tokens]\nbuffer = '31m'", "tokens.buffer: got \"31m\"", &buffer),
        ("[tokens]\nbuffer = 300", "tokens.buffer: got 300", &buffer),
        ("[tokens]\nbuffer = '300'", "tokens.buffer: got \"300\"", &buffer),
        ("[tokens]\nbuffer = true", "tokens.buffer: got true", &buffer),
        ("[tokens]\nrefresh = 'never'", "tokens.refresh: got \"never\"", "\"ahead\" or \"on-demand\""),
        ("[tokens]\nconcurrency = 0", "tokens.concurrency: got 0", "a whole number from 1 to 256"),
        ("[tokens]\nconcurrency = -1", "tokens.concurrency: got -1", "a whole number from 1 to 256"),
        ("[tokens]\nconcurrency = '8'", "tokens.concurrency: got \"8\"", "a whole number from 1 to 256"),
        (
            "[tokens]\nconcurrency = 1.5",
            "tokens.concurrency: got a number with decimals",
            "a whole number from 1 to 256",
        ),
        (
            "[tokens]\nconcurency = 9",
            "tokens.concurency: got an unknown key",
            "concurrency, which may be what was meant",
        ),
        (
            "[tokens]\n'x y' = 9",
            "tokens.\"x y\": got an unknown key",
            "one of the keys buffer, concurrency, key_file, old_key_file, refresh",
        ),
        ("[token]\nbuffer = '5m'", "token: got an unknown section", "tokens, which may be what was meant"),
        (
            "'a.b' = 1",
            "\"a.b\": got an unknown section",
            "one of the sections store, apps, tokens, archive, control, web, log, users",
        ),
        ("log = 'info'", "log: got text", "a table, [log]"),
        ("[[web]]", "web: got a list", "a table, [web]"),
        ("[apps]\ndefault = 'abc'", "apps.default: got text", "a table, [apps.NAME]"),
        ("[users]\nalice = []", "users.alice: got a list", "a table, [users.NAME]"),
        (
            "[log]\nlevel = 'loud'",
            "log.level: got \"loud\"",
            "\"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\"",
        ),
        ("[archive]\nmin_interval = '0s'", "archive.min_interval: got \"0s\"", &interval),
        (
            "[archive]\nmin_interval = '4h'",
            "archive.min_interval: got \"4h\"",
            "at most max_interval, which is \"3h\"",
        ),
        (
            "[archive]\nraw_journal_days = 99999",
            "archive.raw_journal_days: got 99999",
            "a whole number from 0 to 36500",
        ),
        ("[archive]\ntimezone = 'Mars/Phobos'", "archive.timezone: got \"Mars/Phobos\"", zone),
        ("[archive]\nschedule = '0 0 30 2 *'", "archive.schedule: got \"0 0 30 2 *\"", schedule),
        ("[archive]\nschedule = 'hourly'", "archive.schedule: got \"hourly\"", schedule),
        ("[store]\nurl = 'mysql://u:hunter2@h/d'", "store.url: got \"mysql://(hidden)\"", store),
        ("[store]\nurl = 'postgres:u:hunter2@h'", "store.url: got (hidden)", store),
        ("[store]\nurl = 'u:hunter2@h://x'", "store.url: got (hidden)", store),
        (
            "[store]\nurl = 'postgres://u:hunter2@:x/'",
            "store.url: got \"postgres://(hidden)\"",
            "\"sqlite://PATH\", or a \"postgres://\" URL (empty host)",
        ),
        (
            "[store]\nurl = 'sqlite://'",
            "store.url: got \"sqlite://\"",
            "\"sqlite://PATH\", or a \"postgres://\" URL (with the path of a file)",
        ),
        ("[store]\nstate_dir = ''", "store.state_dir: got \"\"", "a path"),
        (
            "[store]\nstate_dir = '~/x'",
            "store.state_dir: got \"~/x\"",
            "a path (\"~\" has no meaning here; write it out)",
        ),
        (
            "[store]\nurl_file = 'nowhere'",
            "store.url_file: got something (hidden, as it may be the secret itself), where there is no file",
            secret,
        ),
        (
            "[tokens]\nkey_file = '/nowhere/key'",
            "tokens.key_file: got \"/nowhere/key\", where there is no file",
            secret,
        ),
        ("[web]\nlisten = 'localhost:80'", "web.listen: got \"localhost:80\"", listen),
        (
            "[web]\nlisten = '0.0.0.0:80'",
            "web.password_file: got nothing",
            "password_file, since 0.0.0.0:80 is open to other hosts; or listen on 127.0.0.1",
        ),
        (
            "[web]\npassword = 'hunter2'",
            "web.password: got an unknown key",
            "password_file, which may be what was meant",
        ),
        (
            "[apps.default]",
            "apps.default.client_id: got nothing",
            "the client id that Spotify's developer dashboard shows",
        ),
        (
            "[apps.default]\nclient_id = 'a b'",
            "apps.default.client_id: got \"a b\"",
            "the client id that Spotify's developer dashboard shows",
        ),
        ("[apps.Big]\nclient_id = 'abc'", "apps.Big: got \"Big\"", name),
        (
            "[apps.x]\nclient_id = 'abc'\nauth = 'basic'",
            "apps.x.auth: got \"basic\"",
            "\"pkce\" or \"secret\"",
        ),
        (
            "[apps.x]\nclient_id = 'abc'\nauth = 'secret'",
            "apps.x.client_secret_file: got nothing",
            "client_secret_file with the path of a file that holds the secret, or the systemd credential \
             app-x-secret, or auth = \"pkce\"",
        ),
        (
            "[apps.x]\nclient_id = 'abc'\nclient_secret = 'hunter2'",
            "apps.x.client_secret: got an unknown key",
            "client_secret_file, which may be what was meant",
        ),
        (
            "[apps.x]\nclient_id = 'abc'\nredirect_uri = 'http://localhost:1/cb'",
            "apps.x.redirect_uri: got \"http://localhost:1/cb\"",
            &format!("{redirect} (Spotify refuses the name localhost; use 127.0.0.1 or [::1])"),
        ),
        (
            "[apps.x]\nclient_id = 'abc'\nredirect_uri = 'http://example.org/cb'",
            "apps.x.redirect_uri: got \"http://example.org/cb\"",
            redirect,
        ),
        (
            "[apps.x]\nclient_id = 'abc'\napi_url = 'http://192.0.2.1/v1'",
            "apps.x.api_url: got \"http://192.0.2.1/v1\"",
            endpoint,
        ),
        (
            "[apps.x]\nclient_id = 'abc'\ntoken_url = 'https://u:hunter2@h/t'",
            "apps.x.token_url: got \"https://(hidden)\"",
            &format!("{endpoint} (without user and password)"),
        ),
        ("[apps.x]\nclient_id = 'abc'\nlogin_lifetime = '6'", "apps.x.login_lifetime: got \"6\"", months),
        (
            "[apps.x]\nclient_id = 'abc'\nlogin_lifetime = '0 months'",
            "apps.x.login_lifetime: got \"0 months\"",
            months,
        ),
        (
            "[apps.x]\nclient_id = 'abc'\ncalls_per_day = 0",
            "apps.x.calls_per_day: got 0",
            "a whole number from 1 to 10000000",
        ),
        (
            "[users.bob]",
            "users.bob.app: got \"default\", which is not configured",
            "an app that is configured; add [apps.default] with its client_id",
        ),
        (
            "[apps.x]\nclient_id = 'abc'\n[users.bob]\napp = 'y'",
            "users.bob.app: got \"y\", which is not configured",
            "an app that is configured: \"x\"",
        ),
        ("[apps.default]\nclient_id = 'abc'\n[users.Bob]", "users.Bob: got \"Bob\"", name),
        (
            "[apps.default]\nclient_id = 'abc'\n[users.\"b.b\"]\ntimezone = 'x'",
            "users.\"b.b\".timezone: got \"x\"",
            zone,
        ),
        (
            "log.level = ",
            "line 1, column 13: got string values must be quoted, expected literal string",
            "TOML",
        ),
        ("[web]\n[web]", "line 2, column 2: got duplicate key", "TOML"),
    ];
    for (main, got, accepted) in table {
        let faults = Host::with(main).faults();
        let expected = format!("longplay.toml: {got}; accepted: {accepted}");
        // A schedule's fault ends with the parser's own words.
        let told =
            faults.len() == 1 && (faults[0] == expected || faults[0].starts_with(&format!("{expected} (")));
        assert!(told, "{main}\nexpected {expected}\ngot      {faults:#?}");
        assert!(!faults[0].contains("hunter2"), "{faults:?}");
    }
}

#[test]
fn all_faults_of_all_files_and_of_the_environment_are_told_at_once() {
    let host = Host::with("[tokens]\nbuffer = '1h'\nconcurrency = 0\n[nonsense]\n")
        .file("conf.d/10-broken.toml", "[log]\nlevel = 'info\n")
        .file("conf.d/20-latin.toml", b"[log]\n# \xe9\n")
        .file("conf.d/30-user.toml", "[users.bob]\napp = 'elsewhere'\nzone = 'UTC'\n[apps.x]\n")
        .env("LONGPLAY_ARCHIVE__CONCURRENCY", "many")
        .env("LONGPLAY_LOG__LEVEL__DEEPER__STILL", "hunter2")
        .env("LONGPLAY_STORE__", "x")
        .env("LONGPLAY___X", "x");
    let faults = host.faults();
    let expected = [
        "longplay.toml: nonsense: got an unknown section; accepted: one of the sections ",
        "conf.d/10-broken.toml: line 2, column 14: got ",
        "conf.d/20-latin.toml: got bytes that are not UTF-8; accepted: a file of TOML in UTF-8",
        "environment variable LONGPLAY___X: \"\": got an unknown section; ",
        "environment variable LONGPLAY_STORE__: store.\"\": got an unknown key; ",
        "longplay.toml: tokens.buffer: got \"1h\"; ",
        "longplay.toml: tokens.concurrency: got 0; ",
        "environment variable LONGPLAY_ARCHIVE__CONCURRENCY: archive.concurrency: got \"many\"; ",
        "environment variable LONGPLAY_LOG__LEVEL__DEEPER__STILL: log.level: got a table; ",
        // Neither is the app "elsewhere" called unknown nor the client id missing: what can't be read may have them.
        "conf.d/30-user.toml: users.bob.zone: got an unknown key; ",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "expected {expected}\ngot {fault}");
    }
    assert!(!faults.concat().contains("hunter2"), "{faults:#?}");
    let joined = load(&host.place).unwrap_err().to_string();
    assert_eq!(joined.lines().count(), expected.len(), "one line each: {joined}");
}
