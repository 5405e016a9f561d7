//! A store as a whole: copied into another, of whichever kind, and backed up into a file, while it is in use. What there
//! is to copy the databases say themselves, table by table, so that nothing new is forgotten; both sides reckon a digest
//! of each table.

mod file;
mod manner;
mod moving;
mod postgres;
mod row;
mod side;
mod sqlite;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::backend::{Database, SqlStore};
use super::sql::store_error;
use super::url::UrlError;
use super::{Result, StoreError};
use crate::clock::Clock;
use crate::domain::{Epoch, Generation, Sealed, UserId};
use crate::telemetry::step;

use manner::Manner;
use row::{Cell, Kind, Sum, Table, in_order};
use side::Side;

pub use moving::{Held, Moving, is_of_copy, moved};

/// How many rows go in at once, and how many bytes of texts.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;

/// Which sealed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal<'a> {
    /// A refresh token.
    Refresh(UserId, Epoch, Generation),
    /// An access token.
    Access(UserId, Epoch, Generation),
    /// The verifier of a login under way, by its `state`.
    Verifier(&'a str),
    /// The text that tells a wrong key.
    Probe,
}

/// Whose seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of the store that is copied.
    Source,
    /// Of the store that it is copied into.
    Target,
}

/// What is sealed in one store is sealed anew for the other.
pub trait Seals: Send + Sync {
    /// Opens it; `None` where that can't be done.
    fn open(&self, whose: Whose, seal: Seal<'_>, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>>;
    /// Seals it for the target.
    fn seal(&self, seal: Seal<'_>, text: &[u8]) -> Sealed;
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which table.
    pub table: String,
    /// How many of its rows are done.
    pub rows: u64,
    /// Of how many; twice as many as there are, since each is read again at the end.
    pub of: u64,
}

/// Who hears of it.
pub type Tell<'t> = &'t (dyn Fn(Progress) + Send + Sync);

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCopied {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// Of all that is in them, in hexadecimal; of what is sealed the text counts, not the seal.
    pub digest: String,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is not what it must be.
    #[error("{0}")]
    Refused(String),
    /// What arrived is not what was sent.
    #[error("{0}")]
    Differs(String),
}

/// The store that is copied into; opened, so that it has its tables.
pub struct Target {
    store: SqlStore,
    deployment: Uuid,
}

impl Target {
    /// Connects, and makes the tables where the database is empty.
    ///
    /// # Errors
    /// Where the URL names no store, or one that can't be used.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> std::result::Result<Self, CopyError> {
        let store = super::url::sql(url, clock).map_err(|UrlError(why)| CopyError::Refused(why))?;
        Self::of(store).await
    }

    async fn of(store: SqlStore) -> std::result::Result<Self, CopyError> {
        let deployment = super::Store::open(&store).await?;
        Ok(Self { store, deployment })
    }

    /// Tells it from every other store: part of what its tokens are sealed with.
    pub fn deployment(&self) -> Uuid {
        self.deployment
    }

    /// What and where it is, without secrets.
    pub fn describe(&self) -> String {
        super::Store::describe(&self.store)
    }

    /// Closes it.
    pub async fn close(&self) {
        super::Store::close(&self.store).await;
    }
}

/// A copy that is complete and not yet committed. Dropped, it never was.
pub struct Copied {
    side: Side,
    doing: String,
    /// What was copied, in the order in which it was.
    pub tables: Vec<TableCopied>,
}

impl Copied {
    /// Makes it durable.
    ///
    /// # Errors
    /// Where nobody can tell whether it is.
    pub async fn commit(mut self) -> Result<Vec<TableCopied>> {
        self.side.commit().await.map_err(|e| store_error(self.doing, e))?;
        self.side.close().await;
        Ok(self.tables)
    }
}

impl SqlStore {
    /// A connection apart from all others, to a store that is open.
    async fn side(&self, doing: &str) -> Result<Side> {
        let side = match &self.database {
            Database::Sqlite(file) => {
                file.pools().await?;
                Side::sqlite(&file.options()).await
            }
            Database::Postgres(server) => {
                server.pools().await?;
                Side::postgres(&server.options, super::postgres::MIGRATION).await
            }
        };
        side.map_err(|e| store_error(doing.to_owned(), e))
    }

