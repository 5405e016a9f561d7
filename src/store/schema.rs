//! Whose a database is, told by its tables and the migrations that it lists; pure. And whether it is being migrated.

use std::sync::atomic::{AtomicBool, Ordering};

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
    /// It is ours, and older than this program.
    Older,
    /// It is ours, and up to date.
    Current,
}

/// Some tables of the first migration. Another program has some of these names, perhaps, but not all of them.
const OURS: [&str; 4] = ["grant_generations", "grants", "plays", "users"];

/// Whether a database is ours or free to become so; `store` is its name in the message if not.
pub(super) fn check(tables: &Tables, known: &Migrator, store: &str) -> Result<Found> {
    let foreign = || StoreError::Foreign {
        store: store.to_owned(),
        found: format!("other tables ({})", shown(&tables.names)),
    };
    if tables.names.is_empty() {
        return Ok(Found::Empty);
    }
    let has = |name: &str| tables.names.iter().any(|found| found == name);
    if !has("_sqlx_migrations") {
        return Err(foreign());
    }
    let of = |version: i64| known.iter().find(|migration| migration.version == version);
    let is_ours =
        |(version, checksum): &(i64, Vec<u8>)| of(*version).is_some_and(|m| *m.checksum == checksum[..]);
    match tables.migrations.first() {
        // Somebody stopped us between the list of migrations and the first one.
        None if tables.names.len() == 1 => return Ok(Found::Empty),
        Some(first) if is_ours(first) || OURS.into_iter().all(has) => {}
        _ => return Err(foreign()),
    }
    if let Some((found, _)) = tables.migrations.iter().rev().find(|(version, _)| of(*version).is_none()) {
        return Err(StoreError::NewerSchema {
            store: store.to_owned(),
            found: *found,
            known: known.iter().map(|migration| migration.version).max().unwrap_or(0),
        });
    }
    match tables.migrations.iter().find(|migration| !is_ours(migration)) {
        Some((version, _)) => Err(StoreError::OtherSchema { store: store.to_owned(), version: *version }),
        None if tables.migrations.len() < known.iter().count() => Ok(Found::Older),
        None => Ok(Found::Current),
    }
}

/// Whether a database is being migrated, for whoever waits for it.
#[derive(Default)]
pub(super) struct Migrating(AtomicBool);

impl Migrating {
    /// Whether it is.
    pub fn is_under_way(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// It is until what is answered is dropped; the journal has it too, where there are data.
    pub fn begin<'a>(&'a self, found: &Found, store: &str) -> Migration<'a> {
        if *found == Found::Older {
            tracing::info!("{store} is being migrated, which takes as long as there is data");
        }
        self.0.store(*found != Found::Current, Ordering::SeqCst);
        Migration(self)
    }
}

/// A migration that is under way.
pub(super) struct Migration<'a>(&'a Migrating);

impl Drop for Migration<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::SeqCst);
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
