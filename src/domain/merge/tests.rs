use proptest::prelude::*;

use super::*;

/// Plays of one user, `at` in milliseconds.
fn heard(at: i64, precision: Precision, track: usize, ms_played: Option<i64>) -> Heard {
    let at = at - at.rem_euclid(precision.millis());
    Heard { at: Timestamp::from_millis(at), precision, track, ms_played, part: 0 }
}

fn api(at: i64, track: usize) -> Heard {
    heard(at, Precision::Millisecond, track, None)
}

fn extended(at: i64, track: usize) -> Heard {
    heard(at, Precision::Second, track, Some(200_000))
}

fn account(at: i64, track: usize) -> Heard {
    heard(at, Precision::Minute, track, Some(200_000))
}

/// What is there afterwards, and how many rows were new.
fn after(known: &[Heard], rows: &[Heard]) -> (Vec<Heard>, usize) {
    let (merged, new) = merge(known, rows, |_, _| false);
    let mut plays: Vec<Heard> = merged.iter().map(|play| play.heard).collect();
    plays.sort_by_key(|play| (play.at, play.track));
    (plays, new.iter().filter(|new| **new).count())
}

const MINUTE: i64 = 60_000;

#[test]
fn one_play_is_one_however_exactly_each_side_knows_it() {
    let at = 1_000 * MINUTE + 30_400;
    let sides = [api(at, 1), extended(at, 1), account(at, 1)];
    for first in sides {
        for second in sides {
            let (plays, new) = after(&[first], &[second]);
            let precision = first.precision.min(second.precision);
            assert_eq!((plays.len(), new), (1, 0), "{first:?} {second:?}");
            assert_eq!(plays[0].precision, precision, "the finer is kept: {first:?} {second:?}");
        }
    }
}

#[test]
fn a_second_may_be_rounded_either_way_and_no_further() {
    let at = 1_000 * MINUTE;
    let cases = [(-2_001, false), (-2_000, true), (0, true), (999, true), (2_999, true), (3_000, false)];
    for (apart, same) in cases {
        let (plays, new) = after(&[api(at + apart, 1)], &[extended(at, 1)]);
        assert_eq!((plays.len() == 1, new == 0), (same, same), "{apart}: {plays:?}");
    }
}

#[test]
fn another_track_at_the_same_moment_is_another_play() {
    let (plays, new) = after(&[api(MINUTE, 1)], &[extended(MINUTE, 2), account(MINUTE, 3)]);
    assert_eq!((plays.len(), new), (3, 2));
}

#[test]
fn what_an_export_says_twice_to_the_second_was_heard_once() {
    let rows = [extended(5_000, 1), extended(5_000, 1), extended(6_000, 1), extended(5_000, 2)];
    assert_eq!(after(&[], &rows).1, 3);
    // However often it was read before.
    let (plays, _) = after(&[], &rows);
    assert_eq!(after(&plays, &rows), (plays, 0));
}

#[test]
fn what_the_account_data_say_twice_to_the_minute_was_heard_twice_where_it_fits() {
    let row = heard(5 * MINUTE, Precision::Minute, 1, Some(20_000));
    let two = [api(5 * MINUTE + 1_000, 1), api(5 * MINUTE + 41_000, 1)];
    assert_eq!(after(&two, &[row, row]).1, 0, "both are known");
    let (plays, new) = after(&two, &[row, row, row]);
    assert_eq!((plays.len(), new), (3, 1), "the third is new");
    let (plays, new) = after(&[], &[row, row]);
    assert_eq!((plays.len(), new), (2, 2));
    assert_ne!(plays[0].at, plays[1].at, "no two plays of a track have one time");
    assert_eq!(after(&plays, &[row, row]).1, 0, "and again they are known");
}

#[test]
fn what_can_not_have_ended_twice_in_a_minute_was_written_twice() {
    let row = |ms| heard(5 * MINUTE, Precision::Minute, 1, Some(ms));
    // How long, how often it stands there, how often it was heard.
    for (ms, rows, plays) in [(200_000, 2, 1), (62_001, 3, 1), (62_000, 2, 2), (40_000, 4, 2), (0, 5, 5)] {
        let rows = vec![row(ms); rows];
        let (kept, new) = after(&[], &rows);
        assert_eq!((kept.len(), new), (plays, plays), "{ms} ms");
        assert_eq!(after(&kept, &rows).1, 0, "{ms} ms again");
    }
    let next_minute = heard(6 * MINUTE, Precision::Minute, 1, Some(200_000));
    let other_track = account(5 * MINUTE, 2);
    assert_eq!(
        after(&[], &[row(200_000), row(180_000), next_minute, other_track]).1,
        4,
        "none of them alike"
    );
    assert_eq!(after(&[api(5 * MINUTE + 7, 1)], &[row(200_000), row(200_000)]).1, 0);
}

#[test]
fn the_same_minute_in_two_exports_is_not_two_plays() {
    let row = heard(5 * MINUTE, Precision::Minute, 1, Some(20_000));
    let other = Heard { part: 1, ..row };
    assert_eq!(after(&[], &[row, row, other, other]).1, 2);
    assert_eq!(after(&[], &[row, other, other]).1, 2);
}

