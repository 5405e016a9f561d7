use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::lenient::shown;
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_772_100_000_000);

fn page(body: &str) -> Result<Page, ApiError> {
    Page::read(body, NOW)
}

fn one(item: Value) -> Result<Play, String> {
    let page = page(&json!({ "items": [item] }).to_string()).unwrap();
    assert_eq!(page.items(), 1);
    page.plays.into_iter().next().ok_or_else(|| page.unreadable[0].why.clone())
}

fn whole() -> Value {
    json!({
        "played_at": "2026-02-25T20:15:20.497Z",
        "context": {"uri": "spotify:user:dsoprea:playlist:23uR7PylGNatdoUwf04sax", "type": "playlist"},
        "track": {
            "uri": "spotify:track:T", "id": "T", "name": "Low Tide Letters", "duration_ms": 194706,
            "artists": [{"uri": "spotify:artist:A", "name": "Ines Valdoria"}, {"id": "B", "name": "Slow Harbour"}],
            "album": {"uri": "spotify:album:C", "name": "Marzipan"},
            "external_ids": {"isrc": "QZSIM0000001"}
        }
    })
}

fn with(path: &[&str], value: Value) -> Value {
    let mut item = whole();
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().fold(&mut item, |at, key| &mut at[*key]);
    parent[*last] = value;
    item
}

#[test]
fn an_item_becomes_a_play() {
    let artist =
        |uri: &str, name: &str| Artist { uri: Some(format!("spotify:artist:{uri}")), name: name.to_owned() };
    let play = one(whole()).unwrap();
    assert_eq!(
        play,
        Play {
            played_at: Timestamp::parse("2026-02-25T20:15:20.497Z").unwrap(),
            track: Track {
                uri: Some("spotify:track:T".to_owned()),
                name: "Low Tide Letters".to_owned(),
                artists: vec![artist("A", "Ines Valdoria"), artist("B", "Slow Harbour")],
                album: Some(Album { uri: Some("spotify:album:C".to_owned()), name: "Marzipan".to_owned() }),
                isrc: Some("QZSIM0000001".to_owned()),
                duration_ms: Some(194_706),
            },
            context_uri: Some("spotify:user:dsoprea:playlist:23uR7PylGNatdoUwf04sax".to_owned()),
        }
    );
}

#[test]
fn whatever_is_null_of_another_type_or_absent_is_left_out() {
    for nothing in [json!(null), json!(7), json!("x"), json!({}), json!([]), json!([null])] {
        assert_eq!(one(with(&["context"], nothing.clone())).unwrap().context_uri, None, "{nothing}");
        let track = one(with(&["track", "artists"], nothing.clone())).unwrap().track;
        assert_eq!(track.artists, [], "{nothing}");
        let track = one(with(&["track", "album"], nothing.clone())).unwrap().track;
        assert_eq!(track.album, None, "{nothing}");
        let track = one(with(&["track", "external_ids"], nothing)).unwrap().track;
        assert_eq!(track.isrc, None);
    }
    // A list is no object, though its entries could be taken for fields.
    for list in [json!(["spotify:track:T", "T", "x"]), json!([[1], "x", "y"])] {
        assert_eq!(one(with(&["context"], list.clone())).unwrap().context_uri, None, "{list}");
        assert_eq!(one(with(&["track"], list.clone())).unwrap_err(), "no track");
        assert_eq!(one(with(&["track", "album"], list.clone())).unwrap().track.album, None);
        let artists = json!([list, {"name": "Ines Valdoria"}]);
        assert_eq!(one(with(&["track", "artists"], artists)).unwrap().track.artists.len(), 1);
    }
    let list = json!(["2026-02-25T20:15:20.497Z", {"name": "Marzipan"}]);
    assert!(one(list.clone()).unwrap_err().starts_with("not an object: [\"2026"));
    assert!(account(&list.to_string()).is_err());
    for length in [json!(null), json!("long"), json!(-1), json!(1e300)] {
        assert_eq!(one(with(&["track", "duration_ms"], length)).unwrap().track.duration_ms, None);
    }
    let bare = json!({"played_at": "2026-02-25T20:15:20Z", "track": {"name": "Marzipan"}});
    let play = one(bare).unwrap();
    assert_eq!((play.track.uri, play.track.name.as_str()), (None, "Marzipan"));
    assert_eq!(play.played_at.as_millis() % 1000, 0);
}

