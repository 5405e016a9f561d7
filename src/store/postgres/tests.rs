//! What PostgreSQL alone must do, and PostgreSQL in the conformance suite.

#[path = "../../../tests/fixture/postgres.rs"]
pub mod server;

mod importing;
mod opening;
mod plans;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::Server;
use crate::clock::{Clock as _, SimulatedClock};
use crate::domain::{AppState, Generation, Refusal, RunResult, said};
use crate::store::backend::{Database, SqlStore};
use crate::store::conformance::{
    self, Bench, START, every_behaviour, every_behaviour_of_a_place, first_login, followed_by, intent,
    new_user, sealed, tokens,
};
use crate::store::sql::Time;
use crate::store::{
    Announcement, Change, Close, CommitIf, Custody, Home, NewLogin, PlannedRun, PlayQuery, RunFailed, Store,
    StoreError,
};

every_behaviour!(bench);
every_behaviour_of_a_place!(bench);

fn on(url: &str, clock: Arc<SimulatedClock>) -> SqlStore {
    SqlStore::new(Database::Postgres(Box::new(Server::new(url).unwrap())), Time::Given(clock))
}

async fn bench() -> Bench {
    bench_on(server::shared().database())
}

fn bench_on(url: String) -> Bench {
    let clock = Arc::new(SimulatedClock::new(START));
    let store = Arc::new(on(&url, clock.clone()));
    let by_hand = Box::new(move |sql| {
        let url = url.clone();
        Box::pin(async move {
            let mut other = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        }) as _
    });
    Bench { store, clock, by_hand, _keep: Box::new(()) }
}

/// As the daemon opens it, by the server's clock.
fn opened(url: &str) -> Arc<dyn Store> {
    crate::store::open(url, Arc::new(SimulatedClock::new(START))).unwrap()
}

fn place(store: &dyn Store) -> &dyn Custody {
    store.custody().unwrap()
}

fn refused(outcome: Result<impl Sized, StoreError>) -> String {
    let Err(error) = outcome else { panic!("it was not refused") };
    said(&error)
}

#[tokio::test]
async fn leases_go_by_the_servers_clock() {
    let store = opened(&server::shared().database());
    let at = store.changed_since(None).await.unwrap().at;
    let host = crate::clock::SystemClock.now();
    assert!(at.since(host).max(host.since(at)) < Duration::from_secs(60), "{at} is not now, {host}");
}

#[tokio::test]
async fn of_two_first_logins_at_once_one_stands() {
    let url = server::shared().database();
    let (here, there) = (opened(&url), opened(&url));
    for n in 0..20 {
        let user = here.put_user(&new_user(&format!("u{n}"))).await.unwrap().id;
        let login = first_login(user);
        let other = NewLogin { refresh_token: sealed("another"), ..login.clone() };
        let (a, b) = tokio::join!(here.commit_login(&login), there.commit_login(&other));
        assert_eq!(u8::from(a.unwrap()) + u8::from(b.unwrap()), 1);
    }
}

#[tokio::test]
async fn what_one_daemon_does_is_heard_by_another() {
    let url = server::shared().database();
    let (here, there) = (opened(&url), opened(&url));
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move { there.listen(&|heard| drop(sender.send(heard))).await });
    assert_eq!(heard.recv().await, Some(Announcement::Listening));
    let alice = here.put_user(&new_user("alice")).await.unwrap().id;
    assert_eq!(heard.recv().await, Some(Announcement::Users));
    assert!(here.commit_login(&first_login(alice)).await.unwrap());
    assert_eq!(heard.recv().await, Some(Announcement::Tokens(alice, Generation(1))));
    let grant = here.grant(alice).await.unwrap().unwrap();
    let intent = intent(&grant, 1);
    assert!(here.begin_attempt(&intent).await.unwrap());
    assert!(here.commit_tokens(&tokens(&intent), CommitIf::AttemptHolds).await.unwrap());
    assert_eq!(heard.recv().await, Some(Announcement::Tokens(alice, Generation(2))));
    here.save_app_state(&"default".parse().unwrap(), &AppState::default()).await.unwrap();
    assert_eq!(heard.recv().await, Some(Announcement::App("default".parse().unwrap())));
    let grant = here.grant(alice).await.unwrap().unwrap();
    let intent = conformance::intent(&grant, 2);
    assert!(here.begin_attempt(&intent).await.unwrap());
    let refusal = Refusal { since: START, reason: "revoked".to_owned(), tries: 1, next_try_at: None };
    assert!(here.close_attempt(alice, grant.epoch, intent.attempt, &Close::Refused(refusal)).await.unwrap());
    assert_eq!(heard.recv().await, Some(Announcement::Refused(alice, 1)));
    here.set_paused(None, true).await.unwrap();
    assert_eq!(heard.recv().await, Some(Announcement::Users));
    listening.abort();
}

