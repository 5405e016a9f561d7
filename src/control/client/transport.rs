//! How a call travels: HTTP over the daemon's socket, or one shot at a router in this process.

use std::any::Any;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::util::ServiceExt as _;

use super::{Cause, ClientError, Result};
use crate::control::api::Problem;

/// The host of every address; what it is doesn't matter on a socket.
const BASE: &str = "http://longplay";

/// How much of an answer that makes no sense is shown.
const SHOWN: usize = 200;

/// Where calls go.
#[derive(Clone)]
pub(super) enum Transport {
    /// The daemon's socket.
    Socket(reqwest::Client),
    /// A router in this process.
    Router { router: axum::Router, _keep: Arc<dyn Any + Send + Sync> },
}

/// One call.
pub(super) struct Call {
    method: &'static str,
    path: String,
    body: Option<Vec<u8>>,
    within: Option<Duration>,
}

impl Call {
    pub fn new(method: &'static str, path: String, within: Option<Duration>) -> Self {
        Self { method, path, body: None, within }
    }

    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(serde_json::to_vec(body).map_err(|e| lost(self.doing(), e))?);
        Ok(self)
    }

    /// With a body that is JSON already.
    pub fn with(self, body: Vec<u8>) -> Self {
        Self { body: Some(body), ..self }
    }

    /// The path without its query.
    fn doing(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }

    fn method(&self) -> Method {
        // The methods are the literals of this module's parent.
        Method::from_bytes(self.method.as_bytes()).unwrap_or_default()
    }
}

fn lost(doing: String, source: impl Into<Cause>) -> ClientError {
    ClientError::Lost { doing, source: source.into() }
}

impl Transport {
    pub fn socket(socket: &Path) -> Result<Self> {
        // An HTTP client doesn't tell a missing daemon from a missing permission.
        if let Err(e) = UnixStream::connect(socket) {
            return Err(match e.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused => {
                    ClientError::NoDaemon(socket.to_owned())
                }
                ErrorKind::PermissionDenied => ClientError::NotPermitted(socket.to_owned()),
                _ => lost(format!("connecting to {}", socket.display()), e),
            });
        }
        let doing = || format!("preparing to speak to {}", socket.display());
        let client = reqwest::Client::builder()
            .unix_socket(socket)
            .http1_only()
            .tls_backend_preconfigured(no_tls().map_err(|e| lost(doing(), e))?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("longplay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| lost(doing(), e))?;
        Ok(Self::Socket(client))
    }

    pub fn router(router: axum::Router, keep: impl Send + Sync + 'static) -> Self {
        Self::Router { router, _keep: Arc::new(keep) }
    }

    pub async fn call(&self, call: Call) -> Result<Answer> {
        let (doing, method) = (call.doing(), call.method());
        match self {
            Self::Socket(client) => {
                let mut request = client.request(method, format!("{BASE}{}", call.path));
                if let Some(body) = call.body {
                    request = request.header(header::CONTENT_TYPE, "application/json").body(body);
                }
                if let Some(within) = call.within {
                    request = request.timeout(within);
                }
                let response = request.send().await.map_err(|e| lost(doing.clone(), e.without_url()))?;
                let (status, headers) = (response.status(), response.headers().clone());
                Ok(Answer { doing, status, headers, body: Incoming::Socket(response) })
            }
            Self::Router { router, .. } => {
                let mut request =
                    Request::builder().method(method).uri(&call.path).header(header::HOST, "longplay");
                if call.body.is_some() {
                    request = request.header(header::CONTENT_TYPE, "application/json");
                }
                let request = request
                    .body(Body::from(call.body.unwrap_or_default()))
                    .map_err(|e| lost(doing.clone(), e))?;
                let Ok(response) = router.clone().oneshot(request).await;
                let (head, body) = response.into_parts();
                let body = Incoming::Router(Box::new(body.into_data_stream()));
                Ok(Answer { doing, status: head.status, headers: head.headers, body })
            }
        }
    }
}

/// A TLS setup that is never used. Without it each command would load the host's certificates.
fn no_tls() -> std::result::Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

/// An answer, of which the head has come.
pub(super) struct Answer {
    doing: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
}

enum Incoming {
    Socket(reqwest::Response),
    Router(Box<BodyDataStream>),
}

impl Answer {
    /// What a header says, if it is there and text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header that is a number.
    pub fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }

    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match &mut self.body {
            Incoming::Socket(response) => {
                response.chunk().await.map_err(|e| lost(self.doing.clone(), e.without_url()))
            }
            Incoming::Router(body) => match body.next().await {
                Some(chunk) => chunk.map(Some).map_err(|e| lost(self.doing.clone(), e)),
                None => Ok(None),
            },
        }
    }

    async fn bytes(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The answer itself, where it is no error.
    pub async fn good(mut self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body = self.bytes().await?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(self.senseless(&body)),
        }
    }

    pub async fn json<T: DeserializeOwned>(mut self) -> Result<T> {
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|_| self.senseless(&body))
    }

    pub async fn text(mut self) -> Result<String> {
        let body = self.bytes().await?;
        String::from_utf8(body).map_err(|e| lost(self.doing, e))
    }

    /// What a server of another version, or no longplay at all, would answer.
    fn senseless(&self, body: &[u8]) -> ClientError {
        // A good answer can hold a token, even where it can't be read.
        let shown = match self.status.is_success() {
            true => "a body of another form".to_owned(),
            false => format!("{:?}", String::from_utf8_lossy(body).chars().take(SHOWN).collect::<String>()),
        };
        let cure = "is the daemon of the same version? `longplay status` and `longplay --version` tell";
        lost(self.doing.clone(), format!("the answer was {} with {shown}: {cure}", self.status))
    }
}
