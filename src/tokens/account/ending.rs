//! What the end of a refresh means for an account, and how long it backs off.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::Epoch;

use super::super::validity::Moment;
use super::super::{TokenError, Trouble};
use super::judge::{waiting, with_retry};
use super::{Account, Backoff, Effect, Known, Outcome, Work};

/// However short the grace: an outage must not be met with a try a second.
const LEAST_IN_GRACE: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

impl Account {
    pub(super) fn done(&mut self, epoch: Epoch, outcome: Outcome, now: Moment, effects: &mut Vec<Effect>) {
        self.work = Work::Idle;
        (self.look_again, self.released) = (None, false);
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
            Outcome::Tokenless(new) => {
                *view = new;
                let why = "Spotify's token answer held no access token".to_owned();
                let error = waiting(why, Duration::ZERO, Trouble::Unreachable);
                let wait = self.back_off(now, error.clone());
                self.refuse_all(&with_retry(error, Some(wait)), effects);
            }
            Outcome::Superseded => {
                self.stale = true;
                self.unlearn();
            }
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
                // What went before, an outage for instance, does not put off the first try of a doubt.
                if view.doubt.is_none() {
                    self.backoff = None;
                }
                let since = view.doubt.as_ref().map_or(since, |(_, _, since)| *since);
                view.doubt = Some((true, reason.clone(), since));
                let error = TokenError::InDoubt { reason, retry_after: Duration::ZERO };
                let wait = self.back_off(now, error.clone());
                self.answer_ready(now, effects);
                self.refuse_all(&with_retry(error, Some(wait)), effects);
            }
        }
    }

    /// Each try that is in doubt may have been the provider's commit: the next one comes well within its grace.
    fn longest_backoff(&self) -> Duration {
        let grace = self.rules.rotation_grace;
        match &self.known {
            Known::Login(view) if view.doubt.is_some() && !grace.is_zero() => {
                (grace / 4).clamp(LEAST_IN_GRACE, LONGEST_BACKOFF)
            }
            _ => LONGEST_BACKOFF,
        }
    }

    pub(super) fn back_off(&mut self, now: Moment, why: TokenError) -> Duration {
        let tries = self.backoff.as_ref().map_or(0, |b| b.tries);
        let longest = self.longest_backoff();
        let pause = (FIRST_BACKOFF * 2_u32.pow(tries.min(10))).min(longest);
        let pause = pause.mul_f64(0.8 + 0.4 * now.chance).min(longest);
        let until = BootTime(now.boot.0 + pause);
        self.backoff = Some(Box::new(Backoff { tries: tries + 1, until, why }));
        pause
    }
}
