//! Requests to the token endpoint (RFC 6749, sections 4.1.3 and 6). A fresh connection each, no redirects and no
//! retries in the client: whoever sends must know whether a request may have reached the provider.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use reqwest::Body;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, DATE, HeaderMap, RETRY_AFTER};
use secrecy::ExposeSecret as _;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::clock::{BootTime, Clock};
use crate::config::{AppSettings, Auth};
use crate::domain::{RefreshToken, Secret, said};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a token request takes, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The end of that time, counted anew when it comes: what has arrived by then is read.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// No token answer is longer.
const LONGEST_BODY: usize = 64 * 1024;
/// Why nothing was sent although the connection stood.
const TOO_LATE: &str = "the intent is too old, nothing was sent";

/// An answer as it came, unread.
#[derive(Clone)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The Retry-After header.
    pub retry_after: Option<String>,
    /// The Date header.
    pub date: Option<String>,
    /// The body, whole.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawAnswer(status {}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Failed before the first byte of the request was sent: nothing happened.
    #[error("{0}")]
    NotSent(String),
    /// Failed later: the provider may have acted on it.
    #[error("{0}")]
    Lost(String),
}

/// A request to the token endpoint.
#[derive(Debug)]
pub struct TokenRequest {
    url: String,
    authorization: Option<Secret>,
    form: Secret,
    before: Option<BootTime>,
}

impl TokenRequest {
    /// The refresh token grant (RFC 6749, section 6).
    pub fn refresh(app: &AppSettings, token: &RefreshToken) -> Self {
        Self::new(app, &[("grant_type", "refresh_token"), ("refresh_token", token.expose())])
    }

    /// The same, but sent before this moment or not at all, however long connecting takes or this process stands still.
    pub fn before(self, moment: BootTime) -> Self {
        Self { before: Some(moment), ..self }
    }

    /// The authorization code grant with its PKCE verifier (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
    pub fn code(app: &AppSettings, code: &Secret, verifier: &Secret) -> Self {
        Self::new(
            app,
            &[
                ("grant_type", "authorization_code"),
                ("code", code.expose_secret()),
                ("redirect_uri", &app.redirect_uri),
                ("code_verifier", verifier.expose_secret()),
            ],
        )
    }

    /// The body, a form.
    pub fn form(&self) -> &str {
        self.form.expose_secret()
    }

    fn new(app: &AppSettings, fields: &[(&str, &str)]) -> Self {
        let mut form = Zeroizing::new(form_urlencoded(fields));
        let authorization = match &app.auth {
            Auth::Pkce => {
                form.push('&');
                form.push_str(&form_urlencoded(&[("client_id", &app.client_id)]));
                None
            }
            Auth::Secret(secret) => {
                let encode = |text| form_urlencoded(&[("", text)])[1..].to_owned();
                let pair =
                    Zeroizing::new(format!("{}:{}", encode(&app.client_id), encode(secret.expose_secret())));
                Some(Secret::from(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
            }
        };
        let form = Secret::from(form.as_str());
        Self { url: app.token_url.clone(), authorization, form, before: None }
    }
}

fn form_urlencoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// How token requests are sent.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends once and returns the whole answer.
    async fn post(&self, request: TokenRequest) -> Result<RawAnswer, PostError>;
}

/// The real transport.
pub struct HttpTransport {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl HttpTransport {
    /// Needs a rustls crypto provider to be installed for the process.
    ///
    /// # Errors
    /// Where the host's TLS certificates can't be loaded.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .http1_only()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("longplay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, clock })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(&self, request: TokenRequest) -> Result<RawAnswer, PostError> {
        let mut came = None;
        let ended = {
            let exchange = self.exchange(request, &mut came);
            tokio::pin!(exchange);
            match tokio::time::timeout(REQUEST_TIMEOUT - LAST_LOOK, &mut exchange).await {
                Ok(ended) => ended,
                // A process that stood still finds its time over and the answer, which may be the only one, in its socket.
                Err(_) => tokio::time::timeout(LAST_LOOK, exchange).await.unwrap_or_else(|_| {
                    Err(PostError::Lost(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())))
                }),
            }
        };
        // However the connection ended: where all of an object came, the new tokens may be in it.
        let is_whole = |answer: &RawAnswer| serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok();
        match (ended, came) {
            (Ok(()), Some(answer)) => Ok(answer),
            (Err(_), Some(answer)) if is_whole(&answer) => Ok(answer),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(PostError::Lost("no status came".to_owned())),
        }
    }
}

