//! Within how many days a login ends, over months of unequal length.

use proptest::prelude::*;

use super::*;

fn ends_of(login_at: Timestamp, months: u32) -> Timestamp {
    login_at.utc().checked_add_months(Months::new(months)).unwrap().into()
}

#[test]
fn the_nearest_day_counts() {
    let ends = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
    for (days, hours, expected) in [
        (60, 0, None),
        (30, 1, None),
        (30, 0, Some(30)),
        (8, 0, Some(30)),
        (7, 0, Some(7)),
        (1, 1, Some(7)),
        (1, 0, Some(1)),
        (0, 1, Some(1)),
        (0, 0, Some(0)),
    ] {
        assert_eq!(within(ends, ends - DAY * days - DAY / 24 * hours), expected, "{days} {hours}");
    }
    assert_eq!(within(ends, ends + DAY * 400), Some(0));
}

#[test]
fn each_sentence_says_when_and_what_to_do() {
    let (name, ends) = ("bob".parse().unwrap(), Timestamp::parse("2026-07-01T00:00:00Z").unwrap());
    for (days, begins) in [
        (30, "the login of bob ends within 30 days, on 2026-07-01T00:00:00.000Z"),
        (1, "the login of bob ends within a day, on 2026-07-01T00:00:00.000Z"),
        (0, "the login of bob has come to its age on 2026-07-01T00:00:00.000Z"),
    ] {
        let sentence = sentence(&name, days, ends);
        assert!(sentence.starts_with(begins), "{sentence}");
        assert!(sentence.ends_with(": run `longplay login bob`"), "{sentence}");
    }
}

proptest! {
    #[test]
    fn whoever_is_to_be_told_of_is_among_those_who_are_asked_for(
        given_at in 1_600_000_000_000..2_000_000_000_000_i64,
        months in 1..40_u32,
        before in 0..=30 * 86_400_000_i64,
    ) {
        let login_at = Timestamp::from_millis(given_at);
        let now = ends_of(login_at, months).offset_millis(-before);
        prop_assert!(within(ends_of(login_at, months), now).is_some());
        prop_assert!(login_at <= given_until(now, months).unwrap());
    }
}
