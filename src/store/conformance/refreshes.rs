//! One refresh: intent, commit, close, and everything that may come late, twice or from elsewhere.

use std::time::Duration;

use super::{Bench, HERE, LEASE, THERE, attempt, first_login, intent, sealed, tokens};
use crate::domain::{AttemptId, Cause, Doubt, Epoch, Generation, Grant, Refusal};
use crate::store::{Close, CommitIf, Intent, NewLogin, NewTokens};

const HELD: CommitIf = CommitIf::AttemptHolds;

async fn on_record(bench: &Bench, grant: &Grant) -> Option<AttemptId> {
    bench.grant(grant.user).await.attempt.map(|attempt| attempt.id)
}

pub async fn of_two_daemons_one_announces_a_refresh(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    for round in 0..8 {
        let (one, other) = (round * 2 + 1, round * 2 + 2);
        let begin = |n, owner| {
            let (store, intent) = (bench.store.clone(), Intent { owner, ..intent(&grant, n) });
            tokio::spawn(async move { store.begin_attempt(&intent).await.unwrap() })
        };
        let (first, second) = (begin(one, HERE), begin(other, THERE));
        let won = (first.await.unwrap(), second.await.unwrap());
        assert!(won.0 != won.1, "{won:?}");
        let winner = attempt(if won.0 { one } else { other });
        assert_eq!(on_record(bench, &grant).await, Some(winner));
        assert!(bench.store.close_attempt(grant.user, grant.epoch, winner, &Close::Nothing).await.unwrap());
    }
}

pub async fn a_repeated_intent_is_the_same_intent_with_its_first_lease(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let intent = Intent { cause: Cause::Rejection, ..intent(&grant, 1) };
    assert!(bench.store.begin_attempt(&intent).await.unwrap());
    let begun = bench.now();
    bench.clock.advance(Duration::from_secs(5));
    assert!(bench.store.begin_attempt(&intent).await.unwrap());
    let attempt = bench.grant(grant.user).await.attempt.unwrap();
    assert_eq!((attempt.id, attempt.owner, attempt.cause), (intent.attempt, HERE, Cause::Rejection));
    assert_eq!(attempt.lease_until, begun + LEASE);
}

pub async fn a_lapsed_attempt_is_replaced_by_name_only(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    bench.begin(&grant, 1).await;
    let by = |replaces| Intent { owner: THERE, replaces, ..intent(&grant, 2) };
    let named = by(Some(attempt(1)));
    assert!(!bench.store.begin_attempt(&named).await.unwrap());
    bench.clock.advance(LEASE);
    assert!(!bench.store.begin_attempt(&named).await.unwrap());
    bench.clock.advance(Duration::from_millis(1));
    for stranger in [by(None), by(Some(attempt(9)))] {
        assert!(!bench.store.begin_attempt(&stranger).await.unwrap());
    }
    assert_eq!(on_record(bench, &grant).await, Some(attempt(1)));
    assert!(bench.store.begin_attempt(&named).await.unwrap());
    assert_eq!(on_record(bench, &grant).await, Some(attempt(2)));
}

pub async fn an_owner_replaces_its_own_attempt_at_once(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    bench.begin(&grant, 1).await;
    let again = Intent { replaces: Some(attempt(1)), ..intent(&grant, 2) };
    assert!(bench.store.begin_attempt(&again).await.unwrap());
    assert_eq!(on_record(bench, &grant).await, Some(attempt(2)));
}

pub async fn an_intent_for_an_older_generation_or_login_is_refused(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    for stale in [
        Intent { generation: Generation(0), ..intent(&grant, 1) },
        Intent { generation: Generation(2), ..intent(&grant, 1) },
        Intent { epoch: Epoch(0), ..intent(&grant, 1) },
    ] {
        assert!(!bench.store.begin_attempt(&stale).await.unwrap(), "{stale:?}");
    }
    assert_eq!(on_record(bench, &grant).await, None);
}

