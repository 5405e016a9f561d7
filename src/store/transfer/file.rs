//! A back-up: everything of one moment in a SQLite file, while the store is in use. SQLite writes such a file itself;
//! from PostgreSQL everything is copied.

use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::super::backend::{Database, SqlStore};
use super::super::sql::{Time, store_error};
use super::super::sqlite::SqliteFile;
use super::row::Sum;
use super::side::Side;
use super::{CopyError, Manner, TableCopied};
use crate::clock::SystemClock;
use crate::telemetry::step;

pub async fn back_up(store: &SqlStore, file: &Path) -> Result<Vec<TableCopied>, CopyError> {
    match &store.database {
        Database::Sqlite(_) => {
            let doing = format!("backing up {}", store.database);
            let mut side = store.side(&doing).await?;
            if let Side::Sqlite(connection) = &mut side {
                // The path as it is, whatever is in it.
                let path = file.to_string_lossy().into_owned();
                let written = sqlx::query("VACUUM INTO $1").bind(path).execute(connection).await;
                written.map_err(|e| store_error(doing, e))?;
            }
            side.close().await;
        }
        Database::Postgres(_) => {
            let target = SqliteFile::new(file.to_owned());
            let target = SqlStore::new(Database::Sqlite(target), Time::Given(Arc::new(SystemClock)));
            let copied = store.copied(&target, &Manner::Alike, &|_| {}).await?;
            copied.commit().await?;
            // Takes the write-ahead log into the file.
            super::super::Store::close(&target).await;
        }
    }
    step!("backup-before-check");
    check(file).await
}

/// Whether the file is sound; and what is in it.
async fn check(file: &Path) -> Result<Vec<TableCopied>, CopyError> {
    let doing = || format!("checking the back-up {}", file.display());
    let failed = |e| CopyError::Store(store_error(doing(), e));
    // One file, without companions, wherever it is put.
    let options =
        SqliteConnectOptions::new().filename(file).journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let connection = options.connect().await.map_err(failed)?;
    let mut side = Side::Sqlite(connection);
    let checked = sound(&mut side).await;
    let checked = match checked {
        Ok(None) => counted(&mut side).await.map_err(failed),
        Ok(Some(why)) => Err(CopyError::Differs(format!("{}: {why}", doing()))),
        Err(e) => Err(failed(e)),
    };
    side.close().await;
    checked
}

/// Why it is not, if it isn't.
async fn sound(side: &mut Side) -> Result<Option<String>, sqlx::Error> {
    let Side::Sqlite(connection) = side else { return Ok(None) };
    let connection: &mut SqliteConnection = connection;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *connection).await?;
    if found != "ok" {
        return Ok(Some(found));
    }
    let strangers: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check").fetch_one(connection).await?;
    Ok((strangers > 0).then(|| format!("{strangers} rows refer to what is not there")))
}

async fn counted(side: &mut Side) -> Result<Vec<TableCopied>, sqlx::Error> {
    let mut counted = Vec::new();
    for table in side.tables().await? {
        let mut sum = Sum::default();
        let mut rows = side.rows(&table);
        while let Some(row) = rows.try_next().await? {
            sum.add(&row);
        }
        drop(rows);
        counted.push(TableCopied { name: table.name, rows: sum.rows, digest: sum.hex() });
    }
    Ok(counted)
}
