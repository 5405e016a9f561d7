//! Answers of Spotify's that nobody could foresee, at the token endpoint and at the Web API: what can be used is used,
//! the rest is said, nobody else notices, and no login and no play is lost for it.

use std::time::Duration;

use longplay::domain::Timestamp;
use longplay::sim::{Effect, Endpoint, Fault, Injection, LimitBody, Reply};
use serde_json::{Value, json};

use crate::fixture::{Host, at_once, now};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn said(body: impl Into<Vec<u8>>) -> Fault {
    Fault::answer(Reply::new(200, "application/json", body))
}

fn endless(body: &str, pause: Duration) -> Fault {
    Fault::before(Effect::Endless(Reply::new(200, "application/json", body), pause))
}

/// A daemon with settled users of these names, and bob, who has nothing to do with it all.
fn settled(names: &[String]) -> (Host, crate::fixture::Daemon) {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("bob");
    for name in names {
        host.add_user(name).ok();
    }
    for name in names {
        host.until("it is archived", || host.user(name)["last_run_result"] == "ok");
    }
    (host, daemon)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}")).collect()
}

fn log(host: &Host) -> String {
    std::fs::read_to_string(host.path("log")).expect("a log")
}

#[test]
fn a_token_answer_that_cannot_be_read_costs_no_login_and_is_said() {
    let no_object = "status 200 with a body that is no JSON object";
    let no_token = "status 200 without an access token";
    let too_long = "an answer of more than 65536 bytes";
    let cases = [
        (Fault::answer(Reply::html(200)), no_object),
        (Fault::answer(Reply::empty()), no_object),
        (Fault::answer(Reply::not_json()), no_object),
        (said("[]"), no_object),
        (said("null"), no_object),
        (said(b"{\"access_token\":\"\xff\xfe\"}"), no_token),
        (said("[".repeat(60_000)), no_object),
        (said("{}"), no_token),
        (said("{\"access_token\":null,\"expires_in\":3600}"), no_token),
        (said("{\"access_token\":\"\",\"expires_in\":3600}"), no_token),
        (said("{\"access_token\":{\"a\":1},\"expires_in\":3600}"), no_token),
        (Fault::after(Effect::HalfABody), "the answer to a refresh was lost"),
        (Fault::answer(Reply::huge()), too_long),
        (endless("{\"access_token\":", Duration::ZERO), too_long),
        (Fault::answer(Reply::new(204, "application/json", "")), "status 204"),
        (Fault::answer(Reply::html(404)), "status 404"),
    ];
    let names = names(cases.len());
    let (host, _daemon) = settled(&names);
    at_once(cases.len(), |n| {
        let ((fault, words), name) = (cases[n].clone(), names[n].as_str());
        let held = host.token(name, "").ok();
        host.spotify.inject(Injection::new(Endpoint::Token, fault).of(name));
        let answer = host.token(name, "{\"fresh\":true}");
        assert_eq!(answer.problem(503), "in_doubt", "{words}");
        assert!(answer.text.contains(words), "{words} in {answer:?}");
        host.until("it is tried again by itself", || host.user(name)["state"] == "ok");
        assert!(host.token(name, "").ok()["generation"].as_u64() > held["generation"].as_u64());
        assert_eq!((host.spotify.refreshes(name).reused, host.spotify.login_alive(name)), (0, true));
    });
    host.token("bob", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.faults_waiting(), 0, "every fault was met");
    assert_eq!(host.get("/healthz").status, 200);
    assert!(!log(&host).contains("panicked"));
}

