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
fn the_page_has_room_while_music_plays_on() {
    let songs = plays(60, &[(210, 0); 50]);
    let wait = minutes(&look(&songs, &silent()));
    assert_eq!(wait, 153);
    assert!(wait * 60 / 210 < 45, "some places are left, for late ones");
}

#[test]
fn a_page_with_much_that_is_new_shortens_the_wait() {
    let songs = plays(60, &[(210, 0); 50]);
    let habits = silent();
    let waits = [0, 25, 45, 50].map(|new| minutes(&Look { new, ..look(&songs, &habits) }));
    assert_eq!(waits, [153, 151, 144, 140]);
}

#[test]
fn the_shortest_plays_need_the_shortest_wait_and_are_never_lost_by_it() {
    let skipped = plays(0, &[(30, 0); 50]);
    assert_eq!(minutes(&look(&skipped, &silent())), 20);
    assert!(MIN.as_secs() / SHORTEST.as_secs() < u64::from(PAGE));
}

#[test]
fn a_fast_stretch_among_slow_ones_sets_the_pace() {
    let mut each = [(300, 0); 50];
    let slow = minutes(&look(&plays(0, &each), &silent()));
    each[20] = (30, 0);
    assert_eq!(minutes(&look(&plays(0, &each), &silent())), slow, "one skipped song does not");
    each[20..40].fill((90, 0));
    assert_eq!(
        minutes(&look(&plays(0, &each), &silent())),
        minutes(&look(&plays(0, &[(90, 0); 50]), &silent()))
    );
}

#[test]
fn skipping_within_long_tracks_counts_by_when_the_plays_came() {
    let ends: Plays = (0..50).map(|n| (NOW - Duration::from_secs(n * 60), Some(240_000))).collect();
    assert_eq!(minutes(&look(&ends, &silent())), minutes(&look(&plays(0, &[(60, 0); 50]), &silent())));
}

#[test]
fn a_fast_hour_is_remembered_for_weeks_but_a_whim_is_not() {
    let songs = plays(60, &[(210, 0); 50]);
    let mut habits = silent();
    let slow = minutes(&look(&songs, &habits));
    (habits.counts[3], habits.counts[90]) = (80, 80);
    assert_eq!(minutes(&look(&songs, &habits)), slow);
    habits.counts[200] = 80;
    assert_eq!(minutes(&look(&songs, &habits)), minutes(&look(&plays(60, &[(45, 0); 50]), &habits)));
}

#[test]
fn who_rests_is_looked_at_by_what_they_are_used_to_do_then() {
    let songs = plays(2 * 3600, &[(60, 0); 50]);
    let at = |hour: u64, habits: &Habits| {
        minutes(&Look { now: NOW + Duration::from_secs(3600 * (hour - 8)), ..look(&songs, habits) })
    };
    let evenings = every_day(19..22, 45);
    assert_eq!([at(9, &evenings), at(12, &evenings), at(19, &evenings), at(22, &evenings)], [54, 54, 23, 27]);
    let hardly = every_day(19..22, 5);
    assert!(at(19, &hardly) > at(19, &evenings));
}

#[test]
fn the_day_of_the_week_counts() {
    let songs = plays(2 * 3600, &[(60, 0); 50]);
    let day = |at: Timestamp| Habits::hour_of(at).div_euclid(24);
    let (today, end) = (day(NOW), 28);
    let on = |wanted: fn(i64) -> bool| {
        on_days(8..11, 45, move |day| wanted((today - day) % 7) && today - day <= end)
    };
    let (fridays, tuesdays) = (on(|back| back == 0), on(|back| back == 3));
    let plays_in = |habits: &Habits| {
        let past = Past::of(habits);
        past.same_hours(NOW, Tz::UTC, MAX).average(HOUR, |plays| plays)
    };
    assert!(plays_in(&fridays) > 1.4 * plays_in(&tuesdays));
    assert!(minutes(&look(&songs, &fridays)) <= minutes(&look(&songs, &tuesdays)));
}