pub async fn a_commit_brings_the_next_generation_and_ends_all_trouble(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    for (n, close) in [(1, Close::Refused(refusal(bench))), (2, Close::Doubt(doubt(bench, "cut")))] {
        bench.begin(&grant, n).await;
        assert!(bench.store.close_attempt(grant.user, grant.epoch, attempt(n), &close).await.unwrap());
    }
    let intent = bench.begin(&grant, 3).await;
    bench.clock.advance(Duration::from_secs(2));
    let new = NewTokens { cause: Cause::Asked, scope: Some("more".to_owned()), ..tokens(&intent) };
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    let expected = Grant {
        generation: Generation(2),
        refresh_token: Some(new.refresh_token),
        access_token: new.access.clone().map(|(token, _)| token),
        access_times: new.access.map(|(_, times)| times),
        scope: new.scope,
        committed_at: bench.now(),
        born_of: Some(Cause::Asked),
        attempt: None,
        doubt: None,
        refusal: None,
        read_at: bench.now(),
        ..grant.clone()
    };
    assert_eq!(bench.grant(grant.user).await, expected);
}

pub async fn a_commit_may_bring_a_refresh_token_alone(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let first = tokens(&bench.begin(&grant, 1).await);
    assert!(bench.store.commit_tokens(&first, HELD).await.unwrap());
    let grant = bench.grant(grant.user).await;
    let alone = NewTokens { access: None, ..tokens(&bench.begin(&grant, 2).await) };
    assert!(bench.store.commit_tokens(&alone, HELD).await.unwrap());
    let found = bench.grant(grant.user).await;
    assert_eq!((found.generation, found.refresh_token), (alone.generation, Some(alone.refresh_token)));
    assert_eq!((found.access_token, found.access_times, found.attempt), (None, None, None));
}

pub async fn a_repeated_commit_is_recognised_by_its_attempt(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let new = tokens(&bench.begin(&grant, 1).await);
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    let committed = bench.grant(grant.user).await;
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    assert!(bench.store.commit_tokens(&new, CommitIf::NotNewerThan(grant.generation)).await.unwrap());
    let again = bench.grant(grant.user).await;
    assert_eq!(again.committed_at, committed.committed_at);

    // Also after the next refresh has begun, or is over.
    let next = tokens(&bench.begin(&again, 2).await);
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    assert_eq!(on_record(bench, &grant).await, Some(attempt(2)));
    assert!(bench.store.commit_tokens(&next, HELD).await.unwrap());
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    assert_eq!(bench.grant(grant.user).await.generation, Generation(3));
    let stranger = NewTokens { attempt: attempt(9), ..new };
    assert!(!bench.store.commit_tokens(&stranger, HELD).await.unwrap());
}

pub async fn an_attempt_that_is_not_on_record_commits_nothing(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let never_begun = tokens(&intent(&grant, 1));
    assert!(!bench.store.commit_tokens(&never_begun, HELD).await.unwrap());
    let intent = bench.begin(&grant, 2).await;
    assert!(!bench.store.commit_tokens(&never_begun, HELD).await.unwrap());
    let backwards = NewTokens { generation: grant.generation, ..tokens(&intent) };
    assert!(!bench.store.commit_tokens(&backwards, HELD).await.unwrap());
    let found = bench.grant(grant.user).await;
    assert_eq!((found.generation, found.refresh_token), (grant.generation, grant.refresh_token));
    assert_eq!(found.attempt.unwrap().id, attempt(2));
}

pub async fn the_late_answer_of_an_old_login_changes_nothing(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let old = bench.begin(&grant, 1).await;
    let login = NewLogin {
        replaces: Some((grant.epoch, grant.generation)),
        epoch: Epoch(2),
        generation: Generation(2),
        refresh_token: sealed("renewed"),
        ..first_login(grant.user)
    };
    assert!(bench.store.commit_login(&login).await.unwrap());
    let renewed = bench.grant(grant.user).await;
    let late = NewTokens { generation: Generation(9), ..tokens(&old) };
    for when in [HELD, CommitIf::NotNewerThan(Generation(8))] {
        assert!(!bench.store.commit_tokens(&late, when).await.unwrap());
    }
    for close in [Close::Nothing, Close::Doubt(doubt(bench, "cut")), Close::Refused(refusal(bench))] {
        assert!(!bench.store.close_attempt(grant.user, grant.epoch, attempt(1), &close).await.unwrap());
    }
    assert_eq!(bench.grant(grant.user).await, renewed);
}

