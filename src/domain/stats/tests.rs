use chrono::Timelike as _;

use super::*;

const HOUR: i64 = 3_600_000;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Counts moments as a store does: by the stretch that they are in.
fn listening(shifts: &[Shift], moments: &[i64]) -> Listening {
    let mut listening = Listening::default();
    let add = |counted: &mut Vec<Counted>, at: i64| match counted.iter_mut().find(|one| one.at == at) {
        Some(one) => (one.plays, one.ms) = (one.plays + 1, one.ms + 1_000),
        None => counted.push(Counted { at, plays: 1, ms: 1_000 }),
    };
    for at in moments {
        let inside = |shift: &&Shift| shift.begins.as_millis() <= *at && *at < shift.ends.as_millis();
        let here = at + shifts.iter().find(inside).unwrap().millis;
        add(&mut listening.days, here / DAY);
        add(&mut listening.hours, here / HOUR % 24);
    }
    listening.days.sort_by_key(|day| day.at);
    listening
}

/// Every quarter of an hour between two times.
fn quarters(from: &str, until: &str) -> Vec<i64> {
    (at(from).as_millis()..at(until).as_millis()).step_by(15 * 60_000).collect()
}

#[test]
fn stretches_follow_each_other_without_a_gap_and_have_the_zones_offset_at_each_quarter_of_an_hour() {
    let zones = [
        Tz::UTC,
        Tz::Europe__Berlin,
        Tz::America__St_Johns,
        Tz::Asia__Kathmandu,
        Tz::Australia__Lord_Howe,
        Tz::Africa__Casablanca,
        Tz::Pacific__Apia,
        Tz::America__Santiago,
        Tz::Pacific__Chatham,
    ];
    let (from, until) = (at("2010-06-01T00:07:00Z"), at("2013-02-01T00:00:01Z"));
    for zone in zones {
        let shifts = shifts(zone, from, until);
        assert_eq!((shifts[0].begins, shifts[shifts.len() - 1].ends), (from, until), "{zone}");
        assert!(
            shifts.windows(2).all(|pair| pair[0].ends == pair[1].begins && pair[0].millis != pair[1].millis)
        );
        let quarters = quarters("2010-06-01T00:15:00Z", "2013-02-01T00:00:00Z");
        for moment in quarters.into_iter().flat_map(|moment| [moment - 1, moment]) {
            let moment = Timestamp::from_millis(moment);
            let shift = shifts.iter().find(|shift| shift.begins <= moment && moment < shift.ends).unwrap();
            let here = moment.utc().with_timezone(&zone).offset().fix().local_minus_utc();
            assert_eq!(shift.millis, i64::from(here) * 1_000, "{zone} {moment}");
        }
    }
    assert_eq!(shifts(Tz::UTC, until, from), []);
    assert_eq!(shifts(Tz::UTC, from, from), []);
}

#[test]
fn slots_are_as_long_as_the_zones_offsets_allow() {
    let minutes = |zone, from, until| slot(&shifts(zone, at(from), at(until))).as_secs() / 60;
    let (from, until) = ("2015-01-01T00:00:01Z", "2026-01-01T00:00:07Z");
    assert_eq!(minutes(Tz::UTC, from, until), 60);
    assert_eq!(minutes(Tz::America__New_York, from, until), 60);
    assert_eq!(minutes(Tz::Asia__Kolkata, from, until), 30);
    assert_eq!(minutes(Tz::Australia__Lord_Howe, from, until), 30);
    assert_eq!(minutes(Tz::America__St_Johns, from, until), 30);
    assert_eq!(minutes(Tz::Asia__Kathmandu, from, until), 15);
    assert_eq!(minutes(Tz::Pacific__Chatham, from, until), 15);
    // Half an hour only until 2015-08-14, and again since 2018-05-04.
    assert_eq!(minutes(Tz::Asia__Pyongyang, "2014-01-01T00:00:00Z", "2015-01-01T00:00:00Z"), 60);
    assert_eq!(minutes(Tz::Asia__Pyongyang, "2014-01-01T00:00:00Z", "2017-01-01T00:00:00Z"), 30);
}

#[test]
fn a_day_on_which_the_clocks_change_has_23_or_25_hours_of_plays() {
    let zone = Tz::Europe__Berlin;
    for (day, hours, at_two) in [("2026-03-29", 23, 0), ("2026-10-25", 25, 2), ("2026-11-26", 24, 1)] {
        let noon = at(&format!("{day}T12:00:00Z"));
        let (from, until) = (noon - Duration::from_secs(3 * 86_400), noon + Duration::from_secs(3 * 86_400));
        let moments: Vec<i64> = (from.as_millis()..until.as_millis()).step_by(15 * 60_000).collect();
        let stats = Stats::of(&listening(&shifts(zone, from, until), &moments), zone, None, Some(from));
        let day: NaiveDate = day.parse().unwrap();
        let whole = stats.days.iter().find(|one| one.day == day).unwrap();
        assert_eq!((whole.plays, whole.ms_played), (4 * hours, 4_000 * hours), "{day}");
        // Two o'clock comes on each of six days, but for this one.
        assert_eq!(stats.hours[2].plays, 4 * (5 + at_two), "{day}");
        assert_eq!(stats.plays, 4 * 6 * 24);
    }
}

#[test]
fn every_moment_falls_on_the_day_hour_and_weekday_that_a_calendar_shows() {
    for zone in [Tz::Asia__Kathmandu, Tz::Asia__Kolkata, Tz::Australia__Lord_Howe, Tz::America__Los_Angeles] {
        let (from, until) = ("2025-12-20T00:00:00Z", "2026-04-20T00:00:00Z");
        for moment in quarters(from, until) {
            let shifts = shifts(zone, Timestamp::from_millis(moment), Timestamp::from_millis(moment + 1));
            let stats = Stats::of(&listening(&shifts, &[moment]), zone, None, None);
            let here = Timestamp::from_millis(moment).utc().with_timezone(&zone);
            assert_eq!(stats.days, [DayStats { day: here.date_naive(), plays: 1, ms_played: 1_000 }]);
            assert_eq!(stats.hours[here.hour() as usize].plays, 1);
            let weekday = &stats.weekdays[here.weekday().num_days_from_monday() as usize];
            assert_eq!((weekday.plays, &weekday.weekday), (1, &here.format("%A").to_string().to_lowercase()));
        }
    }
}

#[test]
fn a_year_ends_when_the_zones_clocks_say_so() {
    let zone = Tz::America__New_York;
    let shifts = shifts(zone, at("2025-12-31T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    let moments = [at("2026-01-01T04:59:59.999Z").as_millis(), at("2026-01-01T05:00:00Z").as_millis()];
    let stats = Stats::of(&listening(&shifts, &moments), zone, None, None);
    let days: Vec<String> = stats.days.iter().map(|day| day.day.to_string()).collect();
    assert_eq!(days, ["2025-12-31", "2026-01-01"]);
    assert_eq!((stats.hours[23].plays, stats.hours[0].plays), (1, 1));
    assert_eq!((stats.weekdays[2].plays, stats.weekdays[3].plays), (1, 1));
    assert_eq!((stats.plays, stats.ms_played), (2, 2_000));
}

#[test]
fn nothing_heard_has_all_hours_and_weekdays() {
    let stats = Stats::of(&Listening::default(), Tz::UTC, None, None);
    assert_eq!((stats.days.len(), stats.hours.len(), stats.weekdays.len(), stats.plays), (0, 24, 7, 0));
    assert_eq!((stats.hours[23].hour, &*stats.weekdays[6].weekday), (23, "sunday"));
}
