//! When an adaptive user is looked at again. Spotify keeps 50 plays, so the measure is plays, not minutes: come back
//! before 20 could have come while music plays, before 40 where it rests, at the user's fastest recent pace. Pure.

use std::time::Duration;

use crate::domain::Timestamp;

/// Spotify lists a play after 30 seconds, so none can come faster.
const SHORTEST: Duration = Duration::from_secs(30);
/// No track counts for more: a day-long recording says nothing of how fast the next may be skipped.
const LONGEST: Duration = Duration::from_secs(3600);
/// Stands in for a track of unknown length, and for plays that a new user has not made yet; few are shorter.
const ORDINARY: Duration = Duration::from_secs(150);
/// A pace is kept up for so many plays: fewer would let one skipped song count, more would mix skipping with listening.
const STRETCH: u32 = 10;
/// How many plays may have come while music plays: well below half a page, so that a failed look or two cost nothing.
const PLAYING: u32 = 20;
/// How many where it rests: nothing has come yet, and ten stay in reserve.
const RESTING: u32 = 40;
/// From `PLAYING` to `RESTING` the allowance grows over so much silence.
const SETTLED: Duration = Duration::from_secs(3 * 3600);

/// How long to wait before looking again. `recent` are the newest plays, newest first: the end of each, and the length
/// of its track in milliseconds.
///
/// Always within `min` and `max` (`min`, should they be the wrong way round). A listener who goes on at the fastest
/// recent pace makes fewer than 50 plays in that time, where `min` allows it: 20 minutes do at any pace. More silence
/// never shortens the wait; faster listening never lengthens it.
pub fn next_look(
    now: Timestamp,
    recent: &[(Timestamp, Option<i64>)],
    min: Duration,
    max: Duration,
) -> Duration {
    let silence = recent.first().map_or(SETTLED, |(ended, _)| now.since(*ended).min(SETTLED));
    let pace = fastest_pace(recent);
    let growth = (pace * (RESTING - PLAYING)).mul_f64(silence.as_secs_f64() / SETTLED.as_secs_f64());
    (pace * PLAYING + growth).min(max).max(min)
}

