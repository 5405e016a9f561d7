//! One user's account: a pure state machine that decides who gets a token, when a refresh starts and what its outcome
//! means. It promises: at most one refresh under way, no token under the buffer, generations only rise, every waiter
//! gets an answer. It does no I/O; [`Account::on`] turns an input into effects.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{
    AccessToken, AppFault, AttemptId, Cause, Epoch, Generation, RefreshToken, Refusal, Rotation, Timestamp,
};

use crate::store::STOPPED;

use super::exchange::LEASE;
use super::validity::{Held, Moment};
use super::{Need, Token, TokenError, Trouble};

/// A generation born of a rejection so recently is not refreshed for another rejection.
const FRESH_REJECTION: Duration = Duration::from_secs(60);
/// How long before its next run a user's token is kept fresh.
const RUN_AHEAD: Duration = Duration::from_secs(10 * 60);
/// How long after a program's question a user's token is kept fresh.
const PROGRAM_AHEAD: Duration = Duration::from_secs(3_600);
/// How long a daemon that is not the sender leaves a doubt alone on a provider that rotates strictly.
const STRANGERS_DOUBT: Duration = Duration::from_secs(15 * 60);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// When to look again while another daemon refreshes, or another dead login is being tried.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Wall times are converted to boot times for so long at most, since the wall clock can step.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);
/// A waiter that so many refreshes did not satisfy is told so.
const ROUNDS: u8 = 4;

/// Names a waiter; the actor knows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// What the configuration says about this user's tokens.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The least validity ever given out.
    pub buffer: Duration,
    /// Whether tokens are refreshed before they are asked for.
    pub ahead: bool,
    /// How long a spent refresh token may still be retried.
    pub rotation_grace: Duration,
}

/// What is known of the app and the provider now.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// No call before this moment.
    pub held_until: Option<Timestamp>,
    /// The token endpoint refuses the app.
    pub fault: Option<AppFault>,
    /// How the provider rotates.
    pub rotation: Rotation,
    /// Another dead login of the same token URL is being tried.
    pub probe_taken: bool,
}

/// A refresh that is on record without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnRecord {
    /// Its name.
    pub attempt: AttemptId,
    /// Whether this daemon sent it.
    pub ours: bool,
    /// When it was announced.
    pub sent: BootTime,
    /// When its lease lapses.
    pub lapses: BootTime,
}

/// What memory holds of a grant.
#[derive(Debug, Clone)]
pub struct View {
    /// Which login.
    pub epoch: Epoch,
    /// Which generation.
    pub generation: Generation,
    /// Whether the login was given to the app's present client id.
    pub client_matches: bool,
    /// What a refresh sends.
    pub refresh_token: RefreshToken,
    /// What callers receive.
    pub access: Option<(AccessToken, Held)>,
    /// When this generation came, and whether a rejection was the reason.
    pub born: (BootTime, Option<Cause>),
    /// A refresh without an outcome.
    pub on_record: Option<OnRecord>,
    /// When the login comes to its age.
    pub login_ends: Option<Timestamp>,
    /// Unknown whether the refresh token is spent; whether this daemon is the sender, what was seen, and since when.
    pub doubt: Option<(bool, String, Timestamp)>,
    /// The provider refuses the refresh token.
    pub refusal: Option<Refusal>,
}

/// How a refresh ended.
#[derive(Debug)]
pub enum Outcome {
    /// New tokens are committed; or a newer state was found in the store.
    Committed(Box<View>),
    /// Something else is on record: read it.
    Superseded,
    /// Nothing happened at the provider.
    NotSent(TokenError),
    /// The app is refused, or our request.
    ClientRefused(String),
    /// `invalid_grant`.
    Refused(Refusal),
    /// Unknown.
    Doubt(String, Timestamp),
}

/// What happens to an account.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants a token.
    Ask(WaiterId, Need),
    /// Spotify answered 401.
    Rejected(WaiterId, Generation),
    /// Somebody wants to know how long the present token is valid.
    Look(WaiterId),
    /// The store was read; `None`: there is no login.
    Read(Result<Option<View>, String>),
    /// The refresh under way can't be brought to its end: the store can't be written.
    Stalled(String),
    /// The refresh under way ended.
    Done(Epoch, Outcome),
    /// A login was committed.
    LoggedIn(View),
    /// The time of [`Account::wake_at`] has come.
    Wake,
    /// Suspended, or going on.
    Pause(bool),
    /// A run is due then.
    RunDue(Option<Timestamp>),
    /// Another dead login of the token URL came back: try this one now.
    Release,
    /// What was read may be old: read again before the next answer.
    Stale,
    /// The tokens are gone.
    Forget,
}