impl HttpTransport {
    /// `came`: what came of the answer so far, once its status is there.
    async fn exchange(&self, request: TokenRequest, came: &mut Option<RawAnswer>) -> Result<(), PostError> {
        let form = request.form.expose_secret().to_owned();
        let too_late = Arc::new(AtomicBool::new(false));
        let mut builder = self
            .client
            .post(&request.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .header(CONTENT_LENGTH, form.len());
        builder = builder.body(self.body(form, request.before, Arc::clone(&too_late)));
        if let Some(authorization) = &request.authorization {
            builder = builder.header(AUTHORIZATION, authorization.expose_secret());
        }
        let mut response = builder.send().await.map_err(|error| match error.is_connect() {
            _ if too_late.load(Ordering::SeqCst) => PostError::NotSent(TOO_LATE.to_owned()),
            true => PostError::NotSent(words(error)),
            false => PostError::Lost(words(error)),
        })?;
        let text = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let status = response.status().as_u16();
        let retry_after = text(response.headers(), RETRY_AFTER);
        let date = text(response.headers(), DATE);
        let answer = RawAnswer { status, retry_after, date, body: Zeroizing::new(Vec::new()) };
        let body = &mut came.insert(answer).body;
        // The status alone says that nothing happened; a body that is cut or without end must not turn that into doubt.
        if status == 429 {
            return Ok(());
        }
        while let Some(chunk) = response.chunk().await.map_err(|e| PostError::Lost(words(e)))? {
            if body.len() + chunk.len() > LONGEST_BODY {
                return Err(PostError::Lost(format!("an answer of more than {LONGEST_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

impl HttpTransport {
    /// The form, which holds all that can be spent. It is asked for once the connection stands, just before it is written;
    /// the time is looked at there.
    fn body(&self, form: String, before: Option<BootTime>, too_late: Arc<AtomicBool>) -> Body {
        let clock = Arc::clone(&self.clock);
        Body::wrap_stream(stream::once(async move {
            if before.is_some_and(|moment| clock.boot() >= moment) {
                too_late.store(true, Ordering::SeqCst);
                return Err(io::Error::other(TOO_LATE));
            }
            Ok(form)
        }))
    }
}

/// The error in words, without the address: it is no secret, but said elsewhere.
fn words(error: reqwest::Error) -> String {
    said(&error.without_url())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::clock::SimulatedClock;
    use crate::domain::Timestamp;

    fn app(auth: Auth) -> AppSettings {
        AppSettings {
            name: "default".parse().unwrap(),
            client_id: "id&1".to_owned(),
            auth,
            redirect_uri: "http://127.0.0.1:8467/callback".to_owned(),
            authorize_url: String::new(),
            token_url: "https://accounts.example/api/token".to_owned(),
            api_url: String::new(),
            rotation_grace: Duration::ZERO,
            login_lifetime: None,
            calls_per_day: 1_000,
            quota_group: "default".to_owned(),
        }
    }

    #[test]
    fn without_a_secret_the_client_id_is_in_the_body() {
        let request = TokenRequest::refresh(&app(Auth::Pkce), &RefreshToken::from("a+b".to_owned()));
        let form = "grant_type=refresh_token&refresh_token=a%2Bb&client_id=id%261";
        assert_eq!(request.form.expose_secret(), form);
        assert!(request.authorization.is_none());
    }

    #[test]
    fn with_a_secret_it_is_http_basic_of_the_encoded_pair() {
        let app = app(Auth::Secret("s:%".into()));
        let request = TokenRequest::code(&app, &"c".into(), &"v".into());
        let form = "grant_type=authorization_code&code=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A8467%2Fcallback&code_verifier=v";
        assert_eq!(request.form.expose_secret(), form);
        let expected = format!("Basic {}", STANDARD.encode("id%261:s%3A%25"));
        assert_eq!(request.authorization.as_ref().unwrap().expose_secret(), expected);
        assert!(!format!("{request:?}").contains("s:%"));
    }

    /// Posts once, at this time of the boot clock; the outcome, and what came over the wire.
    async fn posted(seconds: u64, before: Option<u64>) -> (Result<RawAnswer, PostError>, String) {
        answered("content-length: 2\r\n\r\n{}", seconds, before).await
    }

    /// The same, answered with this behind the status.
    async fn answered(
        answer: &'static str,
        seconds: u64,
        before: Option<u64>,
    ) -> (Result<RawAnswer, PostError>, String) {
        // Another test may have done so; one is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token_url = format!("http://{}/api/token", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            // Until the client has gone, or the form is there.
            while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                if seen.ends_with(b"client_id=id%261") {
                    let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    break;
                }
            }
            String::from_utf8(seen).unwrap()
        });
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(0)));
        clock.advance(Duration::from_secs(seconds));
        let app = AppSettings { token_url, ..app(Auth::Pkce) };
        let mut request = TokenRequest::refresh(&app, &RefreshToken::from("spent".to_owned()));
        if let Some(before) = before {
            request = request.before(BootTime(Duration::from_secs(before)));
        }
        let outcome = HttpTransport::new(clock).unwrap().post(request).await;
        (outcome, served.await.unwrap())
    }

    #[tokio::test]
    async fn once_the_connection_stands_it_may_be_too_late_to_send_what_can_be_spent() {
        for before in [Some(25), Some(26)] {
            let (outcome, seen) = posted(26, before).await;
            assert!(matches!(&outcome, Err(PostError::NotSent(why)) if why == TOO_LATE), "{outcome:?}");
            assert!(!seen.contains("spent"), "{seen}");
        }
        for before in [Some(27), None] {
            let (outcome, seen) = posted(26, before).await;
            assert_eq!(outcome.unwrap().status, 200);
            let form = "grant_type=refresh_token&refresh_token=spent&client_id=id%261";
            assert!(seen.contains(&format!("content-length: {}\r\n", form.len())), "{seen}");
            assert!(seen.ends_with(form) && !seen.contains("transfer-encoding"), "{seen}");
        }
    }

    #[tokio::test]
    async fn tokens_that_came_whole_are_kept_however_the_connection_ended() {
        const TOKENS: &str = r#"{"access_token":"a","refresh_token":"r"}"#;
        for answer in [
            "content-length: 500\r\n\r\n{\"access_token\":\"a\",\"refresh_token\":\"r\"}",
            "transfer-encoding: chunked\r\n\r\n28\r\n{\"access_token\":\"a\",\"refresh_token\":\"r\"}\r\n",
        ] {
            let (outcome, _) = answered(answer, 0, None).await;
            let came = outcome.unwrap();
            assert_eq!((came.status, &came.body[..]), (200, TOKENS.as_bytes()), "{answer}");
        }
        for answer in
            ["content-length: 500\r\n\r\n", "content-length: 500\r\n\r\n{\"access_token\":\"a\",\"refresh_t"]
        {
            let (outcome, _) = answered(answer, 0, None).await;
            assert!(matches!(outcome, Err(PostError::Lost(_))), "{answer}: {outcome:?}");
        }
    }
}
