//! How a PostgreSQL database is checked, migrated and connected to. Every commit is on the server's disk before it is
//! answered; a server that is away, or restarts, is waited for in short pieces, each with its reason. A database that is
//! somebody else's, or a newer longplay's, is left alone.

mod cure;

use std::fmt;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, Error, Executor as _};
use tokio::sync::OnceCell;

pub(super) use self::cure::no_connection;
use self::cure::{CONNECT_TIMEOUT, connect, explained};
use super::home::Home;
use super::schema::{Migrating, Tables, check};
use super::sql::{Session, in_time, params, sqlstate};
use super::url::UrlError;
use super::{Announcement, Result, StoreError};
use crate::domain::{Generation, UserId};

static MIGRATOR: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// What each connection is told first. `on` is what makes a commit durable, whatever the server's default is. The
/// limits let go of a statement or a lock that nobody waits for any more. What a page names is looked up by its key
/// rather than by reading a whole table, which the planner takes for cheaper while it thinks of turning disks. To compile
/// a statement that takes a tenth of a second takes longer than that, and so does a sort on the disk.
const SESSION: &str = "SET synchronous_commit = on; SET statement_timeout = '25s'; SET lock_timeout = '10s';
     SET random_page_cost = 1.1; SET jit = off; SET work_mem = '32MB';
     SET idle_in_transaction_session_timeout = '60s'; SET TIME ZONE 'UTC'";
/// The same for a migration, which takes as long as there is data, and as the locks that it needs are held.
pub(super) const MIGRATION: &str =
    "SET synchronous_commit = on; SET statement_timeout = 0; SET lock_timeout = 0;
     SET idle_in_transaction_session_timeout = 0; SET TIME ZONE 'UTC'";
/// What the triggers of the first migration notify.
const CHANNEL: &str = "longplay";
/// A connection that lay idle for so long is tried before it is used: the server may have restarted.
const TRIED_AFTER: Duration = Duration::from_secs(1);
/// A connection is not kept for ever, since the server's memory for it only grows.
const LIFETIME: Duration = Duration::from_secs(3_600);
const WRITERS: u32 = 16;
const READERS: u32 = 8;
/// For what concerns tokens alone, which must never wait behind the archive.
const TOKENS: u32 = 4;
/// The parameters of a URL that mean something here (PostgreSQL's manual, 34.1.2).
const PARAMETERS: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
];

/// What the database lives on. A segment's name begins with the timeline (the manual, 30.5); a replica writes none.
const HOME: &str = "SELECT system_identifier AS system, CAST(CAST(oid AS TEXT) AS BIGINT) AS database,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END AS segment
     FROM pg_control_system(), pg_catalog.pg_database WHERE datname = current_database()";
/// The same for a role that an administrator keeps from looking.
const HOME_UNSEEN: &str =
    "SELECT CAST(NULL AS BIGINT) AS system, CAST(CAST(oid AS TEXT) AS BIGINT) AS database,
       CAST(NULL AS TEXT) AS segment
     FROM pg_catalog.pg_database WHERE datname = current_database()";

/// The classes of errors of a server that does not tell: not supported, not there or not allowed, not now.
const UNTOLD: [&str; 3] = ["0A", "42", "55"];
/// Whether the role may look.
const MAY: &str = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
       AND has_function_privilege('pg_catalog.pg_walfile_name(pg_lsn)', 'EXECUTE')
       AND has_function_privilege('pg_catalog.pg_current_wal_insert_lsn()', 'EXECUTE') AS may";

/// A PostgreSQL database, connected to at its first use.
pub(super) struct Server {
    pub(super) options: PgConnectOptions,
    migrator: &'static Migrator,
    migrating: Migrating,
    pools: OnceCell<ServerPools>,
}

/// The connections to a database that was found to be ours.
pub(super) struct ServerPools {
    pub writers: PgPool,
    pub readers: PgPool,
    pub tokens: PgPool,
    listeners: PgPool,
    /// Whether the server tells what it lives on.
    tells: bool,
}

