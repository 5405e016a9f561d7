//! The way to Spotify and back, on which requests and answers get lost. It watches what is asked: one refresh at a time
//! for a user, no token that is about to run out, none that is not committed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longplay::clock::Clock as _;
use longplay::domain::{AccessToken, Timestamp};
use longplay::oauth::{PostError, RawAnswer, TokenRequest, Transport};
use longplay::sim::{Call, LimitBody, Outcome, Reply, Rotation};
use longplay::spotify::{self, Answer, NoAnswer};
use longplay::store::GrantStore as _;
use longplay::tokens::Label;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;

use super::BUFFER;
use super::calendar::{HOUR, MINUTE};
use super::rates::{Ill, rate};
use super::world::{Flight, Newest, Trouble, World};

const MS: Duration = Duration::from_millis(1);
/// The longest that a token request takes.
const TOKEN_WITHIN: Duration = Duration::from_secs(60);
/// The longest that a call of the Web API takes.
const API_WITHIN: Duration = Duration::from_secs(30);
/// For so long after a fault a user's refresh may be backing off.
const BACKING_OFF: Duration = Duration::from_secs(17 * 60);
/// What a token may lose between its handing over and its use.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// What becomes of a request where Spotify commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    LostBefore,
    LostAfter,
    Half,
    Outage,
    Limited(Duration),
}

pub struct Network(pub Arc<World>);

/// Counts a refresh as under way until whoever asked has an answer or is no more.
struct UnderWay<'a>(&'a World, Option<usize>);

impl<'a> UnderWay<'a> {
    fn new(world: &'a World, who: Option<usize>) -> Self {
        if let Some(who) = who {
            let under_way = {
                let person = &mut world.state().people[who];
                person.under_way += 1;
                person.under_way
            };
            if under_way > 1 {
                world.found(&format!("user{who}: {under_way} refreshes under way"));
            }
        }
        Self(world, who)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(who) = self.1 {
            let person = &mut self.0.state().people[who];
            person.under_way = person.under_way.saturating_sub(1);
        }
    }
}

impl World {
    fn ill(&self, ill: Ill) -> bool {
        self.network.hits(if self.is_rough() { rate(ill) } else { 0.0 })
    }

    fn retry_after(&self) -> Duration {
        let long = self.ill(Ill::LongRetryAfter);
        let (least, most) = if long { (HOUR, HOUR * 12) } else { (MINUTE / 6, MINUTE * 10) };
        Duration::from_secs(self.network.about(least, most).as_secs())
    }

    fn limited(&self, who: Option<usize>, wait: Duration) -> Reply {
        let (now, mut state) = (self.now(), self.state());
        if let Some(app) = who.map(|who| state.people[who].app) {
            let trouble = Trouble { from: now, to: now + wait + MINUTE * 2, why: "429" };
            state.app_troubles[app].push(trouble);
        }
        Reply::rate_limited(Some(&wait.as_secs().to_string()), LimitBody::Json)
    }

    fn fate(&self) -> Fate {
        let ills = [
            (Ill::TokenLostBefore, Fate::LostBefore),
            (Ill::TokenLostAfter, Fate::LostAfter),
            (Ill::TokenHalf, Fate::Half),
            (Ill::TokenOutage, Fate::Outage),
            (Ill::TokenLimited, Fate::Limited(Duration::ZERO)),
        ];
        let mut fate = Fate::Answered;
        for (ill, becomes) in ills {
            if self.ill(ill) && fate == Fate::Answered {
                fate = becomes;
            }
        }
        if let Fate::Limited(wait) = &mut fate {
            *wait = self.retry_after();
        }
        fate
    }

    /// Requests that were on their way when the process ended go on.
    pub fn go_on(self: &Arc<Self>) {
        let numbers: Vec<u64> = self.state().flights.keys().copied().collect();
        for number in numbers {
            let world = Arc::clone(self);
            tokio::spawn(async move { drop(world.land(number, || true).await) });
        }
    }

