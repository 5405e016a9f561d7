//! What routes are given, and how they answer: paths, queries and bodies that are bounded and say what is wrong with
//! them, errors as `application/problem+json`.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::api::{LONGEST_BATCH, Problem, Word};

/// No request is longer, but for batches of rows.
const LONGEST_BODY: usize = 64 * 1024;
/// Of a longer one so much is still taken and forgotten: most clients hear nothing before they have sent everything.
const HEARD_OUT: usize = 64 * 1024 * 1024;
/// How long a client may take to send its request's body.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// What a caller who leaves must not stop half-way.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let broken =
        |_| Problem::new(Word::Fault, 500, "this broke off: it is a fault of longplay; see the journal");
    tokio::spawn(work).await.map_err(broken)?
}

/// The part of the path that names something, or a problem where it is no text.
pub struct Named(pub String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|e| Problem::bad_request(e.body_text()))
    }
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
        sent(request, LONGEST_BODY).await.map(Self)
    }
}

/// The same for a body of many rows.
pub struct Batch<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> axum::extract::FromRequest<S> for Batch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, Problem> {
        sent(request, LONGEST_BATCH).await.map(Self)
    }
}

async fn sent<T: DeserializeOwned + Default>(request: Request<Body>, longest: usize) -> Result<T, Problem> {
    if request.body().is_end_stream() {
        return Ok(T::default());
    }
    let read = tokio::time::timeout(BODY_WITHIN, whole(request.into_body(), longest));
    let slow = |_| {
        let detail = format!("the request's body did not come within {} s", BODY_WITHIN.as_secs());
        Problem::new(Word::Timeout, 408, detail)
    };
    let bytes = read.await.map_err(slow)??;
    match bytes.trim_ascii() {
        [] => return Ok(T::default()),
        [b'{', ..] => {}
        _ => return Err(Problem::bad_request("the body is no JSON object")),
    }
    serde_json::from_slice(&bytes)
        .map_err(|e| Problem::bad_request(format!("the body is not what this route takes: {e}")))
}

/// A whole body that is not too long.
async fn whole(body: Body, longest: usize) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut came) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("the request's body broke off"))?;
        came += chunk.len();
        if came > HEARD_OUT {
            break;
        }
        if came <= longest {
            bytes.extend_from_slice(&chunk);
        }
    }
    if came > longest {
        let detail = format!("no request's body is longer than {longest} bytes");
        return Err(Problem::new(Word::TooLarge, 413, detail));
    }
    Ok(bytes)
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
