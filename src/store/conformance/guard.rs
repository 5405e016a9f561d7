//! Where the store lives, the fence, and what is accepted.

use super::{Bench, HERE, THERE, attempt, first_login, intent, sealed, tokens};
use crate::domain::{Grant, Sealed};
use crate::store::{Change, CommitIf, Custody, Home, Intent, RESTORED, StoreError};

fn place(bench: &Bench) -> &dyn Custody {
    bench.store.custody().expect("a database lives somewhere")
}

/// Somewhere else than this.
fn elsewhere(home: &Home) -> Home {
    match home.clone() {
        Home::Sqlite { machine, .. } => Home::Sqlite { born: Some("1".to_owned()), inode: Some(1), machine },
        Home::Postgres { system, database, timeline } => {
            Home::Postgres { system, database: database + 1, timeline }
        }
    }
}

async fn refused(bench: &Bench, grant: &Grant) -> String {
    match bench.store.begin_attempt(&intent(grant, 9)).await {
        Err(error @ StoreError::NotAccepted { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

pub async fn a_new_store_has_no_home_until_one_is_noted(bench: &Bench) {
    let stands = place(bench).whereabouts().await.unwrap();
    assert_eq!((stands.before.clone(), stands.fence.clone()), (None, None));
    assert_eq!(stands.change(), Change::Nothing);
    place(bench).settle(&stands.now).await.unwrap();
    let again = place(bench).whereabouts().await.unwrap();
    assert_eq!((again.before.as_ref(), again.change()), (Some(&stands.now), Change::Nothing));
    assert_eq!(again.now, stands.now, "nothing of it changes by itself");
}

pub async fn no_refresh_begins_on_a_store_that_lived_elsewhere(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let now = place(bench).whereabouts().await.unwrap().now;
    place(bench).settle(&elsewhere(&now)).await.unwrap();
    assert!(matches!(place(bench).whereabouts().await.unwrap().change(), Change::Elsewhere(_)));
    let said = refused(bench, &grant).await;
    assert!(said.contains("longplay adopt") && said.contains(&bench.store.describe()), "{said}");
    assert_eq!(bench.grant(grant.user).await, grant, "and nothing is on record of it");

    assert_eq!(place(bench).adopt(&now, THERE).await.unwrap(), 1);
    let doubted = bench.grant(grant.user).await;
    let doubt = doubted.doubt.clone().unwrap();
    assert_eq!((doubt.owner, doubt.reason.as_str(), doubt.since), (THERE, RESTORED, bench.now()));
    bench.begin(&doubted, 1).await;
}

pub async fn no_refresh_begins_of_whoever_lacks_the_stores_key(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let probe = |key: u8| Sealed([[1].as_slice(), &[key; 8], b"probe"].concat());
    let with =
        |keys: &[u8], n| Intent { keys: keys.iter().map(|key| [*key; 8]).collect(), ..intent(&grant, n) };
    bench.store.keep_key_probe(probe(1)).await.unwrap();
    assert!(bench.store.begin_attempt(&with(&[1], 1)).await.unwrap());
    place(bench).replace_key_probe(probe(2)).await.unwrap();
    let again = |keys: &[u8]| Intent { replaces: Some(attempt(1)), ..with(keys, 2) };
    let Err(error @ StoreError::AnotherKey { .. }) = bench.store.begin_attempt(&again(&[1])).await else {
        panic!("it was begun");
    };
    assert!(error.to_string().contains("token-key-old"), "{error}");
    // Who has both is at work while the key is changed.
    assert!(bench.store.begin_attempt(&again(&[3, 2])).await.unwrap());
}

pub async fn a_note_of_its_home_that_cannot_be_read_waits_to_be_accepted(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    let now = place(bench).whereabouts().await.unwrap().now;
    place(bench).settle(&now).await.unwrap();
    (bench.by_hand)(
        "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'deployment') WHERE name = 'home'",
    )
    .await;
    assert!(refused(bench, &grant).await.contains("can't be read"));
    place(bench).adopt(&now, HERE).await.unwrap();
    let stands = place(bench).whereabouts().await.unwrap();
    assert_eq!((stands.before, stands.fence), (Some(now), None));
}

pub async fn a_daemon_that_sees_less_of_a_server_makes_nobody_forget(bench: &Bench) {
    let now = place(bench).whereabouts().await.unwrap().now;
    place(bench).settle(&now).await.unwrap();
    let less = match now.clone() {
        Home::Sqlite { .. } => Home::Sqlite { born: None, inode: None, machine: None },
        Home::Postgres { database, .. } => Home::Postgres { system: None, database, timeline: None },
    };
    place(bench).settle(&less).await.unwrap();
    assert_eq!(place(bench).whereabouts().await.unwrap().before, Some(now));
}

pub async fn no_refresh_begins_behind_the_fence(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    assert!(place(bench).fence("the spool is ahead", HERE).await.unwrap());
    assert!(!place(bench).fence("again", HERE).await.unwrap(), "the first reason stays");
    assert_eq!(place(bench).whereabouts().await.unwrap().fence.as_deref(), Some("the spool is ahead"));
    assert!(refused(bench, &grant).await.contains("the spool is ahead"));
    assert!(bench.grant(grant.user).await.doubt.is_some());
    let now = place(bench).whereabouts().await.unwrap().now;
    place(bench).adopt(&now, HERE).await.unwrap();
    assert_eq!(place(bench).whereabouts().await.unwrap().fence, None);
    let doubted = bench.grant(grant.user).await;
    bench.begin(&doubted, 1).await;
}

pub async fn whose_doubt_ended_behind_the_fence_is_not_doubted_again(bench: &Bench) {
    let (alice, bob) = (bench.logged_in("alice").await, bench.logged_in("bob").await);
    place(bench).fence("the spool is ahead", HERE).await.unwrap();
    let back = tokens(&intent(&alice, 1));
    assert!(bench.store.commit_tokens(&back, CommitIf::NotNewerThan(alice.generation)).await.unwrap());
    let now = place(bench).whereabouts().await.unwrap().now;
    assert_eq!(place(bench).adopt(&now, HERE).await.unwrap(), 1);
    assert_eq!(bench.grant(alice.user).await.doubt, None);
    assert!(bench.grant(bob.user).await.doubt.is_some());
    // Without a fence everyone is.
    assert_eq!(place(bench).adopt(&now, HERE).await.unwrap(), 2);
}

pub async fn a_store_that_was_also_moved_leaves_nobody_without_doubt(bench: &Bench) {
    let alice = bench.logged_in("alice").await;
    place(bench).fence("the spool is ahead", HERE).await.unwrap();
    let back = tokens(&intent(&alice, 1));
    bench.store.commit_tokens(&back, CommitIf::NotNewerThan(alice.generation)).await.unwrap();
    let now = place(bench).whereabouts().await.unwrap().now;
    place(bench).settle(&elsewhere(&now)).await.unwrap();
    assert_eq!(place(bench).adopt(&now, HERE).await.unwrap(), 1);
}

pub async fn seals_are_replaced_where_the_old_one_still_is(bench: &Bench) {
    let alice = bench.logged_in("alice").await;
    let bob = bench.add("bob").await.id;
    bench.store.commit_login(&crate::store::NewLogin { access: None, ..first_login(bob) }).await.unwrap();
    let old = place(bench).sealed_grants(None, 10).await.unwrap();
    assert_eq!(old.iter().map(|grant| grant.user).collect::<Vec<_>>(), [alice.user, bob]);
    assert_eq!(place(bench).sealed_grants(Some(alice.user), 1).await.unwrap(), old[1..]);
    let anew: Vec<_> = old
        .iter()
        .map(|old| {
            let mut new = old.clone();
            new.refresh_token = sealed("anew");
            new.access_token = old.access_token.as_ref().map(|_| sealed("access anew"));
            (old.clone(), new)
        })
        .collect();
    let intent = bench.begin(&alice, 1).await;
    bench.store.commit_tokens(&tokens(&intent), CommitIf::AttemptHolds).await.unwrap();
    assert_eq!(place(bench).reseal_grants(&anew).await.unwrap(), 1, "a newer generation is left alone");
    let (alice, bob) = (bench.grant(alice.user).await, bench.grant(bob).await);
    assert_eq!(alice.refresh_token, Some(sealed("refresh 2")));
    assert_eq!((bob.refresh_token, bob.access_token), (Some(sealed("anew")), None));
    assert_eq!(place(bench).reseal_grants(&anew).await.unwrap(), 0);
}

pub async fn the_probe_is_replaced_by_whoever_has_the_new_key(bench: &Bench) {
    bench.store.keep_key_probe(sealed("old")).await.unwrap();
    place(bench).replace_key_probe(sealed("new")).await.unwrap();
    assert_eq!(bench.store.key_probe().await.unwrap(), Some(sealed("new")));
}

pub async fn daemons_at_work_are_known_with_their_keys(bench: &Bench) {
    use std::time::Duration;
    place(bench).note_daemon(HERE, b"one").await.unwrap();
    bench.clock.advance(Duration::from_secs(100));
    place(bench).note_daemon(THERE, b"two").await.unwrap();
    let seen = |within| async move {
        let seen = place(bench).daemons_seen(Duration::from_secs(within)).await.unwrap();
        seen.into_iter().map(|seen| (seen.owner, seen.key)).collect::<Vec<_>>()
    };
    assert_eq!(seen(99).await, [(THERE, b"two".to_vec())]);
    assert_eq!(seen(100).await, [(HERE, b"one".to_vec()), (THERE, b"two".to_vec())]);
    place(bench).note_daemon(HERE, b"two").await.unwrap();
    assert_eq!(seen(99).await[0], (HERE, b"two".to_vec()));
}
