//! The databases that are measured, each empty at first, and the statements that only measuring needs.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row as _};

use crate::fixture::postgres::Cluster;

/// Every commit is on the disk before it is answered, as an operator's server has it.
const DURABLE: &str =
    "-c fsync=on -c full_page_writes=on -c synchronous_commit=on -c shared_buffers=256MB -c max_wal_size=4GB";

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// An empty database; SQLite's is a file of this name.
    pub fn make(self, folder: &Path, name: &str) -> Database {
        static SERVER: OnceLock<Cluster> = OnceLock::new();
        let url = match self {
            Self::Sqlite => format!("sqlite://{}", folder.join(format!("{name}.db")).display()),
            Self::Postgres => SERVER.get_or_init(|| Cluster::start(DURABLE)).database(),
        };
        Database { url }
    }
}

/// A database, by its URL.
pub struct Database {
    pub url: String,
}

impl Database {
    /// Connects as a plain program would that knows what durable means.
    pub async fn connect(&self) -> Connections {
        let Some(path) = self.url.strip_prefix("sqlite://") else {
            let pool = PgPoolOptions::new().max_connections(16).test_before_acquire(false);
            return Connections::Postgres(pool.connect(&self.url).await.expect("connections"));
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let writer = pool().max_connections(1).connect_with(options.clone()).await;
        let readers = pool().max_connections(4).connect_with(options.read_only(true)).await;
        Connections::Sqlite { writer: writer.expect("a connection"), readers: readers.expect("connections") }
    }
}

/// Connections to it, without longplay in between.
pub enum Connections {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

impl Connections {
    /// Runs a statement that takes a list as one parameter, which it calls `rows`. It is in PostgreSQL's words.
    pub async fn put(&self, sql: &str, rows: Vec<Value>) {
        let rows = Value::Array(rows).to_string();
        let done = match self {
            Self::Sqlite { writer, .. } => {
                let sql = sql.replace("rows", "json_each($1)");
                let sql = sql.replace("decode(", "unhex(").replace(", 'hex')", ")");
                sqlx::query(AssertSqlSafe(sql)).bind(rows).execute(writer).await.map(drop)
            }
            Self::Postgres(pool) => {
                let sql = sql.replace("rows", "jsonb_array_elements($1::jsonb) AS given(value)");
                sqlx::query(AssertSqlSafe(sql)).bind(rows).execute(pool).await.map(drop)
            }
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs a statement.
    pub async fn run(&self, sql: &str) {
        let query = AssertSqlSafe(sql);
        let done = match self {
            Self::Sqlite { writer, .. } => sqlx::query(query).execute(writer).await.map(drop),
            Self::Postgres(pool) => sqlx::query(query).execute(pool).await.map(drop),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let query = AssertSqlSafe(sql);
        let number = match self {
            Self::Sqlite { writer, .. } => sqlx::query(query).fetch_one(writer).await.map(|row| row.get(0)),
            Self::Postgres(pool) => sqlx::query(query).fetch_one(pool).await.map(|row| row.get(0)),
        };
        number.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Pairs of a number and a text.
    pub async fn pairs(&self, sql: &str) -> Vec<(i64, String)> {
        let rows = match self {
            Self::Sqlite { writer, .. } => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(writer).await,
            Self::Postgres(pool) => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await,
        };
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Lets PostgreSQL know what is in its tables now, as its autovacuum does within a minute: until then it works by
    /// plans that it made while they were empty.
    pub async fn analyze(&self) {
        if let Self::Postgres(pool) = self {
            sqlx::query("ANALYZE").execute(pool).await.expect("the tables are looked at");
        }
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
