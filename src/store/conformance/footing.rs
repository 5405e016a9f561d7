//! How users stand: counted, one by one, and when logins were given.

use std::time::Duration;

use super::{Bench, HERE, LEASE, START, first_login, name, tokens};
use crate::domain::{Doubt, Epoch, Footing, Login, Refusal, RunResult, Timestamp, Trigger, UserId};
use crate::store::{Alike, Close, CommitIf, NewLogin, Release, RunFailed, UserSeen};

/// Everyone, one by one.
async fn seen(bench: &Bench) -> Vec<UserSeen> {
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let batch = bench.store.users_seen(after, 2).await.unwrap();
        assert!(batch.users.len() <= 2);
        users.extend(batch.users);
        after = batch.next;
        if after.is_none() {
            return users;
        }
    }
}

/// That the tally is what counting one by one gives.
async fn agrees(bench: &Bench) {
    let mut one_by_one: Vec<Alike> = Vec::new();
    for UserSeen { user, login, newest_played, read_at } in seen(bench).await {
        assert_eq!(read_at, bench.now());
        let footing = Footing::of(&user, login.as_ref(), read_at);
        // Here all logins are taken at the start.
        let archived = user.last_archived_at.or(login.map(|_| START));
        match one_by_one.iter_mut().find(|alike| alike.footing == footing) {
            Some(alike) => {
                alike.users += 1;
                alike.first = alike.first.clone().min(user.name);
                let oldest = [alike.oldest_archived, archived];
                alike.oldest_archived = oldest.into_iter().flatten().min();
                alike.newest_played = alike.newest_played.max(newest_played);
            }
            None => one_by_one.push(Alike {
                footing,
                users: 1,
                first: user.name,
                oldest_archived: archived,
                newest_played,
            }),
        }
    }
    let mut tally = bench.store.tally().await.unwrap();
    for alike in [&mut one_by_one, &mut tally] {
        alike.sort_by_key(|alike| format!("{alike:?}"));
    }
    assert_eq!(tally, one_by_one);
}

pub async fn users_who_stand_alike_are_counted_together(bench: &Bench) {
    assert_eq!(bench.store.tally().await.unwrap(), []);
    for user in ["a", "b", "c"] {
        bench.logged_in(user).await;
    }
    bench.add("d").await;
    let mut tally = bench.store.tally().await.unwrap();
    tally.sort_by_key(|alike| alike.users);
    let [without, with] = &tally[..] else { panic!("{tally:?}") };
    assert_eq!((without.users, &without.footing.login_of), (1, &None));
    assert_eq!((with.users, with.footing.login_of.as_deref()), (3, Some("client")));
    assert!(!with.footing.paused && !with.footing.refused && !with.footing.in_doubt && !with.footing.blocked);
    agrees(bench).await;
}

async fn failed(bench: &Bench, user: UserId, blocked: Option<&str>) {
    let run = bench.begin_run(user, Trigger::Manual).await;
    let (result, blocked) = (RunResult::Unreachable, blocked.map(str::to_owned));
    let release = Release { owner: HERE, next: None };
    let failed = RunFailed { user, run, result, reason: "why".to_owned(), blocked, at: bench.now(), release };
    bench.store.fail_run(&failed).await.unwrap();
}

