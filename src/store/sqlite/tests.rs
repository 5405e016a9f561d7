//! What SQLite alone must do, and SQLite in the conformance suite.

mod opening;
mod plans;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::{Pools, SqliteFile};
use crate::clock::SimulatedClock;
use crate::domain::{Play, said};
use crate::store::backend::{Database, SqlStore};
use crate::store::conformance::{
    Bench, HERE, START, THERE, every_behaviour, every_behaviour_of_a_place, followed_by, new_user, tokens,
};
use crate::store::sql::Time;
use crate::store::{Change, CommitIf, Custody as _, NewUser, PageStored, Store, StoreError, pages};

/// Every commit is synced (sqlite.org/pragma.html#pragma_synchronous).
const FULL: i64 = 2;

every_behaviour!(bench);
every_behaviour_of_a_place!(bench);

async fn bench() -> Bench {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("longplay.db");
    let clock = Arc::new(SimulatedClock::new(START));
    let store = crate::store::open(&format!("sqlite://{}", path.display()), clock.clone()).unwrap();
    let by_hand = Box::new(move |sql| {
        let path = path.clone();
        Box::pin(async move { run(&path, sql).await }) as _
    });
    Bench { store, clock, by_hand, _keep: Box::new(folder) }
}

async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false);
    options.connect().await.unwrap()
}

/// As another program does: with a connection of its own, that knows nothing of ours.
async fn run(path: &Path, sql: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    // Whoever renames the file next does it to one that nobody has open.
    sqlx::Connection::close(connection).await.unwrap();
}

fn on(file: SqliteFile) -> SqlStore {
    SqlStore::new(Database::Sqlite(file), Time::Given(Arc::new(SimulatedClock::new(START))))
}

async fn pools(store: &SqlStore) -> &Pools {
    match &store.database {
        Database::Sqlite(file) => file.pools().await.unwrap(),
        Database::Postgres(_) => unreachable!("these tests are on SQLite"),
    }
}

struct Shelf {
    folder: TempDir,
}

impl Shelf {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("longplay.db")
    }

    fn store(&self) -> SqlStore {
        on(SqliteFile::impatient(self.path()))
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_the_next_start() {
    let shelf = Shelf::new();
    let store = shelf.store();
    let deployment = store.open().await.unwrap();
    store.put_user(&new_user("alice")).await.unwrap();
    // Not closed: the copy is what a kill would leave.
    let copy = Shelf::new();
    for companion in ["longplay.db", "longplay.db-wal"] {
        fs::copy(shelf.folder.path().join(companion), copy.folder.path().join(companion)).unwrap();
    }
    for shelf in [&copy, &shelf] {
        let again = shelf.store();
        assert_eq!(again.open().await.unwrap(), deployment);
        assert_eq!(again.users().await.unwrap().len(), 1);
        again.close().await;
    }
    store.close().await;
    assert!(!shelf.folder.path().join("longplay.db-wal").exists());
    assert!(matches!(store.users().await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn commits_are_written_through_and_foreign_keys_hold() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.open().await.unwrap();
    let pools = pools(&store).await;
    let pragma =
        async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&pools.writer).await.unwrap() };
    assert_eq!(pragma("PRAGMA synchronous").await, FULL);
    assert_eq!(pragma("PRAGMA foreign_keys").await, 1);
    assert_eq!(pragma("PRAGMA application_id").await, super::APPLICATION_ID);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pools.readers).await.unwrap();
    assert_eq!(mode, "wal");
    let written = sqlx::query("DELETE FROM users").execute(&pools.readers).await;
    assert!(written.is_err(), "a reader can't write");
}

