//! Who runs when, and which daemon does it.

use std::time::Duration;

use super::{Bench, HERE, LEASE, THERE, claim, name, release};
use crate::domain::{RunResult, Timestamp, UserId};
use crate::store::{Claimed, PlannedRun, Release, RunClaim, RunFailed};

fn there(user: UserId, n: u128) -> RunClaim {
    RunClaim { owner: THERE, ..claim(user, n) }
}

fn failed(bench: &Bench, user: UserId, claimed: Claimed, release: Release) -> RunFailed {
    let Claimed::Begun(run) = claimed else { panic!("{claimed:?}") };
    let (result, reason, at) = (RunResult::Unreachable, "why".to_owned(), bench.now());
    RunFailed { user, run, result, reason, blocked: None, at, release }
}

async fn claimed(bench: &Bench, claim: &RunClaim) -> Claimed {
    bench.store.begin_run(claim).await.unwrap()
}

async fn next(bench: &Bench, user: &str) -> Option<Timestamp> {
    bench.user(user).await.next_run_at
}

pub async fn of_two_daemons_one_runs_a_user(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let begun = claimed(bench, &claim(alice, 1)).await;
    let Claimed::Begun(run) = begun else { panic!("{begun:?}") };
    let until = bench.now() + LEASE;
    assert_eq!(claimed(bench, &there(alice, 2)).await, Claimed::Taken { run, until, blocked: false });
    let due = RunClaim { due: Some(until), ..there(alice, 3) };
    assert_eq!(claimed(bench, &due).await, Claimed::Taken { run, until, blocked: false });
    assert_eq!(next(bench, "alice").await, Some(until));
    assert_eq!(bench.store.runs(alice, 9).await.unwrap().len(), 1);
    assert!(matches!(claimed(bench, &there(bob, 4)).await, Claimed::Begun(_)), "nobody else is held up");
    bench.store.fail_run(&failed(bench, alice, begun, release(bench.now()))).await.unwrap();
    assert!(matches!(claimed(bench, &there(alice, 5)).await, Claimed::Begun(_)), "a person asks");
}

pub async fn a_repeated_claim_gets_the_same_run(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mine = RunClaim { due: Some(bench.now()), ..claim(alice, 1) };
    let plan = PlannedRun { user: alice, seen: None, at: bench.now() };
    bench.store.plan_runs(&[plan]).await.unwrap();
    let first = claimed(bench, &mine).await;
    assert!(matches!(first, Claimed::Begun(_)));
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(claimed(bench, &mine).await, first);
    assert_eq!(bench.store.runs(alice, 9).await.unwrap().len(), 1);
    assert_eq!(next(bench, "alice").await, Some(bench.now() + LEASE));
    // A later claim of the same daemon is another run.
    assert_ne!(claimed(bench, &claim(alice, 2)).await, first);
}

pub async fn a_lapsed_claim_is_taken_over_and_its_late_end_moves_nothing(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let late = claimed(bench, &claim(alice, 1)).await;
    let until = bench.now() + LEASE;
    bench.clock.advance(LEASE - Duration::from_millis(1));
    assert!(matches!(claimed(bench, &there(alice, 2)).await, Claimed::Taken { .. }));
    bench.clock.advance(Duration::from_millis(1));
    let due = RunClaim { due: Some(until), ..there(alice, 3) };
    let begun = claimed(bench, &due).await;
    assert!(matches!(begun, Claimed::Begun(_)) && begun != late);
    let lapses = bench.now() + LEASE;
    bench.store.fail_run(&failed(bench, alice, late, release(bench.now()))).await.unwrap();
    assert_eq!(bench.store.renew_runs(HERE, &[alice], LEASE).await.unwrap(), []);
    assert_eq!(next(bench, "alice").await, Some(lapses));
    assert!(matches!(claimed(bench, &claim(alice, 4)).await, Claimed::Taken { .. }));
}

