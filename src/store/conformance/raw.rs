//! The raw journal, and what is archived of it afterwards.

use std::time::Duration;

use super::archive::gap;
use super::{Bench, START, name};
use crate::domain::{Gap, GapCause, RunId, Source, Timestamp, Trigger, UserId};
use crate::store::{PageReplayed, PageStored, PlayQuery, RawPage, Replayed};

const DAY: Duration = Duration::from_secs(86_400);

fn raw(minutes: u64, run: i64) -> RawPage {
    let fetched_at = START + Duration::from_secs(60 * minutes);
    RawPage { fetched_at, run: RunId(run), body: vec![0, 0xff, run.unsigned_abs().to_le_bytes()[0]] }
}

impl Bench {
    async fn keep(&self, user: UserId, pages: &[RawPage]) {
        for page in pages {
            self.store.keep_raw_page(user, page).await.unwrap();
        }
    }

    async fn kept(&self, user: UserId) -> Vec<RawPage> {
        self.store.raw_pages(user, None, None, 100).await.unwrap()
    }
}

pub async fn kept_pages_come_oldest_first_in_batches(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let pages = [raw(1, 1), raw(2, 2), raw(2, 3), raw(5, 4), raw(6, 5)];
    bench.keep(alice, &[3, 0, 4, 2, 1].map(|n: usize| pages[n].clone())).await;
    bench.keep(bob, &[raw(4, 9)]).await;
    bench.keep(alice, &[RawPage { body: vec![7], ..raw(2, 2) }]).await;
    assert_eq!(bench.kept(alice).await, pages, "a repetition changes nothing");
    let (mut after, mut read) = (None, Vec::new());
    loop {
        let batch = bench.store.raw_pages(alice, None, after, 2).await.unwrap();
        let Some(last) = batch.last() else { break };
        assert!(batch.len() <= 2);
        after = Some((last.fetched_at, last.run));
        read.extend(batch);
    }
    assert_eq!(read, pages);
    let since = async |at, after| bench.store.raw_pages(alice, Some(at), after, 100).await.unwrap();
    assert_eq!(since(pages[1].fetched_at, None).await, pages[1..]);
    assert_eq!(since(pages[1].fetched_at.offset_millis(1), None).await, pages[3..]);
    assert_eq!(since(pages[1].fetched_at, Some((pages[3].fetched_at, RunId(4)))).await, pages[4..]);
    bench.keep(UserId(99), &[raw(1, 1)]).await;
    assert_eq!(bench.kept(UserId(99)).await, [], "of nobody nothing is kept");
}

pub async fn kept_pages_are_forgotten_by_their_age(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    for user in [alice, bob] {
        bench.keep(user, &[raw(1, 1), raw(2, 2), raw(3, 3)]).await;
    }
    bench.store.prune(START + DAY).await.unwrap();
    assert_eq!(bench.kept(alice).await.len(), 3, "they have an age of their own");
    bench.store.prune_raw_pages(raw(2, 2).fetched_at).await.unwrap();
    assert_eq!((bench.kept(alice).await, bench.kept(bob).await.len()), (vec![raw(2, 2), raw(3, 3)], 2));
    bench.store.prune_raw_pages(Timestamp::MAX).await.unwrap();
    assert_eq!((bench.kept(alice).await, bench.kept(bob).await), (vec![], vec![]));
}

pub async fn kept_pages_go_with_a_purge_and_stay_when_a_user_is_removed(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    for user in [alice, bob] {
        bench.keep(user, &[raw(1, 1)]).await;
        bench.store.remove_user(user, user == alice).await.unwrap();
    }
    assert_eq!((bench.kept(alice).await, bench.kept(bob).await), (vec![], vec![raw(1, 1)]));
    assert_eq!(bench.store.user(&name("alice")).await.unwrap(), None);
}

