//! The main path on PostgreSQL, and what becomes of it when the server goes away, comes back, or lost its last commits.

use longplay::sim::{Endpoint, Rotation};

use crate::fixture::postgres::{self, Cluster};
use crate::fixture::{Host, NOTICED, now};

fn host() -> Host {
    Host::rotating(Rotation::Rotate).on(&postgres::shared().database())
}

#[test]
fn a_user_is_archived_and_everything_is_there_after_a_restart() {
    let host = host();
    let daemon = host.serve();
    host.settled_user("alice");
    host.spotify.listen_until("alice", 12, now());
    host.run(&["archive", "alice"]).ok();
    let (plays, token) = (host.plays("alice"), host.token("alice", "").json());
    assert!(plays.len() >= 12, "{}", plays.len());
    assert!(host.run(&["top", "alice", "--json"]).json().as_array().is_some_and(|top| !top.is_empty()));
    let store = host.run(&["status", "--json"]).json()["daemon"]["store"].clone();
    assert!(store.as_str().unwrap().starts_with("PostgreSQL longplay_"), "{store}");
    assert_eq!(daemon.stop(), 0);

    let _daemon = host.serve();
    assert_eq!(host.plays("alice"), plays);
    assert_eq!(host.token("alice", "").json(), token);
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.plays("alice"), plays, "nothing is doubled");
}