#[tokio::test]
async fn a_listener_whose_connection_is_cut_says_so() {
    let url = server::shared().database();
    let store = opened(&url);
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move { store.listen(&|heard| drop(sender.send(heard))).await });
    assert_eq!(heard.recv().await, Some(Announcement::Listening));
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"),
    );
    let error = listening.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_zero_character_in_a_name_loses_no_play() {
    let bench = bench().await;
    let alice = bench.add("alice").await.id;
    let mut play = bench.play(1, 1);
    play.track.name = "a\0b".to_owned();
    let page = bench.page(alice, &[play]).await;
    assert_eq!(bench.store.store_page(&page).await.unwrap().plays, 1);
    let all = PlayQuery { limit: 9, ..PlayQuery::default() };
    assert_eq!(bench.store.plays(alice, all).await.unwrap()[0].track, "a\u{fffd}b");
}

#[tokio::test]
async fn a_page_waits_for_nobody_who_holds_what_is_as_it_was() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let (alice, bob) = (bench.add("alice").await, bench.add("bob").await);
    assert_eq!(bench.store_page(alice.id, &[bench.play(0, 1)]).await, 1);
    // As a run does that is about to commit a change of them.
    let mut held = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "BEGIN; SELECT 1 FROM artists FOR NO KEY UPDATE; SELECT 1 FROM albums FOR NO KEY UPDATE;
         SELECT 1 FROM tracks FOR NO KEY UPDATE; SELECT 1 FROM track_artists FOR NO KEY UPDATE",
    )
    .execute(&mut held)
    .await
    .unwrap();
    // One that waits is refused after a while: see `lock_timeout`.
    assert_eq!(bench.store_page(bob.id, &[bench.play(0, 1)]).await, 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut held).await.unwrap();
}

#[tokio::test]
async fn another_programs_open_transaction_holds_up_neither_claims_nor_plans_nor_tokens() {
    let url = server::shared().database();
    let store = opened(&url);
    let (alice, bob) =
        (store.put_user(&new_user("alice")).await.unwrap(), store.put_user(&new_user("bob")).await.unwrap());
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "BEGIN; INSERT INTO users (name) VALUES ('carol'); UPDATE users SET plays = 0 WHERE name = 'alice'",
    )
    .execute(&mut other)
    .await
    .unwrap();
    // As many writers as there are wait for alice's row.
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let (store, claim) = (Arc::clone(&store), conformance::claim(alice.id, 7));
            tokio::spawn(async move { store.begin_run(&claim).await })
        })
        .collect();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let locked = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    );
    while server::shared().sql("postgres", &locked) != "8" {
        assert!(waiting.iter().all(|waiter| !waiter.is_finished()), "they don't wait");
        tokio::task::yield_now().await;
    }
    // Without, it would wait for one of theirs in vain.
    let login = store.commit_login(&first_login(bob.id)).await;
    assert!(login.unwrap(), "tokens have connections of their own");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for waiter in waiting {
        waiter.await.unwrap().unwrap();
    }
    sqlx::raw_sql("BEGIN; INSERT INTO users (name) VALUES ('carol')").execute(&mut other).await.unwrap();
    assert_eq!(
        store.renew_runs(conformance::HERE, &[alice.id], conformance::LEASE).await.unwrap(),
        [alice.id]
    );
    let planned = PlannedRun { user: bob.id, seen: None, at: START };
    assert_eq!(store.plan_runs(&[planned]).await.unwrap(), []);
    assert_eq!(store.release_runs(conformance::HERE, &[]).await.unwrap(), [alice.id]);
}