    /// Spotify's commit, and what is seen of it. `orphan`: whether whoever asked has given up or is no more.
    async fn land(&self, number: u64, orphan: impl Fn() -> bool) -> Option<Outcome> {
        let at = self.state().flights.get(&number)?.commit_at;
        self.clock.sleep(at.since(self.now())).await;
        let Flight { call, who, fate, .. } = self.state().flights.remove(&number)?;
        let lied_to = self.now() < self.state().false_grants && refresh_token(&call).is_some();
        let told = |reply: Reply| Some(Outcome::Whole(reply));
        match fate {
            Fate::LostBefore => return Some(Outcome::Cut),
            Fate::Outage => return told(Reply::outage(503)),
            Fate::Limited(wait) => return told(self.limited(who, wait)),
            _ if lied_to => {
                self.note("false invalid_grant", format_args!("{who:?}"));
                return told(Reply::false_invalid_grant());
            }
            _ => {}
        }
        let (sent, orphan) = (refresh_token(&call), orphan());
        let outcome = self.spotify.answer(call).await;
        if let (Some(who), Some(sent), Outcome::Whole(reply)) = (who, &sent, &outcome) {
            self.committed(who, sent, reply, orphan);
        }
        match (fate, outcome) {
            (Fate::LostAfter, _) => Some(Outcome::Cut),
            (Fate::Half, Outcome::Whole(reply)) => Some(Outcome::Half(reply)),
            (_, outcome) => Some(outcome),
        }
    }

    /// Takes note of what Spotify has done to a user's login.
    fn committed(&self, who: usize, sent: &str, reply: &Reply, orphan: bool) {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let now = self.now();
        self.note("refresh", format_args!("{who} {} {orphan}", reply.status));
        if reply.status == 200 {
            let rotated = body["refresh_token"].as_str().is_some_and(|new| !new.is_empty() && new != sent);
            if rotated {
                self.state().people[who].newest = Newest::Unheard(now);
            }
            return;
        }
        if body["error"] != "invalid_grant" {
            return;
        }
        let (first, excuse, requests) = {
            let mut state = self.state();
            let excuse = self.excuse(&state, who, orphan, now);
            let person = &mut state.people[who];
            person.dead_requests += u32::from(!orphan);
            let first = person.dead.is_none();
            person.dead.get_or_insert((now, excuse.unwrap_or("nothing")));
            (first, excuse, person.dead_requests)
        };
        if first {
            self.note("login dead", format_args!("{who} {excuse:?}"));
        }
        match excuse {
            None if first => {
                let state = self.state();
                let person = &state.people[who];
                let what = format!(
                    "user{who}: a login was lost that need not be: {:?} {:?}",
                    person.newest, person.rotation
                );
                drop(state);
                self.found(&what);
            }
            _ => {}
        }
        if requests > 5 {
            self.found(&format!("user{who}: {requests} requests for a dead login"));
        }
    }

    /// Why nobody could help it that this login is dead.
    fn excuse(
        &self,
        state: &super::world::State,
        who: usize,
        orphan: bool,
        now: Timestamp,
    ) -> Option<&'static str> {
        let person = &state.people[who];
        if person.revoked {
            return Some("revoked by the user");
        }
        if orphan {
            return Some("a request came late, after whoever sent it had given up");
        }
        match (person.newest, person.rotation) {
            (Newest::Unspooled, _) => Some("the spool failed, and then the store"),
            (Newest::Unheard(_) | Newest::DiedWithIt(_), Rotation::Rotate) => Some("the answer was lost"),
            (Newest::Unheard(at) | Newest::DiedWithIt(at), Rotation::RotateWithGrace(grace)) => {
                let hindered =
                    super::oracle::troubles_of(state, who).any(|t| t.from <= at + grace && t.to >= at);
                (now.since(at) > grace && hindered).then_some("the answer was lost, and grace was over")
            }
            _ => None,
        }
    }
}

fn refresh_token(call: &Call) -> Option<String> {
    let form = url::form_urlencoded::parse(&call.body);
    form.into_owned().find(|(name, _)| name == "refresh_token").map(|(_, token)| token)
}

