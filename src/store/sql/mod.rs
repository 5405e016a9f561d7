//! What the entity files run their SQL on: one connection of either database, with the few types that both have. It
//! says in each error what was being done, and reads "now" from the store's clock once, after it may write.

mod connection;
mod copy;
mod fault;
mod text;
mod value;

use std::sync::{Arc, Mutex, PoisonError};

pub(super) use connection::{Pool, Row, in_time};
pub(super) use copy::Copied;
pub(super) use fault::{met_another, primary_code, sqlstate, store_error};
pub(super) use text::Dialect;
pub(super) use value::{Bind, Column, Value};

use self::connection::Connection;
use self::fault::clashed;
use super::{Result, StoreError};
use crate::clock::Clock;
use crate::domain::{Timestamp, UserId, said};

/// The parameters `$1`, `$2` ... of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Bind::bind($value)),*] };
}
pub(super) use params;

/// A parameter that is a table, from its rows and what each column takes of one: `table![plays; |play| play.at]`.
macro_rules! table {
    ($rows:expr; $($cell:expr),+ $(,)?) => {
        $crate::store::sql::Value::Rows(vec![$($crate::store::sql::Column::of($rows.iter().map($cell))),+])
    };
}
pub(super) use table;

/// Whose clock says what time it is for leases and the like.
#[derive(Clone)]
pub(super) enum Time {
    /// The server's own, which all daemons share.
    Server,
    /// This one.
    Given(Arc<dyn Clock>),
}

/// What keeps everyone's writing methods from their end; nothing once one has come to it.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// In words.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the database refuses of one write says nothing of the others.
    fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable { .. }) {
            self.set(Some(said(error)));
        }
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// What a power failure may take of what was committed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Nothing,
    /// It means nothing then.
    Passing,
    /// It is written again then.
    Repeatable,
}

/// One connection while one method of the store works: a reader, or a transaction. A transaction that is not committed
/// ends with its connection: after a failure (a full disk, say) nobody can tell whether it is rolled back already.
pub(super) struct Session {
    connection: Connection,
    /// Set while something is not committed.
    writing: Option<Arc<Trouble>>,
    ending: Ending,
    doing: String,
    time: Time,
    now: Option<Timestamp>,
    statements: u32,
}

impl Session {
    /// For a method that reads. Each statement sees what was committed before it.
    pub async fn reading(pool: Pool, time: &Time, doing: String) -> Result<Self> {
        Ok(Self::new(pool.connection(&doing).await?, time, doing))
    }

    /// For a method that writes.
    pub async fn writing(pool: Pool, time: &Time, doing: String, trouble: Arc<Trouble>) -> Result<Self> {
        let mut session = Self::to_write(pool, time, doing, trouble).await?;
        let begun = session.connection.begin().await;
        begun.map_err(|e| session.error(e))?;
        Ok(session)
    }

    /// For a method that writes what means nothing without this process. On SQLite a power failure, which ends both,
    /// may take it: it costs no sync. On PostgreSQL, which others see, each statement is a durable commit of its own.
    pub async fn noting(pool: Pool, time: &Time, doing: String, trouble: Arc<Trouble>) -> Result<Self> {
        let mut session = Self::to_write(pool, time, doing, trouble).await?;
        session.ending = Ending::Passing;
        let begun = session.connection.begin_unsynced().await;
        begun.map_err(|e| session.error(e))?;
        Ok(session)
    }

    /// For a transaction of many that come to nothing before a last one, which is durable, and they with it: whoever
    /// finds that one missing repeats them. A power failure may take them; the end of this process doesn't.
    pub async fn repeatable(pool: Pool, time: &Time, doing: String, trouble: Arc<Trouble>) -> Result<Self> {
        let mut session = Self::to_write(pool, time, doing, trouble).await?;
        session.ending = Ending::Repeatable;
        let begun = session.connection.begin_repeatable().await;
        begun.map_err(|e| session.error(e))?;
        Ok(session)
    }

    async fn to_write(pool: Pool, time: &Time, doing: String, trouble: Arc<Trouble>) -> Result<Self> {
        let connection = pool.connection(&doing).await.inspect_err(|e| trouble.note(e))?;
        let mut session = Self::new(connection, time, doing);
        session.writing = Some(trouble);
        Ok(session)
    }

    fn new(connection: Connection, time: &Time, doing: String) -> Self {
        let time = time.clone();
        Self { connection, writing: None, ending: Ending::Nothing, doing, time, now: None, statements: 0 }
    }

    /// Whose SQL is understood.
    pub fn dialect(&self) -> Dialect {
        self.connection.dialect()
    }

    /// The time that the program gives its statements; none where the server's own counts.
    pub fn given_now(&self) -> Option<Timestamp> {
        match &self.time {
            Time::Given(clock) => Some(clock.now()),
            Time::Server => None,
        }
    }