#[tokio::test]
async fn a_user_is_purged_while_a_page_is_stored_and_neither_fails_for_good() {
    let bench = bench().await;
    for n in 0..10 {
        let user = bench.add(&format!("u{n}")).await.id;
        let page = bench.page(user, &[bench.play(1, 1), bench.play(2, 2)]).await;
        let (stored, purged) =
            tokio::join!(bench.store.store_page(&page), bench.store.remove_user(user, true));
        // Whoever came second finds that the other was there.
        purged.unwrap();
        if let Err(error) = stored {
            assert!(
                said(&error).contains("users") || said(&error).contains("foreign key"),
                "{}",
                said(&error)
            );
        }
        assert_eq!(bench.store.user(&conformance::name(&format!("u{n}"))).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_pause_of_everyone_the_files_users_renewals_and_plans_never_wait_for_each_other_in_a_circle() {
    let store = opened(&server::shared().database());
    let names: Vec<String> = (0..300).map(|n| format!("u{n}")).collect();
    let mut declared: Vec<_> = names.iter().map(|name| new_user(name)).collect();
    store.sync_file_users(conformance::HERE, &declared).await.unwrap();
    declared.reverse();
    let mut users: Vec<_> = store.users().await.unwrap().iter().map(|user| user.id).collect();
    users.reverse();
    for (n, user) in users.iter().enumerate() {
        store.begin_run(&conformance::claim(*user, n as u128)).await.unwrap();
    }
    for n in 0..10 {
        for (place, user) in declared.iter_mut().enumerate() {
            user.schedule = Some(format!("{} * * * *", (n + place) % 60));
        }
        let (paused, declared, renewed, also) = tokio::join!(
            store.set_paused(None, n % 2 == 0),
            store.sync_file_users(conformance::HERE, &declared),
            store.renew_runs(conformance::HERE, &users, conformance::LEASE),
            store.renew_runs(conformance::HERE, &users, conformance::LEASE),
        );
        paused.unwrap();
        declared.unwrap();
        assert_eq!((renewed.unwrap().len(), also.unwrap().len()), (300, 300));
    }
}

#[tokio::test]
async fn a_pause_of_everyone_that_waits_for_another_program_holds_up_no_renewal() {
    let url = server::shared().database();
    let store = opened(&url);
    let alice = store.put_user(&new_user("alice")).await.unwrap().id;
    store.begin_run(&conformance::claim(alice, 1)).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; INSERT INTO users (name) VALUES ('carol')").execute(&mut other).await.unwrap();
    let pausing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.set_paused(None, true).await }
    });
    waits_for_a_lock(&url).await;
    let users = [alice];
    let renewed = store.renew_runs(conformance::HERE, &users, conformance::LEASE);
    assert_eq!(tokio::time::timeout(Duration::from_secs(4), renewed).await.unwrap().unwrap(), users);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    pausing.await.unwrap().unwrap();
}

/// Until somebody in this database waits for a lock.
async fn waits_for_a_lock(url: &str) {
    let name = url.split(['/', '?']).nth(3).unwrap();
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    );
    while server::shared().sql("postgres", &waiting) == "0" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_with_a_role_of_its_own_adds_and_changes_users() {
    let url = server::shared().database();
    let store = opened(&url);
    store.open().await.unwrap();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(
        name,
        "CREATE ROLE signup LOGIN;
         GRANT SELECT, INSERT (name, app, schedule, timezone), UPDATE (app, schedule, timezone, paused)
         ON users TO signup",
    );
    let url = url.replace("user=postgres", "user=signup");
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("INSERT INTO users (name, schedule) VALUES ('bob', '5 * * * *')")
        .execute(&mut other)
        .await
        .unwrap();
    let seen = store.users_changed(0, 9).await.unwrap();
    assert_eq!(seen.users[0].name.as_str(), "bob");
    // What it calls like one of ours is not taken for it.
    sqlx::raw_sql("CREATE TEMP SEQUENCE changes; UPDATE users SET paused = TRUE WHERE name = 'bob'")
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(store.users_changed(seen.upto, 9).await.unwrap().users.len(), 1);
    let tokens = sqlx::raw_sql("SELECT * FROM grants").execute(&mut other).await;
    assert!(tokens.unwrap_err().to_string().contains("permission denied"));
}