#[test]
fn hours_are_those_of_the_clock_on_the_users_wall() {
    // For four weeks of winter sixty plays came from 19 to 20 in New York, which is from 0 to 1 in UTC.
    let end = Habits::hour_of(Timestamp::parse("2027-03-14T00:00:00Z").unwrap());
    let came = |hour: i64| if hour.rem_euclid(24) == 0 { 60 } else { 0 };
    let winter = Habits { from_hour: end - 28 * 24, counts: (end - 28 * 24..end).map(came).collect() };
    let past = Past::of(&winter);
    let plays_in = |at: &str, zone| {
        let hours = past.same_hours(Timestamp::parse(at).unwrap(), zone, HOUR);
        // The hour before and the one after are asked about, too.
        (hours.average(HOUR, |plays| plays) * 3.0).round()
    };
    assert_eq!(plays_in("2027-03-10T00:00:00Z", Tz::America__New_York), 60.0);
    assert_eq!(plays_in("2027-03-10T03:00:00Z", Tz::America__New_York), 0.0);
    // Its clocks go forward on the fourteenth.
    assert_eq!(plays_in("2027-03-16T22:00:00Z", Tz::America__New_York), 60.0);
    assert_eq!(plays_in("2027-03-16T22:00:00Z", Tz::UTC), 0.0);
    assert_eq!(plays_in("2027-03-16T01:00:00Z", Tz::America__New_York), 0.0);
    assert_eq!(plays_in("2027-03-16T01:00:00Z", Tz::UTC), 60.0);
}

#[test]
fn of_a_new_user_everything_is_expected() {
    let nobody = Habits::default();
    let page = plays(6 * 3600, &[(210, 0); 50]);
    let first = Look { new: 50, ..look(&page, &nobody) };
    let wait = minutes(&first);
    assert_eq!(wait, 47, "they may be one who skips, though the first page shows whole songs");
    assert!(wait < minutes(&Look { habits: &silent(), ..first }));
    let empty = Plays::new();
    assert_eq!(minutes(&look(&empty, &nobody)), 55);
    let odd = vec![(NOW, None), (NOW + MAX, Some(-5)), (NOW, Some(0)), (NOW, Some(i64::MAX))];
    assert!((20..=180).contains(&minutes(&look(&odd, &nobody))));
}

#[test]
fn who_never_listens_is_seldom_looked_at_once_that_is_known() {
    let long_ago = plays(40 * 86_400, &[(210, 0); 50]);
    assert_eq!(minutes(&look(&long_ago, &silent())), 180);
    let nothing = Plays::new();
    assert_eq!(minutes(&look(&nothing, &silent())), 91);
}

#[test]
fn bounds_the_wrong_way_round_give_the_least() {
    let nothing = Plays::new();
    assert_eq!(next_look(&look(&nothing, &silent()), MAX, MIN), MAX);
}

#[test]
fn a_late_play_is_lost_where_its_place_on_the_page_is_gone() {
    // At a play a minute, forty minutes late at most, the page holds fifty.
    assert_eq!(lost(10.0, 40.0), 0.0);
    assert_eq!(lost(50.0, 40.0), LATE * 40.0 / 2.0);
    assert_eq!(lost(70.0, 40.0), 20.0 + LATE * 40.0);
    // However late they are, no more are lost than came.
    assert_eq!(lost(1.0, 400.0), LATE);
    let steps: Vec<f64> = (0..2_000).map(|n| lost(f64::from(n) / 10.0, 40.0)).collect();
    assert!(steps.is_sorted());
}

#[test]
fn a_page_is_full_at_the_fastest_hour_at_the_earliest_and_by_habit_as_a_rule() {
    let noon = Timestamp::parse("2027-01-15T12:00:00Z").unwrap();
    let habits = every_day(19..22, 20);
    let full = full_at(noon, &habits, Tz::UTC);
    assert_eq!(full.earliest, noon + Duration::from_secs(50 * 150));
    // Twenty each in the hours around: the last of the evening is needed.
    let likely = full.likely.unwrap().since(noon).as_secs() / 60;
    assert!((9 * 60..=10 * 60).contains(&likely), "{likely} minutes");
    // Nobody knows that the login died last week.
    let long_ago = full_at(noon - Duration::from_secs(7 * 86_400), &habits, Tz::UTC);
    assert_eq!(long_ago.likely.unwrap().since(noon - Duration::from_secs(7 * 86_400)).as_secs() / 60, likely);
    let fast = full_at(noon, &every_day(0..24, 100), Tz::UTC);
    assert_eq!(fast.earliest, noon + Duration::from_secs(50 * 36));
    assert_eq!(fast.likely, Some(fast.earliest));
}

