//! Spending what a person gave, a code or a refresh token, for tokens at the token endpoint; and whose they are. Where it
//! fails, it is known what became of what was given.

use std::time::Duration;

use crate::config::AppSettings;
use crate::domain::{Timestamp, Urgency};
use crate::oauth::{NO_TOKEN, PostError, Reading, TokenRequest, Tokens, read};
use crate::spotify::ApiError;

use super::api::{Problem, Word};
use super::service::Service;

/// How long an outage is given before it is worth trying again.
pub(super) const OUTAGE: Duration = Duration::from_secs(60);
/// How many times in a row a new refresh token may come without an access token.
const TOKENLESS: usize = 3;

/// Why a login came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused: here, by the user, or by Spotify.
    Refused(String),
    /// Spotify is down, or limits the rate.
    Outage(String),
}

impl Failure {
    /// What is said of it.
    pub fn message(&self) -> &str {
        let (Self::Refused(message) | Self::Outage(message)) = self;
        message
    }

    /// The same, where to try again does not help.
    pub fn for_good(self) -> Self {
        let (Self::Refused(message) | Self::Outage(message)) = self;
        Self::Refused(message)
    }

    /// The same, with what to do.
    pub fn cured_by(self, cure: &str) -> Self {
        match self {
            Self::Refused(message) => Self::Refused(format!("{message}; {cure}")),
            Self::Outage(message) => Self::Outage(format!("{message}; {cure}")),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(message) => Self::new(Word::Refused, 409, message),
            Failure::Outage(message) => Self::later(Word::Waiting, message, OUTAGE),
        }
    }
}

impl<T: Into<String>> From<T> for Failure {
    fn from(message: T) -> Self {
        Self::Refused(message.into())
    }
}

/// What became of a code or a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It can be given again.
    Kept,
    /// Nobody knows whether it was spent.
    Unknown,
    /// It is worth nothing any more.
    Spent,
}

impl Service {
    /// Asks the token endpoint. A new refresh token that comes alone is sent at once: the one before it may be spent.
    pub(super) async fn redeem(
        &self,
        app: &AppSettings,
        request: TokenRequest,
    ) -> Result<(Tokens, Timestamp), (Failure, Fate)> {
        // Whose tokens it brings could not be asked, and what was given would be spent for nothing.
        if let Some(until) = self.parts().gate.held_until(&app.name) {
            return Err((Failure::Outage(held(app, until)), Fate::Kept));
        }
        let mut newest = None;
        let mut request = request;
        for _ in 0..TOKENLESS {
            let sent_at = self.now();
            let reading = match self.parts().transport.post(request).await {
                Ok(answer) => read(&answer, self.now()),
                Err(error) => {
                    let why = format!("Spotify's token endpoint can't be reached: {error}");
                    let given = match error {
                        PostError::NotSent(_) => Fate::Kept,
                        PostError::Lost(_) => Fate::Unknown,
                    };
                    return Err((Failure::Outage(why), or_spent(given, newest.is_some())));
                }
            };
            match reading {
                Reading::Granted(mut tokens) => {
                    tokens.refresh_token = tokens.refresh_token.or(newest);
                    return Ok((tokens, sent_at));
                }
                Reading::NewRefreshToken(new) => {
                    request = TokenRequest::refresh(app, &new);
                    newest = Some(new);
                }
                reading => {
                    let (why, given) = self.unredeemed(app, reading).await;
                    return Err((why, or_spent(given, newest.is_some())));
                }
            }
        }
        Err((unclear(NO_TOKEN), Fate::Spent))
    }

    async fn unredeemed(&self, app: &AppSettings, reading: Reading) -> (Failure, Fate) {
        match reading {
            Reading::RateLimited(retry_after) => {
                let until = self.parts().gate.hold(&app.name, retry_after).await;
                (Failure::Outage(held(app, until)), Fate::Kept)
            }
            Reading::GrantRefused { description, .. } => {
                (format!("Spotify refuses it ({description})").into(), Fate::Spent)
            }
            Reading::ClientRefused(words) | Reading::RequestRefused(words) => {
                let cure = "check its client_id, auth, secret and redirect_uri";
                (format!("Spotify refuses app {}: {words}; {cure}", app.name).into(), Fate::Kept)
            }
            Reading::Unclear(what) => (unclear(&what), Fate::Unknown),
            Reading::Granted(_) | Reading::NewRefreshToken(_) => (unclear(NO_TOKEN), Fate::Unknown),
        }
    }

    /// Whose tokens these are.
    pub(super) async fn account_of(&self, app: &AppSettings, tokens: &Tokens) -> Result<String, Failure> {
        let parts = self.parts();
        // What was spent for these tokens can't be spent again: it is counted, and asked in any case.
        if let Err(why) = parts.gate.ledger().take(&app.name, Urgency::Login).await {
            tracing::warn!(app = %app.name, "a call of app {} is not counted: {why:?}", app.name);
        }
        parts.metrics.api_called(&app.name);
        let told = parts.client.me(&app.api_url, &tokens.access_token).await;
        parts.gate.heed(&app.name, &told).await;
        let error = match told {
            Ok(account) => return Ok(account.id),
            Err(error) => error,
        };
        let message = format!("whose account it is can't be told: {error}; nothing was changed");
        match error {
            ApiError::Forbidden { .. } | ApiError::Unauthorized => Err(Failure::Refused(message)),
            _ => Err(Failure::Outage(message)),
        }
    }
}

fn held(app: &AppSettings, until: Timestamp) -> String {
    format!("Spotify's rate limit holds app {} until {until}", app.name)
}

fn or_spent(fate: Fate, spent: bool) -> Fate {
    if spent { Fate::Spent } else { fate }
}

fn unclear(what: &str) -> Failure {
    Failure::Outage(format!("Spotify's token endpoint failed ({what})"))
}