    /// The store's clock, the same for the whole method.
    pub async fn now(&mut self) -> Result<Timestamp> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let now = match &self.time {
            Time::Given(clock) => clock.now(),
            Time::Server => self.one("SELECT clock(NULL) AS now", params![], |row| row.get("now")).await?,
        };
        self.now = Some(now);
        Ok(now)
    }

    /// Takes the user's row until the commit, so that what takes it too comes before or after. It is taken before any
    /// other row of the user, as by whoever deletes them. SQLite has one writer anyway.
    pub async fn lock_user(&mut self, user: UserId) -> Result<()> {
        match self.connection.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => self
                .run("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", params![user])
                .await
                .map(drop),
        }
    }

    /// The same for a user who is to be deleted: waits for whoever stores something of them. First the lock of the
    /// triggers, as every change of users takes it.
    pub async fn lock_user_to_delete(&mut self, user: UserId) -> Result<()> {
        if self.connection.dialect() == Dialect::Postgres {
            self.lock_changes().await?;
            self.run("SELECT id FROM users WHERE id = $1 FOR UPDATE", params![user]).await?;
        }
        Ok(())
    }

    /// Takes the user's row so that nobody adds or removes plays of theirs until the commit, and whoever is at it comes
    /// first; false where there is no such user. On PostgreSQL a play's reference to its user is what waits.
    pub async fn lock_user_to_count(&mut self, user: UserId) -> Result<bool> {
        let sql = match self.connection.dialect() {
            Dialect::Sqlite => "SELECT id FROM users WHERE id = $1",
            Dialect::Postgres => "SELECT id FROM users WHERE id = $1 FOR UPDATE",
        };
        Ok(self.first(sql, params![user], |row| row.get::<i64>("id")).await?.is_some())
    }

    /// Keeps what is counted beforehand to this transaction: whoever counts, and whoever changes tracks that may be counted
    /// (triggers see to that), comes before or after. It is taken after the user's row and before those of tracks.
    pub async fn lock_counts(&mut self) -> Result<()> {
        match self.connection.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                self.run("SELECT pg_advisory_xact_lock(1819307131)", params![]).await.map(drop)
            }
        }
    }

    /// The same for whoever can do without: false where somebody else has it.
    pub async fn try_lock_counts(&mut self) -> Result<bool> {
        let sql = match self.connection.dialect() {
            Dialect::Sqlite => return Ok(true),
            Dialect::Postgres => {
                "SELECT CASE WHEN pg_try_advisory_xact_lock(1819307131) THEN CAST(1 AS BIGINT) END AS got"
            }
        };
        self.one(sql, params![], |row| Ok(row.maybe::<i64>("got")?.is_some())).await
    }

    /// Keeps every other transaction that changes many users from running at the same time: two that meet the same rows in
    /// another order would wait for each other. It is not the lock of the triggers, which another program may hold for long.
    pub async fn lock_many(&mut self) -> Result<()> {
        match self.connection.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                self.run("SELECT pg_advisory_xact_lock(1819307130)", params![]).await.map(drop)
            }
        }
    }

    /// The same for changes of many users that daemons must know of. The lock of the triggers comes first: who waits for
    /// it must hold up nobody.
    pub async fn lock_many_to_change(&mut self) -> Result<()> {
        self.lock_changes().await?;
        self.lock_many().await
    }

    async fn lock_changes(&mut self) -> Result<()> {
        match self.connection.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                self.run("SELECT pg_advisory_xact_lock(1819307129)", params![]).await.map(drop)
            }
        }
    }

    /// How many statements were run, those that begin and end the transaction aside.
    #[cfg(test)]
    pub fn statements(&self) -> u32 {
        self.statements
    }

    /// Runs a statement; how many rows it touched.
    pub async fn run(&mut self, sql: &'static str, params: Vec<Value>) -> Result<u64> {
        self.statements += 1;
        let outcome = self.connection.execute(sql, params).await;
        outcome.map_err(|e| self.error(e))
    }

    /// Runs a COPY, which PostgreSQL alone knows.
    pub async fn copy(&mut self, sql: &'static str, rows: Copied) -> Result<()> {
        self.statements += 1;
        let copied = self.connection.copy(sql, rows.end()).await;
        copied.map_err(|e| self.error(e))
    }

    /// Every row of an answer, read by `read`.
    pub async fn all<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<Vec<T>> {
        self.statements += 1;
        let rows = self.connection.fetch_all(sql, params, read).await;
        rows.map_err(|e| self.error(e))
    }

    /// The first row of an answer, if there is one.
    pub async fn first<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<Option<T>> {
        self.statements += 1;
        let row = self.connection.fetch_optional(sql, params).await;
        row.and_then(|row| row.as_ref().map(read).transpose()).map_err(|e| self.error(e))
    }

    /// The row of an answer that always has one.
    pub async fn one<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        read: impl Fn(&Row) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<T> {
        let row = self.first(sql, params, read).await?;
        row.ok_or_else(|| self.error(sqlx::Error::RowNotFound))
    }

    /// Makes what was written durable, and answers `outcome`.
    pub async fn commit<T>(mut self, outcome: T) -> Result<T> {
        if self.writing.is_some() {
            let committed = match self.ending {
                Ending::Nothing => self.connection.commit().await,
                Ending::Passing => self.connection.commit_unsynced().await,
                Ending::Repeatable => self.connection.commit_repeatable().await,
            };
            committed.map_err(|e| self.error(e))?;
        }
        if let Some(trouble) = self.writing.take() {
            trouble.set(None);
        }
        Ok(outcome)
    }

    fn error(&mut self, e: sqlx::Error) -> StoreError {
        // What was broken off in the middle may still be on its way in this connection.
        self.connection.close_on_drop();
        let clashed = clashed(&e);
        let error = store_error(self.doing.clone(), e);
        if let Some(trouble) = self.writing.as_ref().filter(|_| !clashed) {
            trouble.note(&error);
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
