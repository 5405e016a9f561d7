//! The pace of adaptive users keeps what it promises on a simulated population: more than an hourly look with little more
//! than half the calls, and nobody loses much. `cargo bench --bench pace` prints the whole table.

mod listeners;

use listeners::people::{Kind, Listener, population};
use listeners::rule::Rule;
use listeners::verdict::Verdict;

/// Fewer than the table has, since this is built without optimization.
const USERS: usize = 100;
const DAYS: u32 = 28;

fn people() -> Vec<Listener> {
    population(1, USERS, DAYS + 1)
}

#[test]
fn the_population_loses_what_it_is_known_to_lose_at_fixed_intervals() {
    let people = population(1, 500, DAYS + 1);
    let lost = |minutes| Verdict::of(Rule::Every(minutes), &people, DAYS, 1).all().lost;
    let bands = [(30, 0.0, 0.05), (60, 0.1, 0.3), (120, 2.0, 3.5), (180, 6.5, 9.0)];
    for (minutes, least, most) in bands {
        let lost = lost(minutes);
        assert!((least..=most).contains(&lost), "every {minutes} min: {lost:.3} % lost");
    }
}

#[test]
fn the_pace_keeps_nearly_everything_for_a_third_of_the_calls_of_half_hourly_looks() {
    let verdict = Verdict::of(Rule::Pace(1.0), &people(), DAYS, 1);
    let all = verdict.all();
    assert!(all.calls <= 14.5 && all.lost <= 0.02 && all.bereft == 0.0, "{all:?}");
    for (kind, _) in Kind::ALL {
        let of_kind = verdict.kind(kind);
        assert!(of_kind.lost <= 0.05, "{}: {of_kind:?}", kind.name());
    }
    let quiet = verdict.kind(Kind::Casual);
    assert!(quiet.calls <= 11.0, "who seldom listens is seldom looked at: {quiet:?}");
}

#[test]
fn dear_calls_are_fewer_and_lose_little() {
    let dear = Verdict::of(Rule::Pace(10.0), &people(), DAYS, 1).all();
    assert!(dear.calls <= 12.0 && dear.lost <= 0.25 && dear.bereft <= 1.0, "{dear:?}");
}