pub async fn a_late_answer_for_a_removed_user_changes_nothing(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let new = tokens(&bench.begin(&grant, 1).await);
    bench.store.remove_user(grant.user, false).await.unwrap();
    for when in [HELD, CommitIf::NotNewerThan(grant.generation)] {
        assert!(!bench.store.commit_tokens(&new, when).await.unwrap());
    }
    assert_eq!(bench.grant(grant.user).await.refresh_token, None);
    bench.store.remove_user(grant.user, true).await.unwrap();
    assert!(!bench.store.commit_tokens(&new, HELD).await.unwrap());
}

/// Generations 2 to `upto`; what brought the last.
async fn refresh_upto(bench: &Bench, grant: &Grant, upto: i64) -> NewTokens {
    let mut newest = None;
    for n in 2..=upto {
        let grant = bench.grant(grant.user).await;
        let new = tokens(&bench.begin(&grant, u128::try_from(n).unwrap()).await);
        assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
        newest = Some(new);
    }
    newest.unwrap()
}

pub async fn a_store_that_was_rolled_back_gets_the_newest_answer_back(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let newest = refresh_upto(bench, &grant, 4).await;
    let offered = CommitIf::NotNewerThan(Generation(3));

    // The last two commits are lost, and an attempt of before is on record again.
    (bench.by_hand)("UPDATE grants SET generation = 2").await;
    (bench.by_hand)("DELETE FROM grant_generations WHERE generation > 2").await;
    bench.begin(&bench.grant(grant.user).await, 77).await;

    assert!(!bench.store.commit_tokens(&newest, HELD).await.unwrap());
    assert!(bench.store.commit_tokens(&newest, offered).await.unwrap());
    let back = bench.grant(grant.user).await;
    assert_eq!((back.generation, back.refresh_token), (Generation(4), Some(sealed("refresh 4"))));
    assert_eq!(back.attempt, None);
    assert!(bench.store.commit_tokens(&newest, offered).await.unwrap());
    assert!(!bench.store.close_attempt(grant.user, grant.epoch, attempt(77), &Close::Nothing).await.unwrap());
}

pub async fn a_spooled_answer_never_lowers_a_generation(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    refresh_upto(bench, &grant, 4).await;
    let before = bench.grant(grant.user).await;
    let spooled = NewTokens { attempt: attempt(50), ..tokens(&intent(&grant, 50)) };
    for sent in [1, 2, 3] {
        let offered = CommitIf::NotNewerThan(Generation(sent));
        assert!(!bench.store.commit_tokens(&spooled, offered).await.unwrap());
    }
    // Even where the condition holds, the new number must rise.
    assert!(!bench.store.commit_tokens(&spooled, CommitIf::NotNewerThan(Generation(9))).await.unwrap());
    assert_eq!(bench.grant(grant.user).await, before);
}

pub async fn five_generations_are_kept(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let second = refresh_upto(bench, &grant, 2).await;
    let mut now = bench.grant(grant.user).await;
    for n in 3..=6 {
        let new = tokens(&bench.begin(&now, n).await);
        assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
        now = bench.grant(grant.user).await;
    }
    assert!(bench.store.commit_tokens(&second, HELD).await.unwrap());
    let new = tokens(&bench.begin(&now, 7).await);
    assert!(bench.store.commit_tokens(&new, HELD).await.unwrap());
    assert!(!bench.store.commit_tokens(&second, HELD).await.unwrap());
}

pub async fn an_absent_scope_leaves_the_one_on_record(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    refresh_upto(bench, &grant, 2).await;
    let scope = bench.grant(grant.user).await.scope;
    assert!(scope.is_some());
    assert_eq!(scope, grant.scope);
}

