//! The databases that are measured, made anew for each measurement, and the statements that only measuring needs.

use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row as _};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
}

impl Kind {
    pub const ALL: [Self; 1] = [Self::Sqlite];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
        }
    }

    /// An empty database of this name.
    pub fn make(self, folder: &Path, name: &str) -> Database {
        match self {
            Self::Sqlite => {
                Database { url: format!("sqlite://{}", folder.join(format!("{name}.db")).display()) }
            }
        }
    }
}

/// A database, by its URL.
pub struct Database {
    pub url: String,
}

impl Database {
    /// Connects as a plain program would that knows what durable means.
    pub async fn connect(&self) -> Connections {
        let path = self.url.strip_prefix("sqlite://").expect("the only kind");
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await;
        let readers = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await;
        Connections { writer: writer.expect("a connection"), readers: readers.expect("connections") }
    }
}

/// Connections to it, without longplay in between.
pub struct Connections {
    pub writer: SqlitePool,
    pub readers: SqlitePool,
}

impl Connections {
    /// Runs a statement that takes a list as one parameter, `$1`.
    pub async fn put(&self, sql: &'static str, rows: Vec<Value>) {
        let done = sqlx::query(sql).bind(Value::Array(rows).to_string()).execute(&self.writer).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.writer).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    }

    /// Pairs of a number and a text.
    pub async fn pairs(&self, sql: &str) -> Vec<(i64, String)> {
        let rows = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.writer).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