pub async fn what_a_kept_page_adds_is_counted_once_and_leaves_the_runs_alone(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &[bench.play(10, 1)]).await;
    let open = bench.begin_run(alice, Trigger::Schedule).await;
    let (before, runs) = (bench.user("alice").await, bench.store.runs(alice, 9).await.unwrap());
    bench.clock.advance(DAY);
    let page = PageReplayed {
        user: alice,
        run: RunId(1),
        plays: vec![bench.play(20, 3), bench.play(10, 1), bench.play(5, 2)],
        closed: Vec::new(),
        at: bench.now(),
    };
    let added = bench.store.store_replayed(&page).await.unwrap();
    assert_eq!(added, Replayed { plays: 2, gaps: 0 });
    assert_eq!(bench.store.store_replayed(&page).await.unwrap(), Replayed::default());
    let after = bench.user("alice").await;
    assert_eq!(after.plays, 3);
    assert_eq!(crate::domain::User { plays: 1, ..after }, before, "but for the plays all is as it was");
    assert_eq!(bench.store.runs(alice, 9).await.unwrap(), runs);
    let all = PlayQuery { limit: 9, ..PlayQuery::default() };
    let plays = bench.store.plays(alice, all).await.unwrap();
    assert_eq!(plays.len(), 3);
    assert!(plays.iter().all(|play| play.source == Source::Api), "{plays:?}");
    let seen = bench.store.users_seen_of(&[alice]).await.unwrap();
    assert_eq!(seen[0].newest_played, Some(bench.play(20, 3).played_at));
    // The run under way goes on as if nothing had been.
    let fourth = [bench.play(30, 4), bench.play(20, 3)];
    let page = bench.page_of(alice, open, &fourth);
    assert_eq!(bench.store.store_page(&page).await.unwrap().plays, 1);
    assert_eq!(bench.user("alice").await.plays, 4);
}

pub async fn a_gap_is_closed_as_it_was_seen_and_no_other(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let other = Gap { cause: GapCause::ListenedTooFast, ..gap(1, 5) };
    let gaps = vec![gap(1, 5), other.clone(), gap(7, 8)];
    let page = PageStored { gaps, ..bench.page(alice, &[]).await };
    bench.store.store_page(&page).await.unwrap();
    bench.clock.advance(DAY);
    let larger = Gap { at_most: gap(7, 8).at_most + 1, ..gap(7, 8) };
    let close = PageReplayed {
        user: alice,
        run: page.run,
        plays: Vec::new(),
        closed: vec![gap(1, 5), larger, gap(3, 4)],
        at: bench.now(),
    };
    assert_eq!(bench.store.store_replayed(&close).await.unwrap(), Replayed { plays: 0, gaps: 1 });
    assert_eq!(bench.store.store_replayed(&close).await.unwrap(), Replayed::default());
    let closed = Gap { closed_at: Some(bench.now()), ..gap(1, 5) };
    let mut on_record = bench.store.gaps(alice).await.unwrap();
    on_record.sort_by_key(|gap| (gap.from, gap.closed_at));
    assert_eq!(on_record, [other, closed, gap(7, 8)]);
    assert_eq!(bench.user("alice").await.gaps, 2);
}

pub async fn gaps_are_found_by_their_stretch_with_the_run_that_found_them(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut runs = Vec::new();
    for gap in [gap(1, 2), gap(4, 6), Gap { closed_at: Some(START), ..gap(8, 9) }] {
        let page = PageStored { gaps: vec![gap], ..bench.page(alice, &[]).await };
        bench.store.store_page(&page).await.unwrap();
        runs.push(Some(page.run));
    }
    let found = async |from: &Gap, to: &Gap| {
        let gaps = bench.store.gaps_between(alice, from.to, to.from).await.unwrap();
        gaps.into_iter().map(|(gap, run)| (gap.from, run)).collect::<Vec<_>>()
    };
    let froms = [gap(1, 2), gap(4, 6), gap(8, 9)].map(|gap| gap.from);
    let expected: Vec<_> = froms.into_iter().zip(runs).rev().collect();
    assert_eq!(found(&gap(0, 2), &gap(8, 9)).await, expected);
    assert_eq!(found(&gap(0, 3), &gap(4, 5)).await, expected[1..2]);
    assert_eq!(found(&gap(0, 3), &gap(3, 4)).await, []);
}
