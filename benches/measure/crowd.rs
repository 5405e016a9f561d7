//! Many users with logins, put into a store as they stand after years of use: with sealed tokens, and with their next
//! runs spread over the time to come.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use longplay::clock::{Clock as _, SystemClock};
use longplay::config::TokenKey;
use longplay::domain::{AttemptId, Cause, Epoch, Generation, UserId};
use longplay::oauth::RawAnswer;
use longplay::random::Random;
use longplay::tokens::{FileSpool, Kept, Label, Spool as _, Vault};
use serde_json::json;

use super::database::Database;
use crate::fixture::TOKEN_KEY;

/// How many users go in with one statement.
const AT_ONCE: usize = 1_000;
/// How many answers are kept side by side: each waits for the disk.
const WRITERS: usize = 64;

/// A crowd to be put into a store.
pub struct Crowd {
    pub users: usize,
    /// The first of the next runs, from now.
    pub first_run: Duration,
    /// Over how long the next runs are spread.
    pub spread: Duration,
    /// How long the access tokens are still valid.
    pub valid_for: Duration,
}

impl Crowd {
    /// Nobody runs or refreshes within a quarter of an hour.
    pub fn at_rest(users: usize) -> Self {
        Self {
            users,
            first_run: Duration::from_secs(15 * 60),
            spread: Duration::from_secs(3_600),
            valid_for: Duration::from_secs(3_600),
        }
    }

    /// Everyone is due at once, after so long.
    pub fn due_in(users: usize, first_run: Duration) -> Self {
        Self { first_run, spread: Duration::ZERO, ..Self::at_rest(users) }
    }

    /// Keeps an answer of everyone in a spool, as it stays there after a refresh.
    pub async fn answer(&self, database: &Database, folder: &Path) {
        let store = longplay::store::open(&database.url, Arc::new(SystemClock)).expect("a store's URL");
        let vault = vault(store.open().await.expect("the store opens"));
        let users = store.users().await.expect("the users are read");
        store.close().await;
        std::fs::create_dir_all(folder).expect("a folder");
        let (random, now) = (Arc::new(Random::seeded(2)), SystemClock.now());
        let spool = FileSpool::new(folder.to_owned(), Arc::new(vault), Arc::clone(&random));
        stream::iter(users)
            .for_each_concurrent(WRITERS, async |user| {
                let body = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, token(user.name.as_str()));
                let kept = Kept {
                    user: user.id,
                    epoch: Epoch(1),
                    sent: Generation(0),
                    refresh_token: "x".repeat(180).into(),
                    attempt: AttemptId(random.uuid()),
                    cause: Cause::Expiry,
                    sent_at: now,
                    received_at: now,
                    answer: RawAnswer {
                        status: 200,
                        retry_after: None,
                        date: None,
                        body: body.into_bytes().into(),
                    },
                };
                spool.prepare(user.id).await.expect("there is room");
                spool.keep(&kept).await.expect("the answer is kept");
            })
            .await;
    }

    /// Puts them in. The store is made first where it is empty.
    pub async fn settle(&self, database: &Database) {
        let store = longplay::store::open(&database.url, Arc::new(SystemClock)).expect("a store's URL");
        let deployment = store.open().await.expect("the store opens");
        let (vault, random) = (vault(deployment), Random::seeded(1));
        store.keep_key_probe(vault.probe(&random)).await.expect("the probe is kept");
        store.close().await;
        let (now, connections) = (SystemClock.now(), database.connect().await);
        let run_at =
            |n: usize| now + self.first_run + self.spread.mul_f64(n as f64 / self.users.max(1) as f64);
        for chunk in (0..self.users).collect::<Vec<_>>().chunks(AT_ONCE) {
            let rows = chunk
                .iter()
                .map(|n| json!({ "name": name(*n), "next": run_at(*n).as_millis(), "now": now.as_millis() }));
            connections
                .put(
                    "INSERT INTO users (name, next_run_at, top_fetched_at, last_archived_at, last_run_at,
                       last_run_result)
                     SELECT value ->> 'name', CAST(value ->> 'next' AS BIGINT),
                       CAST(value ->> 'now' AS BIGINT), CAST(value ->> 'now' AS BIGINT),
                       CAST(value ->> 'now' AS BIGINT), 'ok'
                     FROM rows",
                    rows.collect(),
                )
                .await;
        }
        let users = connections.pairs("SELECT id, name FROM users").await;
        for chunk in users.chunks(AT_ONCE) {
            let rows = chunk.iter().map(|(id, name)| {
                let label = (UserId(*id), Epoch(1), Generation(1));
                let seal = |label, text: String| hex(&vault.seal(label, text.as_bytes(), &random).0);
                // As long as Spotify's.
                let long = "x".repeat(180);
                json!({
                    "user": id,
                    "account": format!("account-of-{name}"),
                    "refresh": seal(Label::Refresh(label.0, label.1, label.2), format!("refresh-{name}-{long}")),
                    "access": seal(Label::Access(label.0, label.1, label.2), token(name)),
                    "sent": now.as_millis(),
                    "lifetime": 3_600_000,
                    "expires": (now + self.valid_for).as_millis(),
                })
            });
            connections
                .put(
                    "INSERT INTO grants (user_id, client_id, epoch, generation, account_id, login_at, scope,
                       refresh_token, access_token, access_sent_at, access_lifetime, access_expires_at, committed_at, taken_at)
                     SELECT CAST(value ->> 'user' AS BIGINT), 'client', 1, 1, value ->> 'account',
                       CAST(value ->> 'sent' AS BIGINT), 'user-read-recently-played user-top-read',
                       decode(value ->> 'refresh', 'hex'), decode(value ->> 'access', 'hex'), CAST(value ->> 'sent' AS BIGINT),
                       CAST(value ->> 'lifetime' AS BIGINT), CAST(value ->> 'expires' AS BIGINT),
                       CAST(value ->> 'sent' AS BIGINT), CAST(value ->> 'sent' AS BIGINT)
                     FROM rows",
                    rows.collect(),
                )
                .await;
        }
        connections.close().await;
    }
}

fn vault(deployment: uuid::Uuid) -> Vault {
    Vault::new(deployment, &TokenKey::from_base64(TOKEN_KEY).expect("a key"), None)
}

/// The name of the user of this number.
pub fn name(n: usize) -> String {
    format!("user{n:06}")
}

/// A user's access token.
pub fn token(name: &str) -> String {
    format!("{name}.{}", "y".repeat(180))
}

/// The number in a token.
pub fn number(token: &str) -> Option<usize> {
    token.strip_prefix("user")?.split('.').next()?.parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
