//! Calls of the Web API. Each makes one request, follows no redirect, repeats nothing, ends within 30 s and reads at
//! most 8 MiB. What is handed back never contains the access token, even where the answer repeats it.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, redirect};
use rustls::crypto::{CryptoProvider, ring};

use super::wire::{self, Account, Page};
use super::ApiError;
use crate::domain::{AccessToken, Artist};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// The most that is read of an answer, after decompression. A real page is 100 to 450 KB.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("setting up the HTTP client: are the system's root certificates there (package ca-certificates)?")]
pub struct ClientError(#[from] reqwest::Error);

/// Calls the Web API; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client without connections. Makes ring the process's TLS provider where none was chosen.
    pub fn new() -> Result<Self, ClientError> {
        if CryptoProvider::get_default().is_none() {
            // An error means that another thread was first.
            let _ = ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("longplay/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .gzip(true)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ALL_WITHIN)
            .build()?;
        Ok(Self { http })
    }

    /// The last 50 plays. It never asks for those "after" a time: plays arrive late and out of order, and would be lost.
    pub async fn recently_played(&self, api_url: &str, token: &AccessToken) -> Result<Page, ApiError> {
        Page::read(&self.get(api_url, "/me/player/recently-played", &[("limit", "50")], token).await?)
    }

    /// Spotify's own top artists of the last half year, the first five.
    pub async fn top_artists(&self, api_url: &str, token: &AccessToken) -> Result<Vec<Artist>, ApiError> {
        wire::top_artists(&self.get(api_url, "/me/top/artists", &[("limit", "5")], token).await?)
    }

    /// Whose account the token is for.
    pub async fn me(&self, api_url: &str, token: &AccessToken) -> Result<Account, ApiError> {
        wire::account(&self.get(api_url, "/me", &[], token).await?)
    }

    async fn get(
        &self,
        api_url: &str,
        path: &str,
        query: &[(&str, &str)],
        token: &AccessToken,
    ) -> Result<String, ApiError> {
        let unreachable = |source: reqwest::Error| ApiError::Unreachable {
            message: format!("GET {path}: {}", seen(&source)),
            source: Some(source.without_url()),
        };
        let url = format!("{}{path}", api_url.trim_end_matches('/'));
        let request = self.http.get(url).query(query).bearer_auth(token.expose());
        let answer = request.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = body(answer).await;
        if status != StatusCode::OK {
            // The status alone says what to do; the body adds words at most.
            let words = body.ok().flatten().unwrap_or_default();
            return Err(refused(status, &headers, &words, token));
        }
        match body.map_err(unreachable)? {
            Some(bytes) => Ok(without(token, &bytes)),
            None => Err(ApiError::BadAnswer {
                message: format!("GET {path}: Spotify answered more than {} MiB", MOST_BYTES >> 20),
            }),
        }
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8], token: &AccessToken) -> ApiError {
    ApiError::of(status, headers, &without(token, body))
}

/// The whole body; `None` where it is longer than what is read.
async fn body(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// The text of an answer; broken UTF-8 is replaced, and so is the token, should the answer repeat it.
fn without(token: &AccessToken, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match token.expose() {
        "" => text.into_owned(),
        token if text.contains(token) => text.replace(token, "[token]"),
        _ => text.into_owned(),
    }
}

/// What was seen instead of an answer.
fn seen(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no whole answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        "the address can't be used: is the app's api_url right?"
    } else {
        "no answer"
    }
}

#[cfg(test)]
mod tests;
