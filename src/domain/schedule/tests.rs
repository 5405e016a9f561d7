use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{Datelike as _, NaiveDate, Timelike as _};
use proptest::prelude::*;

use super::*;

/// Zones with their changes of clocks in these years: by an hour and by half of one, at midnight, before and after
/// Ramadan, and none at all.
const ZONES: [(&str, i32); 11] = [
    ("Europe/Berlin", 2026),
    ("Europe/London", 2026),
    ("America/New_York", 2026),
    ("Australia/Lord_Howe", 2026),
    ("America/Sao_Paulo", 2026),
    ("America/Sao_Paulo", 2018),
    ("Africa/Casablanca", 2026),
    ("Asia/Beirut", 2022),
    ("America/Asuncion", 2023),
    ("Asia/Kathmandu", 2026),
    ("UTC", 2028),
];

fn parse(schedule: &str) -> Schedule {
    schedule.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn next(schedule: &str, zone: &str, after: &str) -> String {
    parse(schedule).next_after(at(after), parse_zone(zone).unwrap()).unwrap().to_string()
}

/// The bounds of a year in UTC.
fn year(year: i32) -> (Timestamp, Timestamp) {
    let first = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    (first(year).into(), first(year + 1).into())
}

/// Every time of a schedule in a year.
fn fired(schedule: &str, zone: Tz, in_year: i32) -> Vec<Timestamp> {
    let (schedule, (from, to)) = (parse(schedule), year(in_year));
    let first = schedule.next_after(from - Duration::from_millis(1), zone);
    let all = std::iter::successors(first, |last| schedule.next_after(*last, zone));
    all.take_while(|at| *at < to).collect()
}

#[test]
fn five_fields_and_six_are_understood() {
    assert_eq!(next("5 * * * *", "UTC", "2026-01-01T00:05:00Z"), "2026-01-01T01:05:00.000Z");
    assert_eq!(next("30 5 * * * *", "UTC", "2026-01-01T00:05:00Z"), "2026-01-01T00:05:30.000Z");
    assert_eq!(next("*/20 * * * * *", "UTC", "2026-01-01T00:00:41Z"), "2026-01-01T00:01:00.000Z");
    assert_eq!(next("0 8-18/2 * * 1-5", "UTC", "2026-01-02T18:00:00Z"), "2026-01-05T08:00:00.000Z");
}

#[test]
fn a_day_of_month_or_a_day_of_week_is_enough_as_in_cron() {
    // Friday 6 February, and Friday 13 February once, though both say so.
    assert_eq!(next("0 12 13 * 5", "UTC", "2026-02-01T00:00:00Z"), "2026-02-06T12:00:00.000Z");
    assert_eq!(next("0 12 13 * 5", "UTC", "2026-02-06T12:00:00Z"), "2026-02-13T12:00:00.000Z");
    assert_eq!(next("0 12 13 * 5", "UTC", "2026-02-13T12:00:00Z"), "2026-02-20T12:00:00.000Z");
    // Wednesday the 13th of May.
    assert_eq!(next("0 12 13 * 5", "UTC", "2026-05-08T12:00:00Z"), "2026-05-13T12:00:00.000Z");
    // Sunday is 0 and 7.
    for sunday in ["0 12 * * 0", "0 12 * * 7", "0 12 * * SUN"] {
        assert_eq!(next(sunday, "UTC", "2026-02-01T12:00:00Z"), "2026-02-08T12:00:00.000Z", "{sunday}");
    }
}

#[test]
fn a_leap_day_comes_every_four_years_and_not_in_2100() {
    assert_eq!(next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    assert_eq!(next("0 0 29 2 *", "Asia/Tokyo", "2028-02-28T16:00:00Z"), "2032-02-28T15:00:00.000Z");
    assert_eq!(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00.000Z");
    // The days after it come as always.
    let daily = fired("0 5 * * *", Tz::UTC, 2028);
    assert_eq!(daily.len(), 366);
}

#[test]
fn a_time_that_is_decades_away_is_found() {
    // 29 February and a Monday at once: every 28 years, or 40 where a century has no leap day.
    assert_eq!(next("0 0 29 2 +1", "UTC", "2026-01-01T00:00:00Z"), "2044-02-29T00:00:00.000Z");
    assert_eq!(next("0 0 29 2 +1", "UTC", "2072-02-29T00:00:00Z"), "2112-02-29T00:00:00.000Z");
}

#[test]
fn once_a_year_is_once_a_year() {
    let zone = parse_zone("America/New_York").unwrap();
    for in_year in 2026..2046 {
        assert_eq!(fired("0 3 1 7 *", zone, in_year).len(), 1);
    }
    assert_eq!(next("0 0 0 1 1 *", "Europe/Berlin", "2026-01-01T00:00:00Z"), "2026-12-31T23:00:00.000Z");
}

#[test]
fn a_daily_time_keeps_its_hour_over_a_change_of_clocks() {
    let daily = |after| next("0 5 * * *", "Europe/Berlin", after);
    assert_eq!(daily("2026-03-28T12:00:00Z"), "2026-03-29T03:00:00.000Z");
    assert_eq!(daily("2026-10-24T12:00:00Z"), "2026-10-25T04:00:00.000Z");
}

#[test]
fn a_time_in_a_gap_comes_at_its_end_and_one_that_is_repeated_the_first_time() {
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00.000Z");
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00.000Z");
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00.000Z");
    // Midnights that do not exist.
    assert_eq!(next("0 0 * * *", "Asia/Beirut", "2022-03-26T12:00:00Z"), "2022-03-26T22:00:00.000Z");
    assert_eq!(next("0 0 * * *", "America/Asuncion", "2023-09-30T12:00:00Z"), "2023-10-01T04:00:00.000Z");
    // Midnight of the spring day in London comes once.
    assert_eq!(next("0 0 * * *", "Europe/London", "2026-03-28T12:00:00Z"), "2026-03-29T00:00:00.000Z");
    assert_eq!(next("0 0 * * *", "Europe/London", "2026-03-29T00:00:00Z"), "2026-03-29T23:00:00.000Z");
}

#[test]
fn a_daily_time_comes_once_on_every_day_of_the_year_in_every_zone() {
    for (name, in_year) in ZONES {
        let zone = parse_zone(name).unwrap();
        for schedule in ["0 0 * * *", "15 0 * * *", "30 1 * * *", "45 1 * * *", "30 2 * * *", "59 23 * * *"] {
            let mut days = BTreeMap::<NaiveDate, u32>::new();
            for at in fired(schedule, zone, in_year) {
                *days.entry(at.utc().with_timezone(&zone).date_naive()).or_default() += 1;
            }
            // The ends of the year are another's in some zones.
            days.retain(|day, _| {
                day.year() == in_year && day.ordinal() > 1 && (day.month(), day.day()) != (12, 31)
            });
            let expected = if in_year % 4 == 0 { 364 } else { 363 };
            assert_eq!(days.len(), expected, "{schedule} in {name}");
            assert!(days.values().all(|times| *times == 1), "{schedule} in {name}: {days:?}");
        }
    }
}

#[test]
fn hourly_and_quarterly_times_come_whenever_the_clock_on_the_wall_shows_them() {
    for (name, in_year) in ZONES {
        let zone = parse_zone(name).unwrap();
        let (from, to) = year(in_year);
        let minutes = (from.as_millis()..to.as_millis()).step_by(60_000).map(Timestamp::from_millis);
        let shown: Vec<(Timestamp, u32)> =
            minutes.map(|at| (at, at.utc().with_timezone(&zone).minute())).collect();
        for (schedule, fits) in [
            ("5 * * * *", (|minute| minute == 5) as fn(u32) -> bool),
            ("*/15 * * * *", |minute| minute % 15 == 0),
        ] {
            let expected: BTreeSet<_> =
                shown.iter().filter(|(_, minute)| fits(*minute)).map(|(at, _)| *at).collect();
            let fired = fired(schedule, zone, in_year);
            assert!(fired.is_sorted_by(|a, b| a < b), "{schedule} in {name}");
            let fired: BTreeSet<_> = fired.into_iter().collect();
            let odd: Vec<_> = fired.symmetric_difference(&expected).map(ToString::to_string).collect();
            assert!(odd.is_empty(), "{schedule} in {name}: {odd:?}");
        }
    }
}

#[test]
fn what_is_no_schedule_is_refused_with_what_is_accepted() {
    for bad in ["", "hourly", "* * *", "61 * * * *", "* * * * * * * *", "0 0 0 1 1 * 2020", &"* ".repeat(300)]
    {
        let message = bad.parse::<Schedule>().unwrap_err().to_string();
        assert!(message.contains("cron expression of 5 fields, or 6 with seconds"), "{bad}: {message}");
    }
    for never in ["0 0 30 2 *", "0 0 31 4 *", "0 0 0 31 2,4,6,9,11 *"] {
        let message = never.parse::<Schedule>().unwrap_err().to_string();
        assert!(message.contains("never fires") && message.contains(never), "{message}");
    }
    assert!(parse_zone("Europe/Berlim").unwrap_err().to_string().contains("IANA"));
}

fn expressions() -> impl Strategy<Value = Schedule> {
    let minute = prop_oneof![
        (0u32..60).prop_map(|n| n.to_string()),
        Just("*".to_owned()),
        (2u32..30).prop_map(|n| format!("*/{n}")),
        (0u32..30, 30u32..60).prop_map(|(a, b)| format!("{a},{b}")),
    ];
    let hour =
        prop_oneof![(0u32..24).prop_map(|n| n.to_string()), Just("*".to_owned()), Just("*/6".to_owned())];
    let day = prop_oneof![3 => Just("*".to_owned()), 1 => (1u32..32).prop_map(|n| n.to_string())];
    let weekday = prop_oneof![3 => Just("*".to_owned()), 1 => (0u32..8).prop_map(|n| n.to_string())];
    (minute, hour, day, weekday)
        .prop_map(|(minute, hour, day, weekday)| parse(&format!("{minute} {hour} {day} * {weekday}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_next_time_is_later_and_never_earlier_for_a_later_moment(
        schedule in expressions(),
        zone in 0..ZONES.len(),
        // From 2015 to 2035, so that changes of clocks are met.
        moment in 1_420_070_400_000i64..2_051_222_400_000,
        later in 0i64..200_000_000,
    ) {
        let zone = parse_zone(ZONES[zone].0).unwrap();
        let (first, second) = (Timestamp::from_millis(moment), Timestamp::from_millis(moment + later));
        let a = schedule.next_after(first, zone).unwrap();
        let b = schedule.next_after(second, zone).unwrap();
        prop_assert!(a > first && b > second);
        prop_assert!(a <= b, "{schedule} in {zone}: after {first} {a}, after {second} {b}");
        // Nothing lies between a moment and the time after it.
        if second < a {
            prop_assert_eq!(a, b);
        }
    }
}
