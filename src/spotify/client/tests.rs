use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::response::Response;
use tokio::net::TcpListener;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::sim::{App, Effect, Endpoint, Fault, Injection, LimitBody, Options, Reply, SimulatedSpotify};

const TOKEN: &str = "BQa-secret-access-token";

fn token() -> AccessToken {
    AccessToken::from(TOKEN.to_owned())
}

/// A server that answers every request alike, and what it was asked for.
struct Server {
    api_url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn server<R: IntoResponse>(answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> Server {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let serve = move |request: Request| {
        let bearer = request.headers().get("authorization").unwrap().to_str().unwrap();
        seen.lock().unwrap().push(format!("{} {} {bearer}", request.method(), request.uri()));
        let answer: Response = answer().into_response();
        async { answer }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
    Server { api_url, asked }
}

#[tokio::test]
async fn a_page_of_50_is_asked_for_and_never_what_came_after_a_time() {
    let server = server(|| r#"{"items":[]}"#).await;
    let client = Client::new().unwrap();
    client.recently_played(&server.api_url, &token(), SystemClock.now()).await.unwrap();
    client.top_artists(&format!("{}/", server.api_url), &token()).await.unwrap();
    client.me(&server.api_url, &token()).await.unwrap_err();
    assert_eq!(
        *server.asked.lock().unwrap(),
        [
            format!("GET /v1/me/player/recently-played?limit=50 Bearer {TOKEN}"),
            format!("GET /v1/me/top/artists?limit=5 Bearer {TOKEN}"),
            format!("GET /v1/me Bearer {TOKEN}"),
        ]
    );
}

#[tokio::test]
async fn an_answer_that_repeats_the_token_does_not_carry_it_further() {
    let client = Client::new().unwrap();
    for status in [200_u16, 400, 403, 404, 429, 500] {
        let status = reqwest::StatusCode::from_u16(status).unwrap();
        let server = server(move || (status, format!("refused: {TOKEN}"))).await;
        let error = client.recently_played(&server.api_url, &token(), SystemClock.now()).await.unwrap_err();
        assert!(format!("{error} {error:?}").contains("[token]"), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    }
}

#[tokio::test]
async fn the_answers_own_date_is_the_present_where_the_clock_is_behind_it() {
    let item = r#"{"items":[{"played_at":"2026-11-21T12:00:00Z","track":{"name":"Marzipan"}}]}"#;
    let readable = async |date: &'static str, now: &str| {
        let server = server(move || ([("date", date)], item)).await;
        let now = Timestamp::parse(now).unwrap();
        let page = Client::new().unwrap().recently_played(&server.api_url, &token(), now).await.unwrap();
        page.plays.len()
    };
    assert_eq!(readable("Sat, 21 Nov 2026 12:00:05 GMT", "1970-01-01T00:00:00Z").await, 1);
    assert_eq!(readable("Thu, 01 Jan 1970 00:00:00 GMT", "2026-11-21T12:00:05Z").await, 1);
    assert_eq!(readable("yesterday", "2026-11-19T12:00:00Z").await, 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = server(|| r#"{"items":[]}"#).await;
    let to = format!("{}/me", elsewhere.api_url);
    let server = server(move || (reqwest::StatusCode::FOUND, [("location", to.clone())])).await;
    let error = Client::new()
        .unwrap()
        .recently_played(&server.api_url, &token(), SystemClock.now())
        .await
        .unwrap_err();
    assert!(matches!(&error, ApiError::BadAnswer { message } if message.contains("302")), "{error:?}");
    assert_eq!(*elsewhere.asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn at_most_8_mib_are_read_after_decompression_too() {
    let client = Client::new().unwrap();
    let large = server(|| vec![b' '; MOST_BYTES + 1]).await;
    let error = client.recently_played(&large.api_url, &token(), SystemClock.now()).await.unwrap_err();
    assert!(matches!(&error, ApiError::BadAnswer { message } if message.contains("8 MiB")), "{error:?}");
    let bomb = server(|| ([("content-encoding", "gzip")], gzipped_zeros(16))).await;
    let error = client.recently_played(&bomb.api_url, &token(), SystemClock.now()).await.unwrap_err();
    assert!(matches!(&error, ApiError::BadAnswer { message } if message.contains("8 MiB")), "{error:?}");
    // The limit is no obstacle to what is just below it.
    let padded = server(|| format!("{{\"items\":[]{}}}", " ".repeat(MOST_BYTES - 12))).await;
    client.recently_played(&padded.api_url, &token(), SystemClock.now()).await.unwrap();
    let small = server(|| ([("content-encoding", "gzip")], gzipped_zeros(1))).await;
    let error = client.recently_played(&small.api_url, &token(), SystemClock.now()).await.unwrap_err();
    assert!(matches!(&error, ApiError::BadAnswer { message } if !message.contains("MiB")), "{error:?}");
}

fn gzipped_zeros(mib: usize) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![0; mib << 20]).unwrap();
    gzip.finish().unwrap()
}

struct Scene {
    spotify: SimulatedSpotify,
    client: Client,
    token: AccessToken,
}

impl Scene {
    fn new() -> Self {
        let options = Options { clock: Arc::new(SystemClock), ..Options::default() };
        let spotify = SimulatedSpotify::start(options).unwrap();
        spotify.register_app(App::pkce("app"));
        spotify.grant("alice", "app", &["user-read-recently-played", "user-top-read"]);
        let token = AccessToken::from(spotify.access_token("alice").unwrap());
        Self { spotify, client: Client::new().unwrap(), token }
    }

    async fn page(&self) -> Result<Page, ApiError> {
        self.client.recently_played(&self.spotify.api_url(), &self.token, SystemClock.now()).await
    }

    async fn page_after(&self, fault: Fault) -> ApiError {
        self.spotify.inject(Injection::new(Endpoint::Recent, fault));
        let error = self.page().await.unwrap_err();
        assert_eq!(self.spotify.faults_waiting(), 0, "the fault was not met");
        assert!(!format!("{error:?}").contains(self.token.expose()));
        error
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spotify_plays_is_read_whatever_the_shape_of_its_page() {
    use crate::sim::Shape;
    let scene = Scene::new();
    scene.spotify.listen_until("alice", 60, SystemClock.now());
    for shape in [Shape::Full, Shape::Nulls, Shape::Absent] {
        scene.spotify.set_shape("alice", shape);
        let page = scene.page().await.unwrap();
        assert_eq!((page.items(), page.plays.len()), (50, 50), "{shape:?}: {:?}", page.unreadable);
    }
    let api_url = scene.spotify.api_url();
    scene.client.top_artists(&api_url, &scene.token).await.unwrap();
    assert!(!scene.client.me(&api_url, &scene.token).await.unwrap().id.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_day_of_spotify_has_its_name() {
    let scene = Scene::new();
    for fault in [
        Fault::before(Effect::Drop),
        Fault::after(Effect::HalfABody),
        Fault::answer(Reply::outage(503)),
        Fault::answer(Reply::html(500)),
    ] {
        let error = scene.page_after(fault.clone()).await;
        assert!(matches!(error, ApiError::Unreachable { .. }), "{fault:?}: {error:?}");
    }
    for fault in [
        Fault::answer(Reply::html(200)),
        Fault::answer(Reply::empty()),
        Fault::answer(Reply::not_json()),
        Fault::answer(Reply::huge()),
    ] {
        let error = scene.page_after(fault).await;
        assert!(matches!(error, ApiError::BadAnswer { .. }), "{error:?}");
    }
    let limited = scene.page_after(Fault::answer(Reply::rate_limited(Some("19056"), LimitBody::Quota))).await;
    let told = Some(Duration::from_secs(19_056));
    assert!(
        matches!(&limited, ApiError::RateLimited { retry_after, reason, quota: true } if *retry_after == told && reason.contains("quota")),
        "{limited:?}"
    );
    let refused = scene.page_after(Fault::answer(Reply::false_unauthorized())).await;
    assert!(matches!(refused, ApiError::Unauthorized), "{refused:?}");
    scene.spotify.set_premium("app", false);
    let forbidden = scene.page().await.unwrap_err();
    assert!(
        matches!(&forbidden, ApiError::Forbidden { message } if message.contains("Premium")),
        "{forbidden:?}"
    );
    scene.spotify.set_premium("app", true);
    scene.spotify.set_allow_listed("alice", false);
    let forbidden = scene.page().await.unwrap_err();
    assert!(matches!(&forbidden, ApiError::Forbidden { message } if message.contains("User Management")));
    scene.spotify.stop();
    let gone = scene.page().await.unwrap_err();
    assert!(matches!(&gone, ApiError::Unreachable { source: Some(_), .. }), "{gone:?}");
}
