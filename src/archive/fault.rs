//! Why a run can't go on, as its result says it, and whether to try again within the run. Pure.

use std::time::Duration;

use crate::domain::{AppName, RunResult, Timestamp, said};
use crate::spotify::{ApiError, NoCall};
use crate::store::StoreError;
use crate::tokens::{TokenError, Trouble};

/// How long a run waits before it tries again what may pass, each time.
const WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20)];
/// How much of a wait jitter adds at most.
const JITTER: f64 = 0.2;

/// What stopped a step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// How the run ends for it.
    pub result: RunResult,
    /// Why, and the cure.
    pub reason: String,
    /// Whether it may pass within the run.
    pub passing: bool,
    /// Whether Spotify refuses the user (403).
    pub refused: bool,
    /// Until when calls are held.
    pub retry_at: Option<Timestamp>,
}

impl Fault {
    fn new(result: RunResult, reason: impl Into<String>) -> Self {
        Self { result, reason: reason.into(), passing: false, refused: false, retry_at: None }
    }

    fn passing(result: RunResult, reason: impl Into<String>) -> Self {
        Self { passing: true, ..Self::new(result, reason) }
    }

    /// The daemon stops.
    pub fn stopping() -> Self {
        Self::new(RunResult::Cancelled, "longplay was stopping")
    }

    /// The claim was not renewed for so long that the user may be another daemon's by now.
    pub fn lapsed() -> Self {
        Self::new(
            RunResult::Cancelled,
            "longplay stood still in the middle of the run, or the store was away: another daemon may have taken it over",
        )
    }

    /// Another daemon's run does not end.
    pub fn elsewhere() -> Self {
        Self::new(
            RunResult::Cancelled,
            "another daemon has been archiving this user for ten minutes: ask again later",
        )
    }

    /// Retry-After holds the app.
    pub fn held(until: Timestamp, why: &str) -> Self {
        let reason = format!("{why}: no call before {until}");
        Self { retry_at: Some(until), ..Self::new(RunResult::RateLimited, reason) }
    }

    /// The gate lets no call through.
    pub fn no_call(why: NoCall, app: &AppName, now: Timestamp) -> Self {
        match why {
            NoCall::Held(until) => Self::held(until, &format!("Spotify has limited app {app}")),
            NoCall::Spent { wait, reason } => {
                Self { retry_at: Some(now + wait), ..Self::new(RunResult::RateLimited, reason) }
            }
            NoCall::Store(error) => Self::store(&error),
        }
    }

    /// Spotify answered 401 to a token and to the one after it.
    pub fn fresh_token_refused() -> Self {
        Self::new(
            RunResult::BadAnswer,
            "Spotify answers 401 to a fresh access token too: if this lasts, it is Spotify's fault or the api_url's",
        )
    }

    /// There is no token.
    pub fn token(error: &TokenError, now: Timestamp) -> Self {
        let reason = error.to_string();
        match error {
            TokenError::NeedsLogin(_) => Self::new(RunResult::NeedsLogin, reason),
            TokenError::Blocked(_) | TokenError::Paused => Self::new(RunResult::Blocked, reason),
            TokenError::Waiting { trouble: Trouble::RateLimited, retry_after, .. } => {
                Self { retry_at: Some(now + *retry_after), ..Self::new(RunResult::RateLimited, reason) }
            }
            TokenError::Waiting { trouble: Trouble::Unreachable, .. } => {
                Self::passing(RunResult::Unreachable, reason)
            }
            TokenError::Waiting { trouble: Trouble::Store, .. } => Self::new(RunResult::StoreError, reason),
            TokenError::InDoubt { .. } => {
                Self::passing(RunResult::Unreachable, format!("a refresh is in doubt: {reason}"))
            }
            TokenError::FreshRejected => Self::fresh_token_refused(),
            TokenError::UnknownUser | TokenError::Stopped => Self::new(RunResult::Cancelled, reason),
            // A run asks for no more than the buffer, and names no generation that it did not receive.
            TokenError::TooLong { .. } | TokenError::NeverIssued(_) => {
                Self::new(RunResult::BadAnswer, reason)
            }
        }
    }

