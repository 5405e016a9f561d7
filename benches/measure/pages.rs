//! A minimal Spotify that answers pages of 50 plays of the shape that is really sent, and costs as little as it can:
//! every track is put into JSON once, by the simulated Spotify, and a page is pieced together of them.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use hyper::{Request, Response, body::Incoming, header::AUTHORIZATION, service::service_fn};
use hyper_util::rt::TokioIo;
use longplay::clock::{Clock as _, SystemClock};
use longplay::domain::Timestamp;
use longplay::sim::{App, Call, Listen, Options, Outcome, SimulatedSpotify};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::crowd;

/// How many plays a page has.
pub const PAGE: usize = 50;
/// How far apart the plays of a user are, in milliseconds.
const APART: i64 = 180_000;
/// How many plays there are room for before now.
const ROOM: i64 = 20_000;

/// The pages: of each user the same number of plays, of which the newest are shown.
pub struct Pages {
    tracks: Vec<String>,
    origin: Timestamp,
    heard: AtomicUsize,
    /// How long an answer takes to come.
    latency: Duration,
    address: SocketAddr,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    track: &'a RawValue,
}

impl Pages {
    /// Starts to serve so many different tracks, each page after so long, on a thread of its own.
    pub fn start(tracks: usize, latency: Duration) -> Arc<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let now = SystemClock.now();
        let pages = Arc::new(Self {
            tracks: rendered(tracks),
            origin: now.offset_millis(-APART * ROOM),
            heard: AtomicUsize::new(PAGE),
            latency,
            address: listener.local_addr().expect("an address"),
        });
        let served = Arc::clone(&pages);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, served));
        });
        pages
    }

    /// The setting `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Everyone hears so many more.
    pub fn hear(&self, more: usize) {
        self.heard.fetch_add(more, Ordering::SeqCst);
    }

    fn page(&self, user: usize) -> String {
        let heard = self.heard.load(Ordering::SeqCst);
        let mut body = String::with_capacity(PAGE * (self.tracks[0].len() + 300));
        body.push_str(r#"{"items":["#);
        for n in (heard - PAGE..heard).rev() {
            let at = self.origin.offset_millis(APART * i64::try_from(n).expect("few"));
            let track =
                &self.tracks[(user.wrapping_mul(7_919) + n.wrapping_mul(104_729)) % self.tracks.len()];
            let comma = if n + 1 == heard { "" } else { "," };
            // Writing to a string can't fail.
            let _ = write!(
                body,
                r#"{comma}{{"track":{track},"played_at":"{at}","context":{{"type":"playlist","external_urls":{{"spotify":"https://open.spotify.com/playlist/37i9dQZF1DXcBWIGoYBM5M"}},"href":"https://api.spotify.com/v1/playlists/37i9dQZF1DXcBWIGoYBM5M","uri":"spotify:playlist:37i9dQZF1DXcBWIGoYBM5M"}}}}"#
            );
        }
        body.push_str(r#"],"next":null,"cursors":null,"limit":50,"href":"https://api.spotify.com/v1/me/player/recently-played?limit=50"}"#);
        body
    }
}

/// Tracks as Spotify puts them into a page.
fn rendered(count: usize) -> Vec<String> {
    let spotify = SimulatedSpotify::in_process(Options::default());
    spotify.register_app(App::pkce("client"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let numbers: Vec<usize> = (0..count).collect();
    let mut tracks = Vec::new();
    for chunk in numbers.chunks(PAGE) {
        let account = format!("account{}", chunk[0]);
        spotify.add_account(&account);
        spotify.grant(&account, "client", &["user-read-recently-played"]);
        let now = SystemClock.now();
        let played =
            |n: &usize| Listen::new(&format!("Track {n}"), now.offset_millis(-60_000 * *n as i64 - 1_000));
        spotify.listen(&account, chunk.iter().map(played));
        let token = spotify.access_token(&account).expect("a login");
        let call = Call {
            method: "GET".to_owned(),
            path: "/v1/me/player/recently-played".to_owned(),
            query: format!("limit={PAGE}"),
            authorization: Some(format!("Bearer {token}")),
            ..Call::default()
        };
        let Outcome::Whole(reply) = runtime.block_on(spotify.answer(call)) else { panic!("no page") };
        let page: Page<'_> = serde_json::from_slice(&reply.body).expect("a page");
        tracks.extend(page.items.iter().map(|item| item.track.get().to_owned()));
    }
    assert_eq!(tracks.len(), count);
    tracks
}

async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let pages = Arc::clone(&pages);
        let answer = service_fn(move |request: Request<Incoming>| {
            let pages = Arc::clone(&pages);
            async move {
                if !pages.latency.is_zero() {
                    SystemClock.sleep(pages.latency).await;
                }
                Ok::<_, Infallible>(answer(&pages, &request))
            }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
        );
    }
}

fn answer(pages: &Pages, request: &Request<Incoming>) -> Response<Body> {
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let user = token.and_then(|token| crowd::number(token.strip_prefix("Bearer ")?));
    let known = user.filter(|_| request.uri().path() == "/v1/me/player/recently-played");
    let (status, body) = match known {
        Some(user) => (200, pages.page(user)),
        None => (404, String::new()),
    };
    let response =
        Response::builder().status(status).header("content-type", "application/json; charset=utf-8");
    response.body(Body::from(body)).expect("an answer")
}
