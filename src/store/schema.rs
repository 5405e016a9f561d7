//! Whose a database is: told by its tables and the migrations that it lists. Pure.

use sqlx::migrate::Migrator;

use super::{Result, StoreError};

/// What is in a database.
pub(super) struct Tables {
    /// Its tables and views, by name.
    pub names: Vec<String>,
    /// The migrations that it lists, each with its checksum.
    pub migrations: Vec<(i64, Vec<u8>)>,
}

/// What can be done with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was ever made in it.
    Empty,
    /// It is ours, and not newer than this program.
    Ours,
}

/// Whether a database is ours or free to become so; `store` is its name in the message if not.
pub(super) fn check(tables: &Tables, known: &Migrator, store: &str) -> Result<Found> {
    let foreign = || StoreError::Foreign {
        store: store.to_owned(),
        found: format!("other tables ({})", shown(&tables.names)),
    };
    if tables.names.is_empty() {
        return Ok(Found::Empty);
    }
    if !tables.names.iter().any(|name| name == "_sqlx_migrations") {
        return Err(foreign());
    }
    let of = |version: i64| known.iter().find(|migration| migration.version == version);
    match tables.migrations.first() {
        // Somebody stopped us between the list of migrations and the first one.
        None if tables.names.len() == 1 => return Ok(Found::Empty),
        Some((version, checksum)) if of(*version).is_some_and(|m| *m.checksum == checksum[..]) => {}
        _ => return Err(foreign()),
    }
    match tables.migrations.iter().rev().find(|(version, _)| of(*version).is_none()) {
        Some((found, _)) => Err(StoreError::NewerSchema {
            store: store.to_owned(),
            found: *found,
            known: known.iter().map(|migration| migration.version).max().unwrap_or(0),
        }),
        None => Ok(Found::Ours),
    }
}

/// The first few names, cut to a readable length.
fn shown(tables: &[String]) -> String {
    let mut names: Vec<String> = tables.iter().take(3).map(|t| t.chars().take(40).collect()).collect();
    if tables.len() > names.len() {
        names.push("...".to_owned());
    }
    names.join(", ")
}