#[test]
fn a_token_answer_that_is_odd_but_good_is_used_within_bounds() {
    let odd = [
        json!({}),
        json!({"expires_in": null}),
        json!({"expires_in": -5}),
        json!({"expires_in": 0}),
        json!({"expires_in": -9_223_372_036_854_775_808_i64}),
        json!({"expires_in": 1e300}),
        json!({"expires_in": u64::MAX}),
        json!({"expires_in": "soon"}),
        json!({"expires_in": {"seconds": 3_600}}),
        json!({"expires_in": 3_600, "refresh_token": null}),
        json!({"expires_in": 3_600, "refresh_token": ""}),
        json!({"expires_in": 3_600, "refresh_token": 7}),
        json!({"expires_in": 3_600, "refresh_token": ["AQ"]}),
        json!({"expires_in": "3600", "scope": 5, "token_type": null, "news": {"a": [1, null]}}),
    ];
    let names = names(odd.len());
    let (host, daemon) = settled(&names);
    let given: Vec<Value> = at_once(odd.len(), |n| {
        let (mut body, name) = (odd[n].clone(), names[n].as_str());
        let generation = host.token(name, "").ok()["generation"].clone();
        let refresh_token = host.spotify.current_refresh_token(name);
        body["access_token"] = host.spotify.access_token(name).expect("a login").into();
        let fault = Fault::after(Effect::Answer(Reply::new(200, "text/plain", body.to_string())));
        host.spotify.inject(Injection::new(Endpoint::Token, fault).of(name));
        let token = host.token(name, "{\"fresh\":true}").ok();
        assert_eq!(token["access_token"], body["access_token"], "{body}");
        assert_eq!(token["generation"].as_u64(), generation.as_u64().map(|n| n + 1), "{body}");
        let until = Timestamp::parse(token["expires_at"].as_str().expect("a time")).expect("a time");
        assert!(until > now() + Duration::from_secs(3_500) && until <= now() + DAY, "{body}: {until}");
        assert_eq!(host.spotify.current_refresh_token(name), refresh_token);
        token
    });
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    at_once(odd.len(), |n| {
        let name = names[n].as_str();
        assert_eq!(host.token(name, "").ok()["access_token"], given[n]["access_token"], "{}", odd[n]);
        host.token(name, "{\"fresh\":true}").ok();
        assert_eq!((host.spotify.refreshes(name).reused, host.spotify.login_alive(name)), (0, true));
    });
    host.token("bob", "{\"fresh\":true}").ok();
    assert!(!log(&host).contains("panicked"));
}

#[test]
fn a_429_whose_body_has_no_end_is_a_wait_and_no_doubt() {
    let (host, _daemon) = settled(&[]);
    let limited = Reply::rate_limited(Some("600"), LimitBody::Text);
    let fault = Fault::before(Effect::Endless(limited, Duration::from_secs(1)));
    host.spotify.inject(Injection::new(Endpoint::Token, fault));
    let answer = host.token("bob", "{\"fresh\":true}");
    assert_eq!(answer.problem(503), "waiting");
    let after: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((300..=600).contains(&after), "{after}");
}

