//! The reader of the token endpoint's answers.

use std::time::Duration;

use longplay::domain::{RefreshToken, Timestamp};
use longplay::oauth::{RawAnswer, Reading, read};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use crate::bytes::{TOKEN, document};
use crate::{cases, unfit};

fn valid() -> Vec<String> {
    let granted = r#"{"access_token":"BQ1","token_type":"Bearer","expires_in":3600,"scope":"user-top-read"}"#;
    vec![
        granted.to_owned(),
        granted.replace("BQ1", TOKEN).replace("\"token_type\"", "\"refresh_token\":\"AQ1\",\"token_type\""),
        granted.replace("\"token_type\"", "\"refresh_token\":null,\"token_type\""),
        r#"{"error":"invalid_grant","error_description":"Refresh token expired"}"#.to_owned(),
        r#"{"error":"invalid_client","error_description":"Invalid client secret"}"#.to_owned(),
        format!(r#"{{"error":"invalid_grant","error_description":"Refresh token {TOKEN} revoked"}}"#),
        r#"{"error":{"status":429,"message":"Too many requests"}}"#.to_owned(),
        "<!DOCTYPE html><html><body><h1>Oops</h1></body></html>".to_owned(),
    ]
}

fn sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = fields.get(name)?.as_str()?;
    sendable(text).then(|| text.to_owned())
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn whatever_the_token_endpoint_answers_is_read_within_its_bounds(
        body in document(valid()),
        status in prop_oneof![3 => Just(200_u16), 2 => Just(400), 1 => select(vec![100, 204, 302, 401, 429, 500]), 1 => any::<u16>()],
        retry_after in prop::option::of(prop_oneof![any::<String>(), any::<u64>().prop_map(|n| n.to_string()), Just("Thu, 01 Jan 2099 00:00:00 GMT".to_owned())]),
    ) {
        let fields: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
        // A NUL in a name is left out, which makes another name of it.
        let fields = fields.filter(|fields| !fields.keys().any(|name| name.contains('\0')));
        let answer = RawAnswer { status, retry_after, date: None, body: body.into() };
        let reading = read(&answer, Timestamp::from_millis(1_772_100_000_000));
        match &reading {
            Reading::Granted(tokens) => {
                prop_assert_eq!(status, 200);
                let (least, most) = (Duration::from_secs(1), Duration::from_secs(24 * 3_600));
                prop_assert!((least..=most).contains(&tokens.lifetime), "{:?}", tokens.lifetime);
                let refresh_token = tokens.refresh_token.as_ref().map(RefreshToken::expose);
                prop_assert!(sendable(tokens.access_token.expose()) && refresh_token.is_none_or(sendable));
                if let Some(fields) = &fields {
                    prop_assert_eq!(text(fields, "access_token").unwrap(), tokens.access_token.expose());
                    prop_assert_eq!(text(fields, "refresh_token"), refresh_token.map(str::to_owned));
                }
            }
            Reading::NewRefreshToken(token) => {
                prop_assert!(status == 200 && sendable(token.expose()));
                if let Some(fields) = &fields {
                    let both = (text(fields, "access_token"), text(fields, "refresh_token"));
                    prop_assert_eq!(both, (None, Some(token.expose().to_owned())));
                }
            }
            Reading::RateLimited(_) => prop_assert_eq!(status, 429),
            Reading::GrantRefused { description, .. } => prop_assert_eq!(unfit(description), None, "{}", description),
            Reading::ClientRefused(words) | Reading::RequestRefused(words) | Reading::Unclear(words) => {
                prop_assert_eq!(unfit(words), None, "{}", words);
            }
        }
        // Nothing that a stricter reader understands is lost.
        if let Some(fields) = &fields && status == 200 && text(fields, "access_token").is_some() {
            prop_assert!(matches!(reading, Reading::Granted(_)), "{reading:?}");
        }
        let refused = matches!(reading, Reading::GrantRefused { .. } | Reading::ClientRefused(_));
        prop_assert!(!refused || (400..500).contains(&status), "{status}");
        // A scope is no secret, whatever stands in it.
        if !matches!(&reading, Reading::Granted(tokens) if tokens.scope.is_some()) {
            let printed = format!("{answer:?} {reading:?}");
            prop_assert!(!printed.contains(TOKEN), "{}", printed);
        }
    }
}
