//! From the merged layers to settings: every value in its form and every rule between values, all faults at once.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::credential::{Found, Sought};
use super::form;
use super::place::Defaults;
use super::raw::Raw;
use super::section::{Report, Section};
use super::{
    ArchiveSettings, ControlSettings, Faults, LogSettings, Place, RefreshMode, Settings, StoreSettings,
    TokenSettings, WebSettings,
};

/// The longest path of a Unix socket (unix(7): `sun_path` has 108 bytes, one of them a NUL).
const SOCKET_PATH_LIMIT: usize = 107;

/// Checks everything.
pub(super) fn check(place: &Place, defaults: &Defaults, mut raw: Raw) -> Result<Settings, Faults> {
    let faults = std::mem::take(&mut raw.faults);
    let mut report = Report { faults, incomplete: raw.incomplete, ..Report::default() };
    let mut check = Check {
        place,
        base: defaults.file.parent().unwrap_or(Path::new("/")),
        raw: &mut raw,
        report: &mut report,
    };
    let store = check.store(defaults);
    let known = check.known_apps();
    let apps = check.apps();
    let tokens = check.tokens();
    let archive = check.archive();
    let control = check.control(defaults, &store.state_dir);
    let web = check.web();
    let log = check.log();
    let users = check.users(&known);
    if !report.faults.is_empty() {
        return Err(Faults(report.faults));
    }
    let shown = report.shown;
    Ok(Settings { store, apps, tokens, archive, control, web, log, users, shown })
}

/// Checks only where the daemon is to be found.
pub(super) fn check_control(
    place: &Place,
    defaults: &Defaults,
    mut raw: Raw,
) -> Result<ControlSettings, Faults> {
    let mut report = Report::default();
    let base = defaults.file.parent().unwrap_or(Path::new("/"));
    let mut check = Check { place, base, raw: &mut raw, report: &mut report };
    let mut section = Section::of(check.report, check.raw, "store");
    let state_dir = state_dir(&mut section, defaults, base);
    let control = check.control(defaults, &state_dir);
    let mut faults = report.faults;
    faults.retain(|fault| matches!(fault.key.as_str(), "store.state_dir" | "control.socket"));
    faults.extend(place.missing_file());
    if faults.is_empty() { Ok(control) } else { Err(Faults(faults)) }
}

/// A check under way.
pub(super) struct Check<'a> {
    place: &'a Place,
    /// The folder that relative paths start from.
    base: &'a Path,
    pub raw: &'a mut Raw,
    pub report: &'a mut Report,
}

fn state_dir(section: &mut Section<'_>, defaults: &Defaults, base: &Path) -> PathBuf {
    section.path("state_dir", &defaults.state_dir, &form::path(base))
}