#[test]
fn of_whom_nothing_is_known_the_page_may_be_full_in_no_time() {
    let expected = Full { earliest: NOW + Duration::from_secs(25 * 60), likely: None };
    assert_eq!(full_at(NOW, &Habits::default(), Tz::UTC), expected);
    assert_eq!(full_at(NOW, &silent(), Tz::UTC), expected);
}

fn listening() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1u64..2000, prop_oneof![3 => Just(0u64), 1 => 0u64..90_000]), 0..50)
}

fn habits() -> impl Strategy<Value = Habits> {
    let counts = prop::collection::vec(prop_oneof![2 => Just(0u8), 1 => 0u8..120], 0..700);
    let end = Habits::hour_of(NOW);
    counts.prop_map(move |counts| Habits { from_hour: end - i64::try_from(counts.len()).unwrap(), counts })
}

proptest! {
    #[test]
    fn the_wait_stays_within_its_bounds(
        recent in prop::collection::vec((any::<i64>(), any::<Option<i64>>()), 0..60),
        now in any::<i64>(),
        new in any::<usize>(),
        from_hour in any::<i64>(),
        counts in prop::collection::vec(any::<u8>(), 0..800),
        scarcity in any::<f64>(),
        min in 0u64..100_000,
        more in 0u64..100_000,
    ) {
        let (min, max) = (Duration::from_secs(min), Duration::from_secs(min + more));
        let recent: Plays = recent.into_iter().map(|(t, d)| (Timestamp::from_millis(t), d)).collect();
        let habits = Habits { from_hour, counts };
        let zone = Tz::Pacific__Apia;
        let look = Look { now: Timestamp::from_millis(now), recent: &recent, new, habits: &habits, zone, scarcity };
        let wait = next_look(&look, min, max);
        prop_assert!((min..=max).contains(&wait));
        let full = full_at(look.now, &habits, zone);
        prop_assert!(full.likely.is_none_or(|likely| likely >= full.earliest));
    }

    #[test]
    fn more_silence_never_shortens_the_wait(
        each in listening(),
        habits in habits(),
        silence in 0u64..20_000,
        more in 0u64..20_000,
    ) {
        let wait = |silence| next_look(&look(&plays(silence, &each), &habits), Duration::ZERO, MAX);
        prop_assert!(wait(silence) <= wait(silence + more));
    }

    #[test]
    fn faster_listening_never_lengthens_the_wait(each in listening(), habits in habits(), percent in 1u64..100) {
        let faster: Vec<_> = each.iter().map(|(t, r)| ((t * percent / 100).max(1), r * percent / 100)).collect();
        let wait = |each: &[_]| next_look(&look(&plays(0, each), &habits), Duration::ZERO, MAX);
        prop_assert!(wait(&faster) <= wait(&each));
    }

    #[test]
    fn a_fuller_page_never_lengthens_the_wait_and_dearer_calls_never_shorten_it(
        each in listening(),
        habits in habits(),
        new in 0usize..60,
        newer in 0usize..60,
        scarcity in 0.0..100.0,
        scarcer in 0.0..100.0,
    ) {
        let recent = plays(300, &each);
        let wait = |new, scarcity| next_look(&Look { new, scarcity, ..look(&recent, &habits) }, MIN, MAX);
        prop_assert!(wait(new + newer, scarcity) <= wait(new, scarcity));
        prop_assert!(wait(new, scarcity + scarcer) >= wait(new, scarcity));
    }

    /// The listener, who plays music now, repeats the fastest of their past without a pause, from the moment of the look.
    #[test]
    fn fewer_than_fifty_plays_come_at_the_fastest_recent_pace(
        each in prop::collection::vec((30u64..2000, 0u64..90_000), 20..50),
        silence in 0u64..90_000,
        habits in habits(),
        known in any::<bool>(),
    ) {
        let (silence, habits) = if known { (silence % 1_800, habits) } else { (silence, Habits::default()) };
        let wait = next_look(&look(&plays(silence, &each), &habits), MIN, Duration::MAX);
        let fastest = each.windows(20).min_by_key(|some| some.iter().map(|(t, _)| t).sum::<u64>()).unwrap();
        let pace = fastest.iter().map(|(track, _)| *track as f64).sum::<f64>() / 20.0;
        // And a hundredth, which is what a call is worth.
        prop_assert!(wait.as_secs_f64() / pace < 50.0 + 0.02, "{:.2} plays", wait.as_secs_f64() / pace);
    }
}