pub async fn a_claim_that_is_renewed_holds(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let carol = bench.add("carol").await.id;
    claimed(bench, &claim(alice, 1)).await;
    claimed(bench, &there(bob, 2)).await;
    let others = bench.now() + LEASE;
    for _ in 0..5 {
        bench.clock.advance(LEASE / 3);
        assert_eq!(bench.store.renew_runs(HERE, &[alice, bob, carol], LEASE).await.unwrap(), [alice]);
    }
    assert!(matches!(claimed(bench, &there(alice, 3)).await, Claimed::Taken { .. }));
    assert_eq!(next(bench, "bob").await, Some(others));
    assert_eq!(next(bench, "carol").await, None);
    assert_eq!(bench.store.renew_runs(HERE, &[], LEASE).await.unwrap(), []);
}

pub async fn a_run_that_another_daemon_has_moved_is_not_due(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let due = bench.now();
    assert_eq!(
        claimed(bench, &RunClaim { due: Some(due), ..claim(alice, 1) }).await,
        Claimed::NotDue { next: None, blocked: false }
    );
    bench.store.plan_runs(&[PlannedRun { user: alice, seen: None, at: due }]).await.unwrap();
    let begun = claimed(bench, &RunClaim { due: Some(due), ..there(alice, 2) }).await;
    let end = Release { owner: THERE, next: Some(due + LEASE * 20) };
    bench.store.fail_run(&failed(bench, alice, begun, end)).await.unwrap();
    let late = RunClaim { due: Some(due), ..claim(alice, 3) };
    assert_eq!(claimed(bench, &late).await, Claimed::NotDue { next: end.next, blocked: false });
    assert_eq!(next(bench, "alice").await, end.next);
    assert_eq!(bench.store.runs(alice, 9).await.unwrap().len(), 1);
    // By whichever time it fires, whoever is due by the store's clock is due.
    bench.clock.advance(LEASE * 20);
    assert!(matches!(
        claimed(bench, &RunClaim { claim: there(alice, 4).claim, ..late }).await,
        Claimed::Begun(_)
    ));
}

pub async fn nobody_runs_who_is_gone_or_paused(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    bench.store.set_paused(Some(bob), true).await.unwrap();
    bench.store.remove_user(alice, false).await.unwrap();
    for (n, user) in [(1, alice), (2, bob), (3, UserId(999))] {
        assert_eq!(claimed(bench, &claim(user, n)).await, Claimed::Gone);
        let plan = PlannedRun { user, seen: None, at: bench.now() };
        bench.store.plan_runs(&[plan]).await.unwrap();
    }
    assert_eq!(next(bench, "alice").await, None);
    assert_eq!(bench.user("alice").await.last_run_at, None);
}

pub async fn a_run_that_ends_gives_the_user_back_once(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let page = bench.page(alice, &[bench.play(0, 1)]).await;
    bench.store.store_page(&page).await.unwrap();
    assert_eq!(next(bench, "alice").await, page.release.next);
    // The answer was lost, and meanwhile another daemon has the user.
    claimed(bench, &there(alice, 1)).await;
    let until = bench.now() + LEASE;
    bench.store.store_page(&page).await.unwrap();
    assert_eq!(next(bench, "alice").await, Some(until));
    bench.clock.advance(LEASE);
    let begun = claimed(bench, &claim(alice, 2)).await;
    let end = Release { owner: HERE, next: None };
    bench.store.fail_run(&failed(bench, alice, begun, end)).await.unwrap();
    assert_eq!(next(bench, "alice").await, None);
}

pub async fn a_late_failure_says_nothing_of_a_newer_run(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let late = claimed(bench, &claim(alice, 1)).await;
    bench.clock.advance(LEASE);
    bench.store_page(alice, &[bench.play(0, 1)]).await;
    bench.store.fail_run(&failed(bench, alice, late, release(bench.now()))).await.unwrap();
    assert_eq!(bench.user("alice").await.last_run_result, Some(RunResult::Ok));
    let results: Vec<_> = bench.store.runs(alice, 9).await.unwrap().iter().map(|run| run.result).collect();
    assert_eq!(results, [Some(RunResult::Ok), Some(RunResult::Unreachable)]);
}

