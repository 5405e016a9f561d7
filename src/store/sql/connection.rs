//! A connection of either database, and its rows: the only place in which the two are told apart statement by statement.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde::de::DeserializeOwned;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Error};

use super::super::StoreError;
use super::super::postgres::no_connection;
use super::fault::store_error;
use super::text::{Dialect, statement};
use super::value::{Column, Read, Value};

/// How long a statement may take on PostgreSQL before its connection is given up: a server that hangs, or a network
/// that swallows everything, must not hold up the daemon for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Where connections come from.
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// One connection.
pub enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A row of an answer.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Pool {
    /// Waits for one that is free.
    pub async fn connection(&self, doing: &str) -> Result<Connection, StoreError> {
        let connection = match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Connection::Sqlite),
            Self::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
        };
        match (connection, self) {
            (Err(e), Self::Postgres(pool)) => Err(no_connection(pool, doing.to_owned(), e).await),
            (connection, _) => connection.map_err(|e| store_error(doing.to_owned(), e)),
        }
    }
}

impl Connection {
    /// Begins a transaction. SQLite takes its one write lock at once, so that what is read stays true until the commit.
    pub async fn begin(&mut self) -> Result<(), Error> {
        self.plainly("BEGIN IMMEDIATE", "BEGIN").await
    }

    pub async fn commit(&mut self) -> Result<(), Error> {
        self.plainly("COMMIT", "COMMIT").await
    }

    /// Begins what [`Connection::commit_unsynced`] ends.
    pub async fn begin_unsynced(&mut self) -> Result<(), Error> {
        self.plainly("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE", "").await
    }

    /// SQLite writes its log, and leaves it to the next commit to sync it. On PostgreSQL each statement has committed
    /// itself.
    pub async fn commit_unsynced(&mut self) -> Result<(), Error> {
        self.plainly("COMMIT; PRAGMA synchronous = FULL", "").await
    }

    /// Begins what [`Connection::commit_repeatable`] ends.
    pub async fn begin_repeatable(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.begin_unsynced().await,
            Self::Postgres(connection) => {
                let begin = sqlx::raw_sql("BEGIN; SET LOCAL synchronous_commit = off");
                in_time(begin.execute(&mut **connection)).await.map(drop)
            }
        }
    }

    /// The log is synced by the next commit that is durable, which no database can have without what came before.
    pub async fn commit_repeatable(&mut self) -> Result<(), Error> {
        self.plainly("COMMIT; PRAGMA synchronous = FULL", "COMMIT").await
    }

    async fn plainly(&mut self, sqlite: &'static str, postgres: &'static str) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => sqlx::query(sqlite).execute(&mut **connection).await.map(drop),
            Self::Postgres(_) if postgres.is_empty() => Ok(()),
            Self::Postgres(connection) => {
                in_time(sqlx::query(postgres).execute(&mut **connection)).await.map(drop)
            }
        }
    }

    pub async fn execute(&mut self, sql: &'static str, params: Vec<Value>) -> Result<u64, Error> {
        match self {
            Self::Sqlite(connection) => {
                let connection: &mut SqliteConnection = connection;
                for_sqlite(sql, params).execute(connection).await.map(|done| done.rows_affected())
            }
            Self::Postgres(connection) => {
                let connection: &mut PgConnection = connection;
                in_time(for_postgres(sql, params).execute(connection)).await.map(|done| done.rows_affected())
            }
        }
    }

    pub async fn copy(&mut self, sql: &'static str, rows: Vec<u8>) -> Result<(), Error> {
        let Self::Postgres(connection) = self else {
            return Err(Error::Protocol("SQLite has no COPY".to_owned()));
        };
        let copying = async {
            let mut copy = connection.copy_in_raw(sql).await?;
            copy.send(rows).await?;
            copy.finish().await.map(drop)
        };
        in_time(copying).await
    }

    /// Row by row: a row is many times as large as what is read off it.
    pub async fn fetch_all<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        match self {
            Self::Sqlite(connection) => {
                let connection: &mut SqliteConnection = connection;
                let mut rows = for_sqlite(sql, params).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    all.push(read(&Row::Sqlite(row))?);
                }
            }
            Self::Postgres(connection) => {
                let connection: &mut PgConnection = connection;
                let mut rows = for_postgres(sql, params).fetch(connection);
                while let Some(row) = in_time(rows.try_next()).await? {
                    all.push(read(&Row::Postgres(row))?);
                }
            }
        }
        Ok(all)
    }

    pub async fn fetch_optional(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
    ) -> Result<Option<Row>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let connection: &mut SqliteConnection = connection;
                for_sqlite(sql, params).fetch_optional(connection).await.map(|row| row.map(Row::Sqlite))
            }
            Self::Postgres(connection) => {
                let connection: &mut PgConnection = connection;
                let row = in_time(for_postgres(sql, params).fetch_optional(connection)).await?;
                Ok(row.map(Row::Postgres))
            }
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Ends the connection, rather than handing it on, once this is dropped.
    pub fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.close_on_drop(),
            Self::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

/// Waits for PostgreSQL's answer, but not for ever.
pub async fn in_time<T>(statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER_WITHIN, statement).await {
        Ok(outcome) => outcome,
        Err(_) => {
            Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer")))
        }
    }
}

fn for_sqlite(sql: &'static str, params: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    let sql = AssertSqlSafe(statement(sql, Dialect::Sqlite).into_owned());
    params.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Bool(v) => query.bind(v),
        Value::Int(v) => query.bind(v),
        Value::Text(v) => query.bind(v),
        Value::Blob(v) => query.bind(v),
        Value::Rows(columns) => query.bind(Column::json(&columns)),
    })
}

fn for_postgres(sql: &'static str, params: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    let sql = AssertSqlSafe(statement(sql, Dialect::Postgres).into_owned());
    params.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Bool(v) => query.bind(v),
        Value::Int(v) => query.bind(v),
        Value::Text(v) => query.bind(v),
        Value::Blob(v) => query.bind(v),
        Value::Rows(columns) => columns.into_iter().fold(query, |query, column| match column {
            Column::Ints(cells) => query.bind(cells),
            Column::Texts(cells) => query.bind(cells),
        }),
    })
}

impl Row {
    /// A column that is never null.
    pub fn get<T: Read>(&self, column: &'static str) -> Result<T, Error> {
        let raw = self
            .raw::<T::Raw>(column)?
            .ok_or_else(|| unreadable(column, sqlx::error::UnexpectedNullError.into()))?;
        T::read(raw).map_err(|source| unreadable(column, source))
    }

    /// A column that can be null.
    pub fn maybe<T: Read>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.raw::<T::Raw>(column)?.map(T::read).transpose().map_err(|source| unreadable(column, source))
    }

    /// The list that `names(...)` has made.
    pub fn list<T: DeserializeOwned>(&self, column: &'static str) -> Result<Vec<T>, Error> {
        let json: String = self.get(column)?;
        serde_json::from_str(&json).map_err(|source| unreadable(column, source.into()))
    }

    fn raw<R: super::value::Raw>(&self, column: &'static str) -> Result<Option<R>, Error> {
        use sqlx::Row as _;
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

fn unreadable(column: &'static str, source: sqlx::error::BoxDynError) -> Error {
    Error::ColumnDecode { index: column.to_owned(), source }
}