/// What the actor has to do.
#[derive(Debug)]
pub enum Effect {
    /// Read the grant from the store.
    Read,
    /// Start a refresh.
    Refresh(Start),
    /// Give a waiter the token.
    Give(WaiterId, Token),
    /// Tell a waiter that its rejection is settled.
    Settled(WaiterId),
    /// Tell a waiter how long the token is valid.
    Left(WaiterId, Option<Duration>),
    /// Tell a waiter why not.
    Refuse(WaiterId, TokenError),
}

/// A refresh to be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// What it starts from.
    pub view: Box<View>,
    /// Why.
    pub cause: Cause,
    /// A try of a dead login.
    pub probe: bool,
    /// A person asked: try a refused app too.
    pub insist: bool,
}

#[derive(Debug)]
enum Want {
    Token { need: Need, at_least: Option<Generation> },
    Settle { generation: Generation, reread: bool },
    Look,
}

#[derive(Debug)]
struct Waiter {
    id: WaiterId,
    want: Want,
    rounds: u8,
}

impl Waiter {
    fn rejects(&self) -> Option<Generation> {
        match self.want {
            Want::Settle { generation, .. } => Some(generation),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Known {
    Unread,
    NoLogin,
    Login(Box<View>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Idle,
    Reading,
    Refreshing { epoch: Epoch, generation: Generation },
}

#[derive(Debug)]
struct Backoff {
    tries: u32,
    until: BootTime,
    why: TokenError,
}

/// One user's account.
#[derive(Debug)]
pub struct Account {
    name: String,
    rules: Rules,
    paused: bool,
    known: Known,
    work: Work,
    waiters: Vec<Waiter>,
    backoff: Option<Backoff>,
    /// The newest generation that Spotify answered 401 for: it is given to nobody.
    rejected: Option<Generation>,
    asked_by_program: Option<BootTime>,
    run_due: Option<Timestamp>,
    /// While another daemon refreshes, or another dead login is tried.
    look_again: Option<BootTime>,
    stale: bool,
}

/// What becomes of a waiter now.
enum Verdict {
    Answer(Effect),
    Wait(Cause),
}

impl Account {
    /// Of whom nothing is read yet. `name` is for messages.
    pub fn new(name: String, rules: Rules, paused: bool) -> Self {
        Self {
            name,
            rules,
            paused,
            known: Known::Unread,
            work: Work::Idle,
            waiters: Vec::new(),
            backoff: None,
            rejected: None,
            asked_by_program: None,
            run_due: None,
            look_again: None,
            stale: false,
        }
    }

    /// The rules changed.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Whether a refresh is under way.
    pub fn refreshing(&self) -> bool {
        matches!(self.work, Work::Refreshing { .. })
    }

    /// Whether the last refresh has an unknown outcome.
    pub fn in_doubt(&self) -> bool {
        matches!(&self.known, Known::Login(view) if view.doubt.is_some())
    }

    /// Why the last refresh failed, where it is to be tried again.
    pub fn backing_off(&self) -> Option<String> {
        self.backoff.as_ref().map(|backoff| backoff.why.to_string())
    }

    /// Takes an input and says what is to be done.
    pub fn on(&mut self, input: Input, now: Moment, weather: &Weather) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut woken = false;
        match input {
            Input::Ask(id, need) => {
                if need.program {
                    self.asked_by_program = Some(now.boot);
                }
                let at_least = match &self.known {
                    Known::Login(view) if need.fresh => Some(view.generation.next()),
                    _ => None,
                };
                self.wait(id, Want::Token { need, at_least });
            }
            Input::Rejected(id, generation) => self.wait(id, Want::Settle { generation, reread: false }),
            Input::Look(id) => self.wait(id, Want::Look),
            Input::Read(read) => self.read(read, now, &mut effects),
            Input::Stalled(why) => {
                let error = waiting(why, LOOK_AGAIN, Trouble::Store);
                self.refuse_all(&error, &mut effects);
            }
            Input::Done(epoch, outcome) => self.done(epoch, outcome, now, &mut effects),
            Input::LoggedIn(view) => {
                // What is being read now may be the old login.
                self.stale |= self.work == Work::Reading;
                self.known = Known::Login(Box::new(view));
                (self.backoff, self.look_again) = (None, None);
            }
            Input::Wake => woken = true,
            Input::Pause(paused) => {
                self.stale |= self.paused && !paused;
                self.paused = paused;
            }
            Input::RunDue(at) => self.run_due = at,
            Input::Release => {
                if let Known::Login(view) = &mut self.known
                    && let Some(Refusal { next_try_at: Some(at), .. }) = &mut view.refusal
                {
                    *at = now.wall.min(*at);
                }
            }
            Input::Stale => self.stale = true,
            Input::Forget => {
                self.stale |= self.work == Work::Reading;
                self.known = Known::NoLogin;
                self.backoff = None;
            }
        }
        self.settle(now, weather, woken, &mut effects);
        effects
    }

    /// When [`Input::Wake`] is wanted next.
    pub fn wake_at(&self, now: Moment, weather: &Weather) -> Option<BootTime> {
        if self.paused || self.work != Work::Idle {
            return None;
        }
        if self.stale {
            return Some(self.look_again.unwrap_or(now.boot));
        }
        let Known::Login(view) = &self.known else { return None };
        if !view.client_matches {
            return None;
        }
        let held = weather.held_until.max(weather.fault.as_ref().map(|fault| fault.retry_at));
        let held_off =
            self.backoff.as_ref().map(|b| b.until).max(self.look_again).max(held.map(|at| now.boot_of(at)));
        let due = if let Some(refusal) = &view.refusal {
            now.boot_of(refusal.next_try_at?)
        } else if view.doubt.is_some() || view.on_record.is_some() || !self.waiters.is_empty() {
            self.strangers_until(view, now, weather).unwrap_or(now.boot)
        } else {
            self.ahead_at(view, now)?
        };
        let latest = BootTime(now.boot.0 + LONGEST_SLEEP);
        Some(due.max(held_off.unwrap_or(due)).min(latest))
    }

    fn generation(&self) -> Option<Generation> {
        match &self.known {
            Known::Login(view) => Some(view.generation),
            _ => None,
        }
    }

    fn wait(&mut self, id: WaiterId, want: Want) {
        self.waiters.push(Waiter { id, want, rounds: 0 });
    }

    fn read(&mut self, read: Result<Option<View>, String>, now: Moment, effects: &mut Vec<Effect>) {
        if self.work == Work::Reading {
            self.work = Work::Idle;
        }
        match read {
            Ok(Some(view)) => {
                let older = matches!(&self.known, Known::Login(known)
                    if (known.epoch, known.generation) > (view.epoch, view.generation));
                if older {
                    return; // never back a generation
                }
                self.known = Known::Login(Box::new(view));
            }
            Ok(None) => self.known = Known::NoLogin,
            Err(why) => {
                // What memory holds may still satisfy some; the others are told, and it is read again.
                if !self.stale {
                    self.answer_ready(now, effects);
                }
                self.refuse_all(&waiting(why, LOOK_AGAIN, Trouble::Store), effects);
                self.stale = true;
                self.look_again = Some(BootTime(now.boot.0 + LOOK_AGAIN));
            }
        }
    }

    fn done(&mut self, epoch: Epoch, outcome: Outcome, now: Moment, effects: &mut Vec<Effect>) {
        self.work = Work::Idle;
        self.look_again = None;
        let Known::Login(view) = &mut self.known else { return };
        if view.epoch != epoch {
            return; // a login came meanwhile: the old one's late answer changes nothing
        }
        for waiter in &mut self.waiters {
            waiter.rounds += 1;
        }
        view.on_record = None;
        match outcome {
            Outcome::Committed(new) => {
                if new.generation > view.generation {
                    *view = new;
                    self.backoff = None;
                }
            }
            Outcome::Superseded => (self.known, self.stale) = (Known::Unread, true),
            Outcome::NotSent(error) => {
                let wait = match &error {
                    TokenError::Waiting { trouble: Trouble::RateLimited, .. } => None,
                    _ => Some(self.back_off(now, error.clone())),
                };
                // Whether the intent is on record is not certain where the store did not answer.
                self.stale |= matches!(&error, TokenError::Waiting { trouble: Trouble::Store, .. });
                self.refuse_all(&with_retry(error, wait), effects);
            }
            Outcome::ClientRefused(reason) => self.refuse_all(&TokenError::Blocked(reason), effects),
            Outcome::Refused(refusal) => {
                (view.doubt, view.access) = (None, None);
                let reason = refusal.reason.clone();
                view.refusal = Some(refusal);
                self.backoff = None;
                self.refuse_all(&TokenError::NeedsLogin(reason), effects);
            }
            Outcome::Doubt(reason, since) => {
                let since = view.doubt.as_ref().map_or(since, |(_, _, since)| *since);
                view.doubt = Some((true, reason.clone(), since));
                let error = TokenError::InDoubt { reason, retry_after: Duration::ZERO };
                let wait = self.back_off(now, error.clone());
                self.answer_ready(now, effects);
                self.refuse_all(&with_retry(error, Some(wait)), effects);
            }
        }
    }

    fn back_off(&mut self, now: Moment, why: TokenError) -> Duration {
        let tries = self.backoff.as_ref().map_or(0, |b| b.tries);
        let pause = (FIRST_BACKOFF * 2_u32.pow(tries.min(10))).min(LONGEST_BACKOFF);
        let pause = pause.mul_f64(0.8 + 0.4 * now.chance).min(LONGEST_BACKOFF);
        self.backoff = Some(Backoff { tries: tries + 1, until: BootTime(now.boot.0 + pause), why });
        pause
    }

    fn refuse_all(&mut self, error: &TokenError, effects: &mut Vec<Effect>) {
        effects.extend(self.waiters.drain(..).map(|waiter| Effect::Refuse(waiter.id, error.clone())));
    }

    /// Answers whoever can be answered from what is known; the others stay.
    fn answer_ready(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Option<Cause> {
        let mut cause = None;
        for mut waiter in std::mem::take(&mut self.waiters) {
            match self.verdict(&mut waiter, now) {
                Verdict::Answer(effect) => effects.push(effect),
                Verdict::Wait(why) => {
                    // A rejection explains the refresh better than whoever else waits for it.
                    cause = if why == Cause::Rejection { Some(why) } else { cause.or(Some(why)) };
                    self.rejected =
                        self.rejected.max(waiter.rejects().filter(|g| Some(*g) == self.generation()));
                    self.waiters.push(waiter);
                }
            }
        }
        cause
    }

    fn settle(&mut self, now: Moment, weather: &Weather, woken: bool, effects: &mut Vec<Effect>) {
        if self.paused {
            self.refuse_all(&TokenError::Paused, effects);
            return;
        }
        let unread = matches!(self.known, Known::Unread);
        if self.work == Work::Idle && (self.stale || unread && !self.waiters.is_empty()) {
            if self.stale && self.look_again.is_some_and(|at| at > now.boot) {
                // The store was asked a moment ago and did not answer.
                let why = "the store can't be read".to_owned();
                return self.refuse_all(&waiting(why, LOOK_AGAIN, Trouble::Store), effects);
            }
            (self.stale, self.look_again) = (false, None);
            self.work = Work::Reading;
            effects.push(Effect::Read);
        }
        if unread || self.work == Work::Reading {
            return;
        }
        let cause = self.answer_ready(now, effects);
        if self.work != Work::Idle {
            return;
        }
        let cause = match cause {
            Some(cause) => cause,
            None if woken && self.wanted_unasked(now) => Cause::Expiry,
            None => return,
        };
        self.refresh_or_say_why(cause, now, weather, woken, effects);
    }

    fn refresh_or_say_why(
        &mut self,
        cause: Cause,
        now: Moment,
        weather: &Weather,
        woken: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Known::Login(view) = &self.known else {
            return self.reread(effects);
        };
        let newest_rejected = self.waiters.iter().filter_map(Waiter::rejects).max();
        if newest_rejected > Some(view.generation) {
            return self.reread(effects);
        }
        let insist = self.waiters.iter().any(|w| matches!(w.want, Want::Token { need, .. } if need.insist));
        let probe = view.refusal.is_some();
        if self.looks_elsewhere(view, now, weather, probe) {
            if woken && self.look_again.is_some_and(|at| at <= now.boot) && !probe {
                self.look_again = None;
                return self.reread(effects);
            }
            // Who asks in between doesn't put it off.
            self.look_again.get_or_insert(BootTime(now.boot.0 + LOOK_AGAIN));
            return;
        }
        match self.hindrance(view, now, weather, insist) {
            Some(error) => self.refuse_all(&error, effects),
            None => {
                let start = Start { view: view.clone(), cause, probe, insist };
                self.work = Work::Refreshing { epoch: view.epoch, generation: view.generation };
                self.look_again = None;
                if let Known::Login(view) = &mut self.known
                    && let Some(replaced) = view.on_record
                {
                    // As the store notes it with the intent.
                    view.doubt.get_or_insert_with(|| (replaced.ours, STOPPED.to_owned(), now.wall));
                }
                effects.push(Effect::Refresh(start));
            }
        }
    }

    fn reread(&mut self, effects: &mut Vec<Effect>) {
        for waiter in &mut self.waiters {
            if let Want::Settle { reread, .. } = &mut waiter.want {
                *reread = true;
            }
        }
        self.work = Work::Reading;
        effects.push(Effect::Read);
    }

    /// Another daemon's refresh is under way, or another dead login is being tried.
    fn looks_elsewhere(&self, view: &View, now: Moment, weather: &Weather, probe: bool) -> bool {
        let strangers = view.on_record.is_some_and(|r| !r.ours && r.lapses > now.boot);
        strangers || (probe && weather.probe_taken)
    }

    fn verdict(&self, waiter: &mut Waiter, now: Moment) -> Verdict {
        let refuse = |error| Verdict::Answer(Effect::Refuse(waiter.id, error));
        let view = match &self.known {
            Known::Unread => return Verdict::Wait(Cause::Expiry),
            Known::NoLogin if matches!(waiter.want, Want::Look) => {
                return Verdict::Answer(Effect::Left(waiter.id, None));
            }
            Known::NoLogin => {
                return refuse(TokenError::NeedsLogin(format!(
                    "no login yet: run `longplay login {}`",
                    self.name
                )));
            }
            Known::Login(view) => view,
        };
        match &mut waiter.want {
            Want::Look => {
                let left = view
                    .access
                    .as_ref()
                    .filter(|_| self.rejected != Some(view.generation))
                    .map(|(_, held)| held.left(now));
                Verdict::Answer(Effect::Left(waiter.id, left))
            }
            Want::Settle { generation, .. } if *generation < view.generation => {
                Verdict::Answer(Effect::Settled(waiter.id))
            }
            Want::Settle { generation, reread } if *generation > view.generation => {
                if *reread {
                    refuse(TokenError::NeverIssued(*generation))
                } else {
                    Verdict::Wait(Cause::Rejection)
                }
            }
            Want::Settle { .. } => match self.dead_end(view) {
                Some(error) => refuse(error),
                None if view.born.1 == Some(Cause::Rejection)
                    && now.boot.since(view.born.0) < FRESH_REJECTION
                    && !self.refreshing() =>
                {
                    refuse(TokenError::FreshRejected)
                }
                None => Verdict::Wait(Cause::Rejection),
            },
            Want::Token { need, at_least } => {
                if need.fresh && at_least.is_none() {
                    *at_least = Some(view.generation.next());
                }
                let at_least = at_least.unwrap_or_default();
                if let Some(error) = self.dead_end(view) {
                    return refuse(error);
                }
                if let Some((token, held)) = &view.access {
                    let least = self.least(held, need);
                    if need.valid_for > held.lifetime() / 2 {
                        return refuse(TokenError::TooLong { at_most: held.lifetime() / 2 });
                    }
                    if self.rejected != Some(view.generation)
                        && view.generation >= at_least
                        && held.left(now) >= least
                    {
                        let token = Token {
                            access_token: token.clone(),
                            expires_at: held.expires_at(now),
                            generation: view.generation,
                        };
                        return Verdict::Answer(Effect::Give(waiter.id, token));
                    }
                }
                if waiter.rounds >= ROUNDS {
                    let why = "Spotify's token answers come too late to be of use".to_owned();
                    return refuse(waiting(why, LONGEST_BACKOFF, Trouble::Unreachable));
                }
                Verdict::Wait(if need.fresh { Cause::Asked } else { Cause::Expiry })
            }
        }
    }

    fn least(&self, held: &Held, need: &Need) -> Duration {
        self.buffer(held).max(need.valid_for)
    }

    fn buffer(&self, held: &Held) -> Duration {
        self.rules.buffer.min(held.lifetime() / 4)
    }

    /// Why no refresh can help.
    fn dead_end(&self, view: &View) -> Option<TokenError> {
        if !view.client_matches {
            return Some(TokenError::NeedsLogin(format!(
                "the login was given to another client id than the app has now: run `longplay login {}`",
                self.name
            )));
        }
        view.refusal.as_ref().map(|refusal| TokenError::NeedsLogin(refusal.reason.clone()))
    }

    /// Why no refresh may start now.
    fn hindrance(&self, view: &View, now: Moment, weather: &Weather, insist: bool) -> Option<TokenError> {
        if let Some(until) = weather.held_until.filter(|until| *until > now.wall) {
            return Some(waiting(
                format!("Spotify's rate limit holds the app until {until}"),
                until.since(now.wall),
                Trouble::RateLimited,
            ));
        }
        if let Some(fault) = weather.fault.as_ref().filter(|f| !insist && f.retry_at > now.wall) {
            return Some(TokenError::Blocked(fault.reason.clone()));
        }
        if let Some(until) = self.strangers_until(view, now, weather).filter(|until| *until > now.boot) {
            let reason = "another daemon's refresh has no outcome yet".to_owned();
            return Some(TokenError::InDoubt { reason, retry_after: until.since(now.boot) });
        }
        let backoff = self.backoff.as_ref().filter(|b| !insist && b.until > now.boot)?;
        Some(with_retry(backoff.why.clone(), Some(backoff.until.since(now.boot))))
    }

    /// Until when a doubt is left to the daemon that sent; `None`: this one may try.
    fn strangers_until(&self, view: &View, now: Moment, weather: &Weather) -> Option<BootTime> {
        let (since, lapses) = match (view.on_record.filter(|record| !record.ours), &view.doubt) {
            (Some(record), _) => (record.sent, record.lapses),
            (None, Some((false, _, since))) => (now.boot_at(*since), now.boot_at(*since + LEASE)),
            (None, _) => return None,
        };
        if weather.rotation == Rotation::Keeps || now.boot.since(since) < self.rules.rotation_grace {
            return Some(lapses);
        }
        Some(BootTime(lapses.0 + STRANGERS_DOUBT))
    }

    /// Whether a refresh is due that nobody waits for.
    fn wanted_unasked(&self, now: Moment) -> bool {
        let Known::Login(view) = &self.known else { return false };
        if !view.client_matches {
            return false;
        }
        if let Some(refusal) = &view.refusal {
            return refusal.next_try_at.is_some_and(|at| at <= now.wall);
        }
        view.doubt.is_some()
            || view.on_record.is_some()
            || self.ahead_at(view, now).is_some_and(|at| at <= now.boot)
    }

    /// When the token is refreshed without being asked for; `None`: not, as things are.
    fn ahead_at(&self, view: &View, now: Moment) -> Option<BootTime> {
        let (_, held) = view.access.as_ref().filter(|_| self.rules.ahead)?;
        let lead = (self.buffer(held) * 2).min(held.lifetime() / 2) + held.jitter();
        let soonest = BootTime((now.boot.0 + held.left(now)).saturating_sub(lead));
        let asked = self
            .asked_by_program
            .map(|at| BootTime(at.0 + PROGRAM_AHEAD))
            .is_some_and(|until| until > soonest.max(now.boot));
        if asked {
            return Some(soonest);
        }
        let due = now.boot_of(self.run_due?);
        Some(soonest.max(BootTime(due.0.saturating_sub(RUN_AHEAD))))
    }
}

fn waiting(reason: String, retry_after: Duration, trouble: Trouble) -> TokenError {
    TokenError::Waiting { reason, retry_after, trouble }
}

fn with_retry(error: TokenError, wait: Option<Duration>) -> TokenError {
    match (error, wait) {
        (TokenError::Waiting { reason, trouble, .. }, Some(retry_after)) => {
            TokenError::Waiting { reason, retry_after, trouble }
        }
        (TokenError::InDoubt { reason, .. }, Some(retry_after)) => {
            TokenError::InDoubt { reason, retry_after }
        }
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests;