impl Server {
    /// The database that a URL names; nothing is connected to yet. What the URL leaves out is as for `psql`. Over a
    /// network the connection is encrypted, unless the URL says otherwise.
    ///
    /// # Errors
    /// Where the URL can't be read. The message repeats nothing of it that may be a password.
    pub fn new(url: &str) -> std::result::Result<Self, UrlError> {
        let parsed = url::Url::parse(url).map_err(|e| UrlError(format!("it can't be read ({e})")))?;
        // A password that is not escaped moves into the path or the query.
        let segments = parsed.path().trim_start_matches('/');
        if segments.contains(['/', '@']) || parsed.query().is_some_and(|query| query.contains('@')) {
            let why = "a \"/\", \"?\", \"#\" or \"@\" in its password or names must be percent-encoded";
            return Err(UrlError(why.to_owned()));
        }
        if parsed.query_pairs().any(|(key, _)| !PARAMETERS.contains(&key.as_ref())) {
            return Err(UrlError(format!("it has a parameter that is none of {}", PARAMETERS.join(", "))));
        }
        let mut options: PgConnectOptions = url
            .parse()
            .map_err(|_| UrlError("one of its parts is not what PostgreSQL takes there".to_owned()))?;
        if options.get_database().is_none() {
            return Err(UrlError(
                "it names no database: use \"postgres:///longplay?host=/run/postgresql\"".to_owned(),
            ));
        }
        let given = |name| parsed.query_pairs().any(|(key, _)| key == name);
        let host = options.get_host();
        // Where no host is given sqlx takes the folder of a socket that it finds for one.
        let here = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host) || host.starts_with('/');
        let unsaid = !given("sslmode") && matches!(options.get_ssl_mode(), PgSslMode::Prefer);
        if unsaid && given("sslrootcert") {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        } else if unsaid && !here && options.get_socket().is_none() {
            options = options.ssl_mode(PgSslMode::Require);
        }
        if options.get_application_name().is_none() {
            options = options.application_name("longplay");
        }
        Ok(Self { options, migrator: &MIGRATOR, migrating: Migrating::default(), pools: OnceCell::new() })
    }

    /// As a longplay with other migrations has it.
    #[cfg(test)]
    pub fn migrated_by(url: &str, migrator: &'static Migrator) -> std::result::Result<Self, UrlError> {
        Ok(Self { migrator, ..Self::new(url)? })
    }

    /// Whether it is being migrated.
    pub fn is_migrating(&self) -> bool {
        self.migrating.is_under_way()
    }

    /// The database's connections. Whoever comes first looks at it and migrates it, the others wait; after a failure the
    /// next one tries again.
    pub async fn pools(&self) -> Result<&ServerPools> {
        self.pools.get_or_try_init(|| self.open()).await
    }

    /// What the database lives on. The timeline is the one being written, which a control file names a checkpoint later.
    pub async fn home(&self, session: &mut Session) -> Result<Home> {
        let tells = self.pools().await?.tells && session.one(MAY, params![], |row| row.get("may")).await?;
        let sql = match tells {
            true => HOME,
            false => HOME_UNSEEN,
        };
        session
            .one(sql, params![], |row| {
                Ok(Home::Postgres {
                    system: row.maybe("system")?,
                    database: row.get("database")?,
                    timeline: row
                        .maybe::<String>("segment")?
                        .and_then(|segment| i64::from_str_radix(segment.get(..8)?, 16).ok()),
                })
            })
            .await
    }

    /// Closes it, if it was open.
    pub async fn close(&self) {
        if let Some(pools) = self.pools.get() {
            let archive = async { tokio::join!(pools.readers.close(), pools.writers.close()) };
            tokio::join!(pools.listeners.close(), pools.tokens.close(), archive);
        }
    }

    /// Hears what the triggers of any daemon's changes announce, its own too, until the connection is lost.
    pub async fn listen(&self, tell: &(dyn Fn(Announcement) + Send + Sync)) -> Result<()> {
        let doing = || "listening to what other daemons do".to_owned();
        let pool = &self.pools().await?.listeners;
        let mut listener = match PgListener::connect_with(pool).await {
            Ok(listener) => listener,
            Err(e) => return Err(no_connection(pool, doing(), e).await),
        };
        listener.listen(CHANNEL).await.map_err(|e| self.error(doing(), e))?;
        tell(Announcement::Listening);
        loop {
            match listener.try_recv().await {
                Ok(Some(heard)) => match announcement(heard.payload()) {
                    Some(announcement) => tell(announcement),
                    None => tracing::debug!("another program notified {CHANNEL}: {}", heard.payload()),
                },
                Ok(None) => {
                    let lost = Error::Io(std::io::ErrorKind::ConnectionReset.into());
                    return Err(self.error(doing(), lost));
                }
                Err(e) => return Err(self.error(doing(), e)),
            }
        }
    }

    async fn open(&self) -> Result<ServerPools> {
        let found = in_time(self.look()).await.map_err(|e| self.error(format!("opening {self}"), e))?;
        let found = check(&found, self.migrator, &self.to_string())?;
        let pool = |size, session: &'static str| {
            PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(CONNECT_TIMEOUT)
                .max_lifetime(LIFETIME)
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    Box::pin(async move { connection.execute(session).await.map(drop) })
                })
                .before_acquire(|connection, seen| {
                    Box::pin(
                        async move { Ok(seen.idle_for <= TRIED_AFTER || connection.ping().await.is_ok()) },
                    )
                })
                .connect_lazy_with(self.options.clone())
        };
        let tells = in_time(self.tells()).await.map_err(|e| self.error(format!("opening {self}"), e))?;
        let pools = ServerPools {
            writers: pool(WRITERS, SESSION),
            readers: pool(READERS, SESSION),
            tokens: pool(TOKENS, SESSION),
            listeners: pool(1, SESSION),
            tells,
        };
        let migration = self.migrating.begin(&found, &self.to_string());
        self.migrator.run(&pool(1, MIGRATION)).await.map_err(|e| self.migration_error(e))?;
        drop(migration);
        Ok(pools)
    }

    async fn look(&self) -> std::result::Result<Tables, Error> {
        let mut connection = connect(&self.options).await?;
        let found = tables(&mut connection).await;
        // What was found is known; how it closes changes nothing.
        let _ = connection.close().await;
        found
    }

    /// Hosted servers have no such functions, or refuse to run them, whatever their rights say. That would end a
    /// transaction, so it is tried outside of any.
    async fn tells(&self) -> std::result::Result<bool, Error> {
        let mut connection = connect(&self.options).await?;
        let tried = async {
            let may: bool = sqlx::query_scalar(MAY).fetch_one(&mut connection).await?;
            if may {
                sqlx::query(HOME).fetch_one(&mut connection).await?;
            }
            Ok(may)
        };
        match tried.await {
            Err(e) if sqlstate(&e).is_some_and(|code| UNTOLD.iter().any(|class| code.starts_with(class))) => {
                tracing::debug!("{self} does not tell what it lives on: {e}");
                Ok(false)
            }
            tried => tried,
        }
    }

    fn migration_error(&self, e: MigrateError) -> StoreError {
        let doing = format!("migrating {self}");
        match e {
            MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => self.error(doing, e),
            e => StoreError::Broken { doing, source: Box::new(e) },
        }
    }

    fn error(&self, doing: String, e: Error) -> StoreError {
        explained(&self.options, doing, e)
    }
}