#[test]
fn commands_work_on_it_without_a_daemon() {
    let host = host();
    host.add_user("alice").ok();
    host.run(&["archive", "alice"]).ok();
    assert_eq!(host.status("alice")["state"], "ok");
    host.run(&["token", "alice"]).ok();
    host.run(&["users", "remove", "alice", "--purge"]).ok();
    assert_eq!(host.run(&["users", "--json"]).json().as_array().map(Vec::len), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_69_for_a_command_and_a_degraded_daemon_that_goes_on_by_itself() {
    let mut cluster = Cluster::start("");
    let host = Host::new().on(&cluster.database());
    cluster.stop(false);
    let said = host.run(&["users"]).fails(69);
    assert!(said.contains("is PostgreSQL running there"), "{said}");
    let daemon = host.serve_degraded();
    let problems = host.get("/healthz").text;
    assert!(problems.contains("is PostgreSQL running there"), "{problems}");
    cluster.start_again();
    host.until("the daemon is well", || host.get("/healthz").status == 200);
    host.add_user("alice").ok();
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_restart_of_the_server_costs_no_token_and_no_play() {
    let mut cluster = Cluster::start("");
    let url = cluster.database();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let daemon = host.serve();
    host.settled_user("alice");
    let name = url.split(['/', '?']).nth(3).expect("a database's name");
    host.until("whose account it is is kept", || {
        !cluster.sql(name, "SELECT 1 FROM grants WHERE account_id IS NOT NULL").is_empty()
    });
    for immediate in [false, true] {
        let held = host.token("alice", "").ok();
        let asked = host.spotify.refreshes("alice").asked;
        cluster.stop(immediate);
        assert_eq!(host.token("alice", "").ok(), held, "what is in memory is durable");
        assert_eq!(host.token("alice", "{\"fresh\":true}").problem(503), "waiting");
        assert_eq!(host.spotify.refreshes("alice").asked, asked, "the store must be writable first");
        host.until("the daemon says so", || host.get("/healthz").text.contains("PostgreSQL"));
        cluster.start_again();
        host.until("the daemon is well", || host.get("/healthz").status == 200);
        host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
        host.spotify.listen_until("alice", 3, now());
        host.run(&["archive", "alice"]).ok();
    }
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert_eq!(host.requests("alice", Endpoint::Me), 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_database_that_is_somebody_elses_is_a_fault_of_the_configuration() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    postgres::shared().sql(name, "CREATE TABLE recipes (name TEXT)");
    let host = Host::new().on(&url);
    let said = host.serve_in_vain().fails(78);
    assert!(said.contains("is not longplay's") && said.contains("recipes"), "{said}");
    let said = host.run(&["users"]).fails(78);
    assert!(said.contains("recipes"), "{said}");
}

/// Longer than a daemon waits for its store, and than a statement waits for a lock.
#[test]
fn a_store_that_is_being_migrated_is_waited_for_and_that_is_said() {
    use sqlx::{Connection as _, Executor as _};
    let url = postgres::shared().database();
    let host = Host::new().on(&url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut other = runtime.block_on(sqlx::PgConnection::connect(&url)).expect("another program");
    runtime.block_on(other.execute("BEGIN; LOCK TABLE pg_proc IN SHARE MODE")).expect("no function is made");
    let daemon = host.serve_degraded();
    let held = std::time::Instant::now();
    host.until("the daemon says what it waits for", || host.get("/healthz").text.contains("being migrated"));
    host.until("it would have given up", || held.elapsed() > std::time::Duration::from_secs(15));
    assert!(host.get("/healthz").text.contains("being migrated"), "{:?}", host.get("/healthz"));
    let name = url.split(['/', '?']).nth(3).expect("a database's name");
    let migrating = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%CREATE FUNCTION%' AND wait_event_type = 'Lock'";
    assert_eq!(postgres::shared().sql(name, &format!("{migrating} AND datname = '{name}'")), "1");
    runtime.block_on(other.execute("ROLLBACK")).expect("the lock ends");
    host.until("the daemon is well", || host.get("/healthz").status == 200);
    host.add_user("alice").ok();
    assert_eq!(daemon.stop(), 0);
}

/// A database that can be kept from everyone, copied, and put back as it was.
struct Server<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Server<'_> {
    fn sql(&self, statements: &str) {
        self.cluster.sql("postgres", &statements.replace("{}", &self.name));
    }

    /// Nobody can connect until [`Self::open`], and whoever had is thrown out.
    fn shut(&self) {
        self.sql(
            "ALTER DATABASE {} ALLOW_CONNECTIONS false;
                  SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}';",
        );
    }

    fn open(&self) {
        self.sql("ALTER DATABASE {} ALLOW_CONNECTIONS true;");
    }
}

#[test]
fn a_failover_to_a_server_without_the_last_commits_costs_no_login_and_no_user_of_a_file() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
    let server = Server { cluster: postgres::shared(), name };
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let daemon = host.serve();
    host.settled_user("alice");
    let unwell = || host.until("the daemon says so", || host.get("/healthz").status == 503);
    let well = || host.until("the daemon is well", || host.get("/healthz").status == 200);
    server.shut();
    server.sql("CREATE DATABASE {}_before TEMPLATE {};");
    unwell();
    server.open();
    well();
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    host.configure("[users.bob]\nschedule = \"5 * * * *\"");
    host.run(&["reload"]).ok();
    host.until("bob is there", || host.user("bob")["schedule"] == "5 * * * *");
    let seen = host.token("alice", "").ok();
    server.shut();
    unwell();
    // In the same place, as far as anybody can tell.
    let oid = format!("SELECT oid FROM pg_database WHERE datname = '{}'", server.name);
    let oid = server.cluster.sql("postgres", &oid);
    server.sql("DROP DATABASE {};");
    server.sql(&format!("CREATE DATABASE {{}} TEMPLATE {{}}_before OID = {oid};"));
    well();
    let found = host.token("alice", "").ok();
    assert_eq!((&found["access_token"], &found["generation"]), (&seen["access_token"], &seen["generation"]));
    assert_eq!(host.user("bob")["schedule"], "5 * * * *");
    host.until("a fresh token can be had", || host.token("alice", "{\"fresh\":true}").status == 200);
    assert_eq!(daemon.stop(), 0);
    let _daemon = host.serve();
    host.token("alice", "{\"fresh\":true}").ok();
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
    assert!(host.spotify.login_alive("alice"));
}

/// Shorter than two looks are apart: only connections that are gone tell of it.
#[test]
fn a_server_that_was_away_for_a_moment_gets_back_what_it_lost() {
    let url = postgres::shared().database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let host = Host::rotating(Rotation::Rotate).on(&url);
    let _daemon = host.serve();
    host.settled_user("alice");
    host.sql("CREATE SCHEMA old");
    host.sql("CREATE TABLE old.grants AS SELECT * FROM grants");
    host.sql("CREATE TABLE old.generations AS SELECT * FROM grant_generations");
    let newest = host.token("alice", "{\"fresh\":true}").ok()["generation"].to_string();
    host.sql(&format!(
        "BEGIN; DELETE FROM grants; INSERT INTO grants SELECT * FROM old.grants;
         DELETE FROM grant_generations; INSERT INTO grant_generations SELECT * FROM old.generations; COMMIT;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    ));
    let stored = || postgres::shared().sql(name, "SELECT generation FROM grants");
    host.until_within(NOTICED, "the spool has given it back, though nobody asked", || stored() == newest);
    assert_eq!(host.spotify.refreshes("alice").reused, 0);
}
