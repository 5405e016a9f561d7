//! What an answer of the token endpoint means. Pure: the raw answer is safe in the spool before anyone reads it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::{AccessToken, RefreshToken, Timestamp, without_secrets};

use super::RawAnswer;

/// Spotify's lifetime, believed where `expires_in` is missing or absurd: a refresh token must not be lost for it.
const USUAL_LIFETIME: Duration = Duration::from_secs(3_600);
/// The longest `expires_in` that is believed.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// How much of a provider's words is repeated to a person.
const QUOTED: usize = 120;

/// What a successful answer brought (RFC 6749, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access_token: AccessToken,
    /// A new refresh token; `None` where the field is absent, null or empty: the old one stays.
    pub refresh_token: Option<RefreshToken>,
    /// `expires_in`.
    pub lifetime: Duration,
    /// The granted scope, where it is named.
    pub scope: Option<String>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The request was granted.
    Granted(Tokens),
    /// 429: nothing happened. How long to wait, where it says so.
    RateLimited(Option<Duration>),
    /// `invalid_grant`: the refresh token, or the code, is dead.
    GrantRefused {
        /// The provider says that it came to its age.
        expired: bool,
        /// The provider's words.
        description: String,
    },
    /// `invalid_client` or `unauthorized_client`: the app is set up wrongly.
    ClientRefused(String),
    /// Another error of RFC 6749, section 5.2: our request is at fault. Words that are not in there prove nothing.
    RequestRefused(String),
    /// Anything else. Whether something happened at the provider can't be told.
    Unclear(String),
}

/// Reads an answer. `now`: to turn a Retry-After date into a duration.
pub fn read(answer: &RawAnswer, now: Timestamp) -> Reading {
    if answer.status == 429 {
        return Reading::RateLimited(retry_after(answer.retry_after.as_deref(), now));
    }
    let json: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, json) {
        (200, Some(fields)) => granted(&fields).map_or_else(
            || Reading::Unclear("status 200 without an access token".to_owned()),
            Reading::Granted,
        ),
        (200, None) => Reading::Unclear("status 200 with a body that is no JSON object".to_owned()),
        (400..=499, Some(fields)) => refused(answer.status, &fields),
        (status, _) => Reading::Unclear(format!("status {status}")),
    }
}

fn granted(fields: &Map<String, Value>) -> Option<Tokens> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(Tokens {
        access_token: AccessToken::from(text("access_token")?.to_owned()),
        refresh_token: text("refresh_token").map(|token| RefreshToken::from(token.to_owned())),
        lifetime: lifetime(fields.get("expires_in")),
        scope: text("scope").map(str::to_owned),
    })
}

fn lifetime(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds >= 1.0 => {
            Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64()))
        }
        _ => USUAL_LIFETIME,
    }
}

fn refused(status: u16, fields: &Map<String, Value>) -> Reading {
    let Some(error) = fields.get("error").and_then(Value::as_str) else {
        return Reading::Unclear(format!("status {status} without an OAuth error"));
    };
    let description = match fields.get("error_description").and_then(Value::as_str) {
        Some(words) if !words.is_empty() => quoted(words),
        _ => quoted(error),
    };
    match error {
        "invalid_grant" => {
            let expired = description.to_ascii_lowercase().contains("expired");
            Reading::GrantRefused { expired, description }
        }
        "invalid_client" | "unauthorized_client" => {
            Reading::ClientRefused(format!("{} ({description})", quoted(error)))
        }
        "invalid_request" | "invalid_scope" | "unsupported_grant_type" => {
            Reading::RequestRefused(format!("{} ({description})", quoted(error)))
        }
        _ => Reading::Unclear(format!("status {status}, {}", quoted(error))),
    }
}

