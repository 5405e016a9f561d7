//! Faults: what goes wrong with a request, on either side of the moment at which Spotify's own record changes.
//! They wait in a queue per endpoint, and each is met by as many requests as it was meant for.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::message::Reply;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /authorize`.
    Authorize,
    /// `POST /api/token`.
    Token,
    /// `GET /v1/me`.
    Me,
    /// `GET /v1/me/player/recently-played`.
    Recent,
    /// `GET /v1/me/top/artists`.
    Top,
}

impl Endpoint {
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        match (method, path) {
            ("GET", "/authorize") => Some(Self::Authorize),
            ("POST", "/api/token") => Some(Self::Token),
            ("GET", "/v1/me") => Some(Self::Me),
            ("GET", "/v1/me/player/recently-played") => Some(Self::Recent),
            ("GET", "/v1/me/top/artists") => Some(Self::Top),
            _ => None,
        }
    }
}

/// One thing that happens to a request.
#[derive(Debug, Clone)]
pub enum Effect {
    /// The connection ends without an answer.
    Drop,
    /// The connection ends after half of the body.
    HalfABody,
    /// This is answered, whatever the true answer was.
    Answer(Reply),
    /// This is answered, but only after so long, by the simulation's clock.
    Late(Duration, Reply),
    /// This answer begins, and its body comes again and again without end, with a pause of so long in between.
    Endless(Reply, Duration),
    /// It takes so long, by the simulation's clock; then all goes on.
    Slow(Duration),
    /// It takes until the gate is opened; then all goes on.
    Hang(Gate),
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    pub(super) before: Option<Effect>,
    pub(super) after: Option<Effect>,
}

impl Fault {
    /// Before Spotify's commit: unless the effect is only a delay, nothing has happened there.
    pub fn before(effect: Effect) -> Self {
        Self { before: Some(effect), after: None }
    }

    /// After Spotify's commit: a refresh token has rotated, a code is spent.
    pub fn after(effect: Effect) -> Self {
        Self { before: None, after: Some(effect) }
    }

    /// The same fault, and this one after the commit.
    pub fn and_after(mut self, effect: Effect) -> Self {
        self.after = Some(effect);
        self
    }

    /// This is answered instead of doing anything.
    pub fn answer(reply: Reply) -> Self {
        Self::before(Effect::Answer(reply))
    }
}

/// Holds requests until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<GateState>);

#[derive(Debug, Default, Clone, Copy)]
struct GateState {
    came: usize,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(watch::Sender::new(GateState::default()))
    }

    /// Lets all pass that wait, and all that come.
    pub fn open(&self) {
        self.0.send_modify(|gate| gate.open = true);
    }

    /// Waits until so many requests have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|gate| gate.came >= count).await;
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|gate| gate.came += 1);
        let _ = self.0.subscribe().wait_for(|gate| gate.open).await;
    }
}

/// The body of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitBody {
    /// `{"error":{"status":429,...}}`.
    Json,
    /// The same with the reason `QUOTA_EXCEEDED`: the developer account's daily quota.
    Quota,
    /// Plain text.
    Text,
}

/// Answers that Spotify gives on bad days.
impl Reply {
    /// 5xx with the plain text of a proxy.
    pub fn outage(status: u16) -> Self {
        let text = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
        Self::text(status, text)
    }

    /// Any status with a page for people.
    pub fn html(status: u16) -> Self {
        let page = "<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>Something went wrong</h1></body></html>";
        Self::new(status, "text/html; charset=utf-8", page)
    }

    /// 200 and nothing.
    pub fn empty() -> Self {
        Self::new(200, "application/json", "")
    }

    /// 200, said to be JSON, which it is not.
    pub fn not_json() -> Self {
        Self::new(200, "application/json", "{\"access_token\": \"BQ")
    }

    /// 302 to somewhere else.
    pub fn redirect(location: &str) -> Self {
        Self::new(302, "text/plain", "").header("location", location)
    }

    /// 429 with `Retry-After` as given: whole seconds in practice, 0 at times; `None` leaves the header out.
    pub fn rate_limited(retry_after: Option<&str>, body: LimitBody) -> Self {
        let reply = match body {
            LimitBody::Text => Self::text(429, "Too many requests"),
            LimitBody::Json => Self::api_error(429, "API rate limit exceeded"),
            LimitBody::Quota => Self::json(
                429,
                &json!({"error": {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}}),
            ),
        };
        match retry_after {
            Some(seconds) => reply.header("retry-after", seconds),
            None => reply,
        }
    }

    /// `invalid_grant` for a token that is good.
    pub fn false_invalid_grant() -> Self {
        Self::invalid_grant("Refresh token revoked")
    }

    /// 401 for an access token that is good.
    pub fn false_unauthorized() -> Self {
        Self::api_error(401, "The access token expired")
    }

    /// 200 with 10 MB of well-formed JSON that says nothing.
    pub fn huge() -> Self {
        let mut body = b"{\"padding\":\"".to_vec();
        body.resize(10 * 1024 * 1024, b'x');
        body.extend_from_slice(b"\"}");
        Self::new(200, "application/json", body)
    }
}

/// A fault, and whom it meets.
#[derive(Debug, Clone)]
pub struct Injection {
    endpoint: Endpoint,
    account: Option<String>,
    left: Option<u32>,
    fault: Fault,
}

impl Injection {
    /// Meets the next request to this endpoint, whoever's it is.
    pub fn new(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, account: None, left: Some(1), fault }
    }

    /// Meets only requests of this account.
    pub fn of(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Meets so many requests.
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// Meets every request until faults are cleared.
    pub fn until_cleared(mut self) -> Self {
        self.left = None;
        self
    }
}

/// The faults that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Injection>,
    /// How many requests met a fault.
    pub met: u64,
}

impl Faults {
    pub fn add(&mut self, injection: Injection) {
        if injection.left != Some(0) {
            self.waiting.push(injection);
        }
    }

    /// Takes the oldest fault that fits.
    pub fn take(&mut self, endpoint: Endpoint, account: Option<&str>) -> Fault {
        let fits = |i: &Injection| {
            i.endpoint == endpoint && (i.account.is_none() || i.account.as_deref() == account)
        };
        let Some(at) = self.waiting.iter().position(fits) else { return Fault::default() };
        self.met += 1;
        let injection = &mut self.waiting[at];
        let fault = injection.fault.clone();
        if let Some(left) = &mut injection.left {
            *left -= 1;
            if *left == 0 {
                self.waiting.remove(at);
            }
        }
        fault
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