pub async fn what_decides_a_state_is_counted_as_it_is_read_one_by_one(bench: &Bench) {
    let store = &bench.store;
    let fine = bench.logged_in("fine").await;
    let under_way = bench.logged_in("under-way").await;
    bench.begin(&under_way, 1).await;
    let doubted = bench.logged_in("doubted").await;
    let intent = bench.begin(&doubted, 2).await;
    let doubt = Doubt { since: START, owner: super::HERE, reason: "cut".to_owned() };
    store.close_attempt(doubted.user, doubted.epoch, intent.attempt, &Close::Doubt(doubt)).await.unwrap();
    let refused = bench.logged_in("refused").await;
    let intent = bench.begin(&refused, 3).await;
    let refusal = Refusal { since: START, reason: "no".to_owned(), tries: 0, next_try_at: None };
    store.close_attempt(refused.user, refused.epoch, intent.attempt, &Close::Refused(refusal)).await.unwrap();
    let paused = bench.logged_in("paused").await;
    store.set_paused(Some(paused.user), true).await.unwrap();
    failed(bench, bench.logged_in("failed").await.user, None).await;
    failed(bench, bench.logged_in("blocked").await.user, Some("no Premium")).await;
    let left = bench.logged_in("left").await;
    store.remove_user(left.user, false).await.unwrap();
    let back = bench.logged_in("back").await;
    store.remove_user(back.user, false).await.unwrap();
    bench.add("back").await;
    agrees(bench).await;
    let tally = store.tally().await.unwrap();
    let with = |what: fn(&Footing) -> bool| -> u64 {
        tally.iter().filter(|alike| what(&alike.footing)).map(|alike| alike.users).sum()
    };
    assert_eq!(with(|_| true), 8);
    assert_eq!((with(|f| f.in_doubt), with(|f| f.refused), with(|f| f.paused)), (1, 1, 1));
    assert_eq!((with(|f| f.blocked), with(|f| f.login_of.is_none())), (1, 1));
    assert_eq!(with(|f| f.last_run_result == Some(RunResult::Unreachable)), 2);

    // A lease that has lapsed is a doubt.
    bench.clock.advance(LEASE + Duration::from_millis(1));
    agrees(bench).await;
    let doubts = store.tally().await.unwrap().into_iter().filter(|alike| alike.footing.in_doubt);
    assert_eq!(doubts.map(|alike| alike.users).sum::<u64>(), 2);

    // What is told of a login is what the grant says.
    for UserSeen { user, login, .. } in seen(bench).await {
        let grant = store.grant(user.id).await.unwrap();
        assert_eq!(login, grant.as_ref().and_then(Login::of), "{}", user.name);
        assert_eq!(store.user(&user.name).await.unwrap(), Some(user));
    }
    assert_eq!(seen(bench).await[0].user.id, fine.user);
}

pub async fn rows_that_are_no_users_are_neither_counted_nor_seen(bench: &Bench) {
    bench.add("alice").await;
    for row in [
        "INSERT INTO users (name) VALUES ('Bob Smith')",
        "INSERT INTO users (name) VALUES ('a b')",
        "INSERT INTO users (name) VALUES ('-a')",
        "INSERT INTO users (name) VALUES ('')",
        "INSERT INTO users (name) VALUES ('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl')",
        "INSERT INTO users (name) VALUES ('josé')",
        "INSERT INTO users (name, app) VALUES ('carol', 'My App')",
        "INSERT INTO users (name, app) VALUES ('0.-_z', 'default')",
    ] {
        (bench.by_hand)(row).await;
    }
    assert_eq!(bench.store.tally().await.unwrap().iter().map(|alike| alike.users).sum::<u64>(), 2);
    let names: Vec<_> = seen(bench).await.into_iter().map(|seen| seen.user.name).collect();
    assert_eq!(names, [name("alice"), name("0.-_z")]);
}

pub async fn users_are_seen_in_batches_by_number(bench: &Bench) {
    for user in ["c", "b", "a"] {
        bench.add(user).await;
    }
    let store = &bench.store;
    let first = store.users_seen(None, 2).await.unwrap();
    let names: Vec<_> = first.users.iter().map(|seen| seen.user.name.as_str()).collect();
    assert_eq!((names, first.next), (vec!["c", "b"], Some(first.users[1].user.id)));
    let last = store.users_seen(first.next, 2).await.unwrap();
    assert_eq!((last.users[0].user.name.as_str(), last.users.len(), last.next), ("a", 1, None));
    assert_eq!(store.users_seen(None, 3).await.unwrap().users.len(), 3);
    // Or those who are asked for.
    let (c, a) = (first.users[0].clone(), last.users[0].clone());
    store.remove_user(first.users[1].user.id, false).await.unwrap();
    let numbers = [a.user.id, UserId(99), first.users[1].user.id, c.user.id];
    assert_eq!(store.users_seen_of(&numbers).await.unwrap(), [c, a]);
}

pub async fn the_newest_play_and_the_oldest_page_are_known(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    assert_eq!(bench.store.tally().await.unwrap()[0].newest_played, None);
    bench.store_page(alice, &[]).await;
    assert_eq!(bench.store.tally().await.unwrap()[0].newest_played, None);
    bench.store_page(alice, &[bench.play(7, 1), bench.play(2, 1)]).await;
    let first = bench.now();
    bench.clock.advance(Duration::from_secs(60));
    bench.store_page(bob, &[bench.play(5, 1)]).await;
    for page in [vec![bench.play(3, 1)], vec![]] {
        bench.store_page(bob, &page).await;
        let tally = bench.store.tally().await.unwrap();
        let [Alike { users: 2, oldest_archived, newest_played, .. }] = tally[..] else { panic!("{tally:?}") };
        assert_eq!((oldest_archived, newest_played), (Some(first), Some(bench.play(7, 1).played_at)));
    }
    let newest: Vec<_> = seen(bench).await.into_iter().map(|seen| seen.newest_played).collect();
    assert_eq!(newest, [Some(bench.play(7, 1).played_at), Some(bench.play(5, 1).played_at)]);
}

