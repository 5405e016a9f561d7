//! How the SQLite file is made, checked, migrated and opened: one connection that writes, a few that read, every
//! commit on the disk before it is answered. A file that is somebody else's, or a newer longplay's, is left alone.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

use super::home::Home;
use super::machine::{home_of, machine};
use super::schema::{Found, Migrating, Tables, check};
use super::sql::{primary_code, store_error};
use super::{Result, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// `lply` in the file's header, so that `file` and we can tell whose it is. The first migration sets it.
const APPLICATION_ID: i64 = 0x6c70_6c79;
/// SQLite's result code for a file that is no database.
const NOT_A_DATABASE: u32 = 26;
/// How long a statement waits for another program's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a method waits for its turn on a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
const READERS: u32 = 4;

/// A SQLite database, opened at its first use.
pub(super) struct SqliteFile {
    pub(super) path: PathBuf,
    busy_timeout: Duration,
    machine: Option<String>,
    migrator: &'static Migrator,
    migrating: Migrating,
    pools: OnceCell<Pools>,
}

/// The connections to an open database.
pub(super) struct Pools {
    pub writer: SqlitePool,
    pub readers: SqlitePool,
    /// Which file was opened: device and inode.
    identity: (u64, u64),
}

impl SqliteFile {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            busy_timeout: BUSY_TIMEOUT,
            machine: machine(),
            migrator: &MIGRATOR,
            migrating: Migrating::default(),
            pools: OnceCell::new(),
        }
    }

    /// As a longplay with other migrations has it.
    #[cfg(test)]
    pub fn migrated_by(path: PathBuf, migrator: &'static Migrator) -> Self {
        Self { migrator, ..Self::new(path) }
    }

    #[cfg(test)]
    pub fn impatient(path: PathBuf) -> Self {
        Self { busy_timeout: Duration::from_millis(20), ..Self::new(path) }
    }

    /// As it would be on that machine.
    #[cfg(test)]
    pub fn on_machine(path: PathBuf, machine: &str) -> Self {
        Self { machine: Some(machine.to_owned()), ..Self::new(path) }
    }

    /// The open database. Whoever comes first opens it, the others wait; after a failure the next one tries again.
    pub async fn pools(&self) -> Result<&Pools> {
        let pools = self.pools.get_or_try_init(|| self.open()).await?;
        // What is written to a file that nobody finds again is lost.
        match self.identity() {
            Ok(identity) if identity == pools.identity => Ok(pools),
            Ok(_) => Err(self.gone("it was replaced while longplay had it open: restart longplay")),
            Err(e) => {
                Err(self.gone(&format!("it was removed while longplay had it open ({e}): restart longplay")))
            }
        }
    }

    /// Whether it is being migrated.
    pub fn is_migrating(&self) -> bool {
        self.migrating.is_under_way()
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        let file = fs::metadata(&self.path)?;
        Ok((file.dev(), file.ino()))
    }

    /// What the file lives on.
    pub fn home(&self) -> Result<Home> {
        home_of(&self.path, self.machine.as_deref())
            .map_err(|e| store_error(format!("looking at {self}"), e.into()))
    }

    fn gone(&self, why: &str) -> StoreError {
        StoreError::Unavailable { doing: format!("using {self}"), source: why.into() }
    }

    /// Closes it, if it was open.
    pub async fn close(&self) {
        if let Some(pools) = self.pools.get() {
            pools.readers.close().await;
            // Last, since only one that may write takes the write-ahead log into the file.
            pools.writer.close().await;
        }
    }

    async fn open(&self) -> Result<Pools> {
        self.make().map_err(|e| store_error(self.opening(), e.into()))?;
        let (found, lost_its_mark) = self.inspect().await?;
        fs::set_permissions(&self.path, Permissions::from_mode(0o600))
            .map_err(|e| store_error(self.opening(), e.into()))?;

        let options =
            self.options().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let kept = SqlitePoolOptions::new()
            .acquire_timeout(TURN_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let writer = kept
            .clone()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(|e| store_error(self.opening(), e))?;
        let migration = self.migrating.begin(&found, &self.to_string());
        self.migrator.run(&writer).await.map_err(|e| self.migration_error(e))?;
        drop(migration);
        if lost_its_mark {
            sqlx::query(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")))
                .execute(&writer)
                .await
                .map_err(|e| store_error(self.opening(), e))?;
        }
        let readers = kept.max_connections(READERS).connect_lazy_with(self.options().read_only(true));
        let identity = self.identity().map_err(|e| store_error(self.opening(), e.into()))?;
        Ok(Pools { writer, readers, identity })
    }

    /// Makes the file where there is none. SQLite gives its companions (-wal, -shm) the same permissions.
    fn make(&self) -> io::Result<()> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Looks at what is there without changing it: turning on the write-ahead log would already write. Also true where it
    /// is ours and its header does not say so.
    async fn inspect(&self) -> Result<(Found, bool)> {
        let mut connection = self.options().connect().await.map_err(|e| self.inspection_error(e))?;
        let found = self.look(&mut connection).await;
        // What it saw is known; how it closes changes nothing.
        let _ = connection.close().await;
        found
    }

    async fn look(&self, connection: &mut SqliteConnection) -> Result<(Found, bool)> {
        let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.inspection_error(e))?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
             ORDER BY name",
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.inspection_error(e))?;
        if ![0, APPLICATION_ID].contains(&application_id) {
            return Err(self.foreign(format!("another program's mark ({application_id:#010x})")));
        }
        let listed = tables.iter().any(|name| name == "_sqlx_migrations");
        let migrations = match listed {
            true => sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&mut *connection)
                .await
                .map_err(|e| self.inspection_error(e))?,
            false => Vec::new(),
        };
        // A dump that was read back has lost the mark in the header, but not the list.
        let found = check(&Tables { names: tables, migrations }, self.migrator, &self.to_string())?;
        let lost_its_mark = found != Found::Empty && application_id == 0;
        Ok((found, lost_its_mark))
    }

    pub(super) fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(&self.path).foreign_keys(true).busy_timeout(self.busy_timeout)
    }

    fn opening(&self) -> String {
        format!("opening {self}")
    }

    fn foreign(&self, found: String) -> StoreError {
        StoreError::Foreign { store: self.to_string(), found }
    }

    fn inspection_error(&self, e: sqlx::Error) -> StoreError {
        match primary_code(&e) {
            Some(NOT_A_DATABASE) => self.foreign("no SQLite database".to_owned()),
            _ => store_error(self.opening(), e),
        }
    }

    fn migration_error(&self, e: MigrateError) -> StoreError {
        match e {
            MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => {
                store_error(format!("migrating {self}"), e)
            }
            e => StoreError::Broken { doing: format!("migrating {self}"), source: Box::new(e) },
        }
    }
}

impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLite {}", self.path.display())
    }
}

#[cfg(test)]
mod tests;
