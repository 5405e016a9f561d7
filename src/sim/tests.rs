//! What is refused is really refused, and every fault is seen by a real client.

mod api;
mod fault;
mod login;
mod refresh;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oauth2::url::Url;
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::Value;

use super::{App, Options, Rotation, SimulatedSpotify};
use crate::clock::{Clock, SimulatedClock};
use crate::domain::Timestamp;

const BOTH: [&str; 2] = ["user-read-recently-played", "user-top-read"];
const REDIRECT: &str = "http://127.0.0.1:8467/callback";

/// A Spotify with a public app `web`, a confidential one `vault`, and Ann, who listens.
struct Stage {
    spotify: SimulatedSpotify,
    clock: Arc<SimulatedClock>,
    client: Client,
}

fn stage() -> Stage {
    stage_with(Rotation::Never)
}

fn stage_with(rotation: Rotation) -> Stage {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Arc::new(SimulatedClock::new(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
    let options = Options { clock: clock.clone(), ..Options::default() };
    let spotify = SimulatedSpotify::start(options).unwrap();
    spotify.register_app(App::pkce("web").redirect(REDIRECT).rotation(rotation));
    spotify.register_app(App::with_secret("vault", "s3cret").redirect(REDIRECT).rotation(rotation));
    spotify.add_account("ann");
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    Stage { spotify, clock, client }
}

impl Stage {
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A refresh by the public app.
    fn refresh(&self, token: &str) -> RequestBuilder {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "web")];
        self.client.post(self.spotify.token_url()).form(&form)
    }

    /// A request to the Web API.
    fn get(&self, path: &str, access_token: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.spotify.api_url())).bearer_auth(access_token)
    }

    /// Goes to the consent page with these parameters, changed by `changes` (an empty value leaves one out).
    async fn authorize(&self, changes: &[(&str, &str)]) -> Response {
        let mut fields = HashMap::from([
            ("response_type", "code"),
            ("client_id", "web"),
            ("redirect_uri", REDIRECT),
            ("code_challenge_method", "S256"),
            ("code_challenge", CHALLENGE),
            ("scope", "user-read-recently-played user-top-read"),
            ("state", "xyz"),
        ]);
        fields.extend(changes.iter().copied());
        fields.retain(|_, value| !value.is_empty());
        self.client.get(self.spotify.authorize_url()).query(&fields).send().await.unwrap()
    }

    /// A code for the public app.
    async fn code(&self) -> String {
        landed(&self.authorize(&[]).await).remove("code").unwrap()
    }

    /// Redeems a code, with the form changed by `changes` (an empty value leaves a field out).
    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let mut fields = HashMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", "web"),
            ("code_verifier", VERIFIER),
        ]);
        fields.extend(changes.iter().copied());
        fields.retain(|_, value| !value.is_empty());
        answer(self.client.post(self.spotify.token_url()).form(&fields)).await
    }
}

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// The parameters that a redirect brings back.
fn landed(response: &Response) -> HashMap<String, String> {
    assert_eq!(response.status(), 302);
    let url = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    assert_eq!(url.port(), Some(8467));
    url.query_pairs().into_owned().collect()
}

/// An error of the token endpoint.
fn oauth_error(answer: &(u16, Value)) -> (&str, &str) {
    assert_eq!(answer.0, 400, "{}", answer.1);
    (answer.1["error"].as_str().unwrap(), answer.1["error_description"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_stopped_spotify_refuses_connections_and_comes_back_with_its_record() {
    let stage = stage();
    let token = stage.spotify.grant("ann", "web", &BOTH);
    stage.spotify.stop();
    assert!(stage.refresh(&token).send().await.unwrap_err().is_connect());
    stage.spotify.resume().unwrap();
    assert_eq!(answer(stage.refresh(&token)).await.0, 200);
    let address = stage.spotify.base_url();
    let gone = stage.client.get(&address);
    drop(stage.spotify);
    assert!(gone.send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn an_unknown_path_is_404_and_every_answer_is_dated() {
    let stage = stage();
    let date = async || {
        let response = stage.client.get(format!("{}/shows", stage.spotify.api_url())).send().await.unwrap();
        assert_eq!(response.status(), 404);
        response.headers()["date"].to_str().unwrap().to_owned()
    };
    assert_eq!(date().await, "Sun, 01 Mar 2026 12:00:00 GMT");
    stage.spotify.set_clock_skew(chrono::TimeDelta::seconds(-90));
    assert_eq!(date().await, "Sun, 01 Mar 2026 11:58:30 GMT");
    assert_eq!(stage.clock.now().to_string(), "2026-03-01T12:00:00.000Z");
}

#[tokio::test]
async fn without_a_server_it_answers_the_same() {
    let stage = stage();
    let inner = SimulatedSpotify::in_process(Options { clock: stage.clock.clone(), ..Options::default() });
    let call = super::Call {
        method: "GET".to_owned(),
        path: "/v1/me".to_owned(),
        authorization: Some("Bearer nonsense".to_owned()),
        ..super::Call::default()
    };
    let super::Outcome::Whole(reply) = inner.answer(call).await else { panic!() };
    let served = answer(stage.get("/me", "nonsense")).await;
    assert_eq!((reply.status, serde_json::from_slice::<Value>(&reply.body).unwrap()), served);
}
