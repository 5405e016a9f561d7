//! The configuration: any bytes as a file, any value in a key, any variable.

use std::collections::BTreeMap;
use std::time::Duration;

use longplay::config::{Fault, Faults, Place, Settings, load, load_control};
use longplay::domain::{Schedule, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

use crate::bytes::{document, value};
use crate::cases;

const PASSWORD: &str = "hunter2hunter2";

fn sample() -> String {
    "[store]\nurl = \"sqlite:///var/lib/longplay/longplay.db\"\nstate_dir = \"state\"\n\
     [apps.default]\nclient_id = \"abc\"\nauth = \"pkce\"\nredirect_uri = \"http://127.0.0.1:8467/callback\"\n\
     authorize_url = \"https://accounts.spotify.com/authorize\"\ntoken_url = \"https://accounts.spotify.com/api/token\"\n\
     api_url = \"https://api.spotify.com/v1\"\nrotation_grace = \"0s\"\nlogin_lifetime = \"6 months\"\ncalls_per_day = 1000\n\
     quota_group = \"default\"\n[tokens]\nbuffer = \"5m\"\nrefresh = \"ahead\"\nconcurrency = 8\n[archive]\n\
     schedule = \"adaptive\"\ntimezone = \"UTC\"\nmin_interval = \"20m\"\nmax_interval = \"3h\"\nraw_journal_days = 0\n\
     import_threshold = \"30s\"\nconcurrency = 16\n[control]\nsocket = \"/run/longplay/control.sock\"\n[web]\n\
     listen = \"127.0.0.1:8467\"\n[log]\nlevel = \"info\"\n[users.alice]\napp = \"default\"\nschedule = \"0 5 * * * *\"\n\
     timezone = \"Europe/Berlin\"\n"
        .to_owned()
}

/// Every key that there is, with its table.
const KEYS: [(&str, &str); 33] = [
    ("store", "url"),
    ("store", "url_file"),
    ("store", "state_dir"),
    ("apps.default", "client_id"),
    ("apps.default", "auth"),
    ("apps.default", "client_secret_file"),
    ("apps.default", "redirect_uri"),
    ("apps.default", "authorize_url"),
    ("apps.default", "token_url"),
    ("apps.default", "api_url"),
    ("apps.default", "rotation_grace"),
    ("apps.default", "login_lifetime"),
    ("apps.default", "calls_per_day"),
    ("apps.default", "quota_group"),
    ("tokens", "buffer"),
    ("tokens", "refresh"),
    ("tokens", "concurrency"),
    ("tokens", "key_file"),
    ("tokens", "old_key_file"),
    ("archive", "schedule"),
    ("archive", "timezone"),
    ("archive", "min_interval"),
    ("archive", "max_interval"),
    ("archive", "raw_journal_days"),
    ("archive", "import_threshold"),
    ("archive", "concurrency"),
    ("control", "socket"),
    ("web", "listen"),
    ("web", "password_file"),
    ("log", "level"),
    ("users.alice", "app"),
    ("users.alice", "schedule"),
    ("users.alice", "timezone"),
];

/// What such a key could hold, or something like it.
fn setting() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[0-9]{1,20}(ns|us|ms|s|m|h|days|weeks|months|years|)",
        "-?[0-9]{1,3} (month|months|years)",
        "(https?|sqlite|postgres|file)://[a-z0-9.:\\[\\]/@?#%-]{0,30}",
        Just(format!("postgres://longplay:{PASSWORD}@db.example/longplay")),
        Just(format!("https://longplay:{PASSWORD}@example.com/authorize?password={PASSWORD}")),
        "([0-9]{1,3}\\.){3}[0-9]{1,3}:[0-9]{1,6}",
        "(/[a-z.~\u{e9}]{0,60}){0,4}",
        "[0-9*/, -]{0,20}",
        "(ahead|on-demand|pkce|secret|adaptive|info|default|UTC|Europe/Berlin|)",
        any::<String>(),
    ];
    prop_oneof![
        4 => text.prop_map(|text| serde_json::Value::from(text).to_string()),
        2 => value(),
        1 => select(vec!["true", "inf", "-nan", "1979-05-27T07:32:00Z", "0x_ff", "0o17", "1_000", "[1, 2]", "{a = 1}", "[[1]]", "''"]).prop_map(str::to_owned),
    ]
}

struct Host {
    dir: TempDir,
    place: Place,
}

impl Host {
    fn new(main: &[u8], env: BTreeMap<String, String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let system_file = dir.path().join("longplay.toml");
        std::fs::write(&system_file, main).unwrap();
        Self { dir, place: Place { config: None, env, root: true, system_file } }
    }

