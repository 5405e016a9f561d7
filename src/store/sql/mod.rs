//! What the entity files run their SQL on: one connection with the few types that every database has. It says in each
//! error what was being done, and reads "now" from the store's clock once, after it may write.

mod fault;
mod value;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};

pub(super) use fault::{primary_code, store_error};
pub(super) use value::{Bind, Read, Value};

use super::Result;
use crate::clock::Clock;
use crate::domain::{Timestamp, said};

/// The parameters `$1`, `$2` ... of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Bind::bind($value)),*] };
}
pub(super) use params;

/// What kept the last writing method from its end; nothing once one has come to it.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// In words.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// One connection while one method of the store works: a reader, or a transaction that has the write lock. A
/// transaction that is not committed ends with its connection: after a failure (a full disk, say) nobody can tell
/// whether SQLite has rolled back already.
pub(super) struct Session {
    connection: PoolConnection<Sqlite>,
    /// Set while a transaction is open.
    writing: Option<Arc<Trouble>>,
    doing: String,
    now: Timestamp,
    statements: u32,
}

impl Session {
    /// For a method that reads with one statement.
    pub async fn reading(pool: &SqlitePool, clock: &dyn Clock, doing: String) -> Result<Self> {
        match pool.acquire().await {
            Ok(connection) => Ok(Self { connection, writing: None, doing, now: clock.now(), statements: 0 }),
            Err(e) => Err(store_error(doing, e)),
        }
    }

    /// For a method that writes. It takes the write lock at once, so that what it reads stays true until the commit.
    pub async fn writing(
        pool: &SqlitePool,
        clock: &dyn Clock,
        doing: String,
        trouble: Arc<Trouble>,
    ) -> Result<Self> {
        let failed = |doing: String, e| {
            let error = store_error(doing, e);
            trouble.set(Some(said(&error)));
            error
        };
        let connection = match pool.acquire().await {
            Ok(connection) => connection,
            Err(e) => return Err(failed(doing, e)),
        };
        let mut session =
            Self { connection, writing: Some(trouble.clone()), doing, now: clock.now(), statements: 0 };
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *session.connection)
            .await
            .map_err(|e| failed(session.doing.clone(), e))?;
        session.now = clock.now();
        Ok(session)
    }

    /// The store's clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How many statements were run, those that begin and end the transaction aside.
    #[cfg(test)]
    pub fn statements(&self) -> u32 {
        self.statements
    }

    /// Runs a statement; how many rows it touched.
    pub async fn run(&mut self, sql: &'static str, params: Vec<Value>) -> Result<u64> {
        let outcome = bound(sql, params).execute(self.connection()).await;
        outcome.map(|done| done.rows_affected()).map_err(|e| self.error(e))
    }

    /// Every row of an answer, read by `read`.
    pub async fn all<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<Vec<T>> {
        // Row by row: a row of SQLite's is many times as large as what is read off it.
        let rows = bound(sql, params).fetch(self.connection());
        let all = rows.and_then(|row| std::future::ready(read(&Row(row)))).try_collect().await;
        all.map_err(|e| self.error(e))
    }

    /// The first row of an answer, if there is one.
    pub async fn first<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<Option<T>> {
        let row = bound(sql, params).fetch_optional(self.connection()).await;
        row.and_then(|row| row.map(|row| read(&Row(row))).transpose()).map_err(|e| self.error(e))
    }

    /// The row of an answer that always has one.
    pub async fn one<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<T> {
        let row = bound(sql, params).fetch_one(self.connection()).await;
        row.and_then(|row| read(&Row(row))).map_err(|e| self.error(e))
    }

    /// Makes what was written durable, and answers `outcome`.
    pub async fn commit<T>(mut self, outcome: T) -> Result<T> {
        if self.writing.is_some() {
            sqlx::query("COMMIT").execute(&mut *self.connection).await.map_err(|e| self.error(e))?;
        }
        if let Some(trouble) = self.writing.take() {
            trouble.set(None);
        }
        Ok(outcome)
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        self.statements += 1;
        &mut self.connection
    }

    fn error(&self, e: sqlx::Error) -> super::StoreError {
        let error = store_error(self.doing.clone(), e);
        if let Some(trouble) = &self.writing {
            trouble.set(Some(said(&error)));
        }
        error
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.writing.is_some() {
            self.connection.close_on_drop();
        }
    }
}

fn bound(sql: &'static str, params: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    params.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Bool(v) => query.bind(v),
        Value::Int(v) => query.bind(v),
        Value::Text(v) => query.bind(v),
        Value::Blob(v) => query.bind(v),
    })
}

/// A row of an answer.
pub(super) struct Row(SqliteRow);

impl Row {
    /// A column that is never null.
    pub fn get<T: Read>(&self, column: &'static str) -> std::result::Result<T, sqlx::Error> {
        T::read(self.0.try_get(column)?).map_err(|source| unreadable(column, source))
    }

    /// A column that can be null.
    pub fn maybe<T: Read>(&self, column: &'static str) -> std::result::Result<Option<T>, sqlx::Error> {
        let raw: Option<T::Raw> = self.0.try_get(column)?;
        raw.map(T::read).transpose().map_err(|source| unreadable(column, source))
    }
}

fn unreadable(column: &'static str, source: sqlx::error::BoxDynError) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}