/// As the triggers of the first migration say it.
fn announcement(payload: &str) -> Option<Announcement> {
    let mut words = payload.split(' ');
    let announcement = match (words.next()?, words.next(), words.next()) {
        ("users", None, None) => Announcement::Users,
        ("app", Some(app), None) => Announcement::App(app.parse().ok()?),
        ("grant", Some(user), Some(generation)) => {
            Announcement::Tokens(UserId(user.parse().ok()?), Generation(generation.parse().ok()?))
        }
        ("refused", Some(user), Some(tries)) => {
            Announcement::Refused(UserId(user.parse().ok()?), tries.parse().ok()?)
        }
        _ => return None,
    };
    Some(announcement)
}

/// What the database holds where our tables would be: in the schema that comes first on its search path.
async fn tables(connection: &mut PgConnection) -> std::result::Result<Tables, Error> {
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await?;
    if encoding != "UTF8" {
        let why = format!(
            "its encoding is {encoding}: make it anew with createdb --encoding=UTF8 --template=template0"
        );
        return Err(Error::Protocol(why));
    }
    let names: Vec<String> = sqlx::query_scalar(
        // What an extension has made, as those that watch a server do, is nobody's.
        "SELECT CAST(relname AS TEXT) FROM pg_catalog.pg_class
         WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend
                           WHERE classid = CAST('pg_class' AS regclass) AND objid = pg_class.oid AND deptype = 'e')
         ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let migrations = match names.iter().any(|name| name == "_sqlx_migrations") {
        true => {
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
                .fetch_all(connection)
                .await?
        }
        false => Vec::new(),
    };
    Ok(Tables { names, migrations })
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        match self.options.get_socket() {
            Some(socket) => write!(f, "PostgreSQL {database} at {}", socket.display()),
            None => {
                write!(f, "PostgreSQL {database} at {}:{}", self.options.get_host(), self.options.get_port())
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
