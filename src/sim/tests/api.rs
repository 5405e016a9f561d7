//! The Web API: who is refused, and what a page holds.

use super::*;
use crate::sim::{Listen, Shape, music};

const RECENT: &str = "/me/player/recently-played";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A stage on which Ann has logged in, and her access token.
fn logged_in() -> (Stage, String) {
    let stage = stage();
    stage.spotify.grant("ann", "web", &BOTH);
    let access = stage.spotify.access_token("ann").unwrap();
    (stage, access)
}

fn times(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["played_at"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn only_a_valid_token_is_let_in() {
    let (stage, access) = logged_in();
    let message = |(status, body): (u16, Value)| (status, body["error"]["message"].to_string());
    let bare = stage.client.get(format!("{}/me", stage.spotify.api_url()));
    assert_eq!(message(answer(bare).await), (401, "\"No token provided\"".to_owned()));
    let basic = stage.client.get(format!("{}/me", stage.spotify.api_url())).basic_auth("web", Some("x"));
    assert_eq!(answer(basic).await.0, 400);
    assert_eq!(message(answer(stage.get("/me", "BQx")).await), (401, "\"Invalid access token\"".to_owned()));
    stage.pass(3599);
    assert_eq!(answer(stage.get("/me", &access)).await.0, 200);
    stage.pass(1);
    let expired = answer(stage.get(RECENT, &access)).await;
    assert_eq!(expired.1["error"]["status"], 401);
    assert_eq!(message(expired), (401, "\"The access token expired\"".to_owned()));
    let killed = stage.spotify.access_token("ann").unwrap();
    stage.spotify.kill_access_tokens("ben");
    assert_eq!(answer(stage.get("/me", &killed)).await.0, 200);
    stage.spotify.kill_access_tokens("ann");
    assert_eq!(answer(stage.get("/me", &killed)).await.0, 401);
    assert!(stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn scope_premium_and_the_allow_list_are_403() {
    let stage = stage();
    stage.spotify.grant("ann", "web", &["user-top-read"]);
    let access = stage.spotify.access_token("ann").unwrap();
    let (status, body) = answer(stage.get(RECENT, &access)).await;
    assert_eq!((status, &body["error"]["message"]), (403, &"Insufficient client scope".into()));
    assert_eq!(answer(stage.get("/me/top/artists", &access)).await.0, 200);
    stage.spotify.set_allow_listed("ann", false);
    let (status, body) = answer(stage.get("/me", &access)).await;
    assert!(status == 403 && body.as_str().unwrap().contains("may not be registered"), "{body}");
    stage.spotify.set_premium("web", false);
    let (status, body) = answer(stage.get("/me", &access)).await;
    assert!(status == 403 && body.as_str().unwrap().contains("premium"), "{body}");
    stage.spotify.set_premium("web", true);
    stage.spotify.set_allow_listed("ann", true);
    assert_eq!(answer(stage.get("/me", &access)).await.0, 200);
}

#[tokio::test]
async fn me_says_who_one_is_with_or_without_an_account_id() {
    let (stage, access) = logged_in();
    let (_, me) = answer(stage.get("/me", &access)).await;
    assert_eq!((&me["id"], me["account_id"].as_str().unwrap().len()), (&"ann".into(), 22));
    stage.spotify.set_identity("ann", "ann-renamed", None);
    let (_, me) = answer(stage.get("/me", &access)).await;
    assert_eq!((&me["id"], me.get("account_id")), (&"ann-renamed".into(), None));
}

#[tokio::test]
async fn a_page_is_newest_first_and_shaped_like_a_real_one() {
    let (stage, access) = logged_in();
    let (_, empty) = answer(stage.get(RECENT, &access)).await;
    assert_eq!(
        (&empty["items"], &empty["next"], &empty["cursors"]),
        (&vec![0; 0].into(), &Value::Null, &Value::Null)
    );

    let (older, newer) = (at("2026-03-01T11:00:00.100Z"), at("2026-03-01T11:04:00.201Z"));
    let context = "spotify:user:somebody:playlist:abc";
    stage
        .spotify
        .listen("ann", [Listen::new("Tin Moon", newer).context(context), Listen::new("Glasshouse", older)]);
    let (status, page) = answer(stage.get(&format!("{RECENT}?limit=50"), &access)).await;
    assert_eq!(status, 200);
    assert_eq!(times(&page), [newer.to_string(), older.to_string()]);
    assert_eq!(page["cursors"]["after"], (newer.as_millis() - 1).to_string());
    assert_eq!(page["cursors"]["before"], older.as_millis().to_string());
    assert!(page["next"].as_str().unwrap().starts_with(&stage.spotify.api_url()));
    let item = &page["items"][0];
    let track = music::track("Tin Moon");
    assert_eq!((&item["context"]["uri"], &item["context"]["type"]), (&context.into(), &"playlist".into()));
    assert_eq!(item["track"]["uri"], *track.uri.as_ref().unwrap());
    assert_eq!(item["track"]["external_ids"]["isrc"], *track.isrc.as_ref().unwrap());
    assert_eq!(item["track"]["duration_ms"], track.duration_ms.unwrap());
    assert_eq!(item["track"]["artists"][0]["name"], track.artists[0].name);
    assert_eq!(item["track"]["album"]["uri"], *track.album.unwrap().uri.as_ref().unwrap());
    assert_eq!(page["items"][1]["context"], Value::Null);
}

#[tokio::test]
async fn only_the_fifty_newest_plays_exist() {
    let (stage, access) = logged_in();
    stage.spotify.listen_until("ann", 60, at("2026-03-01T11:00:00Z"));
    let heard = stage.spotify.heard("ann");
    let newest: Vec<String> = heard.iter().rev().take(50).map(|play| play.played_at.to_string()).collect();
    let (_, page) = answer(stage.get(&format!("{RECENT}?limit=50"), &access)).await;
    assert_eq!(times(&page), newest);
    let (_, page) = answer(stage.get(RECENT, &access)).await;
    assert_eq!(times(&page), newest[..20]);
    let last = heard[10].played_at.as_millis();
    let (_, page) = answer(stage.get(&format!("{RECENT}?before={last}"), &access)).await;
    assert!(times(&page).is_empty());
    let third = heard[57].played_at.as_millis();
    let (_, page) = answer(stage.get(&format!("{RECENT}?after={third}"), &access)).await;
    assert_eq!(times(&page), newest[..2]);
}

#[tokio::test]
async fn limits_and_cursors_out_of_range_are_400() {
    let (stage, access) = logged_in();
    for query in
        ["limit=0", "limit=51", "limit=-1", "limit=many", "before=5&after=5", "before=yesterday", "after=-1"]
    {
        let (status, body) = answer(stage.get(&format!("{RECENT}?{query}"), &access)).await;
        assert_eq!((status, &body["error"]["status"]), (400, &400.into()), "{query}");
    }
    for query in ["limit=51", "limit=0", "time_range=forever"] {
        assert_eq!(answer(stage.get(&format!("/me/top/artists?{query}"), &access)).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn plays_can_come_late_doubled_and_at_the_same_moment_for_two() {
    let (stage, access) = logged_in();
    let (one, two) = (at("2026-03-01T11:00:00Z"), at("2026-03-01T11:03:00Z"));
    let late = at("2026-03-01T14:00:00Z");
    stage.spotify.listen(
        "ann",
        [
            Listen::new("Marzipan", one).visible_at(late),
            Listen::new("Marzipan", two),
            Listen::new("Marzipan", two),
        ],
    );
    stage.spotify.listen("ben", [Listen::new("Marzipan", two)]);
    let page = async || answer(stage.get(RECENT, &access)).await.1;
    assert_eq!(times(&page().await), [two.to_string(), two.to_string()]);
    stage.spotify.set_access_lifetime(Duration::from_secs(10 * 3600));
    stage.pass(2 * 3600);
    let access = stage.spotify.access_token("ann").unwrap();
    let page = answer(stage.get(RECENT, &access)).await.1;
    assert_eq!(times(&page), [two.to_string(), two.to_string(), one.to_string()]);
    assert_eq!(stage.spotify.heard("ben")[0].played_at, two);
}

#[tokio::test]
async fn whatever_spotify_nulls_or_omits_can_be_null_or_missing() {
    let (stage, access) = logged_in();
    let time = at("2026-03-01T11:00:00Z");
    let mut bare = music::play("Windfall", time);
    (bare.track.uri, bare.track.album, bare.track.isrc, bare.track.duration_ms) = (None, None, None, None);
    stage.spotify.listen("ann", [Listen::from(bare), Listen::new("Ladder Song", time).without_track()]);
    let page = async || answer(stage.get(RECENT, &access)).await.1;
    let full = page().await;
    assert_eq!(full["items"][0]["track"], Value::Null);
    let track = &full["items"][1]["track"];
    for name in ["uri", "id", "href", "album", "duration_ms"] {
        assert_eq!(track.get(name), Some(&Value::Null), "{name}");
    }
    assert_eq!(track["external_ids"], serde_json::json!({}));

    stage.spotify.set_shape("ann", Shape::Nulls);
    let thin = page().await;
    assert_eq!((thin.get("cursors"), thin.get("next")), (Some(&Value::Null), Some(&Value::Null)));
    assert_eq!(thin["items"][1]["track"].get("external_ids"), Some(&Value::Null));
    assert!(thin.get("sim_extra").is_some());
    stage.spotify.set_shape("ann", Shape::Absent);
    let thin = page().await;
    assert_eq!((thin.get("cursors"), thin["items"][1].get("context")), (None, None));
    assert_eq!(thin["items"][1]["track"]["artists"][0].get("id"), None);
    assert_eq!(times(&thin).len(), 2);
}

#[tokio::test]
async fn top_artists_are_ranked_by_plays() {
    let (stage, access) = logged_in();
    let (_, empty) = answer(stage.get("/me/top/artists", &access)).await;
    assert_eq!(empty["total"], 0);
    stage.spotify.listen_until("ann", 100, at("2026-03-01T11:00:00Z"));
    let (_, page) = answer(stage.get("/me/top/artists?limit=3&time_range=short_term", &access)).await;
    let names: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|artist| artist["name"].as_str().unwrap()).collect();
    let heard = stage.spotify.heard("ann");
    let plays =
        |name: &str| heard.iter().filter(|play| play.track.artists.iter().any(|a| a.name == name)).count();
    assert_eq!(names.len(), 3);
    assert!(plays(names[0]) >= plays(names[1]) && plays(names[1]) >= plays(names[2]) && plays(names[2]) > 0);
}

#[tokio::test]
async fn a_page_with_markets_is_as_large_as_a_real_one() {
    let _ = stage();
    let clock = Arc::new(SimulatedClock::new(at("2026-03-01T12:00:00Z")));
    let spotify = SimulatedSpotify::start(Options { clock, markets: true, ..Options::default() }).unwrap();
    spotify.grant("ann", "web", &BOTH);
    spotify.listen_until("ann", 50, at("2026-03-01T11:00:00Z"));
    let url = format!("{}{RECENT}?limit=50", spotify.api_url());
    let access = spotify.access_token("ann").unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let body = client.get(url).bearer_auth(access).send().await.unwrap().bytes().await.unwrap();
    assert!((100_000..500_000).contains(&body.len()), "{}", body.len());
}

#[test]
fn a_session_is_a_row_of_tracks_each_ending_its_length_after_the_last() {
    let until = at("2026-03-01T11:00:00.123Z");
    let plays = music::session(30, until);
    assert_eq!(plays, music::session(30, until));
    assert_eq!(plays.last().unwrap().played_at, until);
    let exact = plays.windows(2).filter(|pair| {
        let distance = pair[1].played_at.since(pair[0].played_at).as_millis();
        let length = u128::try_from(pair[1].track.duration_ms.unwrap()).unwrap();
        assert!(distance >= length);
        distance == length
    });
    assert_eq!(exact.count(), 25);
    assert!(plays.iter().any(|play| play.context_uri.is_none()));
}
