//! What the local API says and hears, as JSON. The same types serve the daemon's routes and the client.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

mod export;
mod import;
mod moving;
mod reading;
mod replay;

pub use self::replay::{ReplayFault, ReplayQuestion, Replayed};
pub use super::word::Word;
use crate::domain::{AppName, Gap, Generation, Origin, Quota, RunResult, Timestamp, UserName, UserState};
pub use export::ExportQuery;
pub use import::{
    ImportBegun, ImportDone, ImportFinish, ImportQuestion, ImportRows, LONGEST_BATCH, MOST_ROWS,
};
pub use moving::{CopyLine, CopyProgress, CopyQuestion, StoreCopied, TableCopied};
pub use reading::{PlaysQuery, StatsQuery, TopQuery};

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Everyone, by name.
    pub users: Vec<UserStatus>,
    /// The daemon, or the command that stands in for it.
    pub daemon: DaemonStatus,
}

/// How a user is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserStatus {
    /// The short name.
    pub name: UserName,
    /// The app of the login.
    pub app: AppName,
    /// How the user is.
    pub state: UserState,
    /// Why, in a sentence, and the cure; null for `ok`.
    pub reason: Option<String>,
    /// The schedule in force.
    pub schedule: String,
    /// The time zone in force.
    pub timezone: String,
    /// How many plays the archive holds.
    pub plays: i64,
    /// How many gaps are open.
    pub gaps: i64,
    /// When the last run began.
    pub last_run_at: Option<Timestamp>,
    /// How it ended.
    pub last_run_result: Option<RunResult>,
    /// When Spotify's page was last stored.
    pub last_archived_at: Option<Timestamp>,
    /// When the next run is due; null while paused.
    pub next_run_at: Option<Timestamp>,
    /// Until when the access token is valid.
    pub access_expires_at: Option<Timestamp>,
    /// When the user consented.
    pub login_at: Option<Timestamp>,
    /// When the login comes to its age.
    pub login_expires_at: Option<Timestamp>,
}

/// How the daemon is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DaemonStatus {
    /// Which longplay.
    pub version: String,
    /// Which state directory, as a UUID.
    pub instance: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// What and where the store is.
    pub store: String,
    /// Whether there are no problems.
    pub healthy: bool,
    /// What is wrong, each with its cure.
    pub problems: Vec<String>,
    /// What is left of the day's calls of the Web API, by quota group.
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// An entry of `GET /v1/users`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserEntry {
    /// The short name.
    pub name: UserName,
    /// The app of the login.
    pub app: AppName,
    /// The schedule in force.
    pub schedule: String,
    /// The time zone in force.
    pub timezone: String,
    /// Where the user comes from.
    pub origin: Origin,
}

/// `PUT /v1/users/{name}`: adds the user, or changes what is given.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutUser {
    /// Refuse to change someone who exists; only a token can then be given to a user without a login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub add: bool,
    /// The app; absent: as it is, or `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// `adaptive` or a cron expression; absent: as it is, or the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// An IANA zone; absent: as it is, or the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// A refresh token from elsewhere, to be taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the user consented to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_at: Option<Timestamp>,
}

/// `DELETE /v1/users/{name}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// Delete the archive too.
    #[serde(default)]
    pub purge: bool,
}

/// What a run brought: the answer to `POST /v1/users/{name}/archive`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Archived {
    /// How the run ended.
    pub result: RunResult,
    /// Why, where it is not `ok`.
    pub reason: Option<String>,
    /// How many plays were new.
    pub new_plays: usize,
    /// The gaps that were found.
    pub gaps: Vec<Gap>,
}

/// `POST /v1/users/{name}/token`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenQuestion {
    /// The least validity in seconds; absent: the buffer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<u64>,
    /// Refresh first; absent: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
}

/// A token.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: String,
    /// Until when it is valid, by this host's clock.
    pub expires_at: Timestamp,
    /// Which generation it is.
    pub generation: Generation,
}

/// `POST /v1/users/{name}/token/rejected`: Spotify answered 401 with this generation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Which generation.
    pub generation: Generation,
}

/// `POST /v1/users/{name}/login`: begins a login.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginQuestion {
    /// The app; absent: the user's, or `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
}

/// A login that was begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginBegun {
    /// What the user opens in a browser.
    pub authorize_url: String,
    /// Names this login: `GET /v1/logins/{state}` tells how it stands.
    pub state: String,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// Whether the daemon itself listens there.
    pub served: bool,
}

/// `POST /v1/logins`: the address that the browser came back to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginAddress {
    /// The whole address, from http to its end.
    pub address: String,
}

/// How a login stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginState {
    /// `pending`, `done` or `failed`.
    pub progress: Progress,
    /// What the user is told.
    pub message: String,
}

/// How far a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The browser has not come back.
    Pending,
    /// The login is saved.
    Done,
    /// Nothing was changed.
    Failed,
}

/// What a reload did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Changes that wait for a restart, by key.
    pub needs_restart: Vec<String>,
}

/// `POST /v1/adopt`: the store was accepted where it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Adopted {
    /// What and where the store is.
    pub store: String,
    /// How many logins are in doubt now.
    pub in_doubt: u64,
}

/// `POST /v1/key/rotate`: everything is sealed with the new key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyRotated {
    /// How many logins were sealed anew; those that had the new key already don't count.
    pub logins: u64,
    /// How many users' answers in the spool were sealed anew.
    pub answers: u64,
    /// What was done, and what is left to do.
    pub message: String,
}

/// `GET /v1/doctor`: what was looked at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// Whether there is no fault.
    pub healthy: bool,
    /// Each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at: `store`, `guard`, `key`, `app NAME`, `clock`, `spool`, `logins`, `user NAME`; of a command also
    /// `configuration`, `socket`, `daemon`.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do; null where it is good.
    pub cure: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It will need somebody, or passes by itself.
    Warning,
    /// It needs somebody now.
    Fault,
}

/// `GET /healthz`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether there are no problems.
    pub healthy: bool,
    /// What is wrong; absent when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What people must do though the daemon is well: who must log in. Absent when nobody must do anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<String>,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:longplay:` and a word: see `Word`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The word again, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and the cure.
    pub detail: String,
    /// Seconds until it is worth asking again; also the Retry-After header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The configuration's faults, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// How the run ended, where a run was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
}