    /// Everything of one moment, into an empty store, up to the commit.
    async fn copied(
        &self,
        target: &SqlStore,
        manner: &Manner<'_>,
        tell: Tell<'_>,
    ) -> std::result::Result<Copied, CopyError> {
        let (reading, writing) =
            (format!("copying {}", self.database), format!("copying into {}", target.database));
        let from = |e| CopyError::Store(store_error(reading.clone(), e));
        let into = |e| CopyError::Store(store_error(writing.clone(), e));
        let mut source = self.side(&reading).await?;
        let mut side = target.side(&writing).await?;
        source.begin_reading().await.map_err(from)?;
        side.begin_writing().await.map_err(into)?;
        let there = in_order(side.tables().await.map_err(into)?);
        let here = source.tables().await.map_err(from)?;
        let triggers = side.take_triggers_off(&there).await.map_err(into)?;
        let mut sums = Vec::new();
        for table in &there {
            let own = same_columns(table, here.iter().find(|other| other.name == table.name))?;
            if !manner.is_empty(&mut side, table).await.map_err(into)? {
                return Err(CopyError::Refused(format!(
                    "{} is not empty, there are {}: an archive is copied only into an empty store, so name another database or file",
                    target.database, table.name
                )));
            }
            let count = source.number(format!("SELECT count(*) FROM {}", row::quoted(&table.name)));
            let of = 2 * count.await.map_err(from)?.unwrap_or(0).unsigned_abs();
            let mut sum = Sum::default();
            let mut batch = Batch::default();
            let mut rows = source.rows(own);
            while let Some(mut row) = rows.try_next().await.map_err(from)? {
                let Some(counted) = manner.counted(table, Whose::Source, &row) else { continue };
                sum.add(&counted);
                manner.seal(table, &mut row);
                if batch.push(row) {
                    side.insert(table, &batch.take()).await.map_err(into)?;
                    tell(Progress { table: table.name.clone(), rows: sum.rows, of });
                    step!("copy-batch");
                }
            }
            drop(rows);
            let last = batch.take();
            if !last.is_empty() {
                side.insert(table, &last).await.map_err(into)?;
            }
            sums.push((sum, of));
        }
        let counters = source.counters().await.map_err(from)?;
        side.set_counters(&counters).await.map_err(into)?;
        source.close().await;
        step!("copy-before-check");
        let mut tables = Vec::new();
        for (table, (sent, of)) in there.iter().zip(sums) {
            let arrived = arrived(&mut side, table, manner, tell, (sent.rows, of)).await.map_err(into)?;
            if arrived != sent {
                return Err(CopyError::Differs(format!(
                    "table {} arrived otherwise than it was sent ({} rows of digest {}, and not {} of {}): nothing was copied; report this",
                    table.name,
                    arrived.rows,
                    arrived.hex(),
                    sent.rows,
                    sent.hex()
                )));
            }
            tables.push(TableCopied { name: table.name.clone(), rows: sent.rows, digest: sent.hex() });
        }
        manner.note(&mut side).await.map_err(into)?;
        side.put_triggers_back(triggers).await.map_err(into)?;
        Ok(Copied { side, doing: writing, tables })
    }
}

/// Rows on their way.
#[derive(Default)]
struct Batch {
    rows: Vec<Vec<Cell>>,
    bytes: usize,
}

impl Batch {
    /// True where it is full.
    fn push(&mut self, row: Vec<Cell>) -> bool {
        let bytes = |cell: &Cell| match cell {
            Cell::Null | Cell::Int(_) => 8,
            Cell::Text(text) => text.len(),
            Cell::Blob(bytes) => bytes.len(),
        };
        self.bytes += row.iter().map(bytes).sum::<usize>();
        self.rows.push(row);
        self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn take(&mut self) -> Vec<Vec<Cell>> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

/// What is in the target now, as it is to be compared.
async fn arrived(
    side: &mut Side,
    table: &Table,
    manner: &Manner<'_>,
    tell: Tell<'_>,
    (before, of): (u64, u64),
) -> std::result::Result<Sum, sqlx::Error> {
    let mut sum = Sum::default();
    let mut rows = side.rows(table);
    while let Some(row) = rows.try_next().await? {
        if let Some(counted) = manner.counted(table, Whose::Target, &row) {
            sum.add(&counted);
        }
        if sum.rows.is_multiple_of(BATCH as u64) {
            tell(Progress { table: table.name.clone(), rows: before + sum.rows, of });
        }
    }
    Ok(sum)
}

/// The same table as the source has it: of one version, the two have the same columns.
fn same_columns<'o>(table: &Table, other: Option<&'o Table>) -> std::result::Result<&'o Table, CopyError> {
    let Some(other) = other else {
        return Err(CopyError::Refused(format!(
            "the target has a table that the archive has not, {}: give a database of its own",
            table.name
        )));
    };
    let names = |table: &Table| table.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    match names(table) == names(other) {
        true => Ok(other),
        false => Err(CopyError::Refused(format!(
            "table {} has other columns in the target: give a database of its own",
            table.name
        ))),
    }
}

/// The columns that a database declares, each with what it holds.
fn kinds(
    table: &str,
    declared: Vec<(String, String)>,
) -> std::result::Result<Vec<(String, Kind)>, sqlx::Error> {
    let kind = |(name, declared): (String, String)| match Kind::of(&declared) {
        Some(kind) => Ok((name, kind)),
        None => Err(sqlx::Error::Protocol(format!(
            "column {table}.{name} has a type that is not known here: {declared}"
        ))),
    };
    declared.into_iter().map(kind).collect()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests;