pub async fn who_was_never_archived_waits_since_their_login_was_taken(bench: &Bench) {
    let oldest = async || {
        let tally = bench.store.tally().await.unwrap();
        tally.into_iter().filter_map(|alike| alike.oldest_archived).min()
    };
    bench.add("no-login").await;
    assert_eq!(oldest().await, None);
    bench.clock.advance(Duration::from_secs(60));
    let never = bench.logged_in("never").await;
    let taken = bench.now();
    assert_eq!(oldest().await, Some(taken), "however old it was");
    bench.clock.advance(Duration::from_secs(3_600));
    let archived = bench.logged_in("archived").await;
    bench.store_page(archived.user, &[]).await;
    let intent = bench.begin(&never, 1).await;
    assert!(bench.store.commit_tokens(&tokens(&intent), CommitIf::AttemptHolds).await.unwrap());
    assert_eq!(oldest().await, Some(taken), "a refresh is no archiving");
    bench.store_page(never.user, &[]).await;
    assert_eq!(oldest().await, Some(bench.now()));
}

pub async fn logins_are_found_by_when_they_were_given(bench: &Bench) {
    let store = &bench.store;
    let at = |seconds| START + Duration::from_secs(seconds);
    for (user, login_at) in [
        ("a", Some(at(3))),
        ("b", Some(at(2))),
        ("c", Some(at(1))),
        ("never", None),
        ("left", Some(at(1))),
        ("refused", Some(at(1))),
    ] {
        let login = NewLogin { login_at, ..first_login(bench.add(user).await.id) };
        assert!(store.commit_login(&login).await.unwrap());
    }
    store.remove_user(bench.user("left").await.id, false).await.unwrap();
    let refused = bench.grant(bench.user("refused").await.id).await;
    let intent = bench.begin(&refused, 1).await;
    let refusal = Refusal { since: START, reason: "no".to_owned(), tries: 0, next_try_at: None };
    store.close_attempt(refused.user, refused.epoch, intent.attempt, &Close::Refused(refusal)).await.unwrap();
    let given = async |until: Timestamp, after: Option<UserId>, limit: i64| -> Vec<(String, Timestamp)> {
        let logins = store.logins_given(until, after, limit).await.unwrap();
        logins.into_iter().map(|login| (String::from(login.name), login.at)).collect()
    };
    let [a, b, c] = [("a".to_owned(), at(3)), ("b".to_owned(), at(2)), ("c".to_owned(), at(1))];
    assert_eq!(given(at(2), None, 9).await, [b.clone(), c.clone()]);
    assert_eq!(given(at(9), None, 2).await, [a, b]);
    assert_eq!(given(at(9), Some(bench.user("b").await.id), 9).await, [c]);
    assert_eq!(given(at(0), None, 9).await, []);
}

pub async fn the_end_of_a_login_is_told_of_once_at_each_of_its_days(bench: &Bench) {
    let (store, user) = (&bench.store, bench.add("a").await.id);
    let login = NewLogin { login_at: Some(START), ..first_login(user) };
    assert!(store.commit_login(&login).await.unwrap());
    let told = async || store.logins_given(START, None, 9).await.unwrap()[0].told;
    assert_eq!(told().await, None);
    for (days, first) in [(30, true), (30, false), (1, true), (7, false), (1, false), (0, true), (0, false)] {
        assert_eq!(store.note_ending(user, login.epoch, days).await.unwrap(), first, "{days}");
    }
    assert_eq!(told().await, Some(0));
    // Another login has an end of its own; nobody tells of the old one's any more.
    let renewed = NewLogin {
        replaces: Some((login.epoch, login.generation)),
        epoch: Epoch(login.epoch.0 + 1),
        generation: login.generation.next(),
        ..login.clone()
    };
    assert!(store.commit_login(&renewed).await.unwrap());
    assert_eq!(told().await, None);
    assert!(!store.note_ending(user, login.epoch, 30).await.unwrap());
    assert!(store.note_ending(user, renewed.epoch, 30).await.unwrap());
}
