//! Loads real files in a temporary folder, with an environment made for the test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

mod anything;
mod fault;
mod place;
mod secret;

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
