//! Errors of the local API: `application/problem+json` (RFC 9457), with a type that programs can branch on.

use std::time::Duration;

use crate::archive::Outcome;
use crate::config::Faults;
use crate::domain::{RunResult, UserName, said};
use crate::store::StoreError;
use crate::tokens::{LoginError, TokenError};

use super::api::{Problem, Word};

/// What every problem's type begins with.
const KIND: &str = "urn:longplay:";

impl Problem {
    /// A problem of this word and HTTP status.
    pub fn new(word: Word, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{KIND}{}", word.as_str()),
            title: word.as_str().replace('_', " "),
            status,
            detail: detail.into(),
            retry_after: None,
            faults: Vec::new(),
            result: None,
        }
    }

    /// The word that [`Problem::kind`] ends with; `None`: a newer longplay's.
    pub fn word(&self) -> Option<Word> {
        Word::parse(self.kind.strip_prefix(KIND)?)
    }

    /// Nobody has this name.
    pub fn unknown_user(name: &UserName) -> Self {
        Self::new(Word::UnknownUser, 404, format!("there is no user {name}: `longplay users` lists them"))
    }

    /// What was asked makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Word::BadRequest, 400, detail)
    }

    /// What may work again after a while.
    pub fn later(word: Word, detail: impl Into<String>, after: Duration) -> Self {
        // Whole seconds, rounded up: who comes back at that time should not be too early.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..Self::new(word, 503, detail) }
    }

    /// A run that stored nothing; `stopping`: longplay is.
    pub fn of_run(outcome: Outcome, now: crate::domain::Timestamp, stopping: bool) -> Self {
        let detail = outcome.reason.unwrap_or_else(|| outcome.result.as_str().to_owned());
        let after = outcome.retry_at.map_or(Duration::from_secs(60), |at| at.since(now));
        let problem = match outcome.result {
            RunResult::NeedsLogin => Self::new(Word::NeedsLogin, 409, detail),
            RunResult::Blocked => Self::new(Word::Blocked, 409, detail),
            RunResult::StoreError => Self::later(Word::Store, detail, after),
            RunResult::Cancelled if stopping => Self::later(Word::Stopping, detail, after),
            _ => Self::later(Word::Waiting, detail, after),
        };
        Self { result: Some(outcome.result), ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::later(Word::Store, said(&error), Duration::from_secs(5))
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = error.to_string();
        match error {
            TokenError::NeedsLogin(_) => Self::new(Word::NeedsLogin, 409, detail),
            TokenError::Blocked(_) => Self::new(Word::Blocked, 409, detail),
            TokenError::Paused => Self::new(Word::Paused, 409, detail),
            TokenError::FreshRejected => Self::new(Word::FreshRejected, 409, detail),
            TokenError::Waiting { retry_after, .. } => Self::later(Word::Waiting, detail, retry_after),
            TokenError::InDoubt { retry_after, .. } => Self::later(Word::InDoubt, detail, retry_after),
            TokenError::TooLong { .. } => Self::new(Word::ValidForTooLong, 422, detail),
            TokenError::NeverIssued(_) => Self::new(Word::BadRequest, 422, detail),
            TokenError::UnknownUser => Self::new(Word::UnknownUser, 404, detail),
            TokenError::Stopped => Self::later(Word::Stopping, detail, Duration::from_secs(5)),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = error.to_string();
        match error {
            LoginError::OtherAccount { .. } => Self::new(Word::OtherAccount, 409, detail),
            LoginError::Store(_) => Self::later(Word::Store, detail, Duration::from_secs(5)),
            LoginError::UnknownUser => Self::new(Word::UnknownUser, 404, detail),
            LoginError::Stopped => Self::later(Word::Stopping, detail, Duration::from_secs(5)),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let lines = faults.0.iter().map(ToString::to_string).collect();
        let detail = "the new configuration is refused, the old one holds: see the faults";
        Self { faults: lines, ..Self::new(Word::Configuration, 422, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_run_that_was_broken_off_is_worth_asking_for_again_unless_longplay_stops() {
        let of = |stopping| {
            let outcome = Outcome::never_begun("another daemon has been archiving this user for ten minutes");
            let problem = Problem::of_run(outcome, Timestamp::from_millis(0), stopping);
            (problem.word(), problem.status, problem.retry_after, problem.result)
        };
        let cancelled = Some(RunResult::Cancelled);
        assert_eq!(of(false), (Some(Word::Waiting), 503, Some(60), cancelled));
        assert_eq!(of(true), (Some(Word::Stopping), 503, Some(60), cancelled));
    }
}