/// A play of an hour and `minutes` ago, as Spotify sends it.
fn item(minutes: u64) -> Value {
    let name = format!("Ladder Song {minutes}");
    json!({
        "played_at": (now() - Duration::from_secs(3_600 + minutes * 60)).to_string(),
        "context": null,
        "track": {
            "id": format!("id{minutes}"), "uri": format!("spotify:track:id{minutes}"), "name": name,
            "duration_ms": 200_000, "external_ids": {"isrc": "QZSIM0000001"},
            "artists": [{"id": "a", "uri": "spotify:artist:a", "name": "Tamsin Rook"}],
            "album": {"id": "b", "uri": "spotify:album:b", "name": "Tin Moon"},
        },
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut item = item(5);
    *item.pointer_mut(path).expect("the path is there") = value;
    item
}

fn without(path: &str, fields: &[&str]) -> Value {
    let mut item = item(5);
    let object = item.pointer_mut(path).and_then(Value::as_object_mut).expect("an object");
    object.retain(|name, _| !fields.contains(&name.as_str()));
    item
}

#[test]
fn one_odd_item_of_a_page_loses_no_other_and_is_said_where_it_cannot_be_read() {
    let cases = [
        (with("/track", json!(null)), Some("item 2: no track")),
        (with("/track", json!({"name": null, "uri": "", "id": 7})), Some("a track without name and URI")),
        (with("/played_at", json!("yesterday")), Some("\"yesterday\" is no time")),
        (with("/played_at", json!("2026-13-45T99:00:00Z")), Some("is no time")),
        (with("/played_at", json!("1970-01-01T00:00:00Z")), Some("is older than Spotify")),
        (with("/played_at", json!("9999-12-31T23:59:59Z")), Some("lies in the future")),
        (with("/played_at", json!(1_772_050_520_497_i64)), Some("no played_at")),
        (without("", &["played_at"]), Some("no played_at")),
        (json!(null), Some("not an object: null")),
        (json!([[[[]]]]), Some("not an object")),
        (with("/track/album", json!(null)), None),
        (with("/track/artists", json!(null)), None),
        (with("/track/external_ids", json!([1])), None),
        (with("/track/duration_ms", json!(-1)), None),
        (with("/track/duration_ms", json!(1e300)), None),
        (with("/track/name", json!("NUL \u{0} and \u{202e} and 🎵")), None),
        (with("/track/name", json!("x".repeat(100_000))), None),
        (without("/track", &["id", "uri", "external_ids", "album"]), None),
        (with("/context", json!({"uri": null, "new": {"deep": [[[1]]]}})), None),
    ];
    let names = names(cases.len());
    let (host, _daemon) = settled(&names);
    at_once(cases.len(), |n| {
        let ((odd, trouble), name) = (cases[n].clone(), names[n].as_str());
        let page = json!({"items": [item(1), odd, item(10)], "unknown": {"next": 1}});
        host.spotify.inject(Injection::new(Endpoint::Recent, said(page.to_string())).of(name));
        let ran = host.run(&["archive", name]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let plays = host.plays(name);
        match trouble {
            Some(words) => {
                assert!(ran.stderr.contains(words), "{words} in {ran:?}");
                assert_eq!((plays.len(), &host.user(name)["last_run_result"]), (2, &json!("partial")));
                assert_eq!(host.user(name)["gaps"], 1, "what can't be read is a gap");
            }
            None => {
                assert!(ran.stderr.is_empty(), "{ran:?}");
                assert_eq!((plays.len(), &host.user(name)["last_run_result"]), (3, &json!("ok")));
            }
        }
    });
    assert_eq!(host.run(&["archive", "bob"]).ok().trim(), "bob: nothing new");
    assert!(!log(&host).contains("panicked"));
}

#[test]
fn a_page_that_stays_unreadable_ends_the_run_with_its_reason_and_nothing_else() {
    let cases = [
        (Fault::answer(Reply::html(200)), "<!DOCTYPE html>"),
        (Fault::answer(Reply::empty()), "answered nothing"),
        (said("[]"), "something else than a page"),
        (said("{\"items\":null}"), "something else than a page"),
        (said("{\"items\":{\"0\":{}}}"), "something else than a page"),
        (said(b"\xff\xfe\x00{\"items\":[]}"), "something else than a page"),
        (said("{\"items\":[{\"played_at\":\"2026-0"), "something else than a page"),
        (Fault::answer(Reply::huge()), "more than 8 MiB"),
        (endless(&"{\"items\":[".repeat(10_000), Duration::ZERO), "more than 8 MiB"),
        (Fault::before(Effect::HalfABody), "the answer broke off"),
        (Fault::answer(Reply::new(204, "application/json", "")), "204"),
    ];
    let names = names(cases.len());
    let (host, _daemon) = settled(&names);
    at_once(cases.len(), |n| {
        let ((fault, words), name) = (cases[n].clone(), names[n].as_str());
        host.spotify.listen_until(name, 3, now());
        host.spotify.inject(Injection::new(Endpoint::Recent, fault).of(name).until_cleared());
        let ran = host.run(&["archive", name]);
        assert_eq!(ran.code, 75, "{words}: {ran:?}");
        assert!(ran.stderr.contains(words), "{words} in {ran:?}");
        assert_eq!(host.plays(name).len(), 0);
        assert!(
            ["bad_answer", "unreachable"]
                .contains(&host.user(name)["last_run_result"].as_str().unwrap_or(""))
        );
        host.token(name, "{\"fresh\":true}").ok();
    });
    host.run(&["archive", "bob"]).ok();
    assert_eq!(host.get("/healthz").status, 200);
    host.spotify.clear_faults();
    at_once(names.len(), |n| {
        let ran = host.run(&["archive", &names[n]]).ok();
        assert_eq!(ran.trim(), format!("{}: 3 new plays", names[n]));
    });
    assert!(!log(&host).contains("panicked"));
}

/// The one test that waits for the limits themselves: 30 s for a page, 60 s for a token.
#[test]
fn an_answer_that_drips_without_end_is_given_up_on_and_holds_up_nobody_else() {
    let names = names(2);
    let (host, _daemon) = settled(&names);
    host.spotify.listen_until("user0", 2, now());
    let drip = |endpoint, name: &str| {
        host.spotify.inject(Injection::new(endpoint, endless(" ", Duration::from_secs(1))).of(name));
    };
    drip(Endpoint::Recent, "user0");
    drip(Endpoint::Token, "user1");
    std::thread::scope(|scope| {
        let page = scope.spawn(|| host.run(&["archive", "user0"]));
        let token = scope.spawn(|| host.token("user1", "{\"fresh\":true}"));
        host.until("both are under way", || host.spotify.faults_waiting() == 0);
        host.token("bob", "{\"fresh\":true}").ok();
        host.run(&["archive", "bob"]).ok();
        assert!(!page.is_finished() && !token.is_finished());
        assert_eq!(page.join().expect("it ends").ok().trim(), "user0: 2 new plays", "at the second try");
        assert_eq!(token.join().expect("it ends").problem(503), "in_doubt");
    });
    host.until("the doubt ends", || host.user("user1")["state"] == "ok");
    assert!(host.spotify.login_alive("user1"));
}
