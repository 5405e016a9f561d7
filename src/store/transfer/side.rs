//! One side of a copy: a connection of its own, with the little that both databases can do for any table. What a table
//! is, the database itself says.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Executor as _, Row as _};

use super::row::{Cell, Kind, Table, quoted};
use super::{postgres, sqlite};

/// What readers count beforehand: `store/heard.rs` makes it again.
const MADE_AGAIN: [&str; 4] = ["counted", "heard", "heard_sums", "heard_weeks"];

pub enum Side {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

type Result<T> = std::result::Result<T, Error>;

impl Side {
    /// To a file that is open already, and so has our tables.
    pub async fn sqlite(options: &sqlx::sqlite::SqliteConnectOptions) -> Result<Self> {
        Ok(Self::Sqlite(options.connect().await?))
    }

    /// To a database that is open already. A copy takes as long as there is data.
    pub async fn postgres(options: &sqlx::postgres::PgConnectOptions, session: &'static str) -> Result<Self> {
        let mut connection = options.connect().await?;
        connection.execute(session).await?;
        Ok(Self::Postgres(connection))
    }

    /// Runs statements that answer nothing.
    pub async fn run(&mut self, sql: String) -> Result<()> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(drop),
            Self::Postgres(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(drop),
        }
    }

    /// A number that a statement answers; `None`: null, or no row.
    pub async fn number(&mut self, sql: String) -> Result<Option<i64>> {
        let sql = AssertSqlSafe(sql);
        let found: Option<Option<i64>> = match self {
            Self::Sqlite(connection) => sqlx::query_scalar(sql).fetch_optional(connection).await?,
            Self::Postgres(connection) => sqlx::query_scalar(sql).fetch_optional(connection).await?,
        };
        Ok(found.flatten())
    }

    /// Everything that is read from here on is of one moment.
    pub async fn begin_reading(&mut self) -> Result<()> {
        match self {
            // The first statement that reads is the moment.
            Self::Sqlite(_) => self.run("BEGIN; SELECT count(*) FROM meta".to_owned()).await,
            Self::Postgres(_) => {
                self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1 FROM meta".to_owned())
                    .await
            }
        }
    }

    pub async fn begin_writing(&mut self) -> Result<()> {
        let begin = match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        };
        self.run(begin.to_owned()).await
    }

    pub async fn commit(&mut self) -> Result<()> {
        self.run("COMMIT".to_owned()).await
    }

    /// Ends it. What was not committed never was.
    pub async fn close(self) {
        // However it ends, nothing depends on it.
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }

    /// Our tables, and whoever else's, but for what the database and the migrations keep for themselves, and for what is
    /// made from other tables.
    pub async fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = match self {
            Self::Sqlite(connection) => sqlite::tables(connection).await,
            Self::Postgres(connection) => postgres::tables(connection).await,
        }?;
        tables.retain(|table| !MADE_AGAIN.contains(&table.name.as_str()));
        Ok(tables)
    }

    /// Every row, one after the other.
    pub fn rows<'c>(&'c mut self, table: &'c Table) -> BoxStream<'c, Result<Vec<Cell>>> {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|(name, kind)| match (kind, &*self) {
                (Kind::Int, Self::Postgres(_)) => format!("CAST({} AS BIGINT)", quoted(name)),
                (Kind::Bool, Self::Postgres(_)) => {
                    format!("CAST(CAST({} AS INTEGER) AS BIGINT)", quoted(name))
                }
                _ => quoted(name),
            })
            .collect();
        let sql = AssertSqlSafe(format!("SELECT {} FROM {}", columns.join(", "), quoted(&table.name)));
        let kinds = &table.columns;
        match self {
            Self::Sqlite(connection) => sqlx::query(sql)
                .fetch(connection)
                .and_then(move |row| std::future::ready(cells!(row, kinds)))
                .boxed(),
            Self::Postgres(connection) => sqlx::query(sql)
                .fetch(connection)
                .and_then(move |row| std::future::ready(cells!(row, kinds)))
                .boxed(),
        }
    }

    /// Puts rows into a table.
    pub async fn insert(&mut self, table: &Table, rows: &[Vec<Cell>]) -> Result<()> {
        match self {
            Self::Sqlite(connection) => sqlite::insert(connection, table, rows).await,
            Self::Postgres(connection) => postgres::insert(connection, table, rows).await,
        }
    }

    /// Takes the triggers off these tables; answers what [`Side::put_triggers_back`] needs.
    pub async fn take_triggers_off(&mut self, tables: &[Table]) -> Result<Vec<String>> {
        match self {
            Self::Sqlite(connection) => sqlite::take_triggers_off(connection).await,
            Self::Postgres(_) => {
                let each = |done: &str| {
                    tables
                        .iter()
                        .map(|t| format!("ALTER TABLE {} {done} TRIGGER USER", quoted(&t.name)))
                        .collect()
                };
                let off: Vec<String> = each("DISABLE");
                self.run(off.join("; ")).await?;
                Ok(each("ENABLE"))
            }
        }
    }

    pub async fn put_triggers_back(&mut self, triggers: Vec<String>) -> Result<()> {
        for trigger in triggers {
            self.run(trigger).await?;
        }
        Ok(())
    }

    /// The highest number that each table with numbers has ever given out, where the database remembers it, by table; and,
    /// as `""`, the number of the last change of users.
    pub async fn counters(&mut self) -> Result<Vec<(String, i64)>> {
        match self {
            Self::Sqlite(connection) => sqlite::counters(connection).await,
            Self::Postgres(connection) => postgres::counters(connection).await,
        }
    }

    /// Goes on with these numbers, or after those that there are where they are higher.
    pub async fn set_counters(&mut self, counters: &[(String, i64)]) -> Result<()> {
        match self {
            Self::Sqlite(connection) => sqlite::set_counters(connection, counters).await,
            Self::Postgres(connection) => postgres::set_counters(connection, counters).await,
        }
    }
}

/// A row's cells, by what the columns hold.
macro_rules! cells {
    ($row:expr, $kinds:expr) => {{
        let row = &$row;
        $kinds
            .iter()
            .enumerate()
            .map(|(n, (_, kind))| {
                Ok(match kind {
                    Kind::Int | Kind::Bool => row.try_get::<Option<i64>, _>(n)?.map(Cell::Int),
                    Kind::Text => row.try_get::<Option<String>, _>(n)?.map(Cell::Text),
                    Kind::Blob => row.try_get::<Option<Vec<u8>>, _>(n)?.map(Cell::Blob),
                }
                .unwrap_or(Cell::Null))
            })
            .collect::<Result<Vec<Cell>>>()
    }};
}
use cells;
