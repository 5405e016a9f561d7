//! Answers of the real Spotify, recorded by others, through the real client. They are no part of this project: the test
//! reads them from the folder that `LONGPLAY_RECORDED` names, or from beside the checkout, and is skipped without them.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longplay::clock::{Clock, SystemClock};
use longplay::domain::{AccessToken, Artist, Owner, RunResult, Timestamp, Trigger};
use longplay::spotify::{Answer, ApiError, Client, NoAnswer, Page, Transport};
use longplay::store::{Claimed, NewUser, PageStored, PlayQuery, Release, RunClaim, Store};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

/// The recordings whose name says what they are of, wherever they lie in the folder.
fn recordings(of: &[&str]) -> Vec<(PathBuf, String)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("shared").join("spotify");
    let folder =
        std::env::var_os("LONGPLAY_RECORDED").map_or_else(|| beside().join("recorded"), PathBuf::from);
    let Ok(libraries) = fs::read_dir(&folder) else {
        println!("skipped: there are no recordings in {}", folder.display());
        return Vec::new();
    };
    let files = libraries.flat_map(|library| fs::read_dir(library.unwrap().path()).into_iter().flatten());
    let mut found: Vec<(PathBuf, String)> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
            of.iter().any(|word| name.contains(word))
        })
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no recording of {of:?}", folder.display());
    found
}

/// Answers every request with one recording.
struct Replay(StatusCode, String);

#[async_trait]
impl Transport for Replay {
    async fn get(&self, _: &str, _: &AccessToken) -> Result<Answer, NoAnswer> {
        Ok(Answer { status: self.0, headers: HeaderMap::new(), body: Some(self.1.clone().into_bytes()) })
    }
}

fn client(status: StatusCode, body: String) -> (Client, AccessToken) {
    (Client::over(Replay(status, body)), AccessToken::from("token".to_owned()))
}

fn names(artists: &[Artist]) -> Vec<&str> {
    artists.iter().map(|artist| artist.name.as_str()).collect()
}

fn recorded_names(artists: &Value) -> Vec<&str> {
    artists.as_array().unwrap().iter().map(|artist| artist["name"].as_str().unwrap()).collect()
}

fn check_page(path: &Path, page: &Page, recorded: &Value) {
    let items = recorded["items"].as_array().unwrap();
    assert!(!items.is_empty(), "{}", path.display());
    assert_eq!((page.items(), page.plays.len()), (items.len(), items.len()), "{:?}", page.unreadable);
    assert_eq!(page.trouble(), None);
    for (play, item) in page.plays.iter().zip(items) {
        let track = &item["track"];
        assert_eq!(play.played_at.to_string(), item["played_at"].as_str().unwrap());
        assert_eq!(play.track.name, track["name"].as_str().unwrap());
        assert_eq!(play.track.uri.as_deref(), track["uri"].as_str());
        assert_eq!(play.track.duration_ms, track["duration_ms"].as_i64());
        assert_eq!(play.track.isrc.as_deref(), track["external_ids"]["isrc"].as_str());
        assert_eq!(play.context_uri.as_deref(), item["context"]["uri"].as_str());
        assert_eq!(names(&play.track.artists), recorded_names(&track["artists"]));
        let album = play.track.album.as_ref();
        assert_eq!(album.map(|album| album.name.as_str()), track["album"]["name"].as_str());
        assert_eq!(album.and_then(|album| album.uri.as_deref()), track["album"]["uri"].as_str());
    }
}

/// Stores a page as a user's first, and reads it back.
async fn check_archive(store: &dyn Store, name: &str, page: Page) {
    let new = NewUser {
        name: name.parse().unwrap(),
        app: "default".parse().unwrap(),
        schedule: None,
        timezone: None,
    };
    let user = store.put_user(&new).await.unwrap().id;
    let at = Timestamp::from_millis(0);
    let distinct: BTreeSet<_> = page.plays.iter().map(|p| (p.played_at, p.track.key())).collect();
    for expected in [distinct.len(), 0] {
        let owner = Owner(Uuid::from_u128(1));
        let claim = RunClaim {
            user,
            owner,
            claim: Uuid::from_u128(expected as u128 + 2),
            lease: Duration::from_secs(90),
            due: None,
            trigger: Trigger::Manual,
            at,
        };
        let Claimed::Begun(run) = store.begin_run(&claim).await.unwrap() else {
            panic!("nobody else is here")
        };
        let plays = page.plays.clone();
        let release = Release { owner, next: None };
        let stored = PageStored {
            user,
            run,
            result: RunResult::Ok,
            reason: None,
            plays,
            newest: page.plays.iter().map(|play| play.played_at).max(),
            gaps: Vec::new(),
            at,
            release,
        };
        assert_eq!(store.store_page(&stored).await.unwrap().plays, expected);
    }
    let query = PlayQuery { limit: 1_000, ..PlayQuery::default() };
    let read = store.plays(user, query).await.unwrap();
    assert_eq!(read.len(), distinct.len());
    for play in &page.plays {
        let names = names(&play.track.artists);
        let kept = |p: &&longplay::domain::StoredPlay| {
            p.played_at == play.played_at && p.track_uri == play.track.uri
        };
        assert_eq!(
            read.iter().find(kept).map(|p| p.artists.iter().map(String::as_str).collect()),
            Some(names)
        );
    }
}

#[tokio::test]
async fn every_item_of_a_recorded_page_becomes_a_play_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
    let store = longplay::store::open(&url, Arc::new(SystemClock)).unwrap();
    for (number, (path, body)) in recordings(&["recently"]).into_iter().enumerate() {
        let recorded = serde_json::from_str(&body).unwrap();
        let (client, token) = client(StatusCode::OK, body);
        let page =
            client.recently_played("https://spotify.example", &token, SystemClock.now()).await.unwrap();
        check_page(&path, &page, &recorded);
        check_archive(&*store, &format!("user{number}"), page).await;
    }
}

#[tokio::test]
async fn recorded_top_artists_are_read() {
    for (_, body) in recordings(&["top_artists", "top-artists"]) {
        let recorded: Value = serde_json::from_str(&body).unwrap();
        let (client, token) = client(StatusCode::OK, body);
        let artists = client.top_artists("https://spotify.example", &token).await.unwrap();
        assert_eq!(names(&artists), recorded_names(&recorded["items"]));
        assert!(artists.iter().all(|artist| artist.uri.is_some()));
    }
}

#[tokio::test]
async fn a_recorded_account_is_known_by_its_id() {
    for (_, body) in recordings(&["current_user.json", "user.json"]) {
        let recorded: Value = serde_json::from_str(&body).unwrap();
        let (client, token) = client(StatusCode::OK, body);
        let account = client.me("https://spotify.example", &token).await.unwrap();
        assert_eq!(account.id, recorded["id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_recorded_429_says_what_spotify_said() {
    for (_, body) in recordings(&["rate_limit"]) {
        let (client, token) = client(StatusCode::TOO_MANY_REQUESTS, body);
        let error = client.me("https://spotify.example", &token).await.unwrap_err();
        let said = "API rate limit exceeded";
        assert!(
            matches!(&error, ApiError::RateLimited { retry_after: None, reason, .. } if reason == said),
            "{error:?}"
        );
    }
}
