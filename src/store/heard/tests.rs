use super::*;
use crate::domain::shifts;

/// A play a day, by when it ended.
fn days() -> impl Iterator<Item = i64> {
    (0..1_500).map(|day| day * 86_400_000 + 1)
}

fn counted(steps: &[Step], weeks: i64, at: i64) -> i64 {
    let inside = |step: &&Step| step.weeks == weeks && step.from <= at && at < step.until;
    steps.iter().filter(inside).map(|step| step.sign).sum()
}

#[test]
fn what_is_counted_ends_at_a_week_and_a_day_ago_at_least() {
    for hours in 0..400 {
        let now = Timestamp::from_millis(1_767_225_600_000 + hours * 3_600_000);
        let late = now.as_millis() - target(now);
        assert!((LATE..LATE + WEEK).contains(&late) && target(now) % WEEK == 0, "{hours}");
    }
}

#[test]
fn moving_on_counts_what_counting_anew_does() {
    for (earlier, later) in [(200, 201), (100, 160), (60, 60 + 20), (10, 11), (30, 170)] {
        let (earlier, later) = (earlier * WEEK, later * WEEK);
        let mut moved = steps(None, earlier);
        moved.extend(steps(Some(earlier), later));
        let anew = steps(None, later);
        for weeks in WEEKS {
            for at in days() {
                assert_eq!(counted(&moved, weeks, at), counted(&anew, weeks, at), "{weeks} weeks at {at}");
            }
        }
    }
}

#[test]
fn every_play_since_a_moment_is_read_once() {
    let first = 40 * WEEK + 5;
    let until = 200 * WEEK;
    let ready = Ready { until, slot: 3_600_000, first: Some(first) };
    let anew = steps(None, until);
    for since in [
        None,
        Some(first - 1),
        Some(first + 1),
        Some(149 * WEEK),
        Some(150 * WEEK),
        Some(150 * WEEK + 1),
        Some(176 * WEEK),
        Some(176 * WEEK + 1),
        Some(until - 1),
        Some(until),
        Some(until + 5),
    ] {
        for ready in [None, Some(ready)] {
            let read = tracks(ready, since.map(Timestamp::from_millis));
            for at in days().filter(|at| *at >= first) {
                let one_by_one = i64::from(read.from <= at && at < read.until) + i64::from(at >= read.after);
                let times = one_by_one + counted(&anew, read.weeks, at);
                assert_eq!(
                    times,
                    i64::from(since.is_none_or(|since| at >= since)),
                    "{at} since {since:?}: {read:?}"
                );
            }
        }
    }
    let of = |since| tracks(Some(ready), Some(Timestamp::from_millis(since))).weeks;
    assert_eq!((of(first), of(150 * WEEK), of(176 * WEEK), of(176 * WEEK + 1)), (0, 50, 24, -1));
}

#[test]
fn pieces_cover_each_stretch_once_and_slots_are_read_whole() {
    let zone = chrono_tz::Tz::Asia__Kathmandu;
    for (begins, ends) in
        [(0, 50 * WEEK), (7, 10 * WEEK + 13), (12 * WEEK, 13 * WEEK), (9, 11), (899_999, 900_001)]
    {
        let shifts = shifts(zone, Timestamp::from_millis(begins), Timestamp::from_millis(ends));
        for (until, slot) in [(10 * WEEK, 900_000), (100 * WEEK, 900_000), (10 * WEEK, 3_600_000)] {
            let pieces = pieces(Some(Ready { until, slot, first: None }), &shifts);
            assert_eq!((pieces[0].begins, pieces[pieces.len() - 1].ends), (begins, ends));
            assert!(pieces.windows(2).all(|pair| pair[0].ends == pair[1].begins), "{pieces:?}");
            for piece in &pieces {
                let whole = piece.begins % slot == 0 && piece.ends % slot == 0 && piece.ends <= until;
                assert!(!piece.ready || whole && slot == 900_000, "{piece:?}");
            }
        }
        assert!(pieces(None, &shifts).iter().all(|piece| !piece.ready));
    }
}
