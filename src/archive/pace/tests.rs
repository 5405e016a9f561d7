//! When an adaptive user is looked at again.

use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

const MIN: Duration = Duration::from_secs(20 * 60);
const MAX: Duration = Duration::from_secs(3 * 3600);
/// Friday, 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

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

/// Four weeks in which so many plays came in each of these hours of every day, in UTC.
fn every_day(hours: std::ops::Range<i64>, plays: u8) -> Habits {
    on_days(hours, plays, |_| true)
}

/// The same on some days only, by their number since the Unix epoch, a Thursday.
fn on_days(hours: std::ops::Range<i64>, plays: u8, days: impl Fn(i64) -> bool) -> Habits {
    let end = Habits::hour_of(NOW);
    let came = |hour: i64| hours.contains(&hour.rem_euclid(24)) && days(hour.div_euclid(24));
    let from_hour = end - 28 * 24;
    Habits { from_hour, counts: (from_hour..end).map(|hour| if came(hour) { plays } else { 0 }).collect() }
}

fn silent() -> Habits {
    every_day(0..0, 0)
}

fn look<'a>(recent: &'a Plays, habits: &'a Habits) -> Look<'a> {
    Look { now: NOW, recent, new: 0, habits, zone: Tz::UTC, scarcity: PLENTY }
}

fn minutes(look: &Look<'_>) -> u64 {
    next_look(look, MIN, MAX).as_secs() / 60
}

#[test]
fn the_page_is_not_full_while_music_plays_on() {
    let songs = plays(60, &[(210, 0); 50]);
    let wait = minutes(&look(&songs, &silent()));
    assert_eq!(wait, 137);
    assert!(wait * 60 / 210 < 50);
}

#[test]
fn who_is_silent_and_never_listened_at_this_hour_is_left_alone() {
    let songs = plays(2 * 3600, &[(230, 0); 50]);
    let night = every_day(16..20, 15);
    assert_eq!(minutes(&look(&songs, &night)), 180);
    // Those hours come.
    let evening = Look { now: NOW + 7 * HOUR, ..look(&songs, &night) };
    assert_eq!(minutes(&evening), 180);
    let skipping = every_day(16..20, 40);
    assert_eq!(minutes(&Look { now: NOW + 7 * HOUR, ..look(&songs, &skipping) }), 85);
    assert_eq!(minutes(&look(&songs, &skipping)), 89);
}

#[test]
fn habits_go_by_the_hour_on_the_users_wall() {
    // Plays come fast at 7 to 9 in the evening in New York, which is midnight to 2 in UTC.
    let habits = every_day(0..2, 90);
    let songs = plays(86_400, &[(210, 0); 50]);
    let evening = Timestamp::parse("2027-01-15T23:30:00Z").unwrap();
    let long = Duration::from_secs(12 * 3600);
    let wait = |habits: &Habits, now, zone| {
        let past = Past::of(habits);
        past.same_hours(now, zone, HOUR).average(long.min(HOUR), |plays| plays)
    };
    assert!(wait(&habits, evening, Tz::America__New_York) > 40.0);
    // A zone's clocks go over: five weeks later the same time on the wall is an hour earlier in UTC.
    let summer = Timestamp::parse("2027-04-01T23:30:00Z").unwrap();
    let end = Habits::hour_of(Timestamp::parse("2027-03-14T00:00:00Z").unwrap());
    let counts = |hour: i64| if hour.rem_euclid(24) == 0 { 60 } else { 0 };
    let winter = Habits { from_hour: end - 28 * 24, counts: (end - 28 * 24..end).map(counts).collect() };
    let one_hour_on_the_wall = |zone| wait(&winter, summer - HOUR / 2, zone);
    assert!(one_hour_on_the_wall(Tz::America__New_York) > one_hour_on_the_wall(Tz::UTC) - 1e-9);
    let _ = songs;
}
