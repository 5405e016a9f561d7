//! Users that configuration files declare.

use super::{Bench, HERE, THERE, name, new_user};
use crate::domain::Origin;
use crate::store::NewUser;

pub async fn users_of_files_come_and_go_with_the_files(bench: &Bench) {
    let store = &bench.store;
    let came = store.sync_file_users(HERE, &[new_user("alice"), new_user("bob")]).await.unwrap();
    assert_eq!((came.added, came.removed), (vec![name("alice"), name("bob")], vec![]));
    let alice = bench.user("alice").await;
    assert_eq!((alice.origin, alice.active), (Origin::File, true));
    assert!(store.commit_login(&super::first_login(alice.id)).await.unwrap());
    bench.store_page(alice.id, &[bench.play(0, 1)]).await;

    let left = store.sync_file_users(HERE, &[new_user("bob")]).await.unwrap();
    assert_eq!((left.added, left.removed), (vec![], vec![name("alice")]));
    let gone = bench.user("alice").await;
    assert_eq!((gone.active, gone.plays), (false, 1));
    assert!(bench.grant(alice.id).await.refresh_token.is_some());

    let seen = store.users_changed(0, 100).await.unwrap().upto;
    let back = store.sync_file_users(HERE, &[new_user("alice"), new_user("bob")]).await.unwrap();
    assert_eq!(store.users_changed(seen, 100).await.unwrap().users, [bench.user("alice").await]);
    assert_eq!((back.added, back.removed), (vec![name("alice")], vec![]));
    assert_eq!(bench.user("alice").await.id, alice.id);
}

pub async fn an_unchanged_declaration_touches_nothing(bench: &Bench) {
    let store = &bench.store;
    let bob = NewUser { schedule: Some("0 5 * * *".to_owned()), ..new_user("bob") };
    store.sync_file_users(HERE, &[new_user("alice"), bob.clone()]).await.unwrap();
    let before = store.users_changed(0, 100).await.unwrap().upto;
    let again = store.sync_file_users(HERE, &[new_user("alice"), bob.clone()]).await.unwrap();
    assert!(again.added.is_empty() && again.removed.is_empty());
    assert_eq!(store.users_changed(before, 100).await.unwrap().upto, before);

    let bob = NewUser { schedule: None, timezone: Some("Europe/Berlin".to_owned()), ..bob };
    let changed = store.sync_file_users(HERE, &[new_user("alice"), bob]).await.unwrap();
    assert!(changed.added.is_empty() && changed.removed.is_empty());
    let changes = store.users_changed(before, 100).await.unwrap();
    assert_eq!(changes.users.len(), 1);
    assert_eq!(changes.users[0].timezone.as_deref(), Some("Europe/Berlin"));
}

pub async fn a_user_of_the_store_becomes_one_of_a_file_and_keeps_the_archive(bench: &Bench) {
    let alice = bench.add("alice").await;
    bench.store_page(alice.id, &[bench.play(0, 1)]).await;
    let outcome = bench.store.sync_file_users(HERE, &[new_user("alice")]).await.unwrap();
    assert!(outcome.added.is_empty());
    let user = bench.user("alice").await;
    assert_eq!((user.id, user.origin, user.plays), (alice.id, Origin::File, 1));
}

pub async fn one_daemon_leaves_the_users_of_another_alone(bench: &Bench) {
    let store = &bench.store;
    bench.add("carol").await;
    store.sync_file_users(HERE, &[new_user("alice")]).await.unwrap();
    let outcome = store.sync_file_users(THERE, &[new_user("bob")]).await.unwrap();
    assert!(outcome.removed.is_empty());
    assert_eq!(store.users().await.unwrap().len(), 3);
    let outcome = store.sync_file_users(THERE, &[]).await.unwrap();
    assert_eq!(outcome.removed, [name("bob")]);
    assert!(store.sync_file_users(THERE, &[]).await.unwrap().removed.is_empty());
}

pub async fn a_user_of_a_file_is_not_changed_by_put(bench: &Bench) {
    bench.store.sync_file_users(HERE, &[new_user("alice")]).await.unwrap();
    let put = NewUser { schedule: Some("adaptive".to_owned()), ..new_user("alice") };
    let user = bench.store.put_user(&put).await.unwrap();
    assert_eq!((user.origin, user.schedule), (Origin::File, None));

    bench.store.sync_file_users(HERE, &[]).await.unwrap();
    let user = bench.store.put_user(&put).await.unwrap();
    assert_eq!((user.origin, user.active), (Origin::Store, true));
    assert!(bench.store.sync_file_users(HERE, &[]).await.unwrap().removed.is_empty());
}

pub async fn a_pause_outlives_a_file_that_was_away(bench: &Bench) {
    bench.store.sync_file_users(HERE, &[new_user("alice")]).await.unwrap();
    bench.store.set_paused(None, true).await.unwrap();
    bench.store.sync_file_users(HERE, &[]).await.unwrap();
    bench.store.sync_file_users(HERE, &[new_user("alice")]).await.unwrap();
    assert!(bench.user("alice").await.paused);
}
