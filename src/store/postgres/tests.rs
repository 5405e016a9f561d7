//! What PostgreSQL alone must do, and PostgreSQL in the conformance suite.

#[path = "../../../tests/fixture/postgres.rs"]
pub mod server;

mod importing;
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
async fn commits_are_written_through_whatever_the_servers_default() {
    let url = server::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let server = Server::new(&url).unwrap();
    for pool in [&server.pools().await.unwrap().writers, &server.pools().await.unwrap().readers] {
        let mode: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(pool).await.unwrap();
        assert_eq!(mode, "on");
    }
}

#[tokio::test]
async fn a_hosted_server_that_refuses_to_tell_what_it_lives_on_is_worked_with() {
    for code in ["0A000", "42501", "55000"] {
        let url = server::shared().database();
        let name = url.split(['/', '?']).nth(3).unwrap();
        // As Aurora does: the function is there, may be called, and raises an error.
        server::shared().sql(
            name,
            &format!(
                "SET allow_system_table_mods = on;
                 ALTER FUNCTION pg_catalog.pg_current_wal_insert_lsn() RENAME TO pg_hidden_lsn;
                 CREATE FUNCTION pg_catalog.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '{code}'; END $$"
            ),
        );
        let bench = bench_on(url);
        let now = place(&*bench.store).whereabouts().await.unwrap().now;
        assert!(matches!(now, Home::Postgres { system: None, timeline: None, .. }), "{now:?}");
        place(&*bench.store).settle(&now).await.unwrap();
        let grant = bench.logged_in("alice").await;
        bench.begin(&grant, 1).await;
    }
    let url = server::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let gone =
        "SET allow_system_table_mods = on; ALTER FUNCTION pg_catalog.pg_control_system() RENAME TO pg_hidden";
    server::shared().sql(name, gone);
    let now = place(&*opened(&url)).whereabouts().await.unwrap().now;
    assert!(matches!(now, Home::Postgres { system: None, .. }), "{now:?}");
}

#[tokio::test]
async fn leases_go_by_the_servers_clock() {
    let store = opened(&server::shared().database());
    let at = store.changed_since(None).await.unwrap().at;
    let host = crate::clock::SystemClock.now();
    assert!(at.since(host).max(host.since(at)) < Duration::from_secs(60), "{at} is not now, {host}");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let url = server::shared().database();
    opened(&url).open().await.unwrap();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(
        name,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, '', 0)",
    );
    let error = opened(&url).users().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains(name) && error.to_string().contains("install"), "{error}");
}

/// As a newer longplay opens it, with one more migration.
fn newer(url: &str, sql: &'static str) -> SqlStore {
    let server = Server::migrated_by(url, followed_by(&super::MIGRATOR, sql)).unwrap();
    SqlStore::new(Database::Postgres(Box::new(server)), Time::Server)
}

