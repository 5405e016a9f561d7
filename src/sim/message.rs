//! One HTTP request and its answer, apart from any socket, and Spotify's two shapes of error.

use std::time::Duration;

use oauth2::url::form_urlencoded;
use serde_json::{Value, json};

/// What a client sent.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, from the first slash.
    pub path: String,
    /// What stands behind the question mark; empty for none.
    pub query: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Call {
    /// Reads the query.
    pub(super) fn query(&self) -> Fields {
        Fields::read(self.query.as_bytes())
    }

    /// Reads the body, if it is said to be a form; nothing otherwise.
    pub(super) fn form(&self) -> Fields {
        let said = self.content_type.as_deref().unwrap_or_default();
        let kind = said.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Fields::read(&self.body)
        } else {
            Fields(Vec::new())
        }
    }

    /// The token of an `Authorization: Bearer` header.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (kind, token) = self.authorization.as_deref()?.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer").then_some(token)
    }
}

/// The fields of a form or a query, in order.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// The first field that stands there more than once, which RFC 6749, section 3.2 forbids.
    pub fn repeated(&self) -> Option<&str> {
        let mut seen = std::collections::HashSet::new();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

/// An answer: status, headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers by name, without `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer of this content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// An error of the token endpoint (RFC 6749, section 5.2): always 400, `invalid_client` too.
    pub(super) fn oauth_error(error: &str, description: Option<&str>) -> Self {
        match description {
            Some(text) => Self::json(400, &json!({"error": error, "error_description": text})),
            None => Self::json(400, &json!({"error": error})),
        }
    }

    pub(super) fn invalid_grant(description: &str) -> Self {
        Self::oauth_error("invalid_grant", Some(description))
    }

    /// An error of the Web API.
    pub(super) fn api_error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({"error": {"status": status, "message": message}}))
    }
}

/// What the client gets to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Whole(Reply),
    /// The answer's head, half of its body, and the end of the connection.
    Half(Reply),
    /// The answer's head, and its body again and again, with a pause of so long in between.
    Endless(Reply, Duration),
    /// The end of the connection, without a byte.
    Cut,
}
