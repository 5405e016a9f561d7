//! Many users with logins, put into a store as they stand after years of use: with sealed tokens, and with their next
//! runs spread over the time to come.

use std::sync::Arc;
use std::time::Duration;

use longplay::clock::{Clock as _, SystemClock};
use longplay::config::TokenKey;
use longplay::domain::{Epoch, Generation, UserId};
use longplay::random::Random;
use longplay::tokens::{Label, Vault};
use serde_json::json;

use super::database::Database;
use crate::fixture::TOKEN_KEY;

/// How many users go in with one statement.
const AT_ONCE: usize = 1_000;

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

    /// Puts them in. The store is made first where it is empty.
    pub async fn settle(&self, database: &Database) {
        let store = longplay::store::open(&database.url, Arc::new(SystemClock)).expect("a store's URL");
        let deployment = store.open().await.expect("the store opens");
        let key = TokenKey::from_base64(TOKEN_KEY).expect("a key");
        let (vault, random) = (Vault::new(deployment, &key, None), Random::seeded(1));
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
                       refresh_token, access_token, access_sent_at, access_lifetime, access_expires_at, committed_at)
                     SELECT CAST(value ->> 'user' AS BIGINT), 'client', 1, 1, value ->> 'account',
                       CAST(value ->> 'sent' AS BIGINT), 'user-read-recently-played user-top-read',
                       decode(value ->> 'refresh', 'hex'), decode(value ->> 'access', 'hex'), CAST(value ->> 'sent' AS BIGINT),
                       CAST(value ->> 'lifetime' AS BIGINT), CAST(value ->> 'expires' AS BIGINT),
                       CAST(value ->> 'sent' AS BIGINT)
                     FROM rows",
                    rows.collect(),
                )
                .await;
        }
        connections.close().await;
    }
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
