//! The ledger of calls.

use std::time::Duration;

use super::Bench;
use crate::store::{CallsTaken, CallsWanted, DAY, SLOT};

fn wanted(group: &str, calls: u32) -> CallsWanted {
    CallsWanted { group: group.to_owned(), calls, per_day: 10, at_least_one: false, unused: None }
}

impl Bench {
    async fn take(&self, wanted: &CallsWanted) -> CallsTaken {
        self.store.take_calls(wanted).await.unwrap()
    }

    async fn counting(&self, group: &str) -> u32 {
        self.store.calls_taken(group).await.unwrap().iter().map(|(_, calls)| calls).sum()
    }
}

pub async fn calls_are_taken_up_to_the_days_limit_by_all_groups_alone(bench: &Bench) {
    let mut granted = Vec::new();
    for _ in 0..4 {
        granted.push(bench.take(&wanted("ours", 4)).await.calls);
    }
    assert_eq!(granted, [4, 4, 2, 0]);
    assert_eq!(bench.take(&wanted("theirs", 4)).await.calls, 4);
    let more = CallsWanted { per_day: 12, ..wanted("ours", 4) };
    assert_eq!(bench.take(&more).await.calls, 2, "a limit may be raised");
    assert_eq!((bench.counting("ours").await, bench.counting("theirs").await), (12, 4));
    assert_eq!(bench.counting("nobody's").await, 0);
    let login = CallsWanted { at_least_one: true, ..wanted("ours", 4) };
    assert_eq!((bench.take(&login).await.calls, bench.counting("ours").await), (1, 13));
}

pub async fn calls_that_were_not_needed_are_given_back(bench: &Bench) {
    let first = bench.take(&wanted("ours", 8)).await;
    bench.clock.advance(first.ends_in);
    let back = CallsWanted { unused: Some((first.slot, 5)), ..wanted("ours", 6) };
    let second = bench.take(&back).await;
    assert_eq!((second.calls, bench.counting("ours").await), (6, 9));
    assert_ne!(second.slot, first.slot);
    let back = CallsWanted { unused: Some((second.slot, 6)), ..wanted("ours", 0) };
    assert_eq!((bench.take(&back).await.calls, bench.counting("ours").await), (0, 3));
    // A slot that nobody knows takes no more than there is.
    let back = CallsWanted { unused: Some((second.slot + DAY, 100)), ..wanted("ours", 0) };
    bench.take(&back).await;
    assert_eq!(bench.counting("ours").await, 3);
    // One that counts no more takes nothing off what others have taken since.
    bench.clock.advance(DAY + SLOT + SLOT);
    bench.take(&wanted("ours", 5)).await;
    let back = CallsWanted { unused: Some((first.slot, 4)), ..wanted("ours", 0) };
    bench.take(&back).await;
    assert_eq!(bench.counting("ours").await, 5);
}

pub async fn a_call_counts_for_a_day_and_a_clock_that_was_set_back_forgets_none(bench: &Bench) {
    let first = bench.take(&wanted("ours", 8)).await;
    assert!(first.ends_in <= SLOT && first.day == [(first.ends_in + DAY, 8)], "{first:?}");
    bench.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(bench.take(&wanted("ours", 4)).await.calls, 2);
    bench.clock.advance(SLOT + Duration::from_secs(1));
    assert_eq!(bench.counting("ours").await, 2);
    assert_eq!(bench.take(&wanted("ours", 10)).await.calls, 8);
    bench.clock.step_wall(-3 * 86_400_000);
    assert_eq!(bench.take(&wanted("ours", 1)).await.calls, 0);
    let day = bench.store.calls_taken("ours").await.unwrap();
    assert!(day.len() == 1 && day[0].0 <= DAY + SLOT && day[0].1 == 10, "{day:?}");
}

pub async fn daemons_that_take_at_once_never_take_too_many(bench: &Bench) {
    let take = || async { bench.take(&wanted("ours", 3)).await.calls };
    let (a, b, c, d, e) = tokio::join!(take(), take(), take(), take(), take());
    assert_eq!((a + b + c + d + e, bench.counting("ours").await), (10, 10));
}
