//! What was heard most, as the archive and as Spotify have it.

use std::time::Duration;

use super::archive::artist;
use super::{Bench, START};
use crate::domain::{Artist, Timestamp, TopEntry, TopKind};

fn shown(top: Vec<TopEntry>) -> Vec<(String, i64)> {
    top.into_iter().map(|entry| (entry.name, entry.plays)).collect()
}

pub async fn every_artist_of_a_track_counts(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut duet = bench.play(3, 2);
    // Named twice, counted once.
    duet.track.artists = vec![artist(2), artist(1), artist(2)];
    bench.store_page(alice, &[bench.play(1, 1), bench.play(2, 1), duet]).await;
    let top = async |since: Option<Timestamp>, limit| {
        shown(bench.store.top(alice, TopKind::Artists, since, limit).await.unwrap())
    };
    let all = [("Artist 1".to_owned(), 3), ("Artist 101".to_owned(), 2), ("Artist 2".to_owned(), 1)];
    assert_eq!(top(None, 9).await, all);
    assert_eq!(top(None, 1).await, all[..1]);
    let since = bench.play(3, 2).played_at;
    assert_eq!(top(Some(since), 9).await, [("Artist 1".to_owned(), 1), ("Artist 2".to_owned(), 1)]);
    let first = bench.store.top(alice, TopKind::Artists, None, 1).await.unwrap().remove(0);
    assert_eq!((first.uri.as_deref(), first.artists.len()), (Some("spotify:artist:1"), 0));
}

pub async fn the_track_ids_of_one_recording_count_together(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut twin = bench.play(2, 5);
    twin.track.isrc = Some("ISRC1".to_owned());
    bench.store_page(alice, &[bench.play(1, 1), twin, bench.play(3, 2)]).await;
    let top = bench.store.top(alice, TopKind::Tracks, None, 9).await.unwrap();
    assert_eq!(top.iter().map(|t| t.plays).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((top[1].name.as_str(), top[1].uri.as_deref()), ("Track 2", Some("spotify:track:2")));
    assert_eq!(top[1].artists, ["Artist 2", "Artist 102"]);
}

pub async fn albums_are_counted_with_their_artists(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut single = bench.play(9, 30);
    single.track.album = None;
    bench.store_page(alice, &[bench.play(1, 11), bench.play(2, 12), bench.play(3, 21), single]).await;
    let top = bench.store.top(alice, TopKind::Albums, None, 9).await.unwrap();
    assert_eq!(shown(top.clone()), [("Album 1".to_owned(), 2), ("Album 2".to_owned(), 1)]);
    assert_eq!(top[0].artists, ["Artist 11", "Artist 12"]);
    assert_eq!(top[0].uri.as_deref(), Some("spotify:album:1"));
}

pub async fn spotifys_top_artists_are_replaced_whole(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store.save_top_artists(alice, START, &[artist(1), artist(2), artist(3)]).await.unwrap();
    let nameless = Artist { uri: None, name: "Local hero".to_owned() };
    let later = START + Duration::from_secs(60);
    bench.store.save_top_artists(alice, later, &[artist(3), nameless]).await.unwrap();
    let top = bench.store.top_artists(alice).await.unwrap();
    let lines: Vec<_> =
        top.iter().map(|t| (t.rank, t.name.as_str(), t.uri.as_deref(), t.fetched_at)).collect();
    let expected = [(1, "Artist 3", Some("spotify:artist:3"), later), (2, "Local hero", None, later)];
    assert_eq!(lines, expected);
    assert_eq!(bench.user("alice").await.top_fetched_at, Some(later));
}
