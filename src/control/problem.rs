//! Errors of the local API: `application/problem+json` (RFC 9457), with a type that programs can branch on.

use std::time::Duration;

use crate::archive::Outcome;
use crate::config::Faults;
use crate::domain::{RunResult, UserName, said};
use crate::store::StoreError;
use crate::tokens::{LoginError, TokenError};

use super::api::Problem;

impl Problem {
    /// A problem of this word and HTTP status.
    pub fn new(word: &str, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:longplay:{word}"),
            title: word.replace('_', " "),
            status,
            detail: detail.into(),
            retry_after: None,
            faults: Vec::new(),
            result: None,
        }
    }

    /// The word that [`Problem::kind`] ends with.
    pub fn word(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }

    /// Nobody has this name.
    pub fn unknown_user(name: &UserName) -> Self {
        Self::new("unknown_user", 404, format!("there is no user {name}: `longplay users` lists them"))
    }

    /// What was asked makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad_request", 400, detail)
    }

    /// What may work again after a while.
    pub fn later(word: &str, detail: impl Into<String>, after: Duration) -> Self {
        // Whole seconds, rounded up: who comes back at that time should not be too early.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..Self::new(word, 503, detail) }
    }

    /// A run that stored nothing; `stopping`: longplay is.
    pub fn of_run(outcome: Outcome, now: crate::domain::Timestamp, stopping: bool) -> Self {
        let detail = outcome.reason.unwrap_or_else(|| outcome.result.as_str().to_owned());
        let after = outcome.retry_at.map_or(Duration::from_secs(60), |at| at.since(now));
        let problem = match outcome.result {
            RunResult::NeedsLogin => Self::new("needs_login", 409, detail),
            RunResult::Blocked => Self::new("blocked", 409, detail),
            RunResult::StoreError => Self::later("store", detail, after),
            RunResult::Cancelled if stopping => Self::later("stopping", detail, after),
            _ => Self::later("waiting", detail, after),
        };
        Self { result: Some(outcome.result), ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::later("store", said(&error), Duration::from_secs(5))
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = error.to_string();
        match error {
            TokenError::NeedsLogin(_) => Self::new("needs_login", 409, detail),
            TokenError::Blocked(_) => Self::new("blocked", 409, detail),
            TokenError::Paused => Self::new("paused", 409, detail),
            TokenError::FreshRejected => Self::new("fresh_rejected", 409, detail),
            TokenError::Waiting { retry_after, .. } => Self::later("waiting", detail, retry_after),
            TokenError::InDoubt { retry_after, .. } => Self::later("in_doubt", detail, retry_after),
            TokenError::TooLong { .. } => Self::new("valid_for_too_long", 422, detail),
            TokenError::NeverIssued(_) => Self::new("bad_request", 422, detail),
            TokenError::UnknownUser => Self::new("unknown_user", 404, detail),
            TokenError::Stopped => Self::later("stopping", detail, Duration::from_secs(5)),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = error.to_string();
        match error {
            LoginError::OtherAccount { .. } => Self::new("other_account", 409, detail),
            LoginError::Store(_) => Self::later("store", detail, Duration::from_secs(5)),
            LoginError::UnknownUser => Self::new("unknown_user", 404, detail),
            LoginError::Stopped => Self::later("stopping", detail, Duration::from_secs(5)),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let lines = faults.0.iter().map(ToString::to_string).collect();
        let detail = "the new configuration is refused, the old one holds: see the faults";
        Self { faults: lines, ..Self::new("configuration", 422, detail) }
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
            (problem.word().to_owned(), problem.status, problem.retry_after, problem.result)
        };
        let cancelled = Some(RunResult::Cancelled);
        assert_eq!(of(false), ("waiting".to_owned(), 503, Some(60), cancelled));
        assert_eq!(of(true), ("stopping".to_owned(), 503, Some(60), cancelled));
    }
}
