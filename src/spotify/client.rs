//! Calls of the Web API, one request each. What is handed back never contains the access token, even where the answer
//! repeats it.

use std::string::FromUtf8Error;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};

use super::ApiError;
use super::error::time;
use super::transport::{Answer, ClientError, Http, MOST_BYTES, NoAnswer, Transport};
use super::wire::{self, Account, Page};
use crate::domain::{AccessToken, Artist, Timestamp};

/// Calls the Web API; clones share their connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// What Spotify answered to the question for the last plays.
#[derive(Debug, Clone)]
pub struct RecentAnswer {
    /// As it came, but that broken UTF-8 is replaced, and the access token.
    pub body: String,
    /// The present that it is to be read at.
    pub present: Timestamp,
}

impl RecentAnswer {
    /// The page. [`ApiError::BadAnswer`] where it is none.
    pub fn read(&self) -> Result<Page, ApiError> {
        Page::read(&self.body, self.present)
    }
}

impl Client {
    /// Over HTTP. Makes ring the process's TLS provider where none was chosen.
    pub fn new() -> Result<Self, ClientError> {
        Ok(Self::over(Http::new()?))
    }

    /// Over any transport: for simulation.
    pub fn over(transport: impl Transport) -> Self {
        Self { transport: Arc::new(transport) }
    }

    /// The last 50 plays. It never asks for those "after" a time: plays arrive late and out of order, and would be lost.
    ///
    /// The present is `now`, or the answer's own `Date` where this machine's clock is behind it.
    pub async fn recently_played(
        &self,
        api_url: &str,
        token: &AccessToken,
        now: Timestamp,
    ) -> Result<Page, ApiError> {
        self.recent(api_url, token, now).await?.read()
    }

    /// The same, not read yet: whatever came with a 200.
    pub async fn recent(
        &self,
        api_url: &str,
        token: &AccessToken,
        now: Timestamp,
    ) -> Result<RecentAnswer, ApiError> {
        let (headers, body) = self.get(api_url, "/me/player/recently-played?limit=50", token).await?;
        let present = time(&headers, DATE).map_or(now, |date| now.max(date.to_utc().into()));
        Ok(RecentAnswer { body, present })
    }

    /// Spotify's own top artists of about the last half year, the first five.
    pub async fn top_artists(&self, api_url: &str, token: &AccessToken) -> Result<Vec<Artist>, ApiError> {
        wire::top_artists(&self.get(api_url, "/me/top/artists?limit=5", token).await?.1)
    }

    /// Whose account the token is for.
    pub async fn me(&self, api_url: &str, token: &AccessToken) -> Result<Account, ApiError> {
        wire::account(&self.get(api_url, "/me", token).await?.1)
    }

    /// Headers and text of a 200.
    async fn get(
        &self,
        api_url: &str,
        path: &str,
        token: &AccessToken,
    ) -> Result<(HeaderMap, String), ApiError> {
        let url = format!("{}{path}", api_url.trim_end_matches('/'));
        let Answer { status, headers, body } =
            self.transport.get(&url, token).await.map_err(|NoAnswer { seen, source }| {
                ApiError::Unreachable { message: format!("GET {path}: {seen}"), source: Some(source) }
            })?;
        let text = body.map(|bytes| without(token, bytes));
        if status != StatusCode::OK {
            return Err(ApiError::of(status, &headers, text.as_deref().unwrap_or_default()));
        }
        let text = text.ok_or_else(|| ApiError::BadAnswer {
            message: format!("GET {path}: Spotify answered more than {} MiB", MOST_BYTES >> 20),
        })?;
        Ok((headers, text))
    }
}

/// The text of an answer; broken UTF-8 is replaced, and so is the token, should the answer repeat it.
fn without(token: &AccessToken, bytes: Vec<u8>) -> String {
    let lossy = |broken: FromUtf8Error| String::from_utf8_lossy(broken.as_bytes()).into_owned();
    let text = String::from_utf8(bytes).unwrap_or_else(lossy);
    match token.expose() {
        token if !token.is_empty() && text.contains(token) => text.replace(token, "[token]"),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