impl<'a> Check<'a> {
    fn section(&mut self, name: &str) -> Section<'_> {
        Section::of(self.report, self.raw, name)
    }

    pub fn sought(&self, key: &'static str, credential: Option<&str>) -> Sought<'a> {
        Sought { place: self.place, base: self.base, key, credential: credential.map(str::to_owned) }
    }

    fn store(&mut self, defaults: &Defaults) -> StoreSettings {
        let sought = self.sought("url_file", Some("store-url"));
        let base = self.base;
        let mut section = self.section("store");
        let state_dir = state_dir(&mut section, defaults, base);
        let form = form::store_url(base);
        let inline = section.given("url", &form);
        let found = sought.find(&mut section);
        let url = match (inline, found) {
            (Some(inline), Some(Found { from, .. })) => {
                let accepted = "one of url, url_file and the credential store-url".to_owned();
                section.fault("url", &inline.from, format!("a value, and {from} as well"), accepted);
                inline.value
            }
            (Some(inline), None) => {
                section.show("url", form::store_shown(&inline.value), &inline.from);
                inline.value
            }
            (None, Some(Found { secret, from })) => {
                (form.parse)(secret.expose_secret()).unwrap_or_else(|_| {
                    section.fault("url", &from, "something else".into(), form.accepted.clone());
                    String::new()
                })
            }
            (None, None) => {
                let url = form::sqlite_url(&state_dir.join("longplay.db"));
                section.show("url", url.clone(), "default");
                if let Err(why) = form::without_options(url.clone()) {
                    section.fault("url", "default", format!("{url:?}"), format!("{} ({why})", form.accepted));
                }
                url
            }
        };
        section.finish();
        StoreSettings { url: url.into(), state_dir }
    }

    fn tokens(&mut self) -> TokenSettings {
        let key = self.sought("key_file", Some("token-key"));
        let old_key = self.sought("old_key_file", Some("token-key-old"));
        let mut section = self.section("tokens");
        let modes = form::choice(&[("ahead", RefreshMode::Ahead), ("on-demand", RefreshMode::OnDemand)]);
        let tokens = TokenSettings {
            buffer: section.setting("buffer", "5m", &form::duration("1s", "30m")),
            refresh: section.setting("refresh", "ahead", &modes),
            concurrency: section.setting("concurrency", "8", &form::number(1..=256)),
            key: key.find_key(&mut section),
            old_key: old_key.find_key(&mut section),
        };
        section.finish();
        tokens
    }

    fn archive(&mut self) -> ArchiveSettings {
        let mut section = self.section("archive");
        let interval = form::duration("1s", "7days");
        let archive = ArchiveSettings {
            schedule: section.setting("schedule", "adaptive", &form::schedule()),
            timezone: section.setting("timezone", "UTC", &form::zone()),
            min_interval: section.setting("min_interval", "20m", &interval),
            max_interval: section.setting("max_interval", "3h", &interval),
            raw_journal_days: section.setting("raw_journal_days", "0", &form::number(0..=36_500)),
            import_threshold: section.setting("import_threshold", "30s", &form::duration("0s", "1h")),
            concurrency: section.setting("concurrency", "16", &form::number(1..=256)),
        };
        let sound = !section.is_faulty("min_interval") && !section.is_faulty("max_interval");
        if sound && archive.min_interval > archive.max_interval {
            let file = section.origin("min_interval").or_else(|| section.origin("max_interval"));
            let got = format!("{:?}", humantime::format_duration(archive.min_interval).to_string());
            let most = humantime::format_duration(archive.max_interval);
            let accepted = format!("at most max_interval, which is \"{most}\"");
            section.fault("min_interval", &file.unwrap_or_default(), got, accepted);
        }
        section.finish();
        archive
    }

    fn control(&mut self, defaults: &Defaults, state_dir: &Path) -> ControlSettings {
        let default = defaults.socket.clone().unwrap_or_else(|| state_dir.join("control.sock"));
        let form = form::path(self.base);
        let mut section = self.section("control");
        let socket = section.path("socket", &default, &form);
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_LIMIT {
            let file = section.origin("socket").unwrap_or_else(|| "default".into());
            let accepted =
                format!("a path of at most {SOCKET_PATH_LIMIT} bytes, which is all a Unix socket can have");
            section.fault("socket", &file, format!("a path of {length} bytes"), accepted);
        }
        section.finish();
        ControlSettings { socket, state_dir: state_dir.to_owned() }
    }

    fn web(&mut self) -> WebSettings {
        let sought = self.sought("password_file", None);
        let mut section = self.section("web");
        let listen = section.setting("listen", "127.0.0.1:8467", &form::listen());
        let password = sought.find(&mut section).map(|found| found.secret);
        let exposed = listen.filter(|address| !address.ip().is_loopback());
        if let Some(address) = exposed
            && password.is_none()
            && !section.is_faulty("password_file")
        {
            let cure =
                format!("password_file, since {address} is open to other hosts; or listen on 127.0.0.1");
            section.missing("password_file", &cure);
        }
        section.finish();
        WebSettings { listen, password }
    }

    fn log(&mut self) -> LogSettings {
        let mut section = self.section("log");
        let levels =
            &[("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];
        let level = section.setting("level", "info", &form::choice(levels)).to_owned();
        section.finish();
        LogSettings { level }
    }
}
