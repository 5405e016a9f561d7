//! What routes are given, and how they answer: bodies and queries that are bounded and say what is wrong with them,
//! errors as `application/problem+json`.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::api::Problem;

/// No request is longer.
const LONGEST_BODY: usize = 64 * 1024;
/// How long a client may take to send its request's body.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// What a caller who leaves must not stop half-way.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let broken = |_| Problem::new("fault", 500, "this broke off: it is a fault of longplay; see the journal");
    tokio::spawn(work).await.map_err(broken)?
}

/// A query string, or a problem that says what is wrong with it.
pub struct Given<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> axum::extract::FromRequestParts<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// A body of JSON, whatever its declared type; an empty one is the default.
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> axum::extract::FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(BODY_WITHIN, to_bytes(request.into_body(), LONGEST_BODY));
        let bytes = read
            .await
            .map_err(|_| Problem::new("timeout", 408, "the request's body came too slowly"))?
            .map_err(|_| {
                Problem::new("too_large", 413, format!("no request is longer than {LONGEST_BODY} bytes"))
            })?;
        match bytes.trim_ascii() {
            [] => return Ok(Self(T::default())),
            [b'{', ..] => {}
            _ => return Err(Problem::bad_request("the body is no JSON object")),
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|e| Problem::bad_request(format!("the body is not what this route takes: {e}")))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
