//! A month of everything going wrong that a seed draws, on simulated time: see `simulation`. A seed that fails is replayed
//! by `cargo run --release --example thirty_days -- --seed N`.

#![expect(clippy::print_stderr, reason = "a test says how to replay it")]

mod simulation;

use simulation::{Report, Setup, run};

/// Fewer users and days than the example's, since this is built without optimization; as much goes wrong.
const USERS: usize = 100;
const DAYS: u32 = 1;
const HASTE: f64 = 16.0;

fn thirty_days(seed: u64) {
    let report = run(Setup { seed, users: USERS, days: DAYS, calm: false, haste: HASTE }, None);
    assert!(report.counts["archived"] > 1_000, "{:?}", report.counts);
    sound(seed, USERS, DAYS, &report);
}

fn sound(seed: u64, users: usize, days: u32, report: &Report) {
    if !report.found.is_empty() {
        eprintln!(
            "replay: cargo run --release --example thirty_days -- --seed {seed} --users {users} --days {days} --haste {HASTE} --log history.txt"
        );
    }
    assert!(
        report.found.is_empty(),
        "seed {seed}: {} found:\n{}",
        report.found.len(),
        report.found.join("\n")
    );
}

macro_rules! seeds {
    ($($name:ident: $seed:expr),*) => {
        $(
            #[test]
            fn $name() {
                thirty_days($seed);
            }
        )*
    };
}

seeds!(
    in_thirty_days_nothing_is_lost_that_could_be_had: 1,
    nor_with_the_second_seed: 2,
    nor_with_the_third: 3,
    nor_with_the_fourth: 4,
    nor_with_the_fifth: 5
);

#[test]
fn the_same_seed_is_the_same_history() {
    let report = |seed| run(Setup { seed, users: 10, days: 4, calm: false, haste: HASTE }, None);
    let [first, again, other] = [report(7), report(7), report(8)];
    assert_eq!(first.hash, again.hash);
    assert_ne!(first.hash, other.hash);
    sound(7, 10, 4, &first);
    sound(8, 10, 4, &other);
}

#[test]
fn where_nothing_goes_wrong_nothing_fails() {
    let report = run(Setup { seed: 1, users: 5, days: 3, calm: true, haste: 1.0 }, None);
    sound(1, 5, 3, &report);
    assert_eq!(report.counts.get("run_failed"), None);
    assert!(report.counts.get("archived").unwrap() > &100);
}
