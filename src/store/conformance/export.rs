//! Reading the archive as a whole.

use super::{Bench, START};
use crate::domain::{Album, Artist, ExportedPlay, Play, Source, StoredPlay, Timestamp, Track, UserId};
use crate::store::export::{Exportable, PageStart};
use std::time::Duration;

impl Bench {
    async fn exported(&self, user: UserId, from: PageStart, limit: i64) -> Vec<Exportable> {
        self.store.exportable(user, from, None, limit).await.unwrap()
    }
}

fn keys(plays: &[Exportable]) -> Vec<(Timestamp, &str)> {
    plays.iter().map(|one| (one.place.at, one.key.as_str())).collect()
}

pub async fn pages_end_nowhere_and_each_begins_where_the_last_one_ended(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let bob = bench.add("bob").await.id;
    // Three a minute, stored the newest first.
    let mut plays: Vec<Play> = (0..60).map(|n| bench.play(u64::from(n / 3), 60 - n)).collect();
    plays.reverse();
    bench.store_page(bob, &plays[..7]).await;
    bench.store_page(alice, &plays[..30]).await;
    bench.store_page(alice, &plays[30..]).await;
    let all = bench.exported(alice, PageStart::First, 1_000).await;
    assert_eq!(all.len(), 60);
    assert!(all.is_sorted_by_key(|one| one.place) && all.windows(2).all(|two| two[0].place != two[1].place));
    for limit in [1, 7, 60] {
        let (mut pages, mut from) = (Vec::new(), PageStart::First);
        loop {
            let page = bench.exported(alice, from, limit).await;
            let Some(last) = page.last() else { break };
            from = PageStart::After(last.place);
            pages.extend(page);
        }
        assert_eq!(pages, all, "pages of {limit}");
    }
    let since = START + Duration::from_secs(60 * 3);
    let until = START + Duration::from_secs(60 * 5);
    let some = bench.store.exportable(alice, PageStart::Since(since), Some(until), 1_000).await.unwrap();
    assert_eq!(some, all[9..15], "not older than the one, older than the other");
    assert!(bench.exported(UserId(9_999), PageStart::First, 10).await.is_empty());
}

pub async fn an_export_has_what_is_known_of_a_play_and_nulls_for_the_rest(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let nameless = Track {
        uri: None,
        name: "Tape \"1\"".to_owned(),
        artists: vec![
            Artist { uri: None, name: "Ann".to_owned() },
            Artist { uri: Some("spotify:artist:7".to_owned()), name: "Bob".to_owned() },
        ],
        album: Some(Album { uri: None, name: "Tapes".to_owned() }),
        isrc: None,
        duration_ms: None,
    };
    let bare = Track { album: None, artists: Vec::new(), name: "Bare".to_owned(), ..nameless.clone() };
    let play = |track, minutes| Play { track, context_uri: None, ..bench.play(minutes, 0) };
    bench.store_page(alice, &[bench.play(0, 1), play(nameless, 1), play(bare, 2)]).await;
    let stored = |n: u64, track: &str| StoredPlay {
        played_at: START + Duration::from_secs(60 * n),
        track: track.to_owned(),
        artists: Vec::new(),
        album: None,
        track_uri: None,
        isrc: None,
        duration_ms: None,
        context_uri: None,
        source: Source::Api,
    };
    let exported = |play| ExportedPlay { play, artist_uris: Vec::new(), album_uri: None, ms_played: None };
    let some = |text: &str| Some(text.to_owned());
    let plays: Vec<_> =
        bench.exported(alice, PageStart::First, 9).await.into_iter().map(|one| one.play).collect();
    assert_eq!(
        plays,
        [
            ExportedPlay {
                artist_uris: vec![some("spotify:artist:1"), some("spotify:artist:101")],
                album_uri: some("spotify:album:0"),
                ..exported(StoredPlay {
                    artists: vec!["Artist 1".to_owned(), "Artist 101".to_owned()],
                    album: some("Album 0"),
                    track_uri: some("spotify:track:1"),
                    isrc: some("ISRC1"),
                    duration_ms: Some(200_000),
                    context_uri: some("spotify:playlist:1"),
                    ..stored(0, "Track 1")
                })
            },
            ExportedPlay {
                artist_uris: vec![None, some("spotify:artist:7")],
                ..exported(StoredPlay {
                    artists: vec!["Ann".to_owned(), "Bob".to_owned()],
                    album: some("Tapes"),
                    ..stored(1, "Tape \"1\"")
                })
            },
            exported(stored(2, "Bare")),
        ]
    );
}

pub async fn what_is_stored_meanwhile_neither_doubles_nor_drops_a_play(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let plays: Vec<Play> = (0..20).map(|n| bench.play(u64::from(n), n)).collect();
    bench.store_page(alice, &plays).await;
    let first = bench.exported(alice, PageStart::First, 10).await;
    // Late plays: one before what was read, one at its very end, one after.
    let late = [bench.play(2, 90), bench.play(9, 91), bench.play(12, 92)];
    bench.store_page(alice, &late).await;
    let rest = bench.exported(alice, PageStart::After(first[9].place), 100).await;
    let both: Vec<Exportable> = first.into_iter().chain(rest).collect();
    for play in &plays {
        let times = keys(&both).iter().filter(|key| **key == (play.played_at, &*play.track.key())).count();
        assert_eq!(times, 1, "{play:?}");
    }
    assert_eq!(both.len(), 22, "what comes at the end and after it is read too");
}