#[tokio::test]
async fn tokens_are_read_while_the_archive_keeps_every_reader_busy() {
    let url = server::shared().database();
    let store = opened(&url);
    let alice = store.put_user(&new_user("alice")).await.unwrap().id;
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE plays IN ACCESS EXCLUSIVE MODE").execute(&mut other).await.unwrap();
    let reading: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            let query = PlayQuery { limit: 9, ..PlayQuery::default() };
            tokio::spawn(async move { store.plays(alice, query).await })
        })
        .collect();
    waits_for_a_lock(&url).await;
    let grant = tokio::time::timeout(Duration::from_secs(4), store.grant(alice)).await;
    assert_eq!(grant.expect("it does not wait").unwrap(), None);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for read in reading {
        read.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_is_refused_or_deadlocked_is_no_trouble_of_the_store() {
    let url = server::shared().database();
    let store = opened(&url);
    let name = url.split(['/', '?']).nth(3).unwrap();
    store.open().await.unwrap();
    for state in ["23514", "40001", "40P01"] {
        let function = format!(
            "CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;
             CREATE OR REPLACE TRIGGER no BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION no()"
        );
        server::shared().sql(name, &function);
        store.put_user(&new_user("alice")).await.unwrap_err();
        assert_eq!(store.trouble(), None, "{state}");
    }
    server::shared().sql(name, "DROP TRIGGER no ON users");
    server::shared()
        .sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    server::shared().sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    );
    store.put_user(&new_user("alice")).await.unwrap_err();
    assert!(store.trouble().is_some());
}

#[tokio::test]
async fn whatever_ends_while_its_user_is_purged_waits_without_holding_what_the_purge_wants() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let artists = [conformance::archive::artist(1)];
    let mut circles = Vec::new();
    for (n, ending) in ["page", "known page", "failed run", "tokens", "top artists"].into_iter().enumerate() {
        let grant = bench.logged_in(&format!("u{n}")).await;
        let (user, plays) = (grant.user, [bench.play(1, 1)]);
        if ending == "known page" {
            bench.store_page(user, &plays).await;
        }
        bench.store.save_top_artists(user, START, &artists).await.unwrap();
        let attempt = bench.begin(&grant, 1).await;
        let page = bench.page(user, &plays).await;
        let (run, release, result) = (page.run, page.release, RunResult::Unreachable);
        let failed =
            RunFailed { user, run, result, reason: "why".to_owned(), blocked: None, at: START, release };
        // As a purge does it, a step at a time.
        let mut purge = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT id FROM users FOR UPDATE").execute(&mut purge).await.unwrap();
        let ended = tokio::spawn({
            let (store, artists) = (Arc::clone(&bench.store), artists.clone());
            async move {
                match ending {
                    "failed run" => store.fail_run(&failed).await,
                    "tokens" => {
                        store.commit_tokens(&tokens(&attempt), CommitIf::AttemptHolds).await.map(drop)
                    }
                    "top artists" => store.save_top_artists(user, START, &artists).await,
                    _ => store.store_page(&page).await.map(drop),
                }
            }
        });
        waits_for_a_lock(&url).await;
        for table in ["plays", "gaps", "runs", "top_artists", "grant_generations", "grants", "users"] {
            let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
            if sqlx::raw_sql(sql).execute(&mut purge).await.is_err() {
                circles.push(ending);
                break;
            }
        }
        sqlx::raw_sql("COMMIT").execute(&mut purge).await.unwrap();
        let ended = ended.await.unwrap();
        if ended.is_err_and(|error| said(&error).contains("deadlock")) {
            circles.push(ending);
        }
    }
    assert_eq!(circles, [""; 0]);
}