#[test]
fn the_length_of_a_play_tells_which_of_two_it_is() {
    let row = |ms| heard(5 * MINUTE, Precision::Minute, 1, Some(ms));
    let known = [heard(5 * MINUTE + 1_000, Precision::Second, 1, Some(31_000))];
    let (plays, _) = after(&known, &[row(40_000), row(31_000)]);
    let lengths: Vec<_> = plays.iter().map(|play| (play.precision, play.ms_played)).collect();
    assert_eq!(lengths, [(Precision::Minute, Some(40_000)), (Precision::Second, Some(31_000))]);
}

#[test]
fn a_play_of_the_api_learns_how_long_it_was_and_nothing_else() {
    let known = api(MINUTE + 7, 1);
    let (merged, _) = merge(&[known], &[extended(MINUTE, 1)], |_, _| false);
    assert_eq!(
        merged,
        [Merged {
            heard: Heard { ms_played: Some(200_000), ..known },
            known: Some(0),
            row: None,
            lengthened: true
        }]
    );
}

#[test]
fn a_recording_is_known_by_id_isrc_or_name() {
    let recording = |uri: Option<&str>, isrc: Option<&str>, name: &str, artists: &[&str]| {
        Recording::new(uri, isrc, name, artists.iter().copied())
    };
    let one = recording(Some("a"), Some("X"), "Low Tide", &["Ines", "Harbour"]);
    assert!(one.is(&recording(Some("a"), None, "", &[])));
    assert!(one.is(&recording(Some("b"), Some("X"), "Other", &["Else"])), "relinked");
    assert!(one.is(&recording(None, None, " low tide", &["harbour"])));
    assert!(!one.is(&recording(Some("b"), None, "Low Tide", &["Else"])));
    assert!(!one.is(&recording(None, None, "High Tide", &["Ines"])));
    assert!(!recording(None, None, "", &["Ines"]).is(&recording(None, None, "", &["Ines"])));
}

/// A true history of tracks, each heard for at least 30 s, in the order of time. None ends within the slack at a full
/// minute: there a play that one side alone knows can't be told from the next one of a short track.
fn history() -> impl Strategy<Value = Vec<(i64, usize, i64)>> {
    let play = (30_000..90_000_i64, 0..3_usize, 0..2_000_i64);
    prop::collection::vec(play, 1..30).prop_map(|plays| {
        let mut at = 1_600_000_000_000;
        let mut history = Vec::new();
        for (ms, track, pause) in plays {
            at += ms + pause;
            while !(2_001..57_999).contains(&at.rem_euclid(MINUTE)) {
                at += 500;
            }
            history.push((at, track, ms));
        }
        history
    })
}

/// What one side tells of it, from one minute to another.
fn told(history: &[(i64, usize, i64)], side: u8, from: usize, to: usize) -> Vec<Heard> {
    let minute = |n: usize| history.get(n).map_or(i64::MAX, |(at, ..)| at - at.rem_euclid(MINUTE));
    let (from, to) = (minute(from), minute(to));
    let within = history.iter().filter(|(at, ..)| (from..to).contains(at));
    within
        .map(|(at, track, ms)| match side {
            0 => api(*at, *track),
            1 => heard(*at, Precision::Second, *track, Some(*ms)),
            _ => heard(*at, Precision::Minute, *track, Some(*ms)),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever each import holds, in whatever order they come, and however often.
    #[test]
    fn any_sources_of_one_history_in_any_order_are_that_history(
        history in history(),
        sources in prop::collection::vec((0..3_u8, 0..30_usize, 0..31_usize), 1..6),
        shuffle in any::<u64>(),
    ) {
        let mut known: Vec<Heard> = Vec::new();
        let mut seen = HashSet::new();
        for (n, (side, a, b)) in sources.iter().enumerate() {
            let mut rows = told(&history, *side, *a.min(b), *a.max(b));
            seen.extend(rows.iter().map(|row| (row.at.as_millis() / MINUTE, row.track)));
            let len = rows.len().max(1);
            rows.rotate_left(usize::try_from(shuffle).unwrap_or(0).wrapping_add(n) % len);
            let (plays, new) = after(&known, &rows);
            prop_assert_eq!(plays.len(), known.len() + new, "the counts add up");
            known = plays;
            let again = after(&known, &rows);
            prop_assert_eq!(&again.0, &known, "the same again changes nothing");
            prop_assert_eq!(again.1, 0);
        }
        // Every play in a minute that somebody told of, and no other, each once.
        let mut expected: Vec<(i64, usize)> = history
            .iter()
            .map(|(at, track, _)| (at / MINUTE, *track))
            .filter(|place| seen.contains(place))
            .collect();
        let mut found: Vec<(i64, usize)> =
            known.iter().map(|play| (play.at.as_millis() / MINUTE, play.track)).collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    /// The same files twice in one folder.
    #[test]
    fn a_history_of_long_plays_given_twice_is_that_history(history in history()) {
        let long: Vec<_> = history.into_iter().filter(|(.., ms)| *ms > MINUTE + SLACK).collect();
        for side in [1, 2] {
            let once = told(&long, side, 0, long.len());
            let twice: Vec<Heard> = once.iter().chain(&once).copied().collect();
            prop_assert_eq!(after(&[], &twice), after(&[], &once));
        }
    }

    /// As one import, or as several.
    #[test]
    fn rows_come_to_the_same_at_once_and_one_by_one(history in history(), cut in 0..30_usize) {
        let rows = told(&history, 1, 0, history.len());
        let (at_once, _) = after(&[], &rows);
        let (first, second) = rows.split_at(cut.min(rows.len()));
        let (known, _) = after(&[], second);
        prop_assert_eq!(after(&known, first).0, at_once);
    }
}