fn quoted(words: &str) -> String {
    without_secrets(words).chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

/// Reads a Retry-After header (RFC 9110, section 10.2.3): seconds or a date. `None` where it is absent or nonsense.
fn retry_after(header: Option<&str>, now: Timestamp) -> Option<Duration> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(Timestamp::from(date.to_utc()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Reading {
        let answer =
            RawAnswer { status, retry_after: None, date: None, body: body.as_bytes().to_vec().into() };
        read(&answer, Timestamp::from_millis(0))
    }

    fn tokens(body: &str) -> Tokens {
        match of(200, body) {
            Reading::Granted(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_absent_null_or_empty_refresh_token_keeps_the_old_one() {
        for body in [
            r#"{"access_token":"a","expires_in":3600}"#,
            r#"{"access_token":"a","expires_in":3600,"refresh_token":null}"#,
            r#"{"access_token":"a","expires_in":3600,"refresh_token":""}"#,
            r#"{"access_token":"a","expires_in":3600,"refresh_token":7}"#,
        ] {
            assert_eq!(tokens(body).refresh_token, None, "{body}");
        }
        let rotated = tokens(r#"{"access_token":"a","expires_in":3600,"refresh_token":"r"}"#);
        assert_eq!(rotated.refresh_token.unwrap().expose(), "r");
    }

    #[test]
    fn an_absurd_lifetime_loses_no_token() {
        for (expires_in, seconds) in [
            ("3600", 3_600),
            ("\"1800\"", 1_800),
            ("120.0", 120),
            ("null", 3_600),
            ("-5", 3_600),
            ("0", 3_600),
            ("1e300", 86_400),
            ("\"soon\"", 3_600),
            ("[]", 3_600),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in},"refresh_token":"r"}}"#);
            let tokens = tokens(&body);
            assert_eq!(tokens.lifetime, Duration::from_secs(seconds), "{body}");
            assert!(tokens.refresh_token.is_some());
        }
        assert_eq!(tokens(r#"{"access_token":"a"}"#).lifetime, USUAL_LIFETIME);
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(
            of(400, r#"{"error":"invalid_grant","error_description":"Refresh token expired"}"#),
            Reading::GrantRefused { expired: true, description: "Refresh token expired".to_owned() }
        );
        assert_eq!(
            of(400, r#"{"error":"invalid_grant"}"#),
            Reading::GrantRefused { expired: false, description: "invalid_grant".to_owned() }
        );
        assert!(matches!(of(400, r#"{"error":"invalid_client"}"#), Reading::ClientRefused(_)));
        assert!(matches!(of(401, r#"{"error":"invalid_client"}"#), Reading::ClientRefused(_)));
        assert!(matches!(of(400, r#"{"error":"unauthorized_client"}"#), Reading::ClientRefused(_)));
        assert!(matches!(of(400, r#"{"error":"invalid_request"}"#), Reading::RequestRefused(_)));
    }

    #[test]
    fn what_proves_nothing_is_unclear() {
        for (status, body) in [
            (200, ""),
            (200, "<html></html>"),
            (200, r#"{"access_token":"a","#),
            (200, r#"{"access_token":null,"refresh_token":"r"}"#),
            (200, r#"[]"#),
            (302, ""),
            (400, "<html></html>"),
            (400, r#"{"error":{"status":400,"message":"x"}}"#),
            (404, ""),
            (408, r#"{"error":"Request Timeout"}"#),
            (500, r#"{"error":"invalid_grant"}"#),
            (503, "upstream connect error"),
        ] {
            assert!(matches!(of(status, body), Reading::Unclear(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_429_is_a_wait_whatever_its_body() {
        let answer = |header: Option<&str>| RawAnswer {
            status: 429,
            retry_after: header.map(str::to_owned),
            date: None,
            body: b"no".to_vec().into(),
        };
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let wait = |header| read(&answer(header), now);
        assert_eq!(wait(Some("79892")), Reading::RateLimited(Some(Duration::from_secs(79_892))));
        assert_eq!(
            wait(Some("Thu, 01 Jan 2026 00:01:00 GMT")),
            Reading::RateLimited(Some(Duration::from_secs(60)))
        );
        for nothing in [None, Some("-1"), Some("soon"), Some("")] {
            assert_eq!(wait(nothing), Reading::RateLimited(None), "{nothing:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(status in 100_u16..600, body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let answer = RawAnswer { status, retry_after: None, date: None, body: body.into() };
            read(&answer, Timestamp::from_millis(0));
        }
    }
}