    fn holds(&self, parses: bool) -> Result<Option<Settings>, TestCaseError> {
        let file = self.dir.path().join("longplay.toml").display().to_string();
        let control = load_control(&self.place);
        match load(&self.place) {
            Ok(settings) => {
                sound(&settings)?;
                prop_assert_eq!(control.unwrap(), settings.control.clone());
                Ok(Some(settings))
            }
            Err(Faults(faults)) => {
                prop_assert!(!faults.is_empty());
                for fault in &faults {
                    let Fault { file: from, key, got, accepted } = fault;
                    let known = *from == file
                        || from == "default"
                        || from.starts_with("environment variable LONGPLAY_");
                    prop_assert!(known && !got.is_empty() && !accepted.is_empty(), "{fault:?}");
                    prop_assert!(!key.is_empty() || !parses, "{fault:?}");
                    let line = fault.to_string();
                    prop_assert!(
                        !line.contains(char::is_control) && line.chars().count() < 1_500,
                        "{fault:?}"
                    );
                }
                Ok(None)
            }
        }
    }
}

/// What holds of settings, wherever they come from.
fn sound(settings: &Settings) -> Result<(), TestCaseError> {
    let within = |least: u64, is: Duration, most: u64| {
        is >= Duration::from_secs(least) && is <= Duration::from_secs(most)
    };
    prop_assert!(within(1, settings.tokens.buffer, 1_800));
    prop_assert!(
        (1..=256).contains(&settings.tokens.concurrency) && (1..=256).contains(&settings.archive.concurrency)
    );
    let archive = &settings.archive;
    prop_assert!(archive.min_interval <= archive.max_interval && within(1, archive.min_interval, 604_800));
    prop_assert!(within(1, archive.max_interval, 604_800) && within(0, archive.import_threshold, 3_600));
    let next = archive.schedule.next_after(Timestamp::from_millis(0), archive.timezone);
    prop_assert!(matches!(archive.schedule, Schedule::Adaptive) || next.is_some());
    prop_assert!(settings.control.socket.as_os_str().len() <= 107 && settings.store.state_dir.is_absolute());
    prop_assert!(
        settings.web.listen.is_none_or(|at| at.ip().is_loopback()) || settings.web.password.is_some()
    );
    for app in settings.apps.values() {
        prop_assert!(!app.client_id.is_empty() && (1..=10_000_000).contains(&app.calls_per_day));
        prop_assert!(app.login_lifetime.is_none_or(|months| (1..=120).contains(&months)));
        for url in [&app.authorize_url, &app.token_url, &app.api_url, &app.redirect_uri] {
            let url = url::Url::parse(url).unwrap();
            let loopback = || {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            };
            prop_assert!(url.scheme() == "https" || url.scheme() == "http" && loopback(), "{url}");
        }
    }
    for user in settings.users.values() {
        prop_assert!(settings.apps.contains_key(&user.app));
        prop_assert!(user.schedule.as_ref().is_none_or(|text| text.parse::<Schedule>().is_ok()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn whatever_a_file_holds_is_settings_or_faults_with_their_place(
        main in document(vec![sample(), include_str!("../../config/longplay.toml").to_owned()]),
    ) {
        let parses = std::str::from_utf8(&main).is_ok_and(|text| text.parse::<toml::Table>().is_ok());
        Host::new(&main, BTreeMap::new()).holds(parses)?;
    }

    #[test]
    fn whatever_a_key_holds_is_a_setting_or_a_fault_of_that_key(
        (table, key) in select(&KEYS[..]),
        value in setting(),
    ) {
        let line = |line: &str| line.split(" = ").next() == Some(key);
        // The key's own line, in its own table, gives way.
        let mut here = "";
        let sample = sample();
        let mut lines: Vec<String> = Vec::new();
        for old in sample.lines() {
            if let Some(name) = old.strip_prefix('[') {
                here = name.trim_end_matches(']');
            }
            if here != table || !line(old) {
                lines.push(old.to_owned());
            }
            if old == format!("[{table}]") {
                lines.push(format!("{key} = {value}"));
            }
        }
        let main = lines.join("\n");
        let parses = main.parse::<toml::Table>().is_ok();
        let host = Host::new(main.as_bytes(), BTreeMap::new());
        if host.holds(parses)?.is_none() && parses && !value.contains('\n') {
            let Faults(faults) = load(&host.place).unwrap_err();
            let of_it = |fault: &Fault| fault.key.starts_with(&format!("{table}.{key}"));
            // A path or an interval can be good by itself, and not with another setting.
            let besides = ["control.socket", "archive.min_interval", "web.password_file", "apps.default.client_secret_file"];
            prop_assert!(faults.iter().all(|fault| of_it(fault) || besides.contains(&fault.key.as_str())), "{faults:?}");
            prop_assert!(!faults.iter().any(|fault| fault.to_string().contains(PASSWORD)), "{faults:?}");
        }
        if let Ok(settings) = load(&host.place) {
            prop_assert!(!settings.shown.iter().any(|shown| shown.value.contains(PASSWORD)), "{:?}", settings.shown);
        }
    }

    #[test]
    fn whatever_the_environment_holds_is_settings_or_faults_with_their_place(
        (table, key) in select(&KEYS[..]),
        value in prop_oneof![any::<String>(), setting()],
        odd in "LONGPLAY_[A-Za-z_.\\[\\]0-9]{0,20}",
    ) {
        let name = format!("LONGPLAY_{}__{}", table.to_uppercase().replace('.', "__"), key.to_uppercase());
        let env = BTreeMap::from([(name, value.clone()), (odd, value)]);
        Host::new(sample().as_bytes(), env).holds(true)?;
    }
}
