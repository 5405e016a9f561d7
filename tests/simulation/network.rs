//! The way to Spotify and back, on which requests and answers get lost. It watches what is asked: one refresh at a time
//! for a user, no token that is about to run out, none that is not committed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longplay::clock::Clock as _;
use longplay::domain::{AccessToken, Timestamp};
use longplay::oauth::{PostError, RawAnswer, TokenRequest, Transport};
use longplay::sim::{Call, LimitBody, Outcome, Reply};
use longplay::spotify::{self, Answer, NoAnswer};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;

use super::calendar::{HOUR, MINUTE};
use super::rates::{Ill, rate};
use super::watch::UnderWay;
use super::world::{Flight, Newest, StepOf, Trouble, World};

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

    /// The process hears of a 429.
    fn heed(&self, who: Option<usize>, reply: &Reply) {
        let wait = header(reply, "retry-after").and_then(|seconds| seconds.parse().ok());
        if let (429, Some(seconds)) = (reply.status, wait) {
            self.told_to_wait(who, Duration::from_secs(seconds));
        }
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
        world.step(StepOf::Refresh, "before a token request").await;
        if sent.is_some() {
            world.sends(who, "a refresh");
        }
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
            world.step(StepOf::Refresh, "between the provider's commit and the answer").await;
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
                if let Some(who) = who {
                    world.heard(who, &reply);
                }
                let header = |name: &str| header(&reply, name);
                world.heed(who, &reply);
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

fn header(reply: &Reply, name: &str) -> Option<String> {
    let found = reply.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone())
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
            world.used(who, token.expose(), expires_at).await;
        }
        world.step(StepOf::Run, "before a call").await;
        if !path.ends_with("/me") {
            world.sends(who, path);
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
        world.step(StepOf::Run, "after a call").await;
        let Ok(Some(reply)) = reply else { return gone("no whole answer in time") };
        world.heed(who, &reply);
        if let (401, Some(who)) = (reply.status, who) {
            let (now, refused) = (world.now(), &mut world.state().people[who].refused);
            // The token in the place of one that was refused just now is no fault of the token's.
            if refused.as_ref().is_none_or(|(_, at)| now.since(*at) > MINUTE) {
                *refused = Some((token.expose().to_owned(), now));
            }
        }
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
            401 if world.stood_still() => world.note("401 after a standstill", format_args!("{who:?}")),
            status => world.found(&format!("{who:?}: {path} was answered {status}")),
        }
        Some(reply)
    }
}
