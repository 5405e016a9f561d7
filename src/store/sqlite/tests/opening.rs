//! What a file must be to be opened, and what becomes of one that is not so.

use super::*;
use crate::store::conformance::reading::is_read_as_before;
use crate::store::conformance::{HEARD_BEFORE_SUMS, upto};

#[tokio::test]
async fn the_database_and_its_companions_are_for_their_owner_only() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.open().await.unwrap();
    store.put_user(&new_user("alice")).await.unwrap();
    let files: Vec<_> = fs::read_dir(shelf.folder.path()).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    store.close().await;

    fs::set_permissions(shelf.path(), fs::Permissions::from_mode(0o644)).unwrap();
    shelf.store().open().await.unwrap();
    assert_eq!(fs::metadata(shelf.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.open().await.unwrap();
    store.close().await;
    run(
        &shelf.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    let error = shelf.store().users().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("longplay.db") && error.to_string().contains("install"), "{error}");
}

/// The schema, and every user's row.
async fn everything(path: &Path) -> Vec<String> {
    let mut connection = raw(path).await;
    let everything = "SELECT coalesce(sql, name) FROM sqlite_schema
         UNION ALL SELECT json_array(id, name, app, change) FROM users
         UNION ALL SELECT version || hex(checksum) FROM _sqlx_migrations";
    let everything = sqlx::query_scalar(everything).fetch_all(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    everything
}

#[tokio::test]
async fn a_migration_that_fails_in_its_middle_leaves_everything_as_it_was() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.put_user(&new_user("alice")).await.unwrap();
    store.close().await;
    let before = everything(&shelf.path()).await;
    let broken = "CREATE TABLE moods (name TEXT); UPDATE users SET app = 'x'; INSERT INTO nowhere VALUES (1)";
    let broken = followed_by(&super::super::MIGRATOR, broken);
    for _ in 0..2 {
        let newer = on(SqliteFile::migrated_by(shelf.path(), broken));
        let error = newer.open().await.unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }), "{error:?}");
        assert!(
            error.to_string().contains("migrating SQLite") && said(&error).contains("nowhere"),
            "{error:?}"
        );
        assert!(!newer.is_migrating());
    }
    assert_eq!(everything(&shelf.path()).await, before);
    assert_eq!(shelf.store().users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_keeps_what_was_there_and_says_that_it_is_under_way() {
    let shelf = Shelf::new();
    let store = shelf.store();
    let deployment = store.open().await.unwrap();
    store.put_user(&new_user("alice")).await.unwrap();
    store.close().await;
    let slow = "CREATE TABLE moods AS
         WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)
         SELECT count(*) AS count FROM numbers";
    let newer = SqliteFile::migrated_by(shelf.path(), followed_by(&super::super::MIGRATOR, slow));
    let newer = Arc::new(on(newer));
    let opening = tokio::spawn({
        let newer = Arc::clone(&newer);
        async move { newer.open().await }
    });
    while !newer.is_migrating() {
        assert!(!opening.is_finished(), "it is not told");
        tokio::task::yield_now().await;
    }
    assert_eq!(opening.await.unwrap().unwrap(), deployment);
    assert!(!newer.is_migrating());
    assert_eq!(newer.users().await.unwrap().len(), 1);
    let older = shelf.store().open().await;
    assert!(
        matches!(older, Err(StoreError::NewerSchema { found, known, .. }) if found == known + 1),
        "{older:?}"
    );
}

#[tokio::test]
async fn an_archive_from_before_lists_were_summed_is_read_as_it_was() {
    let shelf = Shelf::new();
    let older = on(SqliteFile::migrated_by(shelf.path(), upto(&super::super::MIGRATOR, 7)));
    older.put_user(&new_user("alice")).await.unwrap();
    older.close().await;
    run(&shelf.path(), HEARD_BEFORE_SUMS).await;
    let store = shelf.store();
    store.open().await.unwrap();
    is_read_as_before(&store).await;
}

#[tokio::test]
async fn a_store_of_another_build_is_known_as_ours_and_left_alone() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.put_user(&new_user("alice")).await.unwrap();
    store.close().await;
    run(&shelf.path(), "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let before = everything(&shelf.path()).await;
    let error = shelf.store().open().await.unwrap_err();
    assert!(matches!(error, StoreError::OtherSchema { version: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("longplay.db is longplay's, but its migration 1"), "{error}");
    assert_eq!(everything(&shelf.path()).await, before);
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_not_a_byte_of_it_changes() {
    for sql in [
        "CREATE TABLE recipes (name TEXT)",
        "CREATE TABLE users (name TEXT); CREATE TABLE plays (name TEXT)",
        "PRAGMA application_id = 7",
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, checksum BLOB NOT NULL);
         INSERT INTO _sqlx_migrations VALUES (1, x'00')",
    ] {
        let shelf = Shelf::new();
        run(&shelf.path(), sql).await;
        fs::set_permissions(shelf.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::read(shelf.path()).unwrap();
        let error = shelf.store().open().await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{sql}: {error:?}");
        assert!(error.to_string().contains("longplay.db"), "{error}");
        assert_eq!(fs::read(shelf.path()).unwrap(), before);
        assert_eq!(fs::metadata(shelf.path()).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(shelf.folder.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    for text in ["hello", &"not a database at all\n".repeat(100)] {
        let shelf = Shelf::new();
        fs::write(shelf.path(), text).unwrap();
        let error = shelf.store().open().await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
        assert!(error.to_string().contains("no SQLite database"), "{error}");
        assert_eq!(fs::read_to_string(shelf.path()).unwrap(), text);
    }
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_gone_on_with() {
    let shelf = Shelf::new();
    run(
        &shelf.path(),
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
           installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
           checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .await;
    shelf.store().open().await.unwrap();
}

#[tokio::test]
async fn a_database_that_lost_its_mark_in_a_dump_is_still_ours() {
    let shelf = Shelf::new();
    let store = shelf.store();
    let deployment = store.open().await.unwrap();
    store.close().await;
    run(&shelf.path(), "PRAGMA application_id = 0").await;
    let again = shelf.store();
    assert_eq!(again.open().await.unwrap(), deployment);
    let writer = &pools(&again).await.writer;
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(writer).await.unwrap();
    assert_eq!(mark, super::super::APPLICATION_ID);
}

#[tokio::test]
async fn a_store_that_comes_late_is_usable_at_once() {
    let shelf = Shelf::new();
    let path = shelf.folder.path().join("later").join("longplay.db");
    let store = on(SqliteFile::impatient(path.clone()));
    let error = store.users().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("later/longplay.db"), "{error}");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let store = Arc::new(store);
    let many: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.open().await.unwrap() })
        })
        .collect();
    for one in many {
        assert_eq!(one.await.unwrap(), store.open().await.unwrap());
    }
    assert_eq!(store.users().await.unwrap(), []);
}
