//! The Web API's client, from the bytes of an answer to plays or to an error's words.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use longplay::domain::{AccessToken, Timestamp};
use longplay::spotify::{Answer, ApiError, Client, NoAnswer, Page, Transport};
use proptest::prelude::*;
use proptest::sample::select;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::bytes::{TOKEN, document};
use crate::{cases, unfit};

const NOW: Timestamp = Timestamp::from_millis(1_772_100_000_000);
const DAY: i64 = 24 * 3_600_000;

/// Answers every request at once with the same.
struct Always(Answer);

#[async_trait]
impl Transport for Always {
    async fn get(&self, _: &str, _: &AccessToken) -> Result<Answer, NoAnswer> {
        Ok(self.0.clone())
    }
}

fn valid() -> Vec<String> {
    let item = |at: &str, id: &str| {
        format!(
            r#"{{"played_at":"{at}","context":{{"uri":"spotify:playlist:p","type":"playlist"}},"track":{{"uri":"spotify:track:{id}","id":"{id}","name":"Low Tide","duration_ms":194706,"artists":[{{"uri":"spotify:artist:a","name":"Ines"}},{{"id":"b","name":"Harbour"}}],"album":{{"uri":"spotify:album:c","name":"Marzipan"}},"external_ids":{{"isrc":"QZSIM0000001"}}}}}}"#
        )
    };
    let (one, two) = (item("2026-02-25T20:15:20.497Z", "A"), item("2026-02-25T20:12:05Z", "B"));
    vec![
        format!(r#"{{"items":[{one},{two}],"next":null,"cursors":{{"after":"1","before":"2"}},"limit":50}}"#),
        format!(r#"{{"items":[{one},{{"track":null,"played_at":"2026-02-25T20:15:20Z"}},{two},null]}}"#),
        r#"{"items":[],"next":null,"cursors":null}"#.to_owned(),
        r#"{"account_id":"A1","id":"alice","display_name":null}"#.to_owned(),
        r#"{"error":{"status":429,"message":"Too many requests","reason":"QUOTA_EXCEEDED"}}"#.to_owned(),
        format!("<html><body>{TOKEN}</body></html>"),
        format!(r#"{{"access_token":"{TOKEN}","items":["{TOKEN}"]}}"#),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = select(vec!["date", "retry-after", "location", "content-type"]);
    let value = prop_oneof![
        any::<u32>().prop_map(|n| n.to_string().into_bytes()),
        Just(b"Thu, 26 Feb 2026 10:00:00 GMT".to_vec()),
        Just(format!("https://x.example/{}?access_token={TOKEN}", "a b").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|pairs| {
        let pair = |(name, value): (&'static str, Vec<u8>)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?))
        };
        pairs.into_iter().filter_map(pair).collect()
    })
}

/// How many items the page shows, for a reader that is strict.
fn shown(body: &[u8]) -> Option<usize> {
    let body: Value = serde_json::from_slice(body).ok()?;
    // A NUL in a name is left out, which makes another name of it.
    let names = body.as_object()?.keys().filter(|name| name.replace('\0', "") == "items").count();
    if names == 1 { Some(body.get("items")?.as_array()?.len()) } else { None }
}

fn holds(page: &Page, latest: i64) -> Result<(), TestCaseError> {
    for play in &page.plays {
        prop_assert!(play.played_at.as_millis() <= latest + DAY, "{}", play.played_at);
        prop_assert!(
            play.played_at >= Timestamp::parse("2006-01-01T00:00:00Z").unwrap(),
            "{}",
            play.played_at
        );
        let track = &play.track;
        prop_assert!(!track.name.is_empty() || track.uri.as_ref().is_some_and(|uri| !uri.is_empty()));
        prop_assert!(track.duration_ms.is_none_or(|length| length >= 0));
        let texts = [&track.uri, &track.isrc, &play.context_uri].into_iter().flatten().chain([&track.name]);
        prop_assert!(texts.into_iter().all(|text| !text.contains('\0')), "{play:?}");
        prop_assert!(track.artists.iter().all(|artist| artist.uri.is_some() || !artist.name.is_empty()));
    }
    let follows: Vec<usize> = page.unreadable.iter().map(|item| item.follows).collect();
    prop_assert!(follows.is_sorted() && follows.iter().all(|follows| *follows <= page.plays.len()));
    prop_assert_eq!(page.trouble().is_some(), !page.unreadable.is_empty());
    if let Some(trouble) = page.trouble() {
        prop_assert_eq!(unfit(&trouble), None, "{}", trouble);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn whatever_the_web_api_answers_is_accounted_for_and_told_without_secrets(
        body in document(valid()),
        status in prop_oneof![6 => Just(200_u16), 1 => select(vec![204, 301, 400, 401, 403, 404, 429, 500, 503]), 1 => 100..1_000_u16],
        headers in headers(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let items = shown(&body);
        // The client takes the greater of its own present and the answer's.
        let date = headers.get("date").and_then(|date| chrono::DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        let latest = date.map_or(0, |date| date.timestamp_millis()).max(NOW.as_millis());
        let client = Client::over(Always(Answer { status, headers, body: Some(body) }));
        let token = AccessToken::from(TOKEN.to_owned());
        let page = client.recently_played("http://127.0.0.1", &token, NOW).now_or_never().unwrap();
        let artists = client.top_artists("http://127.0.0.1", &token).now_or_never().unwrap();
        let account = client.me("http://127.0.0.1", &token).now_or_never().unwrap();
        let error = match &page {
            Ok(page) => {
                prop_assert_eq!(status, StatusCode::OK);
                holds(page, latest)?;
                prop_assert!(items.is_none_or(|items| items == page.items()), "{items:?} {page:?}");
                let printed = format!("{page:?}");
                prop_assert!(!printed.contains(TOKEN), "{}", printed);
                None
            }
            Err(error) => {
                prop_assert!(items.is_none() || status != StatusCode::OK, "{error}");
                Some(error)
            }
        };
        if let Ok(account) = &account {
            prop_assert!(!account.id.is_empty() && status == StatusCode::OK);
        }
        for error in error.into_iter().chain(artists.as_ref().err()).chain(account.as_ref().err()) {
            prop_assert_eq!(unfit(&error.to_string()), None, "{}", error);
            let printed = format!("{error:?}");
            prop_assert!(!printed.contains(TOKEN), "{}", printed);
            let right = match (status.as_u16(), error) {
                (200, ApiError::BadAnswer { .. }) | (401, ApiError::Unauthorized) => true,
                (403, ApiError::Forbidden { .. }) | (429, ApiError::RateLimited { .. }) => true,
                (500..=599, ApiError::Unreachable { .. }) => true,
                (200 | 401 | 403 | 429 | 500..=599, _) => false,
                (_, error) => matches!(error, ApiError::BadAnswer { .. }),
            };
            prop_assert!(right, "{status}: {error:?}");
        }
    }
}