#[test]
fn a_track_is_known_by_its_uri_else_its_id_else_its_name() {
    let uri = |item| one(item).unwrap().track.uri;
    let mut item = with(&["track", "uri"], json!(null));
    assert_eq!(uri(item.clone()).as_deref(), Some("spotify:track:T"));
    item["track"]["id"] = json!(null);
    assert_eq!(uri(item.clone()), None);
    item["track"]["uri"] = json!("spotify:local:a:b:c:180");
    item["track"]["name"] = json!(null);
    let track = one(item.clone()).unwrap().track;
    assert_eq!((track.uri.as_deref(), track.name.as_str()), (Some("spotify:local:a:b:c:180"), ""));
    item["track"]["uri"] = json!("");
    assert_eq!(one(item).unwrap_err(), "a track without name and URI");
}

#[test]
fn one_bad_item_never_loses_the_others() {
    let bad = [
        json!(null),
        json!(7),
        json!({}),
        with(&["track"], json!(null)),
        with(&["played_at"], json!(null)),
        with(&["played_at"], json!("yesterday")),
        with(&["played_at"], json!(1_772_050_520_497_i64)),
        with(&["track"], json!({"name": null, "uri": null, "id": null})),
    ];
    for item in bad {
        let page = page(&json!({"items": [whole(), item, whole()]}).to_string()).unwrap();
        assert_eq!((page.items(), page.plays.len(), page.unreadable.len()), (3, 2, 1), "{item}");
        let trouble = page.trouble().unwrap();
        assert!(trouble.starts_with("1 of 3 items could not be read: item 2: "), "{trouble}");
    }
    let page = page(&json!({"items": vec![json!(null); 50]}).to_string()).unwrap();
    assert_eq!((page.items(), page.plays.len(), page.unreadable.len()), (50, 0, 50));
    assert!(page.trouble().unwrap().ends_with("; and more"));
}

#[test]
fn an_unreadable_item_tells_its_place_and_its_time_where_it_can() {
    let time = Timestamp::parse("2026-02-25T20:15:20.497Z");
    let body = json!({"items": [
        with(&["track"], json!(null)), null, whole(), whole(), with(&["track", "name"], json!(7)),
        with(&["played_at"], json!(null)), with(&["track"], json!("x")),
    ]});
    let page = page(&body.to_string()).unwrap();
    let told = |item: &Unreadable| (item.follows, item.played_at, item.why.clone());
    let expected = [
        (0, time, "no track".to_owned()),
        (0, None, "not an object: null".to_owned()),
        (3, None, "no played_at".to_owned()),
        (3, time, "no track".to_owned()),
    ];
    assert_eq!(page.unreadable.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(
        page.trouble().unwrap(),
        "4 of 7 items could not be read: item 1: no track; item 2: not an object: null; item 6: no played_at; and more"
    );
    assert_eq!((page.items(), page.oldest()), (7, time));
}

#[test]
fn a_play_more_than_a_day_ahead_of_the_present_cannot_be_read() {
    let day = Duration::from_secs(24 * 3600);
    let item = |at: Timestamp| one(with(&["played_at"], json!(at.to_string())));
    assert_eq!(item(NOW + day).unwrap().played_at, NOW + day);
    let late = (NOW + day).offset_millis(1);
    assert_eq!(item(late).unwrap_err(), format!("played_at {:?} lies in the future", late.to_string()));
    let body = json!({"items": [with(&["played_at"], json!("9999-12-31T23:59:59Z")), whole()]});
    let page = page(&body.to_string()).unwrap();
    assert_eq!((page.plays.len(), page.unreadable[0].played_at), (1, None), "its time says nothing");
    assert_eq!(page.oldest(), Timestamp::parse("2026-02-25T20:15:20.497Z"));
}

#[test]
fn a_play_older_than_spotify_cannot_be_read() {
    for old in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2005-12-31T23:59:59.999Z"] {
        assert!(
            one(with(&["played_at"], json!(old))).unwrap_err().ends_with("is older than Spotify"),
            "{old}"
        );
    }
    one(with(&["played_at"], json!("2006-01-01T00:00:00Z"))).unwrap();
}

#[test]
fn an_item_that_nests_too_deep_or_repeats_a_field_loses_nothing_else() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!("{{\"items\":[{{\"track\":{deep}}},{}],\"items_of\":{deep}}}", whole());
    assert_eq!(page(&body).unwrap().plays.len(), 1);
    let body = format!("{{\"next\":1,\"next\":2,\"items\":[{{\"track\":1,\"track\":2}},{}]}}", whole());
    assert_eq!(page(&body).unwrap().plays.len(), 1);
}

#[test]
fn a_name_holds_nothing_that_a_store_refuses() {
    let body =
        r#"{"items":[{"played_at":"2026-02-25T20:15:20Z","track":{"name":"a\u0000b \ud83d","uri":"u"}}]}"#;
    let page = page(body).unwrap();
    let name = &page.plays[0].track.name;
    assert!(name.starts_with("ab ") && name.contains('\u{fffd}'), "{name:?}");
}

