//! Schedules and zones, which come from the configuration, from requests, and from other programs' statements.

use longplay::domain::{Schedule, Timestamp, parse_zone};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{cases, unfit};

/// Mostly cron's alphabet.
fn expression() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        (0..70_u32).prop_map(|n| n.to_string()),
        (1_960..2_100_u32).prop_map(|n| n.to_string()),
        Just("*".to_owned()),
        any::<u32>().prop_map(|n| n.to_string())
    ];
    let sign = select(vec!["", "-", "/", ",", "#", "L", "W", "+", "?", "*", "MON", "FEB"]);
    let field = vec((number, sign), 1..3).prop_map(|parts| {
        parts.into_iter().map(|(number, sign)| format!("{number}{sign}")).collect::<String>()
    });
    prop_oneof![
        6 => vec(field, 1..8).prop_map(|fields| fields.join(" ")),
        2 => (0..60_u8, 0..24_u8, 1..32_u8, 1..13_u8).prop_map(|(m, h, d, month)| format!("{m} {h} {d} {month} *")),
        1 => (1..29_u8, 1..13_u8, 1_960..2_100_u16).prop_map(|(d, month, year)| format!("0 0 0 {d} {month} * {year}")),
        1 => "[0-9*/,# LW@a-z-]{0,40}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_schedule_that_is_accepted_always_has_a_next_time(
        text in expression(),
        after in 0..4_000_000_000_000_i64,
        zone in select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"]),
    ) {
        let (after, zone) = (Timestamp::from_millis(after), parse_zone(zone).unwrap());
        match text.parse::<Schedule>() {
            Ok(Schedule::Adaptive) => prop_assert_eq!(text.trim(), "adaptive"),
            Ok(schedule) => {
                let first = schedule.next_after(after, zone);
                prop_assert!(first.is_some_and(|first| first > after), "{text:?} {first:?}");
                let second = schedule.next_after(first.unwrap(), zone);
                prop_assert!(second > first, "{text:?} {first:?} {second:?}");
                // As it is kept and shown, it is the same schedule.
                let again: Schedule = schedule.to_string().parse().unwrap();
                prop_assert_eq!(again.next_after(after, zone), first);
            }
            Err(error) => prop_assert_eq!(unfit(&error.to_string().replace(text.trim(), "")), None, "{}", error),
        }
    }

    #[test]
    fn a_zone_is_one_or_none(text in prop_oneof![any::<String>(), "[A-Z][a-z]{1,9}/[A-Z][a-z_]{1,12}", "[./]{1,9}etc/passwd"]) {
        if let Err(error) = parse_zone(&text) {
            prop_assert!(error.to_string().contains("IANA"));
        }
    }
}
