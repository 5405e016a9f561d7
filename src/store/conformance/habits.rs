//! What users are used to.

use super::{Bench, START};
use crate::domain::{Habits, Trigger, UserId};
use crate::store::HoursHeard;

pub async fn plays_are_counted_by_the_hour(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    assert_eq!(bench.store.hours_heard(alice, START).await.unwrap(), HoursHeard::default());
    let minutes = [5, 59, 60, 61, 300];
    let plays: Vec<_> = (1..).zip(minutes).map(|(n, minute)| bench.play(minute, n)).collect();
    bench.store_page(alice, &plays).await;
    bench.store_page(bob, &[bench.play(7, 1)]).await;
    let (first, oldest) = (Habits::hour_of(plays[0].played_at), Some(plays[0].played_at));
    let heard = bench.store.hours_heard(alice, START).await.unwrap();
    assert_eq!(heard, HoursHeard { oldest, hours: vec![(first, 2), (first + 1, 2), (first + 5, 1)] });
    let since = plays[3].played_at;
    let heard = bench.store.hours_heard(alice, since).await.unwrap();
    assert_eq!(heard, HoursHeard { oldest, hours: vec![(first + 1, 1), (first + 5, 1)] });
}

pub async fn habits_are_kept_and_go_with_the_user(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let first = Habits { from_hour: 490_000, counts: vec![0, 7, 255] };
    let second = Habits { from_hour: 490_024, counts: (0..=255).collect() };
    bench.store.keep_habits(alice, &first).await.unwrap();
    bench.store.keep_habits(bob, &first).await.unwrap();
    bench.store.keep_habits(alice, &second).await.unwrap();
    let kept = bench.store.habits(&[bob, UserId(i64::MAX), alice]).await.unwrap();
    assert_eq!(kept, [(alice, second.clone()), (bob, first)]);
    let run = bench.begin_run(alice, Trigger::Manual).await;
    let facts = bench.store.page_facts(alice, run, &[], None).await.unwrap();
    assert_eq!(facts.habits, Some(second.clone()));
    bench.store.remove_user(alice, true).await.unwrap();
    bench.store.keep_habits(alice, &second).await.unwrap();
    assert_eq!(bench.store.habits(&[alice]).await.unwrap(), []);
}