pub async fn an_owner_takes_its_own_claims_back_at_once(bench: &Bench) {
    let mut ids = Vec::new();
    for user in ["alice", "bob", "carol"] {
        ids.push(bench.add(user).await.id);
    }
    let [alice, bob, carol] = ids[..] else { panic!("{ids:?}") };
    claimed(bench, &claim(alice, 1)).await;
    claimed(bench, &claim(bob, 2)).await;
    claimed(bench, &there(carol, 3)).await;
    let until = bench.now() + LEASE;
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.store.release_runs(HERE, &[bob]).await.unwrap(), [alice]);
    assert_eq!(next(bench, "alice").await, Some(bench.now()));
    assert_eq!((next(bench, "bob").await, next(bench, "carol").await), (Some(until), Some(until)));
    let due = RunClaim { due: Some(bench.now()), ..there(alice, 4) };
    assert!(matches!(claimed(bench, &due).await, Claimed::Begun(_)), "whoever comes first");
    assert_eq!(bench.store.release_runs(HERE, &[bob]).await.unwrap(), []);
}

pub async fn a_plan_overwrites_neither_a_claim_nor_another_plan(bench: &Bench) {
    let store = &bench.store;
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let carol = bench.add("carol").await.id;
    let at = |hours: u64| bench.now() + Duration::from_secs(3600 * hours);
    let plan = |user, seen, hours| PlannedRun { user, seen, at: at(hours) };
    assert_eq!(store.plan_runs(&[plan(alice, None, 1), plan(bob, None, 1)]).await.unwrap(), []);
    assert_eq!((next(bench, "alice").await, next(bench, "bob").await), (Some(at(1)), Some(at(1))));
    claimed(bench, &there(carol, 1)).await;
    let until = bench.now() + LEASE;
    let plans = [
        plan(alice, Some(at(1)), 2),
        plan(bob, None, 3),
        plan(carol, Some(until), 3),
        plan(UserId(99), None, 1),
    ];
    assert_eq!(store.plan_runs(&plans).await.unwrap(), [(bob, Some(at(1))), (carol, Some(until))]);
    assert_eq!((next(bench, "alice").await, next(bench, "bob").await), (Some(at(2)), Some(at(1))));
    assert_eq!(next(bench, "carol").await, Some(until));
    assert_eq!(store.plan_runs(&[]).await.unwrap(), []);
}

pub async fn whoever_is_overdue_is_found_page_by_page(bench: &Bench) {
    let store = &bench.store;
    let mut plans = Vec::new();
    for (n, user) in ["alice", "bob", "carol", "dave", "erin", "frank"].into_iter().enumerate() {
        let user = bench.add(user).await.id;
        plans.push(PlannedRun {
            user,
            seen: None,
            at: bench.now() + Duration::from_secs(10 * (n as u64 / 2)),
        });
    }
    store.plan_runs(&plans).await.unwrap();
    let minute = Duration::from_secs(60);
    bench.clock.advance(minute);
    assert_eq!(store.overdue(minute, None, 9).await.unwrap(), [], "not longer than that");
    bench.clock.advance(Duration::from_secs(15));
    let all: Vec<_> = plans[..4].iter().map(|plan| (plan.at, plan.user)).collect();
    assert_eq!(store.overdue(minute, None, 9).await.unwrap(), all);
    assert_eq!(store.overdue(minute, None, 3).await.unwrap(), all[..3]);
    assert_eq!(store.overdue(minute, Some(all[2]), 3).await.unwrap(), all[3..]);
    store.set_paused(Some(plans[0].user), true).await.unwrap();
    store.remove_user(store.user(&name("bob")).await.unwrap().unwrap().id, false).await.unwrap();
    claimed(bench, &claim(plans[2].user, 1)).await;
    assert_eq!(store.overdue(minute, None, 9).await.unwrap(), all[3..]);
    // A claim that lapsed is overdue too: its daemon died.
    bench.clock.advance(LEASE + minute * 2);
    assert!(store.overdue(minute, None, 9).await.unwrap().iter().any(|(_, user)| *user == plans[2].user));
}