/// Time per play over the fastest stretch of plays. Silence between two plays counts for nothing: a play takes no longer
/// than its track.
fn fastest_pace(recent: &[(Timestamp, Option<i64>)]) -> Duration {
    let mut taken: Vec<Duration> = (0..recent.len())
        .map(|i| {
            let (ended, track_ms) = recent[i];
            let track = track_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
            let track = track.map_or(ORDINARY, Duration::from_millis).min(LONGEST);
            let since_the_last = recent.get(i + 1).map_or(track, |(earlier, _)| ended.since(*earlier));
            track.min(since_the_last).max(SHORTEST)
        })
        .collect();
    taken.resize(taken.len().max(STRETCH as usize), ORDINARY);
    let fastest = taken.windows(STRETCH as usize).map(|stretch| stretch.iter().sum::<Duration>()).min();
    fastest.unwrap_or(ORDINARY) / STRETCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIN: Duration = Duration::from_secs(20 * 60);
    const MAX: Duration = Duration::from_secs(3 * 3600);
    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    type Plays = Vec<(Timestamp, Option<i64>)>;

    /// Plays of so many seconds, each with the silence after it, the newest first and ending `silence` ago.
    fn plays(silence: u64, each: &[(u64, u64)]) -> Plays {
        let mut end = NOW - Duration::from_secs(silence);
        let mut all = Plays::new();
        for (track, rest) in each {
            all.push((end, Some(i64::try_from(track * 1000).unwrap())));
            end = end - Duration::from_secs(track + rest);
        }
        all
    }

    fn minutes(recent: &Plays) -> u64 {
        next_look(NOW, recent, MIN, MAX).as_secs() / 60
    }

    #[test]
    fn ordinary_listening_is_looked_at_before_half_a_page_has_come() {
        let songs = [(210, 0); 50];
        assert_eq!(minutes(&plays(60, &songs)), 70);
        assert_eq!(minutes(&plays(90 * 60, &songs)), 105);
        assert_eq!(minutes(&plays(86_400, &songs)), 140);
    }

    #[test]
    fn the_shortest_plays_need_the_shortest_wait_and_are_never_lost_by_it() {
        let skipped = [(30, 0); 50];
        assert_eq!((minutes(&plays(0, &skipped)), minutes(&plays(86_400, &skipped))), (20, 20));
        assert!(MIN.as_secs() / SHORTEST.as_secs() < 50);
    }

    #[test]
    fn a_fast_stretch_among_slow_ones_sets_the_pace() {
        let mut each = [(300, 0); 50];
        each[20..30].fill((90, 0));
        assert_eq!(minutes(&plays(0, &each)), 90 * 20 / 60);
    }

    #[test]
    fn one_skipped_song_does_not() {
        let mut each = [(300, 0); 50];
        each[20] = (30, 0);
        assert_eq!(minutes(&plays(0, &each)), 91);
    }

    #[test]
    fn skipping_within_long_tracks_counts_by_when_the_plays_came() {
        let ends = (0..50).map(|n| (NOW - Duration::from_secs(n * 60), Some(240_000)));
        assert_eq!(minutes(&ends.collect()), 20);
    }

    #[test]
    fn songs_heard_hours_apart_still_count_by_their_length() {
        assert_eq!(minutes(&plays(0, &[(210, 5 * 3600); 50])), 70);
    }

    #[test]
    fn a_user_without_plays_is_looked_at_now_and_then() {
        assert_eq!(minutes(&Plays::new()), 100);
        let odd = vec![(NOW, None), (NOW + MAX, Some(-5)), (NOW, Some(0)), (NOW, Some(i64::MAX))];
        assert!((20..=180).contains(&minutes(&odd)));
    }

    #[test]
    fn bounds_the_wrong_way_round_give_the_least() {
        assert_eq!(next_look(NOW, &[], MAX, MIN), MAX);
    }

    fn listening() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((1u64..2000, prop_oneof![3 => Just(0u64), 1 => 0u64..90_000]), 0..50)
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_its_bounds(
            recent in prop::collection::vec((any::<i64>(), any::<Option<i64>>()), 0..60),
            now in any::<i64>(),
            min in 0u64..100_000,
            more in 0u64..100_000,
        ) {
            let (min, max) = (Duration::from_secs(min), Duration::from_secs(min + more));
            let recent: Plays = recent.into_iter().map(|(t, d)| (Timestamp::from_millis(t), d)).collect();
            let wait = next_look(Timestamp::from_millis(now), &recent, min, max);
            prop_assert!((min..=max).contains(&wait));
        }

        #[test]
        fn more_silence_never_shortens_the_wait(each in listening(), silence in 0u64..20_000, more in 0u64..20_000) {
            let wait = |silence| next_look(NOW, &plays(silence, &each), Duration::ZERO, MAX);
            prop_assert!(wait(silence) <= wait(silence + more));
        }

        #[test]
        fn faster_listening_never_lengthens_the_wait(each in listening(), percent in 1u64..100) {
            let faster: Vec<_> = each.iter().map(|(t, r)| ((t * percent / 100).max(1), r * percent / 100)).collect();
            let wait = |each: &[_]| next_look(NOW, &plays(0, each), Duration::ZERO, MAX);
            prop_assert!(wait(&faster) <= wait(&each));
        }

        /// The listener repeats the fastest ten plays of their past without a pause, from the moment of the look.
        #[test]
        fn fewer_than_fifty_plays_come_at_the_fastest_recent_pace(
            each in prop::collection::vec((30u64..2000, 0u64..90_000), 10..50),
            silence in 0u64..90_000,
        ) {
            let wait = next_look(NOW, &plays(silence, &each), MIN, Duration::MAX);
            let fastest = each.windows(10).min_by_key(|ten| ten.iter().map(|(t, _)| t).sum::<u64>()).unwrap();
            let mut lengths: Vec<u64> = fastest.iter().map(|(t, _)| *t).collect();
            lengths.sort();
            let (mut heard, mut came) = (0, 0);
            for track in lengths.iter().cycle() {
                heard += track;
                if heard > wait.as_secs() {
                    break;
                }
                came += 1;
            }
            prop_assert!(came < 50, "{came} plays in {wait:?}");
        }
    }
}
