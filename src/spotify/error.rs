//! Why the Web API gave no answer of use, told from status, headers and body. Pure.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};

use super::lenient::{shown, told};
use super::wire;
use crate::domain::Timestamp;
use crate::store::StoreError;

/// How much of Spotify's own words is kept, in characters.
const WORDS_KEPT: usize = 200;

/// Why there is no answer of use.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: the access token is refused.
    #[error("Spotify answered 401: it refuses the access token")]
    Unauthorized,
    /// 429: the whole app must wait.
    #[error("Spotify answered 429: {reason}")]
    RateLimited {
        /// `None` where Spotify gave no usable Retry-After.
        retry_after: Option<Duration>,
        /// Spotify's words, or what they mean.
        reason: String,
        /// Whether it is the developer account's daily quota, which all its apps share.
        quota: bool,
    },
    /// 403: Spotify refuses the user or the app.
    #[error("{message}")]
    Forbidden {
        /// Spotify's words, and the cure where it is known.
        message: String,
    },
    /// Nothing came, or half of it, or 5xx. It may work again soon.
    #[error("{message}")]
    Unreachable {
        /// What was being asked for, and what was seen.
        message: String,
        /// What the network said; `None` for 5xx.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An answer that is not what was asked for.
    #[error("{message}")]
    BadAnswer {
        /// What was got instead.
        message: String,
    },
}

/// Why a call of the Web API is not made now.
#[derive(Debug)]
pub enum NoCall {
    /// Spotify said 429: nobody of the app calls before then.
    Held(Timestamp),
    /// The day's calls are spent, or kept for who needs them more.
    Spent {
        /// How long it is worth waiting.
        wait: Duration,
        /// In a sentence.
        reason: String,
    },
    /// It can't be put on record.
    Store(StoreError),
}

impl ApiError {
    /// What an answer other than 200 means.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let (words, reason) = wire::error(body);
        let words = told(&words, WORDS_KEPT);
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden { message: forbidden(&words) },
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited {
                quota: reason.as_deref() == Some("QUOTA_EXCEEDED"),
                retry_after: retry_after(headers),
                reason: match reason.as_deref() {
                    Some("QUOTA_EXCEEDED") => {
                        "the daily quota of the Spotify developer account is used up".to_owned()
                    }
                    _ if words.is_empty() => "too many requests".to_owned(),
                    _ => words,
                },
            },
            _ if status.is_server_error() => {
                Self::Unreachable { message: said(status, &words), source: None }
            }
            _ if status.is_redirection() => {
                let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                // What follows the path may repeat the token.
                let to = to.split(['?', '#']).next().unwrap_or_default();
                let to = shown(to, WORDS_KEPT);
                Self::BadAnswer {
                    message: format!("{} to {to}: is the app's api_url right?", said(status, "")),
                }
            }
            _ => Self::BadAnswer { message: said(status, &words) },
        }
    }
}

fn said(status: StatusCode, words: &str) -> String {
    let colon = if words.is_empty() { "" } else { ": " };
    format!("Spotify answered {}{colon}{words}", status.as_u16())
}

/// Spotify's words on a 403, and the cure where the words tell.
fn forbidden(words: &str) -> String {
    let lower = words.to_lowercase();
    let cure = if lower.contains("premium") {
        "the owner of the app needs Spotify Premium"
    } else if lower.contains("scope") {
        "the login lacks a permission; `longplay login` asks for it again"
    } else if lower.contains("not registered")
        || lower.contains("not be registered")
        || lower.contains("allow")
    {
        "add this Spotify account under User Management of the app at developer.spotify.com/dashboard"
    } else {
        "look at the app and its users at developer.spotify.com/dashboard"
    };
    format!("{} ({cure})", said(StatusCode::FORBIDDEN, words))
}

/// Whole seconds, or a date (RFC 9110, section 10.2.3) counted from the answer's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Ok(seconds) = text(headers, RETRY_AFTER)?.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (time(headers, RETRY_AFTER)? - time(headers, DATE)?).to_std().ok()
}

/// A header that is a date (RFC 9110, section 5.6.7).
pub(super) fn time(headers: &HeaderMap, name: HeaderName) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(text(headers, name)?).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ApiError {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<reqwest::header::HeaderName>().unwrap(), HeaderValue::from_static(value))
        });
        ApiError::of(StatusCode::from_u16(status).unwrap(), &headers.collect(), body)
    }

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        match of(429, headers, "Too many requests") {
            ApiError::RateLimited { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_nonsense_is_none() {
        assert_eq!(wait(&[("retry-after", "79892")]), Some(Duration::from_secs(79_892)));
        assert_eq!(wait(&[("retry-after", " 0 ")]), Some(Duration::ZERO));
        for nonsense in ["-1", "soon", "", "1.5", "99999999999999999999999"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT");
        assert_eq!(wait(&[date, later]), Some(Duration::from_secs(120)));
        assert_eq!(wait(&[later]), None);
        assert_eq!(wait(&[("date", later.1), ("retry-after", date.1)]), None);
    }

    #[test]
    fn a_429_says_which_limit_it_is() {
        let quota = r#"{"error":{"status":429,"message":"Too many requests","reason":"QUOTA_EXCEEDED"}}"#;
        assert!(of(429, &[], quota).to_string().contains("daily quota"));
        assert!(of(429, &[], "Slow down").to_string().ends_with(": Slow down"));
        assert!(of(429, &[], "").to_string().ends_with(": too many requests"));
    }

    #[test]
    fn a_403_keeps_spotifys_words_and_adds_the_cure() {
        let json = |message: &str| format!(r#"{{"error":{{"status":403,"message":"{message}"}}}}"#);
        for (body, words, cure) in [
            ("Active premium subscription required for the owner of the app".to_owned(), "Active", "Premium"),
            (json("Insufficient client scope"), "Insufficient client scope", "longplay login"),
            (json("User not registered in the Developer Dashboard"), "User not", "User Management"),
            (
                "Check settings, the user may not be registered.".to_owned(),
                "Check settings",
                "User Management",
            ),
            (json("Nope"), "403: Nope (", "dashboard"),
            (String::new(), "403 (", "dashboard"),
        ] {
            let message = of(403, &[], &body).to_string();
            assert!(message.contains(words) && message.contains(cure), "{message}");
        }
        let long = of(403, &[], &"x\n".repeat(5_000)).to_string();
        assert!(long.chars().count() < 350 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn every_other_status_is_an_outage_or_a_bad_answer() {
        for status in [500, 502, 503, 504, 599] {
            let error = of(status, &[], "upstream connect error");
            assert!(matches!(&error, ApiError::Unreachable { source: None, .. }), "{error:?}");
            assert_eq!(error.to_string(), format!("Spotify answered {status}: upstream connect error"));
        }
        for status in [204, 400, 404, 418] {
            assert!(matches!(of(status, &[], ""), ApiError::BadAnswer { .. }), "{status}");
        }
        let redirect = of(302, &[("location", "https://elsewhere.example/?access_token=BQ")], "");
        assert!(redirect.to_string().contains("302 to https://elsewhere.example/"), "{redirect}");
        assert!(!redirect.to_string().contains("BQ"), "{redirect}");
        assert!(matches!(of(401, &[], "gone"), ApiError::Unauthorized));
    }
}