#[tokio::test]
async fn a_locked_or_full_database_is_unavailable_and_loses_nothing() {
    let shelf = Shelf::new();
    let bench = Bench {
        store: Arc::new(shelf.store()),
        clock: Arc::new(SimulatedClock::new(START)),
        by_hand: Box::new(|_| unreachable!("not used here")),
        _keep: Box::new(()),
    };
    let store = shelf.store();
    let grant = bench.logged_in("alice").await;
    let new = tokens(&bench.begin(&grant, 1).await);

    let mut other = raw(&shelf.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = bench.store.commit_tokens(&new, CommitIf::AttemptHolds).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("committing new tokens"), "{error}");
    assert_eq!(bench.grant(grant.user).await.attempt.unwrap().owner, HERE);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();

    let writer = &pools(&store).await.writer;
    sqlx::raw_sql("PRAGMA max_page_count = 1").execute(writer).await.unwrap();
    let page: Vec<Play> = (0..50).map(|n| bench.play(u64::from(n), n)).collect();
    let page = bench.page(grant.user, &page).await;
    let error = store.store_page(&page).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    sqlx::raw_sql("PRAGMA max_page_count = 1000000").execute(writer).await.unwrap();
    assert_eq!(store.store_page(&page).await.unwrap().plays, 50);
    assert!(bench.store.commit_tokens(&new, CommitIf::AttemptHolds).await.unwrap());
}

#[tokio::test]
async fn a_full_disk_is_told_of_and_over_once_there_is_room_again() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.put_user(&new_user("alice")).await.unwrap();
    let mut session = store.writing("test").await.unwrap();
    session.run("PRAGMA max_page_count = 1", vec![]).await.unwrap();
    session.commit(()).await.unwrap();
    let mut full = None;
    for number in 0..2_000 {
        let user = NewUser { schedule: Some("x".repeat(1_000)), ..new_user(&format!("u{number}")) };
        if let Err(error) = store.put_user(&user).await {
            full = Some((user, error));
            break;
        }
    }
    let (user, error) = full.unwrap();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(store.trouble().unwrap().contains("full"), "{:?}", store.trouble());
    // The limit was of the connection that failed, and went with it.
    store.put_user(&user).await.unwrap();
    assert_eq!(store.trouble(), None);
}

#[tokio::test]
async fn a_database_that_is_removed_or_replaced_under_it_is_used_no_more() {
    for replaced in [false, true] {
        let shelf = Shelf::new();
        let store = shelf.store();
        store.put_user(&new_user("alice")).await.unwrap();
        let elsewhere = shelf.folder.path().join("elsewhere");
        fs::rename(shelf.path(), &elsewhere).unwrap();
        if replaced {
            fs::copy(&elsewhere, shelf.path()).unwrap();
        }
        for outcome in [store.users().await.map(drop), store.probe().await] {
            let error = outcome.unwrap_err();
            assert!(crate::domain::said(&error).contains("restart longplay"), "{error}");
        }
        fs::rename(&elsewhere, shelf.path()).unwrap();
        store.probe().await.unwrap();
    }
}

#[tokio::test]
async fn another_program_writing_between_a_read_and_a_write_makes_nobody_fail() {
    let shelf = Shelf::new();
    let store = || on(SqliteFile::new(shelf.path()));
    // Each reads who is declared before it writes.
    let declare = async |store: SqlStore, daemon, letter| {
        for n in 0..40 {
            let users: Vec<_> = (0..=n).map(|n| new_user(&format!("{letter}{n}"))).collect();
            store.sync_file_users(daemon, &users).await.unwrap();
        }
    };
    let first = store();
    first.open().await.unwrap();
    tokio::join!(declare(store(), HERE, 'a'), declare(store(), THERE, 'b'));
    assert_eq!(first.users_changed(0, 100).await.unwrap().users.len(), 80);
}

#[tokio::test]
async fn only_what_means_nothing_without_this_process_is_not_synced() {
    let shelf = Shelf::new();
    let store = shelf.store();
    let pragma = async || -> i64 {
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pools(&store).await.writer).await.unwrap()
    };
    store.add_events(&[]).await.unwrap();
    assert_eq!(pragma().await, FULL, "after it has ended");
    drop(store.noting("giving up").await.unwrap());
    assert_eq!(pragma().await, FULL, "after it was broken off");
    let mut noting = store.noting("noting").await.unwrap();
    let level: i64 = noting.one("PRAGMA synchronous", vec![], |row| row.get("synchronous")).await.unwrap();
    assert_eq!(level, 1, "NORMAL while it goes on");
}

