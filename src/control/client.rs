//! The client of the local API: one method a route, over the daemon's socket or straight into a router in this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::control::api::{
    Adopted, Archived, Findings, Health, KeyRotated, LoginAddress, LoginBegun, LoginQuestion, LoginState,
    Problem, PutUser, Rejected, Reloaded, Status, TokenAnswer, TokenQuestion, UserEntry,
};
use crate::domain::{Gap, Generation, UserName};

mod export;
mod import;
mod moving;
mod reading;
mod replay;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

pub use export::ByteStream;
pub use moving::{BackUpStream, CopyLines};
pub use stream::EventStream;
use transport::{Answer, Call, Transport};

/// What most answers need: no more than a look into the store.
const ORDINARY: Option<Duration> = Some(Duration::from_secs(30));
/// A refresh takes up to 60 s, and may wait for another that is under way.
const TOKEN: Option<Duration> = Some(Duration::from_secs(100));
/// A run ends by itself, whatever it waits for.
const UNLIMITED: Option<Duration> = None;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no daemon answers on {}", .0.display())]
    NoDaemon(PathBuf),
    /// This user may not connect to the socket.
    #[error("not permitted to connect to {}", .0.display())]
    NotPermitted(PathBuf),
    /// The daemon refused, and says why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The answer was lost, or is none.
    #[error("{doing} failed")]
    Lost {
        /// What was asked for.
        doing: String,
        /// What went wrong.
        source: Cause,
    },
}

type Result<T> = std::result::Result<T, ClientError>;

/// A client; clones share their connections.
#[derive(Clone)]
pub struct Client(Transport);

impl Client {
    /// To the daemon that listens on `socket`, having found it there.
    ///
    /// # Errors
    /// `NoDaemon`, `NotPermitted`, or `Lost` where the socket is none.
    pub fn open(socket: &Path) -> Result<Self> {
        Transport::socket(socket).map(Self)
    }

    /// To a router in this process. `keep` lives as long as the client and its clones do.
    pub fn in_process(router: axum::Router, keep: impl Send + Sync + 'static) -> Self {
        Self(Transport::router(router, keep))
    }

    /// Whether the answers come from this process, since no daemon runs.
    pub fn is_in_process(&self) -> bool {
        matches!(self.0, Transport::Router { .. })
    }

    /// How everyone is, or one user.
    pub async fn status(&self, user: Option<&UserName>) -> Result<Status> {
        let user = user.map(ToString::to_string);
        self.get(&with_query("/v1/status", [("user", user)])).await
    }

    /// Everyone.
    pub async fn users(&self) -> Result<Vec<UserEntry>> {
        self.get("/v1/users").await
    }

    /// One user.
    pub async fn user(&self, user: &UserName) -> Result<UserEntry> {
        self.get(&format!("/v1/users/{user}")).await
    }

    /// Adds a user, or changes what is given.
    pub async fn put_user(&self, user: &UserName, put: &PutUser) -> Result<()> {
        let call = Call::new("PUT", format!("/v1/users/{user}"), ORDINARY).json(put)?;
        self.done(call).await
    }

    /// Removes a user; with `purge` the archive too.
    pub async fn remove_user(&self, user: &UserName, purge: bool) -> Result<()> {
        let purge = purge.then(|| "true".to_owned());
        let path = with_query(&format!("/v1/users/{user}"), [("purge", purge)]);
        self.done(Call::new("DELETE", path, UNLIMITED)).await
    }

    /// Runs now and waits for the end.
    pub async fn archive(&self, user: &UserName) -> Result<Archived> {
        self.read(Call::new("POST", format!("/v1/users/{user}/archive"), UNLIMITED)).await
    }

    /// Suspends runs, refreshes and tokens of a user.
    pub async fn pause(&self, user: &UserName) -> Result<()> {
        self.done(Call::new("POST", format!("/v1/users/{user}/pause"), ORDINARY)).await
    }