    /// The Web API gave no page. A 429 becomes [`Fault::held`] instead, once it is known until when; a 401 is settled
    /// with the source of tokens first.
    pub fn api(error: &ApiError) -> Self {
        let reason = said(error);
        match error {
            ApiError::Unauthorized => Self::fresh_token_refused(),
            ApiError::RateLimited { .. } => Self::new(RunResult::RateLimited, reason),
            ApiError::Forbidden { .. } => Self { refused: true, ..Self::new(RunResult::Blocked, reason) },
            ApiError::Unreachable { .. } => Self::passing(RunResult::Unreachable, reason),
            ApiError::BadAnswer { .. } => Self::passing(RunResult::BadAnswer, reason),
        }
    }

    /// The store did not do what it was asked.
    pub fn store(error: &StoreError) -> Self {
        let passing = matches!(error, StoreError::Unavailable { .. });
        Self { passing, ..Self::new(RunResult::StoreError, said(error)) }
    }
}

/// The waits of one step that are still to come.
#[derive(Debug, Default)]
pub(super) struct Waits {
    taken: usize,
}

impl Waits {
    /// The next wait, longer by some part of it: `jitter` is from 0 to 1. `None`: no more.
    pub fn next(&mut self, jitter: f64) -> Option<Duration> {
        let wait = WAITS.get(self.taken)?;
        self.taken += 1;
        Some(wait.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Generation;

    #[test]
    fn every_token_error_ends_a_run_in_its_own_way() {
        let now = Timestamp::from_millis(0);
        let waiting = |trouble| TokenError::Waiting {
            reason: "why".to_owned(),
            retry_after: Duration::from_secs(60),
            trouble,
        };
        let in_doubt = TokenError::InDoubt { reason: "why".to_owned(), retry_after: Duration::ZERO };
        for (error, result, passing) in [
            (TokenError::NeedsLogin("why".to_owned()), RunResult::NeedsLogin, false),
            (TokenError::Blocked("why".to_owned()), RunResult::Blocked, false),
            (TokenError::Paused, RunResult::Blocked, false),
            (waiting(Trouble::RateLimited), RunResult::RateLimited, false),
            (waiting(Trouble::Unreachable), RunResult::Unreachable, true),
            (waiting(Trouble::Store), RunResult::StoreError, false),
            (in_doubt, RunResult::Unreachable, true),
            (TokenError::FreshRejected, RunResult::BadAnswer, false),
            (TokenError::Stopped, RunResult::Cancelled, false),
            (TokenError::UnknownUser, RunResult::Cancelled, false),
            (TokenError::NeverIssued(Generation(1)), RunResult::BadAnswer, false),
        ] {
            let fault = Fault::token(&error, now);
            assert_eq!((fault.result, fault.passing, fault.refused), (result, passing, false), "{error:?}");
            assert!(!fault.reason.is_empty());
        }
        let held = Fault::token(&waiting(Trouble::RateLimited), now);
        assert_eq!(held.retry_at, Some(Timestamp::from_millis(60_000)));
    }

    #[test]
    fn waits_are_5_10_and_20_seconds_and_a_fifth_more_at_most() {
        let all = |jitter| {
            let mut waits = Waits::default();
            std::iter::from_fn(move || waits.next(jitter).map(|wait| wait.as_secs())).collect::<Vec<_>>()
        };
        assert_eq!(all(0.0), [5, 10, 20]);
        assert_eq!(all(1.0), [6, 12, 24]);
        assert_eq!(all(7.0), all(1.0));
    }

    #[test]
    fn a_reason_names_the_causes_too() {
        let error = StoreError::Unavailable { doing: "opening a run".to_owned(), source: "disk full".into() };
        assert_eq!(Fault::store(&error).reason, "opening a run: the store can't be reached: disk full");
    }
}
