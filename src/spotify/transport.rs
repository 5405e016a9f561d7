//! How a request reaches the Web API: over HTTP, or in a simulation. One request each time: no redirect is followed and
//! nothing is repeated; it ends within 30 s, and at most 8 MiB are read.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, redirect};
use rustls::crypto::{CryptoProvider, ring};

use crate::domain::AccessToken;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// The most that is read of an answer, after decompression. A real page is 100 to 450 KB.
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A whole answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed; `None` where it is longer than 8 MiB.
    pub body: Option<Vec<u8>>,
}

/// No whole answer came.
#[derive(Debug, thiserror::Error)]
#[error("{seen}")]
pub struct NoAnswer {
    /// What was seen instead.
    pub seen: &'static str,
    /// What the network said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Whatever carries a request to the Web API and brings its answer.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// One GET of this address, with the token as bearer (RFC 6750, section 2.1).
    async fn get(&self, url: &str, token: &AccessToken) -> Result<Answer, NoAnswer>;
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("setting up the HTTP client: are the system's root certificates there (package ca-certificates)?")]
pub struct ClientError(#[from] reqwest::Error);

/// HTTP/1.1 over TLS, on kept connections.
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Makes ring the process's TLS provider where none was chosen: reqwest panics without one.
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
        Ok(Self(http))
    }
}

#[async_trait]
impl Transport for Http {
    async fn get(&self, url: &str, token: &AccessToken) -> Result<Answer, NoAnswer> {
        let answer = self.0.get(url).bearer_auth(token.expose()).send().await.map_err(no_answer)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        match body(answer).await {
            Ok(body) => Ok(Answer { status, headers, body }),
            // The status alone says what to do; a body would add words at most.
            Err(_) if status != StatusCode::OK => Ok(Answer { status, headers, body: Some(Vec::new()) }),
            Err(error) => Err(no_answer(error)),
        }
    }
}

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

fn no_answer(error: reqwest::Error) -> NoAnswer {
    let seen = if error.is_timeout() {
        "no whole answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        "the address can't be used: is the app's api_url right?"
    } else {
        "no answer"
    };
    NoAnswer { seen, source: Box::new(error.without_url()) }
}