    /// Lets them go on.
    pub async fn resume(&self, user: &UserName) -> Result<()> {
        self.done(Call::new("POST", format!("/v1/users/{user}/resume"), ORDINARY)).await
    }

    /// Suspends everyone.
    pub async fn pause_all(&self) -> Result<()> {
        self.done(Call::new("POST", "/v1/pause".to_owned(), ORDINARY)).await
    }

    /// Lets everyone go on.
    pub async fn resume_all(&self) -> Result<()> {
        self.done(Call::new("POST", "/v1/resume".to_owned(), ORDINARY)).await
    }

    /// A token.
    pub async fn token(&self, user: &UserName, question: &TokenQuestion) -> Result<TokenAnswer> {
        self.read(Call::new("POST", format!("/v1/users/{user}/token"), TOKEN).json(question)?).await
    }

    /// Says that Spotify answered 401 with this generation.
    pub async fn rejected(&self, user: &UserName, generation: Generation) -> Result<()> {
        let path = format!("/v1/users/{user}/token/rejected");
        self.done(Call::new("POST", path, TOKEN).json(&Rejected { generation })?).await
    }

    /// Begins a login.
    pub async fn begin_login(&self, user: &UserName, question: &LoginQuestion) -> Result<LoginBegun> {
        self.read(Call::new("POST", format!("/v1/users/{user}/login"), ORDINARY).json(question)?).await
    }

    /// Ends a login with the address that the browser came back to.
    pub async fn finish_login(&self, address: String) -> Result<LoginState> {
        let call = Call::new("POST", "/v1/logins".to_owned(), TOKEN);
        self.read(call.json(&LoginAddress { address })?).await
    }

    /// How a login stands.
    pub async fn login_state(&self, state: &str) -> Result<LoginState> {
        self.get(&format!("/v1/logins/{state}")).await
    }

    /// Where plays may be missing, newest first.
    pub async fn gaps(&self, user: &UserName) -> Result<Vec<Gap>> {
        self.get(&format!("/v1/users/{user}/gaps")).await
    }

    /// Events from now on.
    pub async fn events(&self) -> Result<EventStream> {
        let answer = self.0.call(Call::new("GET", "/v1/events".to_owned(), UNLIMITED)).await?;
        Ok(EventStream::new(answer.good().await?))
    }

    /// Loads the configuration anew.
    pub async fn reload(&self) -> Result<Reloaded> {
        self.read(Call::new("POST", "/v1/reload".to_owned(), TOKEN)).await
    }

    /// What is wrong, with the cure.
    pub async fn doctor(&self) -> Result<Findings> {
        self.read(Call::new("GET", "/v1/doctor".to_owned(), UNLIMITED)).await
    }

    /// Accepts the store where it is.
    pub async fn adopt(&self) -> Result<Adopted> {
        self.read(Call::new("POST", "/v1/adopt".to_owned(), UNLIMITED)).await
    }

    /// Seals the stored tokens with a new key.
    pub async fn rotate_key(&self) -> Result<KeyRotated> {
        self.read(Call::new("POST", "/v1/key/rotate".to_owned(), UNLIMITED)).await
    }

    /// Whether the daemon has problems.
    pub async fn health(&self) -> Result<Health> {
        // 503 is an answer here like 200.
        self.0.call(Call::new("GET", "/healthz".to_owned(), ORDINARY)).await?.json().await
    }

    /// The metrics, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.0.call(Call::new("GET", "/metrics".to_owned(), ORDINARY)).await?;
        answer.good().await?.text().await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(Call::new("GET", path.to_owned(), ORDINARY)).await
    }

    async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        self.good(call).await?.json().await
    }

    /// For answers in which there is nothing to read.
    async fn done(&self, call: Call) -> Result<()> {
        self.good(call).await.map(drop)
    }

    async fn good(&self, call: Call) -> Result<Answer> {
        self.0.call(call).await?.good().await
    }
}

/// `path` with those parameters that have a value.
fn with_query<const N: usize>(path: &str, parameters: [(&str, Option<String>); N]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
