//! One user's account: a pure state machine that decides who gets a token, when a refresh starts and what its outcome
//! means. It promises: at most one refresh under way, no token under the buffer, generations only rise, every waiter
//! gets an answer. It does no I/O; [`Account::on`] turns an input into effects.

mod ending;
mod judge;
mod look;
mod message;
mod timer;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{Cause, Epoch, Generation, Refusal, Timestamp};
use crate::store::STOPPED;

use super::validity::Moment;
use super::{Need, TokenError, Trouble};
use judge::{Verdict, waiting};
pub use message::{Effect, Input, OnRecord, Outcome, Rules, Start, View, WaiterId, Weather};

/// When to look again while another daemon refreshes, or another dead login is being tried.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// When to read again after the store could not be read.
const READ_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Want {
    Token { need: Need, asked: BootTime, at_least: Option<Generation> },
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
    name: Arc<str>,
    rules: Rules,
    paused: bool,
    known: Known,
    /// What was known before it has to be read again.
    was: Option<Box<View>>,
    work: Work,
    waiters: Vec<Waiter>,
    /// Rare, and so not kept in place: there are as many accounts as users.
    backoff: Option<Box<Backoff>>,
    /// The newest generation that Spotify answered 401 for: it is given to nobody.
    rejected: Option<Generation>,
    asked_by_program: Option<BootTime>,
    run_due: Option<Timestamp>,
    /// While another daemon refreshes, or another dead login is tried.
    look_again: Option<BootTime>,
    /// After the store could not be read.
    read_again: Option<BootTime>,
    stale: bool,
    /// Another dead login of this token URL came back: the next try waits for nobody's.
    released: bool,
}

impl Account {
    /// Of whom nothing is read yet. `name` is for messages.
    pub fn new(name: impl Into<Arc<str>>, rules: Rules, paused: bool) -> Self {
        Self {
            name: name.into(),
            rules,
            paused,
            known: Known::Unread,
            was: None,
            work: Work::Idle,
            waiters: Vec::new(),
            backoff: None,
            rejected: None,
            asked_by_program: None,
            run_due: None,
            look_again: None,
            read_again: None,
            stale: false,
            released: false,
        }
    }

    /// The rules changed.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
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
                self.wait(id, Want::Token { need, asked: now.boot, at_least });
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
                let newer = |known: &View| (known.epoch, known.generation) > (view.epoch, view.generation);
                match &self.known {
                    // Two logins at once: the later one was told of first.
                    Known::Login(known) if newer(known) => self.stale = true,
                    _ => {
                        self.known = Known::Login(Box::new(view));
                        (self.backoff, self.look_again) = (None, None);
                    }
                }
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
                    self.released = true;
                }
            }
            Input::StoreIsBack => {
                if self.waits_for_store() {
                    self.backoff = None;
                }
            }
            Input::Stale => self.stale = true,
            Input::Moved => {
                self.stale = true;
                if !self.refreshing() {
                    self.unlearn();
                }
            }
            Input::Forget => {
                self.stale |= self.work == Work::Reading;
                self.known = Known::NoLogin;
                self.backoff = None;
            }
        }
        self.settle(now, weather, woken, &mut effects);
        effects
    }

    /// What is known must be read before anyone is answered from it.
    fn unlearn(&mut self) {
        if let Known::Login(view) = std::mem::replace(&mut self.known, Known::Unread) {
            self.was = Some(view);
        }
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
            Ok(Some(mut view)) => {
                let older = matches!(&self.known, Known::Login(known)
                    if (known.epoch, known.generation) > (view.epoch, view.generation));
                if older {
                    return; // never back a generation
                }
                let known = match &self.known {
                    Known::Login(known) => Some(&**known),
                    _ => self.was.as_deref(),
                };
                if let Some(known) = known {
                    view.remember(known);
                }
                (self.known, self.was) = (Known::Login(Box::new(view)), None);
            }
            Ok(None) => (self.known, self.was) = (Known::NoLogin, None),
            Err(why) => {
                // What memory holds may still satisfy some; the others are told, and it is read again.
                if !self.stale {
                    self.answer_ready(now, effects);
                }
                self.refuse_all(&waiting(why, LOOK_AGAIN, Trouble::Store), effects);
                self.stale = true;
                let pause = READ_AGAIN.mul_f64(0.8 + 0.4 * now.chance);
                self.read_again = Some(BootTime(now.boot.0 + pause));
            }
        }
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
        let shut = weather.shut.as_ref().map(|why| TokenError::Blocked(why.to_string()));
        if let Some(error) = self.paused.then_some(TokenError::Paused).or(shut) {
            return self.refuse_all(&error, effects);
        }
        let unread = matches!(self.known, Known::Unread);
        let due = woken && self.unread_until(now).is_some_and(|at| at <= now.boot);
        if self.work == Work::Idle && (self.stale || due || unread && !self.waiters.is_empty()) {
            if self.stale && self.read_again.is_some_and(|at| at > now.boot) {
                // The store was asked a moment ago and did not answer.
                let why = "the store can't be read".to_owned();
                self.answer_ready(now, effects);
                return self.refuse_all(&waiting(why, LOOK_AGAIN, Trouble::Store), effects);
            }
            (self.stale, self.read_again) = (false, None);
            self.work = Work::Reading;
            effects.push(Effect::Read);
        }
        if unread {
            return;
        }
        // What memory holds is durable: who is content with it does not wait for the store.
        let cause = self.answer_ready(now, effects);
        if self.work != Work::Idle {
            return;
        }
        let unasked = || (woken && self.wanted_unasked(now)).then_some(Cause::Expiry);
        if let Some(cause) = cause.or_else(unasked) {
            self.refresh_or_say_why(cause, now, weather, woken, effects);
        }
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
        let probe = view.refusal.is_some() && !self.released;
        if self.looks_elsewhere(view, now, weather, probe) {
            if woken && self.look_again.is_some_and(|at| at <= now.boot) && !(probe && weather.probe_taken) {
                self.look_again = None;
                return self.reread(effects);
            }
            // Who asks in between doesn't put it off.
            if self.look_again.is_none_or(|at| at <= now.boot) {
                self.look_again = Some(BootTime(now.boot.0 + LOOK_AGAIN));
            }
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
}

#[cfg(test)]
mod tests;
