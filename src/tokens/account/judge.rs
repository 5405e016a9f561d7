//! Who gets an answer from what is known, and why no refresh may start.

use std::time::Duration;

use crate::domain::Cause;

use super::super::validity::{Held, Moment};
use super::super::{Need, Token, TokenError, Trouble};
use super::ending::LONGEST_BACKOFF;
use super::{Account, Effect, Known, View, Waiter, Want, Weather, Work};

/// A generation born of a rejection so recently is not refreshed for another rejection.
const FRESH_REJECTION: Duration = Duration::from_secs(60);
/// A waiter that so many refreshes did not satisfy is told so.
const ROUNDS: u8 = 4;

/// What becomes of a waiter now.
pub(super) enum Verdict {
    Answer(Effect),
    Wait(Cause),
}

impl Account {
    pub(super) fn verdict(&self, waiter: &mut Waiter, now: Moment) -> Verdict {
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
                let usable = view.access.as_ref().filter(|_| self.rejected != Some(view.generation));
                let left = usable.map_or(Duration::ZERO, |(_, held)| held.left(now));
                // Who must log in has none, and none that could be had.
                let left = self.dead_end(view).is_none().then_some(left);
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
            Want::Token { need, asked, at_least } => {
                if need.fresh && at_least.is_none() {
                    *at_least = Some(view.generation.next());
                }
                let at_least = at_least.unwrap_or_default();
                if let Some(error) = self.dead_end(view) {
                    return refuse(error);
                }
                if let Some((_, held)) = &view.access
                    && need.valid_for > held.lifetime() / 2
                {
                    return refuse(TokenError::TooLong { at_most: held.lifetime() / 2 });
                }
                // Another daemon's may be new here and yet older than the question.
                let fresh = !need.fresh || view.born.0 >= *asked;
                if view.generation >= at_least
                    && fresh
                    && let Some(token) = self.fitting(view, need, now)
                {
                    return Verdict::Answer(Effect::Give(waiter.id, token));
                }
                if waiter.rounds >= ROUNDS {
                    let why = "Spotify's token answers come too late to be of use".to_owned();
                    return refuse(waiting(why, LONGEST_BACKOFF, Trouble::Unreachable));
                }
                Verdict::Wait(if need.fresh { Cause::Asked } else { Cause::Expiry })
            }
        }
    }

    /// The present token, if it is valid for long enough and Spotify has not refused it.
    fn fitting(&self, view: &View, need: &Need, now: Moment) -> Option<Token> {
        let (token, held) = view.access.as_ref()?;
        let fits = self.rejected != Some(view.generation) && held.left(now) >= self.least(held, need);
        fits.then(|| Token {
            access_token: token.clone(),
            expires_at: held.expires_at(now),
            generation: view.generation,
        })
    }

    /// A token that can be given at once to somebody whose question changes nothing else; `None`: [`Account::on`] is to
    /// decide. Most questions are of this kind, and it costs a fraction.
    pub fn at_hand(&mut self, need: &Need, now: Moment) -> Option<Token> {
        let Known::Login(view) = &self.known else { return None };
        let (_, held) = view.access.as_ref()?;
        let settled = !self.paused && !self.stale && self.work != Work::Reading;
        // Whoever is the first program to ask starts a timer.
        let noted = !need.program || self.is_kept_for_programs(view, now);
        let plain = !need.fresh && need.valid_for <= held.lifetime() / 2;
        let alive = view.client_matches && view.refusal.is_none();
        let token = self.fitting(view, need, now).filter(|_| settled && noted && plain && alive)?;
        if need.program {
            self.asked_by_program = Some(now.boot);
        }
        Some(token)
    }

    pub(super) fn least(&self, held: &Held, need: &Need) -> Duration {
        self.buffer(held).max(need.valid_for)
    }

    pub(super) fn buffer(&self, held: &Held) -> Duration {
        self.rules.buffer.min(held.lifetime() / 4)
    }

    /// Why no refresh can help.
    pub(super) fn dead_end(&self, view: &View) -> Option<TokenError> {
        if !view.client_matches {
            return Some(TokenError::NeedsLogin(format!(
                "the login was given to another client id than the app has now: run `longplay login {}`",
                self.name
            )));
        }
        view.refusal.as_ref().map(|refusal| TokenError::NeedsLogin(refusal.reason.clone()))
    }

    /// Why no refresh may start now.
    pub(super) fn hindrance(
        &self,
        view: &View,
        now: Moment,
        weather: &Weather,
        insist: bool,
    ) -> Option<TokenError> {
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

    /// Another daemon's refresh is under way, or another dead login is being tried.
    pub(super) fn looks_elsewhere(&self, view: &View, now: Moment, weather: &Weather, probe: bool) -> bool {
        let strangers = view.on_record.is_some_and(|r| !r.ours && r.lapses > now.boot);
        strangers || (probe && weather.probe_taken)
    }
}

pub(super) fn waiting(reason: String, retry_after: Duration, trouble: Trouble) -> TokenError {
    TokenError::Waiting { reason, retry_after, trouble }
}

pub(super) fn with_retry(error: TokenError, wait: Option<Duration>) -> TokenError {
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
