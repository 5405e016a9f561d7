//! What an answer of the token endpoint means. Pure: the raw answer is safe in the spool before anyone reads it.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::domain::{AccessToken, ForeignText, RefreshToken, Timestamp, without_secrets};

use super::RawAnswer;

/// Spotify's lifetime, believed where `expires_in` is missing or absurd: a refresh token must not be lost for it.
const USUAL_LIFETIME: Duration = Duration::from_secs(3_600);
/// The longest `expires_in` that is believed.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// How much of a provider's words is repeated to a person.
const QUOTED: usize = 120;
/// What is said of an answer that brought nothing.
pub const NO_TOKEN: &str = "status 200 without an access token";

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
    /// A new refresh token came, and no access token that can be read: the old refresh token may be spent.
    NewRefreshToken(RefreshToken),
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
    // What isn't UTF-8 may stand in a field that nobody needs.
    let lossy = |broken: &[u8]| Zeroizing::new(String::from_utf8_lossy(broken).into_owned());
    let mended = std::str::from_utf8(&answer.body).is_err().then(|| lossy(&answer.body));
    let body = mended.as_deref().map_or_else(|| std::str::from_utf8(&answer.body), |text| Ok(text.as_str()));
    let fields = body.ok().and_then(Fields::read);
    match (answer.status, fields) {
        (200, Some(fields)) => granted(&fields),
        (200, None) => Reading::Unclear("status 200 with a body that is no JSON object".to_owned()),
        (400..=499, Some(fields)) => refused(answer.status, &fields),
        (status, _) => Reading::Unclear(format!("status {status}")),
    }
}

/// The fields of an object, unread: one that can't be read must not cost the others.
struct Fields<'a>(HashMap<ForeignText, &'a RawValue>);

impl<'a> Fields<'a> {
    fn read(body: &'a str) -> Option<Self> {
        serde_json::from_str(body).ok().map(Self)
    }

    fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// A token: what no header and no form could carry unchanged is none (RFC 6749, appendix A.12 and A.17).
    fn token(&self, name: &str) -> Option<String> {
        let printable = |token: &String| token.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        self.get(name).filter(|token: &String| !token.is_empty() && printable(token))
    }

    fn words(&self, name: &str) -> Option<String> {
        self.get(name).map(|ForeignText(words)| words).filter(|words| !words.is_empty())
    }
}

fn granted(fields: &Fields<'_>) -> Reading {
    let refresh_token = fields.token("refresh_token").map(RefreshToken::from);
    match (fields.token("access_token"), refresh_token) {
        (Some(access_token), refresh_token) => Reading::Granted(Tokens {
            access_token: access_token.into(),
            refresh_token,
            lifetime: lifetime(fields),
            scope: fields.words("scope"),
        }),
        (None, Some(refresh_token)) => Reading::NewRefreshToken(refresh_token),
        (None, None) => Reading::Unclear(NO_TOKEN.to_owned()),
    }
}

fn lifetime(fields: &Fields<'_>) -> Duration {
    let text = || fields.get::<String>("expires_in")?.trim().parse().ok();
    match fields.get::<f64>("expires_in").or_else(text) {
        Some(seconds) if seconds.is_finite() && seconds >= 1.0 => {
            Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64()))
        }
        _ => USUAL_LIFETIME,
    }
}

fn refused(status: u16, fields: &Fields<'_>) -> Reading {
    let Some(error) = fields.get("error").map(|ForeignText(error)| error) else {
        return Reading::Unclear(format!("status {status} without an OAuth error"));
    };
    let description =
        fields.words("error_description").map_or_else(|| quoted(&error), |words| quoted(&words));
    match error.as_str() {
        "invalid_grant" => {
            let says = |word| description.to_ascii_lowercase().contains(word);
            // "Expired or revoked" proves neither.
            let expired = says("expired") && !says("revoked");
            Reading::GrantRefused { expired, description }
        }
        "invalid_client" | "unauthorized_client" => {
            Reading::ClientRefused(format!("{} ({description})", quoted(&error)))
        }
        "invalid_request" | "invalid_scope" | "unsupported_grant_type" => {
            Reading::RequestRefused(format!("{} ({description})", quoted(&error)))
        }
        _ => Reading::Unclear(format!("status {status}, {}", quoted(&error))),
    }
}

fn quoted(words: &str) -> String {
    // First what can't be seen, or a secret could be hidden behind it.
    let visible: String = words.chars().filter(|c| !c.is_control()).collect();
    without_secrets(&visible).chars().take(QUOTED).collect()
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
            ("1e999", 3_600),
            ("99999999999999999999999", 86_400),
            ("-1e999", 3_600),
            ("\"inf\"", 3_600),
            ("\"NaN\"", 3_600),
            ("true", 3_600),
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
    fn a_field_that_cannot_be_read_costs_no_other() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        for odd in [
            r#""x":"\ud800""#,
            r#""\udfff":1"#,
            r#""access_token":"old""#,
            r#""x":1e999"#,
            &format!("\"x\":{deep}"),
        ] {
            let read =
                tokens(&format!(r#"{{{odd},"access_token":"a","refresh_token":"r","expires_in":60}}"#));
            let refresh_token = read.refresh_token.as_ref().map(RefreshToken::expose);
            assert_eq!((read.access_token.expose(), refresh_token), ("a", Some("r")), "{odd}");
        }
        let body = b"{\"x\":\"\xff\",\"access_token\":\"a\"}".to_vec().into();
        let answer = RawAnswer { status: 200, retry_after: None, date: None, body };
        assert!(matches!(read(&answer, Timestamp::from_millis(0)), Reading::Granted(_)));
    }

    #[test]
    fn what_could_not_be_sent_is_no_token() {
        for odd in [r#""r\n""#, r#""r\u0000""#, r#""\ud800""#, "\"é\"", r#"["r"]"#, r#"{"r":"r"}"#] {
            let answer = format!(r#"{{"access_token":"a","refresh_token":{odd}}}"#);
            assert_eq!(tokens(&answer).refresh_token, None, "{odd}");
            let answer = format!(r#"{{"access_token":{odd},"refresh_token":"r"}}"#);
            assert_eq!(of(200, &answer), Reading::NewRefreshToken("r".to_owned().into()), "{odd}");
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(
            of(400, r#"{"error":"invalid_grant","error_description":"Refresh token expired"}"#),
            Reading::GrantRefused { expired: true, description: "Refresh token expired".to_owned() }
        );
        let either =
            of(400, r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#);
        assert!(matches!(either, Reading::GrantRefused { expired: false, .. }), "{either:?}");
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
            (200, r#"{"access_token":null,"refresh_token":""}"#),
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
