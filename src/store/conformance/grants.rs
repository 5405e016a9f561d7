//! Grants, and the logins that replace them.

use super::{Bench, HERE, attempt, first_login, new_user, sealed};
use crate::domain::{
    AccessTimes, Doubt, Epoch, Generation, Grant, Refusal, RunResult, Timestamp, Trigger, UserId,
};
use crate::store::{Close, GrantHead, NewLogin, RunFailed};

/// The next login over this grant.
fn renewal(grant: &Grant) -> NewLogin {
    NewLogin {
        replaces: Some((grant.epoch, grant.generation)),
        epoch: Epoch(grant.epoch.0 + 1),
        generation: grant.generation.next(),
        refresh_token: sealed("renewed"),
        ..first_login(grant.user)
    }
}

pub async fn a_login_is_read_back_as_it_was_committed(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    assert_eq!(bench.store.grant(alice).await.unwrap(), None);
    let login = first_login(alice);
    assert!(bench.store.commit_login(&login).await.unwrap());
    let (access_token, access_times): (_, AccessTimes) = login.access.unwrap();
    let expected = Grant {
        user: alice,
        client_id: login.client_id,
        epoch: Epoch(1),
        generation: Generation(1),
        account_id: login.account_id,
        login_at: login.login_at,
        scope: login.scope,
        refresh_token: Some(login.refresh_token),
        access_token: Some(access_token),
        access_times: Some(access_times),
        committed_at: bench.now(),
        born_of: None,
        attempt: None,
        doubt: None,
        refusal: None,
        read_at: bench.now(),
    };
    assert_eq!(bench.grant(alice).await, expected);

    let bob = bench.add("bob").await.id;
    let bare = NewLogin { access: None, login_at: None, scope: None, account_id: None, ..first_login(bob) };
    assert!(bench.store.commit_login(&bare).await.unwrap());
    let grant = bench.grant(bob).await;
    assert_eq!((grant.access_token, grant.access_times, grant.login_at), (None, None, None));
}

pub async fn a_login_prepared_against_another_grant_is_refused(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let good = renewal(&grant);
    let against_none = NewLogin { replaces: None, ..good.clone() };
    let against_old = NewLogin { replaces: Some((Epoch(1), Generation(0))), ..good.clone() };
    let not_rising = NewLogin { generation: grant.generation, ..good.clone() };
    for stale in [against_none, against_old, not_rising] {
        assert!(!bench.store.commit_login(&stale).await.unwrap(), "{stale:?}");
    }
    assert_eq!(bench.grant(grant.user).await, grant);
    let bob = bench.add("bob").await.id;
    assert!(!bench.store.commit_login(&NewLogin { user: bob, ..good.clone() }).await.unwrap());
    assert!(bench.store.commit_login(&good).await.unwrap());
    assert_eq!(bench.grant(grant.user).await.refresh_token, Some(sealed("renewed")));
}

pub async fn a_repeated_login_stands_and_changes_nothing(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let intent = bench.begin(&grant, 1).await;
    assert!(bench.store.commit_login(&first_login(grant.user)).await.unwrap());
    assert_eq!(bench.grant(grant.user).await.attempt.unwrap().id, intent.attempt);
    let another = NewLogin { refresh_token: sealed("another"), ..first_login(grant.user) };
    assert!(!bench.store.commit_login(&another).await.unwrap());
}

async fn into_trouble(bench: &Bench, grant: &Grant) {
    let doubt = Doubt { since: bench.now(), owner: HERE, reason: "timed out".to_owned() };
    let refusal = refusal(bench.now(), Some(bench.now()));
    for (n, close) in [(1, Close::Refused(refusal)), (2, Close::Doubt(doubt))] {
        bench.begin(grant, n).await;
        assert!(bench.store.close_attempt(grant.user, grant.epoch, attempt(n), &close).await.unwrap());
    }
    bench.begin(grant, 3).await;
}

fn refusal(since: Timestamp, next_try_at: Option<Timestamp>) -> Refusal {
    Refusal { since, reason: "refused".to_owned(), tries: 1, next_try_at }
}

async fn block(bench: &Bench, user: UserId) {
    let run = bench.begin_run(user, Trigger::Schedule).await;
    let failed = RunFailed {
        user,
        run,
        result: RunResult::Blocked,
        reason: "403".to_owned(),
        blocked: Some("not allow-listed".to_owned()),
        at: bench.now(),
        release: super::release(bench.now()),
    };
    bench.store.fail_run(&failed).await.unwrap();
}