#[tokio::test]
async fn a_page_takes_a_handful_of_statements_however_long_it_is() {
    let shelf = Shelf::new();
    let bench = Bench {
        store: Arc::new(shelf.store()),
        clock: Arc::new(SimulatedClock::new(START)),
        by_hand: Box::new(|_| unreachable!("not used here")),
        _keep: Box::new(()),
    };
    let store = shelf.store();
    let alice = bench.add("alice").await.id;
    let statements = async |plays: &[Play]| {
        let page: PageStored = bench.page(alice, plays).await;
        let mut session = store.writing("storing a page").await.unwrap();
        let new = pages::store(&mut session, &page).await.unwrap();
        let statements = session.statements();
        session.commit(()).await.unwrap();
        (new.plays, statements)
    };
    let one = [bench.play(100, 100)];
    let fifty: Vec<Play> = (0..50).map(|n| bench.play(u64::from(n), n)).collect();
    assert_eq!(statements(&one).await, (1, 8));
    assert_eq!(statements(&fifty).await, (50, 8));
    assert_eq!(statements(&fifty).await, (0, 4));
    assert_eq!(statements(&[bench.play(200, 7)]).await, (1, 4), "a track that is known is not kept again");
}

#[tokio::test]
async fn what_needs_care_is_found_without_reading_every_grant() {
    let shelf = Shelf::new();
    shelf.store().open().await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT grants.* FROM grants JOIN users ON users.id = grants.user_id
         WHERE users.active
           AND (attempt IS NOT NULL OR doubt_since IS NOT NULL OR refusal_next_try_at IS NOT NULL)
         ORDER BY grants.user_id",
    )
    .fetch_all(&mut raw(&shelf.path()).await)
    .await
    .unwrap();
    assert!(plan.iter().any(|(.., step)| step.contains("grants_in_trouble")), "{plan:?}");
}

#[tokio::test]
async fn no_error_and_no_description_holds_a_token() {
    let shelf = Shelf::new();
    let store = shelf.store();
    let alice = store.put_user(&new_user("alice")).await.unwrap();
    let nobody = crate::domain::UserId(alice.id.0 + 7);
    let login = crate::store::conformance::first_login(nobody);
    let error = crate::store::GrantStore::commit_login(&store, &login).await.unwrap_err();
    assert!(matches!(error, StoreError::Broken { .. }), "{error:?}");
    for shown in [format!("{error:?}"), store.describe()] {
        assert!(!shown.contains("refresh 1") && !shown.contains("access 1"), "{shown}");
    }
}

#[tokio::test]
async fn a_copy_of_the_file_and_another_machine_are_told_and_a_rewritten_file_is_not() {
    let shelf = Shelf::new();
    let path = shelf.path();
    let store = on(SqliteFile::on_machine(path.clone(), "here"));
    let home = store.whereabouts().await.unwrap().now;
    store.settle(&home).await.unwrap();
    run(&path, "VACUUM").await;
    store.close().await;
    let change = async |path, machine| {
        let store = on(SqliteFile::on_machine(path, machine));
        let change = store.whereabouts().await.unwrap().change();
        store.close().await;
        change
    };
    let moved = path.with_file_name("moved.db");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(change(moved.clone(), "here").await, Change::Nothing);
    assert!(
        matches!(change(moved.clone(), "there").await, Change::Elsewhere(why) if why.contains("machine"))
    );
    let copy = path.with_file_name("copy.db");
    // Long after the file was made, by the kernel's clock.
    fs::copy(&moved, &copy).unwrap();
    assert!(matches!(change(copy, "here").await, Change::Elsewhere(why) if why.contains("copy")));
}