#[tokio::test]
async fn a_migration_that_fails_in_its_middle_leaves_everything_as_it_was() {
    let url = server::shared().database();
    opened(&url).put_user(&new_user("alice")).await.unwrap();
    let before = server::everything_in(&url).unwrap();
    // The second finds the lock of the first given back.
    for _ in 0..2 {
        let broken = newer(&url, "CREATE TABLE moods (name TEXT); UPDATE users SET app = 'x'; SELECT 1 / 0");
        let error = broken.open().await.unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }), "{error:?}");
        assert!(error.to_string().contains("migrating PostgreSQL"), "{error}");
        assert!(said(&error).contains("division by zero") && !broken.is_migrating(), "{error:?}");
    }
    assert_eq!(server::everything_in(&url).unwrap(), before);
    assert_eq!(opened(&url).users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_keeps_what_was_there_and_takes_its_time() {
    let url = server::shared().database();
    let store = opened(&url);
    let deployment = store.open().await.unwrap();
    store.put_user(&new_user("alice")).await.unwrap();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let limits = "CREATE TABLE moods AS SELECT name, setting FROM pg_settings
         WHERE name IN ('statement_timeout', 'lock_timeout', 'synchronous_commit')";
    let newer = newer(&url, limits);
    assert_eq!(newer.open().await.unwrap(), deployment);
    assert_eq!(newer.users().await.unwrap().len(), 1);
    let limits = server::shared().sql(name, "SELECT name, setting FROM moods ORDER BY name");
    assert_eq!(limits, "lock_timeout|0\nstatement_timeout|0\nsynchronous_commit|on");
    let older = opened(&url).open().await;
    assert!(
        matches!(older, Err(StoreError::NewerSchema { found, known, .. }) if found == known + 1),
        "{older:?}"
    );
}

#[tokio::test]
async fn a_store_of_another_build_is_known_as_ours_and_left_alone() {
    let url = server::shared().database();
    opened(&url).put_user(&new_user("alice")).await.unwrap();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(name, r"UPDATE _sqlx_migrations SET checksum = '\x00'");
    let before = server::everything_in(&url).unwrap();
    let error = opened(&url).open().await.unwrap_err();
    assert!(matches!(error, StoreError::OtherSchema { version: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("is longplay's, but its migration 1"), "{error}");
    assert_eq!(server::everything_in(&url).unwrap(), before);
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_nothing_is_made_in_it() {
    for sql in [
        "CREATE TABLE recipes (name TEXT)",
        "CREATE TABLE users (name TEXT); CREATE TABLE plays (name TEXT)",
        "CREATE VIEW recipes AS SELECT 1",
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, checksum BYTEA NOT NULL);
         INSERT INTO _sqlx_migrations VALUES (1, '')",
    ] {
        let url = server::shared().database();
        let name = url.split(['/', '?']).nth(3).unwrap();
        server::shared().sql(name, sql);
        let objects = || server::shared().sql(name, "SELECT count(*) FROM pg_class");
        let before = objects();
        let error = opened(&url).open().await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{sql}: {error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(objects(), before);
    }
}

#[tokio::test]
async fn a_database_that_can_not_hold_every_name_is_refused_with_the_cure() {
    let name = "latin";
    server::shared().sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let message = refused(opened(&server::shared().url(name)).open().await);
    assert!(message.contains("LATIN1") && message.contains("createdb --encoding=UTF8"), "{message}");
}

#[tokio::test]
async fn whatever_keeps_it_from_connecting_is_told_with_its_cure_and_passes() {
    let here = server::shared();
    here.sql("postgres", "CREATE ROLE guest LOGIN; CREATE DATABASE closed");
    let folder = here.folder().display().to_string();
    let guest = format!("postgres:///closed?host={folder}&port={}&user=guest", here.port());
    let nobody = format!("postgres:///closed?host={folder}&port={}&user=nobody", here.port());
    for (url, cure) in [
        (here.url("missing"), "createdb --owner=postgres --encoding=UTF8 --template=template0 missing"),
        (nobody, "createuser nobody"),
        (guest, "ALTER DATABASE closed OWNER TO guest"),
        ("postgres:///x?host=/nowhere".to_owned(), "is PostgreSQL running there"),
        ("postgres://127.0.0.1:1/x".to_owned(), "is PostgreSQL running there"),
    ] {
        let error = opened(&url).open().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{url}: {error:?}");
        assert!(said(&error).contains(cure), "{}", said(&error));
    }
}

#[tokio::test]
async fn a_password_goes_over_tls_and_a_wrong_one_is_never_repeated() {
    let cluster = server::Cluster::with_tls();
    cluster.sql("postgres", "CREATE ROLE far LOGIN PASSWORD 'hunter2'; CREATE DATABASE longplay OWNER far");
    let at = |password: &str, how: &str| {
        format!("postgres://far:{password}@127.0.0.1:{}/longplay?{how}", cluster.port())
    };
    let certificate = format!("sslmode=verify-full&sslrootcert={}/server.crt", cluster.folder().display());
    let store = opened(&at("hunter2", &certificate));
    store.open().await.unwrap();
    assert!(!store.describe().contains("hunter2"));
    let encrypted = cluster.sql(
        "postgres",
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'far'",
    );
    assert_eq!(encrypted, "t");
    let message = refused(opened(&at("hunter3", "sslmode=require")).open().await);
    assert!(message.contains("give the password of role far") && !message.contains("hunter"), "{message}");
    let message = refused(opened(&at("hunter2", "sslmode=verify-full")).open().await);
    assert!(message.contains("sslrootcert"), "{message}");
    let message = refused(opened(&at("hunter2", "sslmode=disable")).open().await);
    assert!(message.contains("pg_hba.conf"), "{message}");
}

#[tokio::test]
async fn the_one_who_runs_it_comes_in_by_peer_authentication() {
    let cluster = server::Cluster::with_peer();
    let me = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    cluster.sql(
        "postgres",
        &format!("CREATE ROLE \"{0}\" LOGIN SUPERUSER; CREATE DATABASE longplay OWNER \"{0}\"", me.trim()),
    );
    let folder = cluster.folder().display();
    opened(&format!("postgres:///longplay?host={folder}&port={}", cluster.port())).open().await.unwrap();
}

#[test]
fn over_a_network_it_is_encrypted_unless_the_url_says_otherwise() {
    use sqlx::postgres::PgSslMode;
    for (url, encrypted) in [
        ("postgres://db.example/longplay", true),
        ("postgresql://db.example/longplay?user=u", true),
        ("postgres:///longplay?host=db.example", true),
        ("postgres:///longplay?hostaddr=192.0.2.1", true),
        ("postgres://db.example/longplay?sslmode=disable", false),
        ("postgres:///longplay?host=/run/postgresql", false),
        ("postgres://localhost/longplay", false),
        ("postgres://127.0.0.1/longplay", false),
    ] {
        let mode = Server::new(url).unwrap().options.get_ssl_mode();
        assert_eq!(matches!(mode, PgSslMode::Require), encrypted, "{url}: {mode:?}");
    }
}

#[tokio::test]
async fn a_restart_of_the_server_is_waited_out_and_told_of_while_it_lasts() {
    let mut cluster = server::Cluster::start("");
    let store = opened(&cluster.database());
    store.put_user(&new_user("alice")).await.unwrap();
    for immediate in [false, true] {
        cluster.stop(immediate);
        let error = store.put_user(&new_user("bob")).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        let trouble = store.trouble().unwrap();
        assert!(trouble.contains("adding user bob") || trouble.contains("terminat"), "{trouble}");
        assert!(matches!(store.users().await, Err(StoreError::Unavailable { .. })));
        cluster.start_again();
        // A connection that died is noticed by whoever uses it next, at most once each.
        let mut tries = 0;
        while store.put_user(&new_user("bob")).await.is_err() || store.users().await.is_err() {
            tries += 1;
            assert!(tries < 20, "it does not come back");
        }
        assert_eq!(store.trouble(), None);
    }
    assert_eq!(store.users().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_comes_late_is_usable_at_once() {
    let mut cluster = server::Cluster::start("");
    let store = opened(&cluster.database());
    cluster.stop(false);
    let message = refused(store.users().await);
    assert!(message.contains("is PostgreSQL running there"), "{message}");
    cluster.start_again();
    assert_eq!(store.users().await.unwrap(), []);
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
async fn two_daemons_that_open_an_empty_database_at_once_agree() {
    let url = server::shared().database();
    let (here, there) = (opened(&url), opened(&url));
    let (here, there) = tokio::join!(here.open(), there.open());
    assert_eq!(here.unwrap(), there.unwrap());
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
async fn what_an_extension_has_made_is_nobodys() {
    let url = server::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(name, "CREATE EXTENSION pg_stat_statements");
    opened(&url).open().await.unwrap();
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

#[tokio::test]
async fn an_ordinary_role_sees_what_the_database_lives_on_and_one_that_may_not_is_no_harm() {
    let url = server::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared()
        .sql("postgres", &format!("CREATE ROLE {name} LOGIN; GRANT ALL ON DATABASE {name} TO {name}"));
    server::shared().sql(name, &format!("GRANT ALL ON SCHEMA public TO {name}"));
    let plain = url.replace("user=postgres", &format!("user={name}"));
    let seen = place(&*opened(&plain)).whereabouts().await.unwrap().now;
    assert!(
        matches!(seen, Home::Postgres { system: Some(system), timeline: Some(1), .. } if system != 0),
        "{seen:?}"
    );
    server::shared().sql(name, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    let unseen = place(&*opened(&plain)).whereabouts().await.unwrap().now;
    assert!(matches!(unseen, Home::Postgres { system: None, timeline: None, .. }), "{unseen:?}");
    assert_eq!(unseen.since(&seen), Change::Nothing);
}

#[tokio::test]
async fn a_dump_that_is_restored_as_another_database_lives_elsewhere() {
    let url = server::shared().database();
    let store = opened(&url);
    let home = place(&*store).whereabouts().await.unwrap().now;
    place(&*store).settle(&home).await.unwrap();
    store.close().await;
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql("postgres", &format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    let copy = opened(&server::shared().url(&format!("{name}_copy")));
    assert!(matches!(place(&*copy).whereabouts().await.unwrap().change(), Change::Elsewhere(_)));
    server::shared().sql("postgres", &format!("ALTER DATABASE {name} RENAME TO {name}_renamed"));
    let renamed = opened(&server::shared().url(&format!("{name}_renamed")));
    assert_eq!(place(&*renamed).whereabouts().await.unwrap().change(), Change::Nothing, "a name is no place");
}