pub async fn a_new_login_ends_attempt_doubt_refusal_and_block(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    into_trouble(bench, &grant).await;
    block(bench, grant.user).await;
    let troubled = bench.grant(grant.user).await;
    assert!(troubled.attempt.is_some() && troubled.doubt.is_some() && troubled.refusal.is_some());
    assert!(bench.user("alice").await.blocked.is_some());

    assert!(bench.store.commit_login(&renewal(&grant)).await.unwrap());
    let renewed = bench.grant(grant.user).await;
    assert_eq!((renewed.attempt, renewed.doubt, renewed.refusal), (None, None, None));
    assert_eq!((renewed.epoch, renewed.generation), (Epoch(2), Generation(2)));
    assert_eq!(bench.user("alice").await.blocked, None);
}

pub async fn a_revived_user_logs_in_over_the_row_without_tokens(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    bench.store.remove_user(grant.user, false).await.unwrap();
    bench.store.put_user(&new_user("alice")).await.unwrap();
    let left = bench.grant(grant.user).await;
    assert!(!bench.store.commit_login(&first_login(grant.user)).await.unwrap());
    assert!(bench.store.commit_login(&renewal(&left)).await.unwrap());
    assert_eq!(bench.grant(grant.user).await.generation, Generation(2));
}

pub async fn an_account_is_noted_once(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let unknown = NewLogin { account_id: None, ..first_login(alice) };
    assert!(bench.store.commit_login(&unknown).await.unwrap());
    for (epoch, account, on_record) in
        [(Epoch(7), "x", None), (Epoch(1), "mine", Some("mine")), (Epoch(1), "other", Some("mine"))]
    {
        bench.store.set_account(alice, epoch, account).await.unwrap();
        assert_eq!(bench.grant(alice).await.account_id.as_deref(), on_record);
    }
    let renewal = NewLogin { account_id: None, ..renewal(&bench.grant(alice).await) };
    assert!(bench.store.commit_login(&renewal).await.unwrap());
    assert_eq!(bench.grant(alice).await.account_id.as_deref(), Some("mine"));
}

pub async fn where_grants_stand_is_read_of_many_at_once(bench: &Bench) {
    let (alice, bob) = (bench.logged_in("alice").await, bench.logged_in("bob").await);
    let bare = bench.add("bare").await.id;
    let carol = bench.logged_in("carol").await;
    assert!(bench.store.commit_login(&renewal(&carol)).await.unwrap());
    bench.begin(&bob, 7).await;
    bench.store.remove_user(alice.user, false).await.unwrap();
    let nobody = UserId(i64::MAX);
    let heads = bench.store.grant_heads(&[nobody, carol.user, bare, bob.user, alice.user]).await.unwrap();
    let head = |user, epoch, generation, attempt| GrantHead {
        user,
        epoch: Epoch(epoch),
        generation: Generation(generation),
        attempt,
    };
    let expected =
        [head(alice.user, 2, 1, None), head(bob.user, 1, 1, Some(attempt(7))), head(carol.user, 2, 2, None)];
    assert_eq!(heads, expected);
    for user in [alice.user, bob.user, carol.user] {
        assert!(heads.contains(&GrantHead::from(&bench.grant(user).await)));
    }
    assert_eq!(bench.store.grant_heads(&[]).await.unwrap(), []);
}

pub async fn grants_in_trouble_are_found_and_those_of_removed_users_are_not(bench: &Bench) {
    bench.logged_in("calm").await;
    let refreshing = bench.logged_in("refreshing").await;
    bench.begin(&refreshing, 1).await;
    let doubtful = bench.logged_in("doubtful").await;
    bench.begin(&doubtful, 2).await;
    let doubt = Close::Doubt(Doubt { since: bench.now(), owner: HERE, reason: "cut".to_owned() });
    bench.store.close_attempt(doubtful.user, doubtful.epoch, attempt(2), &doubt).await.unwrap();
    let mut expected = vec![refreshing.user, doubtful.user];
    for (n, name, next_try_at) in [(3, "waiting", Some(bench.now())), (4, "dead", None)] {
        let grant = bench.logged_in(name).await;
        bench.begin(&grant, n).await;
        let refused = Close::Refused(refusal(bench.now(), next_try_at));
        bench.store.close_attempt(grant.user, grant.epoch, attempt(n), &refused).await.unwrap();
        expected.extend(next_try_at.map(|_| grant.user));
    }
    let troubled = async || bench.store.troubled_users().await.unwrap();
    assert_eq!(troubled().await, expected);
    bench.store.set_paused(None, true).await.unwrap();
    assert_eq!(troubled().await, expected);
    bench.store.remove_user(refreshing.user, false).await.unwrap();
    assert_eq!(troubled().await, expected[1..]);
}