fn doubt(bench: &Bench, reason: &str) -> Doubt {
    Doubt { since: bench.now(), owner: HERE, reason: reason.to_owned() }
}

fn refusal(bench: &Bench) -> Refusal {
    Refusal { since: bench.now(), reason: "revoked".to_owned(), tries: 2, next_try_at: Some(bench.now()) }
}

async fn close(bench: &Bench, grant: &Grant, n: u128, close: Close) {
    bench.begin(grant, n).await;
    assert!(bench.store.close_attempt(grant.user, grant.epoch, attempt(n), &close).await.unwrap());
    assert_eq!(on_record(bench, grant).await, None);
}

pub async fn closing_with_nothing_leaves_doubt_and_refusal(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    close(bench, &grant, 1, Close::Refused(refusal(bench))).await;
    close(bench, &grant, 2, Close::Doubt(doubt(bench, "cut"))).await;
    close(bench, &grant, 3, Close::Nothing).await;
    let found = bench.grant(grant.user).await;
    assert_eq!((found.doubt, found.refusal), (Some(doubt(bench, "cut")), Some(refusal(bench))));
}

pub async fn a_second_doubt_keeps_the_first_ones_age(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let first = bench.now();
    close(bench, &grant, 1, Close::Doubt(doubt(bench, "cut"))).await;
    bench.clock.advance(Duration::from_secs(60));
    let second = Doubt { owner: THERE, ..doubt(bench, "timed out") };
    close(bench, &grant, 2, Close::Doubt(second.clone())).await;
    assert_eq!(bench.grant(grant.user).await.doubt, Some(Doubt { since: first, ..second }));
}

pub async fn a_refusal_ends_doubt(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    close(bench, &grant, 1, Close::Doubt(doubt(bench, "cut"))).await;
    close(bench, &grant, 2, Close::Refused(refusal(bench))).await;
    let found = bench.grant(grant.user).await;
    assert_eq!((found.doubt, found.refusal), (None, Some(refusal(bench))));
    assert_eq!(found.refresh_token, grant.refresh_token);
}

pub async fn an_attempt_is_closed_once(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    close(bench, &grant, 1, Close::Nothing).await;
    let refused = Close::Refused(refusal(bench));
    assert!(!bench.store.close_attempt(grant.user, grant.epoch, attempt(1), &refused).await.unwrap());
    assert_eq!(bench.grant(grant.user).await.refusal, None);
}

pub async fn a_repeated_end_is_recognised(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let doubt = Doubt { since: bench.now(), owner: HERE, reason: "cut".to_owned() };
    for (n, end) in [(1, Close::Doubt(doubt)), (2, Close::Refused(refusal(bench)))] {
        bench.begin(&bench.grant(grant.user).await, n).await;
        for _ in 0..2 {
            let ended = bench.store.close_attempt(grant.user, grant.epoch, attempt(n), &end).await;
            assert!(ended.unwrap(), "{end:?}");
        }
    }
}

pub async fn an_intent_that_does_not_know_of_a_refusal_or_a_doubt_is_refused(bench: &Bench) {
    let known = bench.logged_in("alice").await;
    let (user, epoch) = (known.user, known.epoch);
    bench.begin(&known, 1).await;
    let doubt = Doubt { since: bench.now(), owner: THERE, reason: "the answer was lost".to_owned() };
    assert!(bench.store.close_attempt(user, epoch, attempt(1), &Close::Doubt(doubt)).await.unwrap());
    assert!(!bench.store.begin_attempt(&intent(&known, 2)).await.unwrap());
    let known = bench.grant(user).await;
    bench.begin(&known, 3).await;
    let refusal = Refusal { since: bench.now(), reason: "revoked".to_owned(), tries: 0, next_try_at: None };
    let refused = Close::Refused(refusal);
    assert!(bench.store.close_attempt(user, epoch, attempt(3), &refused).await.unwrap());
    assert!(!bench.store.begin_attempt(&intent(&known, 4)).await.unwrap());
    bench.begin(&bench.grant(user).await, 5).await;
}