#[test]
fn an_empty_page_is_a_page() {
    assert_eq!(page(r#"{"items":[],"next":null,"cursors":null}"#).unwrap(), Page::default());
    assert_eq!(Page::default().trouble(), None);
}

#[test]
fn what_is_no_page_is_refused_with_what_was_got() {
    for (body, got) in [
        ("", "answered nothing"),
        (" \n", "answered nothing"),
        ("<html>\n <h1>Oops\u{7}</h1>", "page of recently played tracks: <html> <h1>Oops </h1>"),
        ("[]", ": []"),
        ("null", ": null"),
        ("{}", ": {}"),
        (r#"{"items":null,"next":null}"#, r#": {"items":null,"next":null}"#),
        (r#"{"items":{}}"#, r#": {"items":{}}"#),
        (r#"{"items":[1"#, r#": {"items":[1"#),
    ] {
        let message = page(body).unwrap_err().to_string();
        assert!(message.contains(got), "{message}");
    }
    let token = "BQ-_".repeat(20);
    for odd in [
        format!("{{\"token\":{token:?}}}"),
        format!("{{\"items\":[\"{token}\"]}}"),
        token.replace("Q-", "Q\u{200b}-"),
    ] {
        let message = page(&odd).map_or_else(|error| error.to_string(), |page| page.trouble().unwrap());
        assert!(message.contains("(hidden)") && !message.contains("BQ-_BQ"), "{message}");
    }
    let message = page(&"ö".repeat(500)).unwrap_err().to_string();
    assert!(message.ends_with(&format!(" {}…", "ö".repeat(60))), "{message}");
}

#[test]
fn the_account_is_the_one_that_never_changes() {
    let id = |body: Value| account(&body.to_string()).map(|account| account.id);
    assert_eq!(id(json!({"account_id": "A1", "id": "alice"})).unwrap(), "A1");
    assert_eq!(id(json!({"account_id": null, "id": "alice"})).unwrap(), "alice");
    assert!(
        id(json!({"account_id": "", "id": 7})).unwrap_err().to_string().contains("an account with an id")
    );
    assert!(account("Bad gateway").unwrap_err().to_string().ends_with(": Bad gateway"));
}

#[test]
fn top_artists_keep_their_order_and_lose_only_the_nameless() {
    let body = json!({"items": [
        {"name": "One", "uri": "spotify:artist:1"}, null, {"name": null, "id": null}, {"name": "Two", "id": "2"},
    ]});
    let artists = top_artists(&body.to_string()).unwrap();
    let uris: Vec<_> = artists.iter().filter_map(|a| a.uri.as_deref()).collect();
    assert_eq!(uris, ["spotify:artist:1", "spotify:artist:2"]);
    assert!(top_artists("{}").is_err());
}

#[test]
fn an_error_is_read_from_json_and_from_plain_text() {
    let quota = r#"{"error":{"status":429,"message":"Too many requests","reason":"QUOTA_EXCEEDED"}}"#;
    assert_eq!(error(quota), ("Too many requests".to_owned(), Some("QUOTA_EXCEEDED".to_owned())));
    assert_eq!(error("Too many requests"), ("Too many requests".to_owned(), None));
    assert_eq!(error(r#"{"error":"odd"}"#).1, None);
}

#[test]
fn foreign_text_is_shown_on_one_line_without_what_hides_or_reorders() {
    assert_eq!(shown("a\u{202e}b\r\n\tc\u{1b}[31m d", 40), "ab c [31m d");
    assert_eq!(shown("abc def", 4), "abc …");
    assert_eq!(shown("abc", 3), "abc");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2026-02-25T20:15:20.497Z")),
    ];
    let key = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "items",
            "track",
            "played_at",
            "artists",
            "album",
            "name",
            "uri",
            "context"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let body = String::from_utf8_lossy(&bytes);
        let _ = (page(&body), top_artists(&body), account(&body), error(&body), shown(&body, 60));
    }

    #[test]
    fn no_json_makes_it_panic_and_every_item_is_accounted_for(value in any_json()) {
        let _ = (account(&value.to_string()), error(&value.to_string()));
        let body = json!({ "items": [value.clone(), whole(), value] }).to_string();
        let page = page(&body).unwrap();
        prop_assert_eq!(page.items(), 3);
        prop_assert!(!page.plays.is_empty());
        prop_assert_eq!(page.plays.len() == 3, page.unreadable.is_empty());
        prop_assert_eq!(page.trouble().is_none(), page.unreadable.is_empty());
    }
}
