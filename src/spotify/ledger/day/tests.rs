use super::*;

const HOUR: u64 = 3_600;
const NOW: Now =
    Now { boot: BootTime(Duration::from_secs(50 * HOUR)), wall: Timestamp::from_millis(1_800_000_000_000) };

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * HOUR)
}

/// Of a hundred calls, with so many taken; each in so many hours counts no more.
fn day(taken: &[(u64, u32)]) -> Day {
    let counting: Vec<_> = taken.iter().map(|(left, calls)| (hours(*left), *calls)).collect();
    Day::new(100, &counting, NOW.boot)
}

/// A user looked at so many hours ago, whose page is full after ten.
fn due(since: u64) -> Urgency {
    let since = NOW.wall - hours(since);
    Urgency::Due { since, full_at: since + hours(10) }
}

fn after(wait: Duration) -> Now {
    Now { boot: BootTime(NOW.boot.0 + wait), wall: NOW.wall + wait }
}

#[test]
fn what_was_taken_counts_until_its_day_is_over() {
    let day = day(&[(1, 30), (5, 20)]);
    assert_eq!((day.left(NOW.boot, 0), day.left(NOW.boot, 10)), (50, 60));
    assert_eq!((day.left(after(hours(1)).boot, 0), day.left(after(hours(5)).boot, 0)), (80, 100));
    assert_eq!(Day::new(10, &[(hours(1), 30)], NOW.boot).left(NOW.boot, 0), 0);
}

#[test]
fn while_enough_is_left_everyone_goes() {
    for taken in [0, 75] {
        assert_eq!(day(&[(1, taken)]).admits(due(0), 0, NOW), Ok(()), "{taken}");
    }
    assert_eq!(day(&[(1, 50)]).admits(Urgency::Spare, 0, NOW), Ok(()));
    assert_eq!(day(&[(3, 51)]).admits(Urgency::Spare, 0, NOW), Err(hours(3)));
}

#[test]
fn the_fewer_are_left_the_fuller_a_page_must_be() {
    for (left, least) in [(24, 1), (20, 2), (15, 4), (10, 6), (5, 8), (2, 9)] {
        let day = day(&[(20, 100 - left)]);
        let let_through: Vec<u64> =
            (0..=10).filter(|since| day.admits(due(*since), 0, NOW).is_ok()).collect();
        assert_eq!(let_through, (least..=10).collect::<Vec<_>>(), "{left}");
    }
}

#[test]
fn the_last_calls_are_for_people_and_a_login_needs_none() {
    let nearly = day(&[(20, 99)]);
    assert!(nearly.admits(due(10), 0, NOW).is_err());
    assert_eq!(nearly.admits(Urgency::Asked, 0, NOW), Ok(()));
    let spent = day(&[(20, 100)]);
    assert_eq!(spent.admits(Urgency::Asked, 0, NOW), Err(hours(20)));
    assert_eq!(spent.admits(Urgency::Asked, 1, NOW), Ok(()));
    assert_eq!(spent.admits(Urgency::Login, 0, NOW), Ok(()));
}

#[test]
fn who_must_wait_is_let_through_after_the_wait_and_not_much_sooner() {
    for left in 0..25 {
        let day = day(&[(3, 40), (9, 60 - left)]);
        for since in 0..10 {
            let Err(wait) = day.admits(due(since), 0, NOW) else { continue };
            assert_eq!(day.admits(due(since), 0, after(wait)), Ok(()), "{left} {since} {wait:?}");
            let sooner = wait.saturating_sub(Duration::from_secs(61));
            assert!(sooner.is_zero() || day.admits(due(since), 0, after(sooner)).is_err(), "{left} {since}");
        }
    }
}

#[test]
fn calls_grow_dear_when_less_than_half_are_left() {
    let dear = |taken| day(&[(20, taken)]).scarcity(NOW.boot, 0);
    assert_eq!((dear(0), dear(50), dear(75), dear(100)), (1.0, 1.0, 10.5, 20.0));
    assert_eq!(Day::new(0, &[], NOW.boot).scarcity(NOW.boot, 0), 20.0);
    assert!(day(&[(20, 76)]).is_low(NOW.boot, 0) && !day(&[(20, 75)]).is_low(NOW.boot, 0));
}

#[test]
fn a_page_that_has_no_time_at_all_is_full() {
    let now = Urgency::Due { since: NOW.wall, full_at: NOW.wall };
    assert_eq!(day(&[(20, 98)]).admits(now, 0, NOW), Ok(()));
}

#[test]
fn until_when_the_calls_last_is_told_from_the_last_hours_rate() {
    assert_eq!(day(&[]).lasts_until(0, NOW), None);
    assert_eq!(day(&[(24, 4)]).lasts_until(0, NOW), None, "four an hour are less than a hundred a day");
    assert_eq!(day(&[(24, 10)]).lasts_until(0, NOW), Some(NOW.wall + hours(9)));
    assert_eq!(day(&[(24, 10)]).lasts_until(10, NOW), None, "what is in hand was not called");
    // Sixty count no more in two hours.
    assert_eq!(day(&[(2, 60), (24, 10)]).lasts_until(0, NOW), Some(NOW.wall + hours(9)));
    assert_eq!(day(&[(9, 100)]).lasts_until(0, NOW), Some(NOW.wall));
}
