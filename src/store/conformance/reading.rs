//! Pages of plays, and what is counted beforehand against what is counted one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bench, START};
use crate::domain::{Play, Shift, StoredPlay, Timestamp, TopKind, UserId, shifts, slot};
use crate::store::{PlayQuery, Store};

const ALL: PlayQuery = PlayQuery { since: None, until: None, before: None, limit: 100_000 };
const DAY: u64 = 86_400;

fn later(days: u64) -> Timestamp {
    START + Duration::from_secs(days * DAY)
}

fn india(from: Timestamp, until: Timestamp) -> Vec<Shift> {
    shifts(chrono_tz::Tz::Asia__Kolkata, from, until)
}

/// Each name with how often and how long it was heard, most often first.
fn counted<'p>(
    plays: impl Iterator<Item = &'p StoredPlay>,
    names: impl Fn(&StoredPlay) -> Vec<String>,
) -> Vec<(String, i64, i64)> {
    let mut counts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for play in plays {
        for name in names(play) {
            let (plays, ms) = counts.entry(name).or_default();
            (*plays, *ms) = (*plays + 1, *ms + play.duration_ms.unwrap_or(0));
        }
    }
    let mut all: Vec<_> = counts.into_iter().map(|(name, (plays, ms))| (name, plays, ms)).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

impl Bench {
    fn reach(&self, day: u64) {
        self.clock.advance(later(day).since(self.now()));
    }

    async fn count(&self, user: UserId) {
        self.store.count(user, slot(&india(START, later(900)))).await.unwrap();
    }

    /// That top lists and times are what a look at each play says.
    async fn is_counted_right(&self, user: UserId) {
        let all = self.store.plays(user, ALL).await.unwrap();
        let bounds =
            [None, Some(later(3)), Some(later(400)), Some(later(555)), Some(later(770)), Some(later(796))];
        for since in bounds {
            let plays = || all.iter().filter(|play| since.is_none_or(|since| play.played_at >= since));
            for (kind, expected) in [
                (TopKind::Artists, counted(plays(), |play| play.artists.clone())),
                (TopKind::Tracks, counted(plays(), |play| vec![play.track.clone()])),
                (TopKind::Albums, counted(plays(), |play| play.album.clone().into_iter().collect())),
            ] {
                let top = self.store.top(user, kind, since, 1_000).await.unwrap();
                let top: Vec<_> = top.into_iter().map(|top| (top.name, top.plays, top.ms_played)).collect();
                assert_eq!(top, expected, "{kind:?} since {since:?}");
                for limit in [1, 4, 30] {
                    let first = self.store.top(user, kind, since, limit).await.unwrap();
                    let first: Vec<_> =
                        first.into_iter().map(|top| (top.name, top.plays, top.ms_played)).collect();
                    let limit = expected.len().min(usize::try_from(limit).unwrap());
                    assert_eq!(first, expected[..limit], "{kind:?} since {since:?}");
                }
            }
            let from = since.unwrap_or(START - Duration::from_secs(DAY));
            let shifts = india(from, later(900));
            let listening = self.store.listening(user, &shifts).await.unwrap();
            let at = |unit: i64| move |play: &StoredPlay| (play.played_at.as_millis() + 19_800_000) / unit;
            for (counts, key) in [
                (&listening.days, Box::new(at(86_400_000)) as Box<dyn Fn(&StoredPlay) -> i64>),
                (&listening.hours, Box::new(move |play| at(3_600_000)(play) % 24)),
            ] {
                let counts: Vec<_> = counts.iter().map(|one| (one.at, (one.plays, one.ms))).collect();
                let mut expected: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
                for play in plays() {
                    let (plays, ms) = expected.entry(key(play)).or_default();
                    (*plays, *ms) = (*plays + 1, *ms + play.duration_ms.unwrap_or(0));
                }
                assert_eq!(counts, expected.into_iter().collect::<Vec<_>>(), "since {since:?}");
            }
        }
    }

    /// Plays over the days, a few each, of tracks that come and go.
    fn plays_of(&self, days: std::ops::Range<u64>) -> Vec<Play> {
        let some = |day: u64| (0..1 + day % 3).map(move |n| (day, n));
        days.flat_map(some)
            .map(|(day, n)| {
                let number = u32::try_from((day / 40 + n * 7 + day * day % 5) % 60).unwrap();
                let mut play = self.play(day * 24 * 60 + n * 437 + day % 60, number);
                play.track.duration_ms = (number % 9 != 0).then_some(i64::from(number) * 1_000 + 7);
                play
            })
            .collect()
    }
}

pub async fn pages_follow_each_other_where_plays_share_a_moment(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let bob = bench.add("bob").await.id;
    let mut plays: Vec<Play> = (0..9).map(|n| bench.play(5, n)).collect();
    plays.extend((0..4).map(|minute| bench.play(minute * 3, 1)));
    bench.store_page(alice, &plays).await;
    bench.store_page(bob, &plays[..3]).await;
    let whole = bench.store.plays(alice, ALL).await.unwrap();
    assert_eq!(whole.len(), 13);
    for limit in 1..=14 {
        let (mut query, mut read) = (PlayQuery { limit, ..ALL }, Vec::new());
        loop {
            let page = bench.store.page_of_plays(alice, query).await.unwrap();
            assert!(page.plays.len() <= usize::try_from(limit).unwrap());
            read.extend(page.plays);
            let Some(next) = page.next else { break };
            // It travels as text.
            query.before = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(read, whole, "{limit} at once");
    }
    // A place keeps its meaning while plays come in, and within bounds.
    let first = bench.store.page_of_plays(alice, PlayQuery { limit: 4, ..ALL }).await.unwrap();
    bench.store_page(alice, &[bench.play(99, 3)]).await;
    let since = Some(bench.play(3, 1).played_at);
    let query = PlayQuery { before: first.next, since, limit: 3, ..ALL };
    assert_eq!(bench.store.plays(alice, query).await.unwrap(), whole[4..7]);
    let until = Some(bench.play(5, 1).played_at);
    let query = PlayQuery { until, ..query };
    assert_eq!(bench.store.plays(alice, query).await.unwrap(), whole[11..12]);
    assert_eq!(bench.store.page_of_plays(alice, PlayQuery { limit: 0, ..ALL }).await.unwrap().next, None);
}

pub async fn the_first_play_is_known(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    bench.store_page(alice, &[bench.play(5, 1), bench.play(2, 1), bench.play(9, 1)]).await;
    let at = |minutes| Some(bench.play(minutes, 1).played_at);
    assert_eq!(bench.store.first_played(alice, None).await.unwrap(), at(2));
    assert_eq!(bench.store.first_played(alice, at(3)).await.unwrap(), at(5));
    assert_eq!(bench.store.first_played(alice, at(10)).await.unwrap(), None);
    assert_eq!(bench.store.first_played(bob, None).await.unwrap(), None);
    let archived = bench.user("alice").await.last_archived_at;
    assert_eq!(bench.store.claimed(alice).await.unwrap(), at(2).zip(archived));
    assert_eq!(bench.store.claimed(bob).await.unwrap(), None);
}

pub async fn what_is_counted_beforehand_is_what_a_look_at_each_play_says(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    bench.is_counted_right(alice).await;
    bench.store_page(alice, &bench.plays_of(0..500)).await;
    bench.store_page(bob, &bench.plays_of(100..300)).await;
    bench.reach(500);
    for user in [alice, bob] {
        bench.is_counted_right(user).await;
        bench.count(user).await;
        bench.is_counted_right(user).await;
    }
    // It moves on from week to week, and over a long time at once.
    for day in [501, 508, 530, 800] {
        let from = bench.now().since(START).as_secs() / DAY;
        bench.store_page(alice, &bench.plays_of(from..day)).await;
        bench.reach(day);
        bench.is_counted_right(alice).await;
        bench.count(alice).await;
        bench.is_counted_right(alice).await;
    }
    // Old plays turn up, the length of a track becomes known, and another slot is wanted.
    let mut old = bench.plays_of(200..210);
    for play in &mut old {
        play.played_at = play.played_at + Duration::from_secs(77);
        play.track.duration_ms = Some(123_456);
    }
    bench.store_page(bob, &old).await;
    for user in [alice, bob] {
        bench.is_counted_right(user).await;
        bench.store.count(user, Duration::from_secs(900)).await.unwrap();
        bench.is_counted_right(user).await;
        // Of hours nothing can be made that is half an hour ahead.
        bench.store.count(user, Duration::from_secs(3_600)).await.unwrap();
        bench.is_counted_right(user).await;
        bench.count(user).await;
    }
    bench.store.remove_user(bob, true).await.unwrap();
    assert!(bench.store.top(bob, TopKind::Tracks, None, 9).await.unwrap().is_empty());
    bench.count(bob).await;
    bench.is_counted_right(alice).await;
}

pub async fn the_first_of_many_that_are_as_often_heard_are_so_by_name(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let plays: Vec<Play> =
        (0..40).map(|n| bench.play(u64::from(n), 39 - n)).chain([bench.play(90, 17)]).collect();
    bench.store_page(alice, &plays).await;
    let names = async |kind, limit| -> Vec<String> {
        let top = bench.store.top(alice, kind, None, limit).await.unwrap();
        top.into_iter().map(|top| top.name).collect()
    };
    assert_eq!(names(TopKind::Tracks, 4).await, ["Track 17", "Track 0", "Track 1", "Track 10"]);
    assert_eq!(names(TopKind::Artists, 3).await, ["Artist 117", "Artist 17", "Artist 0"]);
    assert_eq!(names(TopKind::Albums, 2).await, ["Album 1", "Album 0"]);
    assert!(names(TopKind::Artists, 0).await.is_empty());
}

/// What only another program or another part of longplay does.
pub async fn a_play_that_is_removed_or_moved_by_hand_is_counted_no_more(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &bench.plays_of(0..400)).await;
    bench.reach(400);
    for sql in [
        "DELETE FROM plays WHERE played_at < (SELECT min(played_at) FROM plays) + 2592000000",
        "UPDATE plays SET played_at = played_at + 1000 WHERE played_at < (SELECT min(played_at) FROM plays) + 2592000000",
        "INSERT INTO plays (user_id, played_at, track_id, source)
         SELECT user_id, played_at + 5000000, track_id, 'import' FROM plays
         WHERE played_at < (SELECT min(played_at) FROM plays) + 2592000000",
        "UPDATE tracks SET duration_ms = 7 WHERE key = 'spotify:track:5'",
    ] {
        bench.count(alice).await;
        (bench.by_hand)(sql).await;
        bench.is_counted_right(alice).await;
        bench.count(alice).await;
        bench.is_counted_right(alice).await;
    }
}

pub async fn what_is_learnt_of_a_track_changes_what_is_counted_of_it(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    bench.store_page(alice, &bench.plays_of(0..400)).await;
    bench.store_page(bob, &bench.plays_of(0..400)).await;
    bench.reach(400);
    bench.count(alice).await;
    bench.count(bob).await;
    // Names tell albums and artists apart, and each track has a name of its own.
    for sql in [
        "UPDATE tracks SET album_id = (SELECT min(id) FROM albums)
         WHERE album_id <> (SELECT min(id) FROM albums) AND id % 3 = 0",
        "UPDATE tracks SET album_id = NULL WHERE id % 5 = 0",
        "UPDATE tracks SET album_id = (SELECT max(id) FROM albums), duration_ms = duration_ms + id WHERE id % 4 = 0",
        "UPDATE track_artists SET artist_id = (SELECT max(id) FROM artists) WHERE track_id % 3 = 0 AND position = 0",
        "INSERT INTO track_artists (track_id, position, artist_id)
         SELECT id, 7, (SELECT min(id) FROM artists WHERE name = 'Artist 1') FROM tracks WHERE id NOT IN
           (SELECT track_id FROM track_artists WHERE artist_id = (SELECT min(id) FROM artists WHERE name = 'Artist 1'))",
        "DELETE FROM track_artists WHERE track_id % 2 = 0 AND position > 0",
        "UPDATE tracks SET isrc = NULL WHERE id % 2 = 0",
        "UPDATE tracks SET isrc = 'ISRC of ' || id",
    ] {
        (bench.by_hand)(sql).await;
        bench.is_counted_right(alice).await;
        bench.is_counted_right(bob).await;
    }
    // What leaves and what comes is summed as it belongs now.
    bench.store_page(alice, &bench.plays_of(400..640)).await;
    bench.reach(640);
    bench.count(alice).await;
    bench.is_counted_right(alice).await;
    bench.count(bob).await;
    bench.is_counted_right(bob).await;
}

pub async fn tracks_that_become_one_recording_count_together_and_those_that_part_do_not(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &[bench.play(1, 1), bench.play(2, 5), bench.play(3, 5), bench.play(4, 2)]).await;
    bench.reach(30);
    bench.count(alice).await;
    bench.store_page(alice, &[bench.play(30 * 1_440, 2)]).await;
    let counts = async |limit| -> Vec<(String, i64)> {
        let top = bench.store.top(alice, TopKind::Tracks, None, limit).await.unwrap();
        top.into_iter().map(|top| (top.name, top.plays)).collect()
    };
    let track = |n: u32, plays: i64| (format!("Track {n}"), plays);
    assert_eq!(counts(9).await, [track(2, 2), track(5, 2), track(1, 1)]);
    (bench.by_hand)("UPDATE tracks SET isrc = 'one' WHERE name IN ('Track 1', 'Track 5')").await;
    assert_eq!(counts(9).await, [track(5, 3), track(2, 2)]);
    assert_eq!(counts(1).await, [track(5, 3)]);
    (bench.by_hand)("UPDATE tracks SET isrc = 'one' WHERE name = 'Track 2'").await;
    assert_eq!(counts(9).await, [track(5, 5)]);
    (bench.by_hand)("UPDATE tracks SET isrc = NULL").await;
    assert_eq!(counts(9).await, [track(2, 2), track(5, 2), track(1, 1)]);
}

/// What was heard in [`super::HEARD_BEFORE_SUMS`], before it is counted anew and after.
pub async fn is_read_as_before(store: &dyn Store) {
    let zone = || india(Timestamp::from_millis(1_700_000_000_000), later(900));
    let alice = store.users().await.unwrap()[0].id;
    for counts in [false, true] {
        if counts {
            store.count(alice, slot(&zone())).await.unwrap();
        }
        assert_eq!(store.plays(alice, ALL).await.unwrap().len(), 3);
        assert_eq!(store.gaps(alice).await.unwrap().len(), 1);
        let top = store.top(alice, TopKind::Tracks, None, 9).await.unwrap();
        let top: Vec<_> = top.into_iter().map(|top| (top.name, top.plays, top.ms_played)).collect();
        assert_eq!(top, [("One, too".to_owned(), 2, 3_000), ("Other".to_owned(), 1, 4_000)], "{counts}");
        let heard = store.listening(alice, &zone()).await.unwrap();
        assert_eq!(heard.days.iter().map(|day| day.plays).collect::<Vec<_>>(), [1, 1, 1], "{counts}");
    }
}
