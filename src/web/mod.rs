//! The page's address: the login's callback, metrics and health over TCP. A foreign Host is refused (DNS rebinding),
//! and other hosts must give the password.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};
use tower::ServiceExt as _;

use crate::control::CALLBACK_PATH;
use crate::control::api::{Health, LoginAddress, LoginState, Problem, Progress, Word};
use crate::domain::Secret;

#[derive(Clone)]
struct Page {
    /// The routes of the local API.
    control: Router,
    listen: SocketAddr,
    password: Option<Secret>,
}

/// What is served there; `control` are the routes of the local API, of which few are open here.
pub fn router(control: Router, password: Option<Secret>, listen: SocketAddr) -> Router {
    let page = Page { control, listen, password };
    Router::new()
        .route("/", get(front))
        .route(CALLBACK_PATH, get(callback))
        .route("/metrics", get(open))
        .route("/healthz", get(health))
        .layer(middleware::from_fn_with_state(page.clone(), guard))
        .with_state(page)
}

async fn guard(State(page): State<Page>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_ours(host, page.listen.ip())) {
        let detail = "this host name is not longplay's: use the address that web.listen names";
        return Problem::new(Word::Misdirected, 421, detail).into_response();
    }
    // A load balancer has no password, and learns nothing but well or not; a callback proves itself by its state.
    let free = matches!(request.uri().path(), "/healthz" | CALLBACK_PATH);
    if let Some(password) = page.password.as_ref().filter(|_| !free)
        && !knows(request.headers(), password)
    {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"longplay\"")];
        return (StatusCode::UNAUTHORIZED, ask, "a password is needed\n").into_response();
    }
    next.run(request).await
}

/// Whether a Host header names this address: a loopback name where it listens on loopback, the address itself, or any
/// address where it listens on all.
fn is_ours(host: &str, listen: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return listen.is_loopback() || listen.is_unspecified();
    }
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => ip == listen || listen.is_unspecified() || (ip.is_loopback() && listen.is_loopback()),
        Err(_) => false,
    }
}

/// HTTP Basic with any user name. Digests are compared, so that time tells nothing.
fn knows(headers: &HeaderMap, password: &Secret) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded.trim()).ok())
        .and_then(|pair| String::from_utf8(pair).ok());
    let given = given.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
    given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(password.expose_secret()))
}

/// What is open on the page's address as on the socket.
async fn open(State(page): State<Page>, request: Request) -> Response {
    forward(&page, request).await
}

/// The same, but who has no password where one is set learns nothing but well or not.
async fn health(State(page): State<Page>, request: Request) -> Response {
    let knows = page.password.as_ref().is_none_or(|password| knows(request.headers(), password));
    let response = forward(&page, request).await;
    if knows {
        return response;
    }
    let status = response.status();
    let health = Health { healthy: status.is_success(), problems: Vec::new(), attention: Vec::new() };
    (status, Json(health)).into_response()
}

async fn forward(page: &Page, request: Request) -> Response {
    match page.control.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn front() -> Html<&'static str> {
    Html(
        "<!doctype html><meta charset=utf-8><title>longplay</title>\
         <p>longplay is here. <code>longplay status</code> tells how everyone is.",
    )
}

/// The browser comes back from Spotify.
async fn callback(State(page): State<Page>, uri: Uri) -> Response {
    let address = format!("http://{}{uri}", page.listen);
    let Ok(body) = serde_json::to_vec(&LoginAddress { address }) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(request) = Request::post("/v1/logins").body(Body::from(body)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let response = forward(&page, request).await;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 64 * 1024).await.unwrap_or_default();
    let (done, message) = match serde_json::from_slice::<LoginState>(&bytes) {
        Ok(state) => (state.progress == Progress::Done, state.message),
        Err(_) => {
            let problem = serde_json::from_slice::<Problem>(&bytes);
            (false, problem.map_or_else(|_| "the login failed".to_owned(), |problem| problem.detail))
        }
    };
    let status = match done {
        true => StatusCode::OK,
        false if status.is_success() => StatusCode::BAD_REQUEST,
        false => status,
    };
    (status, [(header::REFERRER_POLICY, "no-referrer")], Html(told(done, &message))).into_response()
}

fn told(done: bool, message: &str) -> String {
    let title = if done { "Logged in" } else { "Not logged in" };
    let message: String = message
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!(
        "<!doctype html><meta charset=utf-8><title>longplay</title><h1>{title}</h1><p>{message}<p>You can close this page."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_own_names_are_accepted() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        for ours in
            ["127.0.0.1", "127.0.0.1:8467", "localhost:8467", "LOCALHOST", "[::1]:8467", "127.0.0.1:9"]
        {
            assert!(is_ours(ours, loopback), "{ours}");
        }
        for foreign in
            ["evil.example", "evil.example:8467", "10.0.0.1:8467", "localhost.evil.example", "", "::1:x"]
        {
            assert!(!is_ours(foreign, loopback), "{foreign}");
        }
        let everywhere: IpAddr = "0.0.0.0".parse().unwrap();
        assert!(is_ours("192.168.1.2:8467", everywhere) && !is_ours("evil.example", everywhere));
    }

    #[test]
    fn the_password_is_asked_for_with_any_user_name() {
        let mut headers = HeaderMap::new();
        let password = Secret::from("p:w");
        assert!(!knows(&headers, &password));
        for (pair, right) in [("me:p:w", true), (":p:w", true), ("me:pw", false), ("p:w", false)] {
            let value = format!("Basic {}", STANDARD.encode(pair));
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(knows(&headers, &password), right, "{pair}");
        }
    }

    #[test]
    fn what_the_page_says_is_escaped() {
        assert!(told(false, "<script>").contains("&lt;script&gt;"));
    }
}