#[async_trait]
impl Transport for Network {
    async fn post(&self, request: TokenRequest) -> Result<RawAnswer, PostError> {
        let world = &self.0;
        let call = Call {
            method: "POST".to_owned(),
            path: "/api/token".to_owned(),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            body: request.form().as_bytes().to_vec(),
            ..Call::default()
        };
        let sent = refresh_token(&call);
        let who = sent.as_ref().and_then(|token| world.spotify.owner_of(token));
        let who = who.and_then(|account| world.state().accounts.get(&account).copied());
        let _under_way = UnderWay::new(world, who.filter(|_| sent.is_some()));
        world.step("before a token request").await;
        let away = world.now() < world.state().spotify_down;
        if world.ill(Ill::TokenNotSent) || away {
            world.clock.sleep(world.network.between(MS * 5, MS * 10_000)).await;
            world.met(who, BACKING_OFF, "token request not sent");
            return Err(PostError::NotSent("no connection".to_owned()));
        }
        let fate = world.fate();
        let slow = world.ill(Ill::TokenSlow);
        let extra = if slow { world.network.between(MS * 5_000, MS * 65_000) } else { Duration::ZERO };
        let (up, down) = (world.network.between(MS * 20, MS * 150), world.network.between(MS * 20, MS * 150));
        // A slow answer is slow before the commit or after it.
        let (up, down) = if world.network.hits(0.5) { (up + extra, down) } else { (up, down + extra) };
        let (landed, outcome) = oneshot::channel();
        let number = {
            let mut state = world.state();
            state.next_flight += 1;
            let number = state.next_flight;
            let commit_at = self.0.clock.now() + up;
            state.flights.insert(number, Flight { commit_at, call, who, fate });
            number
        };
        let flying = Arc::clone(world);
        tokio::spawn(async move {
            let outcome = flying.land(number, || landed.is_closed()).await;
            let _ = landed.send(outcome);
        });
        let answered = async {
            let outcome = outcome.await.ok().flatten().unwrap_or(Outcome::Cut);
            world.step("between the provider's commit and the answer").await;
            world.clock.sleep(down).await;
            outcome
        };
        let outcome = tokio::time::timeout(TOKEN_WITHIN, answered).await;
        if slow || fate != Fate::Answered {
            world.met(who, BACKING_OFF, if slow { "slow token request" } else { fate_word(fate) });
        }
        match outcome {
            Err(_) => Err(PostError::Lost("no answer within 60 s".to_owned())),
            Ok(Outcome::Whole(reply)) => {
                if let Some(who) = who {
                    let person = &mut world.state().people[who];
                    if matches!(person.newest, Newest::Unheard(_)) && reply.status == 200 {
                        person.newest = Newest::Delivered(world.clock.now());
                    }
                }
                let header = |name: &str| {
                    let found = reply.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.clone())
                };
                Ok(RawAnswer {
                    status: reply.status,
                    retry_after: header("retry-after"),
                    date: header("date").or_else(|| Some(date(world.now()))),
                    body: reply.body.into(),
                })
            }
            Ok(_) => Err(PostError::Lost("the connection was cut".to_owned())),
        }
    }
}

fn fate_word(fate: Fate) -> &'static str {
    match fate {
        Fate::LostBefore => "cut before the provider's commit",
        Fate::LostAfter => "cut after the provider's commit",
        Fate::Half => "half a token answer",
        Fate::Outage => "token endpoint 503",
        Fate::Limited(_) => "token endpoint 429",
        Fate::Answered => "token endpoint answered",
    }
}

