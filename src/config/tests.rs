//! Loads real files in a temporary folder, with an environment made for the test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A key of 32 bytes, as `base64` prints it.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const EXAMPLE: &str = include_str!("../../config/longplay.toml");

/// A host with its own `/etc/longplay`.
struct Host {
    dir: TempDir,
    place: Place,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let system_file = dir.path().join("longplay.toml");
        let place = Place { config: None, env: BTreeMap::new(), root: true, system_file };
        Self { dir, place }
    }

    fn with(main: &str) -> Self {
        Self::new().file("longplay.toml", main)
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.place.env.insert(name.into(), value.into());
        self
    }

    fn credential(self, name: &str, content: &str) -> Self {
        let dir = self.path("credentials").display().to_string();
        self.file(&format!("credentials/{name}"), content).env("CREDENTIALS_DIRECTORY", &dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn load(&self) -> Settings {
        load(&self.place).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The faults, with the host's folder left out.
    fn faults(&self) -> Vec<String> {
        let Err(Faults(faults)) = load(&self.place) else { return Vec::new() };
        let folder = format!("{}/", self.dir.path().display());
        faults.iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }

    fn from(&self, key: &str) -> (String, String) {
        let shown = self.load().shown.into_iter().find(|shown| shown.key == key).unwrap();
        let folder = format!("{}/", self.dir.path().display());
        (shown.value.replace(&folder, ""), shown.from.replace(&folder, ""))
    }
}

const APP: &str = "[apps.default]\nclient_id = 'abc'\n";

#[test]
fn without_a_file_the_defaults_run() {
    let settings = Host::new().load();
    assert_eq!(settings.store.url.expose_secret(), "sqlite:///var/lib/longplay/longplay.db");
    assert_eq!(settings.store.state_dir, PathBuf::from("/var/lib/longplay"));
    assert_eq!(settings.control.socket, PathBuf::from("/run/longplay/control.sock"));
    assert!(settings.apps.is_empty() && settings.users.is_empty());
    let TokenSettings { buffer, refresh, concurrency, key, old_key } = settings.tokens;
    assert_eq!((buffer.as_secs(), refresh, concurrency), (300, RefreshMode::Ahead, 8));
    assert!(key.is_none() && old_key.is_none());
    let archive = settings.archive;
    assert!(matches!(archive.schedule, Schedule::Adaptive));
    assert_eq!((archive.timezone, archive.concurrency), (chrono_tz::Tz::UTC, 16));
    assert_eq!((archive.min_interval.as_secs(), archive.max_interval.as_secs()), (1_200, 10_800));
    assert_eq!((archive.raw_journal_days, archive.import_threshold.as_secs()), (0, 30));
    assert_eq!(settings.web.listen, Some("127.0.0.1:8467".parse().unwrap()));
    assert!(settings.web.password.is_none());
    assert_eq!(settings.log.level, "info");
}

#[test]
fn an_app_needs_only_its_client_id() {
    let settings = Host::with(APP).load();
    let app = &settings.apps[&"default".parse().unwrap()];
    assert_eq!((app.name.as_str(), app.client_id.as_str()), ("default", "abc"));
    assert!(matches!(app.auth, Auth::Pkce));
    assert_eq!(app.redirect_uri, "http://127.0.0.1:8467/callback");
    assert_eq!(app.authorize_url, "https://accounts.spotify.com/authorize");
    assert_eq!(app.token_url, "https://accounts.spotify.com/api/token");
    assert_eq!(app.api_url, "https://api.spotify.com/v1");
    assert_eq!((app.rotation_grace.as_secs(), app.login_lifetime), (0, Some(6)));
    assert_eq!((app.calls_per_day, app.quota_group.as_str()), (1_000, "default"));
}

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

#[test]
fn later_layers_win_and_what_they_leave_stays() {
    let host = Host::with("[archive]\nconcurrency = 1\nraw_journal_days = 1\nmin_interval = '1m'\n")
        .file("conf.d/20.toml", "[archive]\nraw_journal_days = 20\nmax_interval = '20h'\n")
        .file("conf.d/10.toml", "[archive]\nraw_journal_days = 10\nmax_interval = '10h'\n")
        .file("conf.d/.hidden.toml", "[archive]\nconcurrency = 99\n")
        .file("conf.d/note.txt", "not TOML")
        .env("LONGPLAY_ARCHIVE__MAX_INTERVAL", "30h")
        .env("LONGPLAY_ARCHIVE", "not a setting")
        .env("LONGPLAY_DATABASE_PATH", "not a setting");
    let shown = |key| host.from(key);
    assert_eq!(shown("archive.concurrency"), ("1".into(), "longplay.toml".into()));
    assert_eq!(shown("archive.min_interval"), ("1m".into(), "longplay.toml".into()));
    assert_eq!(shown("archive.raw_journal_days"), ("20".into(), "conf.d/20.toml".into()));
    assert_eq!(
        shown("archive.max_interval"),
        ("30h".into(), "environment variable LONGPLAY_ARCHIVE__MAX_INTERVAL".into())
    );
    assert_eq!(shown("archive.timezone"), ("UTC".into(), "default".into()));
    let archive = host.load().archive;
    assert_eq!((archive.raw_journal_days, archive.max_interval), (20, Duration::from_secs(108_000)));
}

#[test]
fn the_environment_alone_can_configure_everything() {
    let settings = Host::new()
        .env("LONGPLAY_APPS__DEFAULT__CLIENT_ID", "abc")
        .env("LONGPLAY_APPS__DEFAULT__CALLS_PER_DAY", "77")
        .env("LONGPLAY_USERS__ALICE__SCHEDULE", "5 * * * *")
        .env("LONGPLAY_WEB__LISTEN", "")
        .env("LONGPLAY_TOKENS__REFRESH", "on-demand")
        .load();
    let app = &settings.apps[&"default".parse().unwrap()];
    assert_eq!((app.client_id.as_str(), app.calls_per_day), ("abc", 77));
    let alice = &settings.users[&"alice".parse().unwrap()];
    assert_eq!(alice.schedule.as_deref(), Some("5 * * * *"));
    assert_eq!(alice.file, "environment variable LONGPLAY_USERS__ALICE__SCHEDULE");
    assert_eq!((settings.web.listen, settings.tokens.refresh), (None, RefreshMode::OnDemand));
}

#[test]
fn a_user_belongs_to_the_first_file_that_declares_them() {
    let host = Host::with(APP)
        .file("conf.d/1.toml", "[users.bob]\n")
        .file("conf.d/2.toml", "[users.bob]\ntimezone = 'Europe/Berlin'\n");
    let bob = host.load().users[&"bob".parse().unwrap()].clone();
    assert_eq!(bob.file, host.path("conf.d/1.toml").display().to_string());
    assert_eq!(
        (bob.app.as_str(), bob.schedule, bob.timezone.as_deref()),
        ("default", None, Some("Europe/Berlin"))
    );
}

#[test]
fn what_a_provider_of_ones_own_needs_is_accepted() {
    let host = Host::with(
        "[apps.x]\nclient_id = 'abc'\nredirect_uri = 'http://[::1]:1/cb'\nauthorize_url = 'http://localhost:1/a'\n\
         token_url = 'http://127.9.9.9/t/'\napi_url = 'http://[::1]:8080/v1//'\nlogin_lifetime = ''\nrotation_grace = '1h 30m'\n",
    );
    let app = host.load().apps[&"x".parse().unwrap()].clone();
    assert_eq!(
        (app.token_url.as_str(), app.api_url.as_str()),
        ("http://127.9.9.9/t", "http://[::1]:8080/v1")
    );
    assert_eq!((app.login_lifetime, app.rotation_grace), (None, Duration::from_secs(5_400)));
}

#[test]
fn relative_paths_start_from_the_folder_of_the_main_file() {
    let host = Host::with("[store]\nurl = 'sqlite://data/a.db'\nstate_dir = 'state'\n")
        .file("conf.d/1.toml", "[control]\nsocket = 'run/control.sock'\n");
    let settings = host.load();
    let url = format!("sqlite://{}", host.path("data/a.db").display());
    assert_eq!(settings.store.url.expose_secret(), url);
    assert_eq!(settings.store.state_dir, host.path("state"));
    assert_eq!(settings.control.socket, host.path("run/control.sock"));
    assert_eq!(settings.control.state_dir, host.path("state"));
}

#[test]
fn the_store_follows_the_state_directory() {
    let host = Host::with("[store]\nstate_dir = '/srv/100%#'\n");
    assert_eq!(host.load().store.url.expose_secret(), "sqlite:///srv/100%#/longplay.db");
}

#[test]
fn a_path_that_the_store_would_take_for_options_is_refused() {
    for file in [
        "[store]\nstate_dir = '/srv/a?b'\n",
        "[store]\nurl = 'sqlite:///srv/a.db?key=hunter2'\n",
        "[store]\nurl = 'sqlite://a.db?mode=rwc'\n",
    ] {
        let faults = Host::with(file).faults();
        let told = faults.iter().any(|fault| fault.contains("without \"?\"") && !fault.contains("hunter2"));
        assert!(told, "{file}: {faults:?}");
    }
}

#[test]
fn secrets_come_from_files_and_lose_one_newline() {
    let host = Host::with(
        "[apps.default]\nclient_id = 'abc'\nauth = 'secret'\nclient_secret_file = 's'\n\
         [store]\nurl_file = 'u'\n[tokens]\nkey_file = 'k'\nold_key_file = 'o'\n\
         [web]\nlisten = '0.0.0.0:80'\npassword_file = 'p'\n",
    )
    .file("s", "client-hunter2\n")
    .file("u", "postgres://u:store-hunter2@db/longplay\n")
    .file("k", format!("{KEY}\n"))
    .file("o", KEY.replace("AAEC", "EAEC"))
    .file("p", " web hunter2 ");
    let settings = host.load();
    let Auth::Secret(secret) = &settings.apps[&"default".parse().unwrap()].auth else { panic!() };
    assert_eq!(secret.expose_secret(), "client-hunter2");
    assert_eq!(settings.store.url.expose_secret(), "postgres://u:store-hunter2@db/longplay");
    assert_eq!(settings.tokens.key.as_ref().unwrap().expose()[..4], [0, 1, 2, 3]);
    assert_eq!(settings.tokens.old_key.as_ref().unwrap().expose()[..4], [0x10, 1, 2, 3]);
    assert_eq!(settings.web.password.as_ref().unwrap().expose_secret(), " web hunter2 ");
    let printed = format!("{settings:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("AAEC") && !printed.contains("0, 1, 2"),
        "{printed}"
    );
    assert_eq!(host.from("store.url"), ("(hidden)".into(), "u".into()));
    assert_eq!(host.from("apps.default.client_secret"), ("(hidden)".into(), "s".into()));
}

#[test]
fn secrets_come_from_systemd_credentials() {
    let host = Host::with("[apps.default]\nclient_id = 'abc'\nauth = 'secret'\n")
        .credential("app-default-secret", "client-hunter2\n")
        .credential("store-url", "postgres:///longplay?host=/run/postgresql&password=hunter2\n")
        .credential("token-key", KEY)
        .credential("token-key-old", KEY);
    let settings = host.load();
    assert!(matches!(settings.apps[&"default".parse().unwrap()].auth, Auth::Secret(_)));
    assert!(settings.tokens.key.is_some() && settings.tokens.key == settings.tokens.old_key);
    assert_eq!(host.from("store.url"), ("(hidden)".into(), "credential store-url".into()));
    assert_eq!(host.from("tokens.key"), ("(hidden)".into(), "credential token-key".into()));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_secret_has_one_source() {
    let host =
        Host::with("[store]\nurl = 'postgres://u:hunter2@h/d'\nurl_file = 'u'\n").file("u", "sqlite:///x.db");
    let both = "longplay.toml: store.url: got a value, and u as well; \
                accepted: one of url, url_file and the credential store-url";
    assert_eq!(host.faults(), [both]);
    let host = Host::with("[tokens]\nkey_file = 'k'\n").file("k", KEY).credential("token-key", KEY);
    let both = "longplay.toml: tokens.key_file: got a value, and credential token-key as well; accepted: one of the two";
    assert_eq!(host.faults(), [both]);
}

#[test]
fn a_secret_that_is_unfit_is_told_but_never_shown() {
    let key = |content: &str| {
        let path = Host::new();
        let file = path.path("key").display().to_string();
        let host =
            path.file("longplay.toml", format!("[tokens]\nkey_file = '{file}'\n")).file("key", content);
        host.faults().concat()
    };
    for bad in ["hunter2", "aHVudGVyMg==", &format!("{KEY}{KEY}"), &format!("x{KEY}")] {
        let fault = key(bad);
        assert!(fault.contains("head -c 32 /dev/urandom | base64") && !fault.contains(bad), "{fault}");
    }
    assert!(key("").contains("an empty file") && key("\n").contains("an empty file"));
    assert!(key("a\nb").contains("more than one line"));
    // The secret where its path should be.
    let misplaced = Host::with(&format!("[tokens]\nkey_file = '{KEY}'\n[web]\npassword_file = 'hunter2.'\n"));
    let faults = misplaced.faults().concat();
    assert!(faults.contains("tokens.key_file") && faults.contains("web.password_file"), "{faults}");
    assert!(!faults.contains("AAEC") && !faults.contains("hunter2"), "{faults}");
    let host =
        Host::with("[store]\nurl_file = '/nowhere/u'\n").credential("store-url", "postgres//u:hunter2@h");
    assert!(!host.faults().concat().contains("hunter2"));
    let host = Host::new().credential("store-url", "postgres//u:hunter2@h");
    let fault = "credential store-url: store.url: got something else; \
                 accepted: \"sqlite://PATH\", or a \"postgres://\" URL";
    assert_eq!(host.faults(), [fault]);
    // A file that is no TOML because of the secret in it.
    let faults = Host::with("[store]\nurl = postgres://u:hunter2@h/d\n").faults().concat();
    assert!(faults.contains("line 2") && !faults.contains("hunter2"), "{faults}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    for url in
        ["postgres://u:hunter2@h/d", "postgresql:///d?password=hunter2", "postgres://h/d?sslpassword=hunter2"]
    {
        let host = Host::with(&format!("[store]\nurl = '{url}'\n"));
        assert_eq!(host.from("store.url"), ("(hidden)".into(), "longplay.toml".into()));
        assert!(!format!("{:?}", host.load()).contains("hunter2"));
    }
    let open = "postgres:///longplay?host=/run/postgresql";
    assert_eq!(Host::with(&format!("[store]\nurl = '{open}'\n")).from("store.url").0, open);
}

#[test]
fn a_user_of_the_host_has_the_xdg_paths() {
    let mut host = Host::new();
    host.place.root = false;
    let home = host.path("home");
    let host = host
        .env("HOME", &home.display().to_string())
        .file("home/.config/longplay/longplay.toml", "[log]\nlevel = 'debug'\n");
    let settings = host.load();
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.store.state_dir, home.join(".local/state/longplay"));
    assert_eq!(settings.control.socket, home.join(".local/state/longplay/control.sock"));

    let host = host
        .env("XDG_CONFIG_HOME", "relative, therefore ignored")
        .env("XDG_STATE_HOME", "/s")
        .env("XDG_RUNTIME_DIR", "/run/user/1");
    let settings = host.load();
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.store.state_dir, PathBuf::from("/s/longplay"));
    assert_eq!(settings.control.socket, PathBuf::from("/run/user/1/longplay/control.sock"));

    // Root never has them, nor does anyone where the system has its own file.
    let mut host = host;
    host.place.root = true;
    assert_eq!(host.load().store.state_dir, PathBuf::from("/var/lib/longplay"));
    host.place.root = false;
    let settings = host.file("longplay.toml", "").load();
    assert_eq!((settings.log.level.as_str(), settings.store.state_dir), ("info", "/var/lib/longplay".into()));
}

#[test]
fn systemd_names_the_folders_of_a_service() {
    let mut host = Host::new();
    host.place.root = false;
    let settings = host
        .env("HOME", "/home/alice")
        .env("STATE_DIRECTORY", "/var/lib/private/longplay:/var/lib/other")
        .env("RUNTIME_DIRECTORY", "/run/lp")
        .load();
    assert_eq!(settings.store.state_dir, PathBuf::from("/var/lib/private/longplay"));
    assert_eq!(settings.store.url.expose_secret(), "sqlite:///var/lib/private/longplay/longplay.db");
    assert_eq!(settings.control.socket, PathBuf::from("/run/lp/control.sock"));
}

#[test]
fn a_socket_path_has_to_fit_into_a_socket_address() {
    let long = format!("/{}", "x".repeat(107));
    let faults = Host::with(&format!("[control]\nsocket = '{long}'\n")).faults().concat();
    assert!(
        faults.contains("control.socket: got a path of 108 bytes; accepted: a path of at most 107"),
        "{faults}"
    );
    Host::with(&format!("[control]\nsocket = '{}'\n", &long[1..].replacen('x', "/", 1))).load();
}

#[test]
fn a_config_file_that_is_named_has_to_be_there() {
    let mut host = Host::new();
    host.place.config = Some(host.path("other.toml"));
    let fault = "other.toml: got no such file; accepted: --config with a file that exists";
    assert_eq!(host.faults(), [fault]);
    assert_eq!(load_control(&host.place).unwrap_err().0.len(), 1);
    let host =
        host.file("other.toml", "[log]\nlevel = 'warn'\n").file("longplay.toml", "[log]\nlevel = 'error'\n");
    assert_eq!(host.load().log.level, "warn");
}

#[test]
fn a_command_finds_the_daemon_whatever_else_is_wrong() {
    let host = Host::with(
        "[store]\nstate_dir = 's'\nurl_file = 'nowhere'\nx = 1\n[control]\nsocket = 'c'\ny = 1\n[apps.X]\n[z]\n",
    )
    .file("conf.d/1.toml", "is not TOML");
    let found = load_control(&host.place).unwrap();
    assert_eq!(found, ControlSettings { socket: host.path("c"), state_dir: host.path("s") });

    let host = host.file("longplay.toml", "is not TOML");
    assert_eq!(load_control(&host.place).unwrap().socket, PathBuf::from("/run/longplay/control.sock"));
    let host = host.file("longplay.toml", "[control]\nsocket = 1\n");
    assert_eq!(load_control(&host.place).unwrap_err().0[0].key, "control.socket");
}

#[test]
fn what_may_not_be_read_is_a_fault_for_the_daemon_and_a_default_for_a_command() {
    let host = Host::with("[control]\nsocket = '/elsewhere'\n");
    // A folder can't be read as a file by anyone, root included.
    let main = host.path("longplay.toml");
    fs::remove_file(&main).unwrap();
    fs::create_dir(&main).unwrap();
    fs::set_permissions(&main, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(host.faults()[0].starts_with("longplay.toml: got "), "{:?}", host.faults());
    assert_eq!(load_control(&host.place).unwrap().socket, PathBuf::from("/run/longplay/control.sock"));
}

#[test]
fn a_reload_knows_what_needs_a_restart() {
    let old = Host::new().load();
    assert!(old.needs_restart(&Host::with("[log]\nlevel = 'debug'\n").load()).is_empty());
    let new = Host::with("[store]\nstate_dir = '/s'\n[control]\nsocket = '/c'\n[web]\nlisten = ''\n").load();
    assert_eq!(old.needs_restart(&new), ["store.url", "store.state_dir", "control.socket", "web.listen"]);
}

/// The example with its keys in force; `without` one that excludes another.
fn uncommented(without: &str) -> String {
    let key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
    let keys = EXAMPLE.lines().filter(key).map(|line| &line[1..]);
    keys.filter(|line| !line.starts_with(without)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_and_changes_nothing() {
    let (with, without) = (Host::with(EXAMPLE).load(), Host::new().load());
    assert_eq!(with.shown, without.shown);
}

#[test]
fn the_example_loads_with_every_key_in_force() {
    let secrets = |host: Host| {
        let host = host
            .file("store-url", "sqlite:///x.db")
            .file("app-default-secret", "x")
            .file("web-password", "x");
        host.file("token-key", KEY).file("token-key-old", KEY)
    };
    for without in ["url =", "url_file ="] {
        let settings = secrets(Host::with(&uncommented(without))).load();
        assert_eq!((settings.apps.len(), settings.users.len()), (1, 1));
        // Nothing that can be set is left out of the example, and what it shows as a default is the default.
        let defaults = Host::new().load().shown;
        for shown in &settings.shown {
            let by_hand = shown.from != "default" || shown.key == "store.url";
            assert!(by_hand, "{} is not in the example", shown.key);
            if let Some(default) =
                defaults.iter().find(|default| default.key == shown.key && without != "url =")
            {
                assert_eq!(shown.value, default.value, "{}", shown.key);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_a_file_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let host = Host::new().file("longplay.toml", bytes);
        let _ = (load(&host.place), load_control(&host.place));
    }

    /// Text that is mostly TOML, in which odd names and values get as far as the check.
    #[test]
    fn no_names_and_values_make_it_panic(
        section in "(store|apps|users|web|tokens|\"[^\"\\\\]{0,9}\")(\\.[a-z]{1,3})?",
        key in "(url|listen|app|x|key_file|schedule|\"[^\"\\\\]{0,9}\")(\\.[a-z])?",
        value in "('[^'\n]{0,40}'|-?[0-9]{1,20}|\\[\\[1\\]\\]|\\{a=1\\}|1979-05-27|inf)",
        variable in "LONGPLAY_[A-Za-z\\[\\]0-9.]{0,9}(__[A-Z_.\\[\\]0-9]{0,9}){0,4}",
        text in "\\PC{0,30}",
    ) {
        let host = Host::with(&format!("[{section}]\n{key} = {value}\n")).env(&variable, &text);
        for fault in load(&host.place).err().into_iter().flat_map(|faults| faults.0) {
            prop_assert!(!fault.to_string().contains('\n'), "{fault:?}");
        }
        let _ = load_control(&host.place);
    }
}
