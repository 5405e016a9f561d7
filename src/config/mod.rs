//! The configuration: `raw` as it is on disk and in the environment, `check` with every fault at once, and [`Settings`],
//! which can't be faulty. Loading reads files and secrets, and nothing else: see [`Place`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::domain::{AppName, Schedule, Secret, UserName};

mod check;
mod credential;
mod fault;
mod form;
mod named;
mod place;
mod raw;
mod section;
#[cfg(test)]
mod tests;

pub use credential::TokenKey;
pub use fault::{Fault, Faults};
pub use form::STORE_URL;
pub use place::{LOADED, Place};

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[store]`
    pub store: StoreSettings,
    /// `[apps.NAME]`
    pub apps: BTreeMap<AppName, AppSettings>,
    /// `[tokens]`
    pub tokens: TokenSettings,
    /// `[archive]`
    pub archive: ArchiveSettings,
    /// `[control]`
    pub control: ControlSettings,
    /// `[web]`
    pub web: WebSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[users.NAME]`
    pub users: BTreeMap<UserName, UserSettings>,
    /// Every setting in force with where it came from, for people.
    pub shown: Vec<Shown>,
}

/// Where the archive and the tokens are kept.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `sqlite://PATH` with an absolute path, or `postgres://...`, which may hold a password.
    pub url: Secret,
    /// The folder of the lock, the spool and the token key.
    pub state_dir: PathBuf,
}

/// A Spotify client id and how it is used.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The name that users give as their app.
    pub name: AppName,
    /// The client id.
    pub client_id: String,
    /// How the client authenticates.
    pub auth: Auth,
    /// Where the browser is sent after a login, as it is registered.
    pub redirect_uri: String,
    /// The authorization endpoint.
    pub authorize_url: String,
    /// The token endpoint.
    pub token_url: String,
    /// The Web API's root, without a slash at its end.
    pub api_url: String,
    /// How long a spent refresh token may still be retried.
    pub rotation_grace: Duration,
    /// After how many calendar months a login ends; `None` where logins don't end.
    pub login_lifetime: Option<u32>,
    /// The most Web API calls in a day, over all users and all apps of the quota group.
    pub calls_per_day: u32,
    /// One per Spotify developer account.
    pub quota_group: String,
}

/// How an app authenticates at the token endpoint.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Without a secret (RFC 7636).
    Pkce,
    /// With a client secret (RFC 6749, section 2.3.1).
    Secret(Secret),
}

/// How tokens are refreshed and sealed.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The least validity ever given out; a quarter of the token's lifetime if that is less.
    pub buffer: Duration,
    /// When refreshes are made.
    pub refresh: RefreshMode,
    /// How many refreshes may be under way at once, over all users.
    pub concurrency: usize,
    /// Seals and opens. `None`: made once, with an empty store, and kept in the state directory.
    pub key: Option<TokenKey>,
    /// Opens what an earlier key sealed, and never seals.
    pub old_key: Option<TokenKey>,
}

/// When refreshes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshMode {
    /// Before a token runs out that will be needed soon.
    Ahead,
    /// When a token is asked for.
    OnDemand,
}

/// When and how users are archived.
#[derive(Debug, Clone)]
pub struct ArchiveSettings {
    /// For users who set none.
    pub schedule: Schedule,
    /// For users who set none.
    pub timezone: chrono_tz::Tz,
    /// The shortest time between two runs of an adaptive schedule.
    pub min_interval: Duration,
    /// The longest time between two runs of an adaptive schedule.
    pub max_interval: Duration,
    /// For how many days Spotify's answers are kept; 0: not at all.
    pub raw_journal_days: u32,
    /// Shorter plays of an import are kept apart.
    pub import_threshold: Duration,
    /// How many runs may be under way at once.
    pub concurrency: usize,
}

/// Where the daemon is found: all that a command needs to talk to it, or to take its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlSettings {
    /// The socket of the local API.
    pub socket: PathBuf,
    /// The same as [`StoreSettings::state_dir`], where the daemon's lock is.
    pub state_dir: PathBuf,
}

/// The page.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The address it listens on; `None`: it is off.
    pub listen: Option<SocketAddr>,
    /// What it asks for; always set where other hosts can connect.
    pub password: Option<Secret>,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

/// A user that a file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSettings {
    /// One of the configured apps.
    pub app: AppName,
    /// `adaptive` or a valid cron expression; `None`: as `[archive]` says.
    pub schedule: Option<String>,
    /// A valid IANA zone; `None`: as `[archive]` says.
    pub timezone: Option<String>,
    /// The first file, or `environment variable NAME`, that declares the user.
    pub file: String,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The dotted key.
    pub key: String,
    /// The value as it is written; `(hidden)` for a secret.
    pub value: String,
    /// `default`, a file, `environment variable NAME` or `credential NAME`.
    pub from: String,
}

/// Loads and checks everything, secrets too, as the daemon does.
///
/// # Errors
/// Every fault of all files and of the environment.
pub fn load(place: &Place) -> Result<Settings, Faults> {
    let defaults = place.defaults();
    let raw = raw::read(place, &defaults.file);
    check::check(place, &defaults, raw)
}

/// Loads only where the daemon is found, for commands of people who may read neither the secrets nor, perhaps, the
/// file itself: files that can't be read or parsed count as empty.
///
/// # Errors
/// A `--config` that names no file, and faults of the two settings themselves.
pub fn load_control(place: &Place) -> Result<ControlSettings, Faults> {
    let defaults = place.defaults();
    let raw = raw::read(place, &defaults.file);
    check::check_control(place, &defaults, raw)
}

impl Settings {
    /// The changes from here to `new` that a reload can't take.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let changes = [
            ("store.url", self.store.url.expose_secret() != new.store.url.expose_secret()),
            ("tokens.key_file", self.tokens.key != new.tokens.key),
            ("tokens.old_key_file", self.tokens.old_key != new.tokens.old_key),
            ("store.state_dir", self.store.state_dir != new.store.state_dir),
            ("control.socket", self.control.socket != new.control.socket),
            ("web.listen", self.web.listen != new.web.listen),
        ];
        changes.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}