fn date(at: Timestamp) -> String {
    at.utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[async_trait]
impl spotify::Transport for Network {
    async fn get(&self, url: &str, token: &AccessToken) -> Result<Answer, NoAnswer> {
        let world = &self.0;
        let target = url.strip_prefix("https://api.example").unwrap_or(url);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some((account, expires_at)) = world.spotify.access(token.expose()) else {
            world.found("a token that Spotify never issued");
            return Err(NoAnswer { seen: "no answer", source: "an unknown token".into() });
        };
        let who = world.state().accounts.get(&account).copied();
        // A login asks whose it is before it is committed.
        if !path.ends_with("/me") {
            self.check_token(who, token, expires_at).await;
        }
        let gone = |seen| Err(NoAnswer { seen, source: "the network".into() });
        let away = world.now() < world.state().spotify_down;
        if world.ill(Ill::ApiUnreachable) || away {
            world.clock.sleep(world.network.between(MS * 5, MS * 10_000)).await;
            world.met(who, MINUTE * 3, "Web API unreachable");
            return gone("no connection");
        }
        let slow = world.ill(Ill::ApiSlow);
        let extra = if slow { world.network.between(MS * 5_000, MS * 40_000) } else { Duration::ZERO };
        let up = world.network.between(MS * 20, MS * 150);
        let down = world.network.between(MS * 20, MS * 150) + extra;
        let call = Call {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: Some(format!("Bearer {}", token.expose())),
            ..Call::default()
        };
        let asked = async {
            world.clock.sleep(up).await;
            let reply = self.api_reply(who, call, path).await;
            world.clock.sleep(down).await;
            reply
        };
        let reply = tokio::time::timeout(API_WITHIN, asked).await;
        if slow {
            world.met(who, MINUTE * 3, "slow Web API");
        }
        let Ok(Some(reply)) = reply else { return gone("no whole answer in time") };
        let mut headers = HeaderMap::new();
        for (name, value) in &reply.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Ok(Answer { status, headers, body: Some(reply.body) })
    }
}

impl Network {
    async fn api_reply(&self, who: Option<usize>, call: Call, path: &str) -> Option<Reply> {
        let world = &self.0;
        let (outage, limited) = (world.ill(Ill::ApiOutage), world.ill(Ill::ApiLimited));
        let (nonsense, false_401) = (world.ill(Ill::ApiNonsense), world.ill(Ill::ApiFalse401));
        if outage {
            world.met(who, MINUTE * 3, "Web API 503");
            return Some(Reply::outage(503));
        }
        if limited {
            let wait = world.retry_after();
            world.met(who, MINUTE * 3, "Web API 429");
            return Some(world.limited(who, wait));
        }
        if nonsense {
            world.met(who, MINUTE * 3, "Web API nonsense");
            return Some(Reply::not_json());
        }
        if false_401 {
            world.met(who, BACKING_OFF, "false 401");
            return Some(Reply::false_unauthorized());
        }
        let Outcome::Whole(reply) = world.spotify.answer(call).await else { return None };
        match reply.status {
            200 if path.ends_with("/recently-played") => {
                if let Some(who) = who {
                    let now = world.now();
                    world.note("page", format_args!("{who}"));
                    world.state().people[who].page_at = Some(now);
                }
            }
            200 => world.note("call", format_args!("{who:?} {path}")),
            401 if self.excused() => world.note("401 after a standstill", format_args!("{who:?}")),
            status => world.found(&format!("{who:?}: {path} was answered {status}")),
        }
        Some(reply)
    }

    /// The host stood still between the handing over of a token and its use.
    fn excused(&self) -> bool {
        let (now, state) = (self.0.now(), self.0.state());
        now.since(state.suspended) < MINUTE
    }

    /// That the token is valid for the buffer, and on record.
    async fn check_token(&self, who: Option<usize>, token: &AccessToken, expires_at: Timestamp) {
        let world = &self.0;
        let left = expires_at.since(world.now());
        if left + ON_ITS_WAY < BUFFER && !self.excused() {
            world.found(&format!("{who:?}: a token with {} s left was handed out", left.as_secs()));
        }
        let user = who.and_then(|who| world.state().people[who].id);
        let Some(user) = user else { return };
        let Ok(Some(grant)) = world.store.grant(user).await else { return };
        let Some(sealed) = &grant.access_token else { return };
        let label = Label::Access(user, grant.epoch, grant.generation);
        let Ok(kept) = world.vault.open(label, sealed) else {
            return world.found(&format!("{who:?}: the stored access token can't be opened"));
        };
        let kept = String::from_utf8_lossy(&kept).into_owned();
        if kept == token.expose() {
            return;
        }
        let on_record = world.spotify.access(&kept).map(|(_, expires_at)| expires_at);
        let rolled_back = world.now().since(world.state().rolled_back) < HOUR * 2;
        if on_record < Some(expires_at) && !rolled_back {
            world.found(&format!("{who:?}: a token was handed out that is not committed"));
        }
    }
}
