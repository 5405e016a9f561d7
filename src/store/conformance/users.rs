//! Users, and how changes of them are noticed.

use super::{Bench, attempt, name, new_user};
use crate::domain::{Epoch, Event, EventKind, Generation, Origin, Timestamp, Trigger, UserId};
use crate::store::{NewUser, PlannedRun, PlayQuery};

pub async fn another_programs_insert_gets_defaults_and_is_noticed(bench: &Bench) {
    let store = &bench.store;
    let before = store.users_changed(0, 100).await.unwrap();
    assert!(before.users.is_empty());
    (bench.by_hand)("INSERT INTO users (name) VALUES ('bob')").await;
    (bench.by_hand)(
        "INSERT INTO users (name, app, schedule, timezone) VALUES ('eve', 'other', '0 5 * * *', 'Europe/Berlin')",
    )
    .await;
    let changes = store.users_changed(before.upto, 100).await.unwrap();
    assert!(changes.upto > before.upto && changes.refused.is_empty());
    let [bob, eve] = &changes.users[..] else { panic!("{changes:?}") };
    assert_eq!((bob.name.as_str(), bob.app.as_str()), ("bob", "default"));
    assert_eq!((&bob.schedule, &bob.timezone, bob.origin), (&None, &None, Origin::Store));
    assert!(bob.active && !bob.paused && bob.plays == 0 && bob.next_run_at.is_none());
    assert_eq!(eve.schedule.as_deref(), Some("0 5 * * *"));
    assert_eq!(eve.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(store.users().await.unwrap(), changes.users);

    (bench.by_hand)("UPDATE users SET schedule = 'adaptive' WHERE name = 'bob'").await;
    let later = store.users_changed(changes.upto, 100).await.unwrap();
    assert_eq!(later.users.len(), 1);
    assert_eq!(later.users[0].schedule.as_deref(), Some("adaptive"));
}

pub async fn a_row_without_a_valid_name_or_app_is_refused_and_nobody_else_suffers(bench: &Bench) {
    bench.add("alice").await;
    (bench.by_hand)("INSERT INTO users (name) VALUES ('Bob Smith')").await;
    (bench.by_hand)("INSERT INTO users (name, app) VALUES ('carol', 'My App')").await;
    let changes = bench.store.users_changed(0, 100).await.unwrap();
    assert_eq!(changes.users.len(), 1);
    let [(_, bob), (_, carol)] = &changes.refused[..] else { panic!("{changes:?}") };
    assert!(bob.contains("Bob Smith") && bob.contains("user name"), "{bob}");
    assert!(carol.contains("carol") && carol.contains("My App"), "{carol}");
    assert_eq!(bench.store.users().await.unwrap().len(), 1);
    assert_eq!(bench.store.user(&name("carol")).await.unwrap(), None);
}

pub async fn a_change_is_noticed_once_and_runs_are_no_change(bench: &Bench) {
    let store = &bench.store;
    let alice = bench.add("alice").await.id;
    bench.add("bob").await;
    let first = store.users_changed(0, 100).await.unwrap();
    assert_eq!(first.users.len(), 2);

    store.plan_runs(&[PlannedRun { user: alice, seen: None, at: bench.now() }]).await.unwrap();
    bench.begin_run(alice, Trigger::Manual).await;
    store.put_user(&new_user("bob")).await.unwrap();
    store.set_paused(Some(alice), false).await.unwrap();
    let nothing = store.users_changed(first.upto, 100).await.unwrap();
    assert_eq!((nothing.upto, nothing.users.len()), (first.upto, 0));

    store.set_paused(Some(alice), true).await.unwrap();
    let paused = store.users_changed(first.upto, 100).await.unwrap();
    assert_eq!(paused.users.iter().map(|u| (u.id, u.paused)).collect::<Vec<_>>(), [(alice, true)]);
    store.remove_user(alice, false).await.unwrap();
    let removed = store.users_changed(paused.upto, 100).await.unwrap();
    assert_eq!(removed.users.iter().map(|u| (u.id, u.active)).collect::<Vec<_>>(), [(alice, false)]);
    assert!(store.users_changed(removed.upto, 100).await.unwrap().users.is_empty());
}

pub async fn a_removed_user_comes_back_with_their_archive_and_not_paused(bench: &Bench) {
    let store = &bench.store;
    let alice = bench.add("alice").await;
    bench.store_page(alice.id, &[bench.play(0, 1)]).await;
    store.set_paused(Some(alice.id), true).await.unwrap();
    store.remove_user(alice.id, false).await.unwrap();
    assert!(!bench.user("alice").await.active);
    assert!(store.users().await.unwrap().is_empty());
    let seen = store.users_changed(0, 100).await.unwrap().upto;

    let back = store.put_user(&NewUser { app: "other".parse().unwrap(), ..new_user("alice") }).await.unwrap();
    assert_eq!((back.id, back.plays, back.app.as_str()), (alice.id, 1, "other"));
    assert!(back.active && !back.paused);
    assert_eq!(store.users_changed(seen, 100).await.unwrap().users, [back]);
    assert_eq!(store.plays(alice.id, PlayQuery { limit: 9, ..PlayQuery::default() }).await.unwrap().len(), 1);
}

pub async fn a_changed_user_keeps_their_number_and_pause(bench: &Bench) {
    let alice = bench.add("alice").await;
    bench.store.set_paused(Some(alice.id), true).await.unwrap();
    let changed = NewUser {
        schedule: Some("0 5 * * *".to_owned()),
        timezone: Some("UTC".to_owned()),
        ..new_user("alice")
    };
    let user = bench.store.put_user(&changed).await.unwrap();
    assert_eq!((user.id, user.paused), (alice.id, true));
    assert_eq!((user.schedule, user.timezone), (changed.schedule, changed.timezone));
    let back = bench.store.put_user(&new_user("alice")).await.unwrap();
    assert_eq!((back.schedule, back.timezone), (None, None));
}

pub async fn removing_a_user_takes_the_tokens_and_keeps_the_counters(bench: &Bench) {
    let grant = bench.logged_in("alice").await;
    bench.begin(&grant, 1).await;
    bench.store.remove_user(grant.user, false).await.unwrap();
    let left = bench.grant(grant.user).await;
    assert_eq!((left.refresh_token, left.access_token, left.access_times), (None, None, None));
    assert_eq!((left.epoch, left.generation), (Epoch(2), Generation(1)));
    assert_eq!((left.attempt, left.account_id.as_deref()), (None, Some("account")));
}

pub async fn purging_a_user_leaves_nothing_and_the_number_is_not_given_out_again(bench: &Bench) {
    let store = &bench.store;
    let other = bench.add("bob").await.id;
    let alice = bench.logged_in("alice").await.user;
    for user in [other, alice] {
        bench.store_page(user, &[bench.play(0, 1)]).await;
    }
    for user in ["alice", "bob"] {
        let event = Event {
            at: bench.now(),
            kind: EventKind::LoggedIn,
            user: Some(name(user)),
            app: None,
            run: None,
            attempt: Some(attempt(1).to_string()),
            message: "x".to_owned(),
        };
        store.add_events(&[event]).await.unwrap();
    }
    store.remove_user(alice, true).await.unwrap();
    assert_eq!(store.user(&name("alice")).await.unwrap(), None);
    assert_eq!(store.grant(alice).await.unwrap(), None);
    assert!(store.runs(alice, 9).await.unwrap().is_empty());
    assert!(store.plays(alice, PlayQuery { limit: 9, ..PlayQuery::default() }).await.unwrap().is_empty());
    assert!(store.events(Some(&name("alice")), 9).await.unwrap().is_empty());
    assert_eq!(store.events(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.plays(other, PlayQuery { limit: 9, ..PlayQuery::default() }).await.unwrap().len(), 1);
    assert_ne!(bench.add("alice").await.id, alice);
}

pub async fn a_pause_for_everyone_spares_who_was_removed(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.add("bob").await;
    bench.store.remove_user(alice, false).await.unwrap();
    bench.store.set_paused(None, true).await.unwrap();
    assert!(bench.user("bob").await.paused && !bench.user("alice").await.paused);
    bench.store.set_paused(None, false).await.unwrap();
    assert!(!bench.user("bob").await.paused);
}

pub async fn changes_come_in_batches(bench: &Bench) {
    let store = &bench.store;
    for user in ["alice", "bob", "carol", "dave"] {
        bench.add(user).await;
    }
    (bench.by_hand)("INSERT INTO users (name) VALUES ('Bob Smith')").await;
    let first = store.users_changed(0, 2).await.unwrap();
    assert_eq!(first.users.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    // Whoever changes meanwhile comes again, with the change.
    store.set_paused(Some(first.users[0].id), true).await.unwrap();
    let (mut since, mut more, mut seen, mut refused) = (first.upto, first.more, Vec::new(), 0);
    while more {
        let batch = store.users_changed(since, 2).await.unwrap();
        assert!((batch.upto > since || !batch.more) && batch.users.len() + batch.refused.len() <= 2);
        seen.extend(batch.users.into_iter().map(|user| (user.name.to_string(), user.paused)));
        refused += batch.refused.len();
        (since, more) = (batch.upto, batch.more);
    }
    let expected = [("carol", false), ("dave", false), ("alice", true)];
    assert_eq!(seen, expected.map(|(name, paused)| (name.to_owned(), paused)));
    assert_eq!((refused, since), (1, store.users_changed(0, 100).await.unwrap().upto));
    let nothing = store.users_changed(since, 1).await.unwrap();
    assert_eq!((nothing.upto, nothing.more), (since, false));
}

pub async fn a_purge_is_noticed_and_forgotten_in_time(bench: &Bench) {
    let store = &bench.store;
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let seen = store.users_changed(0, 100).await.unwrap().upto;
    store.remove_user(alice, true).await.unwrap();
    (bench.by_hand)("DELETE FROM users WHERE name = 'bob'").await;
    bench.add("carol").await;
    let changes = store.users_changed(seen, 100).await.unwrap();
    assert_eq!((changes.purged, changes.users.len()), (vec![alice, bob], 1));
    assert_eq!(store.users_changed(changes.upto, 100).await.unwrap().purged, []);
    store.prune(Timestamp::from_millis(0)).await.unwrap();
    assert_eq!(store.users_changed(seen, 100).await.unwrap().purged, [alice, bob]);
    store.prune(Timestamp::MAX).await.unwrap();
    assert_eq!(store.users_changed(seen, 100).await.unwrap().purged, []);
}

pub async fn users_are_found_by_their_numbers(bench: &Bench) {
    let (alice, bob, carol) = (bench.add("alice").await, bench.add("bob").await, bench.add("carol").await);
    bench.store.remove_user(bob.id, false).await.unwrap();
    let numbers = [carol.id, UserId(i64::MAX), bob.id, alice.id];
    assert_eq!(bench.store.users_of(&numbers).await.unwrap(), [alice, carol]);
    assert_eq!(bench.store.users_of(&[]).await.unwrap(), []);
}
