//! How a server is reached, what a database must be to be opened, and where it lives.

use super::*;
use crate::store::conformance::reading::is_read_as_before;
use crate::store::conformance::{HEARD_BEFORE_SUMS, upto};

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
    let server = Server::migrated_by(url, followed_by(&super::super::MIGRATOR, sql)).unwrap();
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
async fn an_archive_from_before_lists_were_summed_is_read_as_it_was() {
    let url = server::shared().database();
    let older = Server::migrated_by(&url, upto(&super::super::MIGRATOR, 7)).unwrap();
    let older = SqlStore::new(Database::Postgres(Box::new(older)), Time::Server);
    older.put_user(&new_user("alice")).await.unwrap();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(name, HEARD_BEFORE_SUMS);
    // What no index holds was kept as it came.
    server::shared().sql(
        name,
        "INSERT INTO tracks (key, uri, name, isrc)
         SELECT 't4', 't4', 'Odd', string_agg(md5(n::TEXT), '') FROM generate_series(1, 300) AS n",
    );
    let store = opened(&url);
    store.open().await.unwrap();
    assert_eq!(server::shared().sql(name, "SELECT isrc IS NULL FROM tracks WHERE key = 't4'"), "t");
    is_read_as_before(&*store).await;
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
async fn two_daemons_that_open_an_empty_database_at_once_agree() {
    let url = server::shared().database();
    let (here, there) = (opened(&url), opened(&url));
    let (here, there) = tokio::join!(here.open(), there.open());
    assert_eq!(here.unwrap(), there.unwrap());
}

#[tokio::test]
async fn what_an_extension_has_made_is_nobodys() {
    let url = server::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server::shared().sql(name, "CREATE EXTENSION pg_stat_statements");
    opened(&url).open().await.unwrap();
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
