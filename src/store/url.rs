//! Which database a URL names. Nothing is connected to here.

use std::sync::Arc;

use super::Store;
use super::backend::SqlStore;
use super::sqlite::SqliteFile;
use crate::clock::Clock;

/// Why a store URL was refused. The message never repeats the URL: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(&'static str);

/// The store that a URL names, not yet connected: `Store::open` does that, and every other method too where it has
/// not succeeded. `clock` is the store's clock where the database has none of its own.
///
/// # Errors
/// Where the URL names no store that this version can use.
pub fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, UrlError> {
    let path = sqlite_path(url)?;
    Ok(Arc::new(SqlStore::new(SqliteFile::new(path.into()), clock)))
}

/// The path as it stands after `sqlite://`: no escapes, no options.
fn sqlite_path(url: &str) -> Result<&str, UrlError> {
    let Some(path) = url.strip_prefix("sqlite://") else {
        return Err(UrlError(match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => {
                "PostgreSQL is not in this version: use \"sqlite:///path/to/longplay.db\""
            }
            _ => "it names no store: use \"sqlite:///path/to/longplay.db\"",
        }));
    };
    if path.contains(['?', '\0']) {
        return Err(UrlError("a SQLite URL takes no options: use \"sqlite:///path/to/longplay.db\""));
    }
    if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
        return Err(UrlError("it names no file: use \"sqlite:///path/to/longplay.db\""));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_url_is_a_path() {
        assert_eq!(sqlite_path("sqlite:///var/lib/a b.db"), Ok("/var/lib/a b.db"));
        assert_eq!(sqlite_path("sqlite://here.db"), Ok("here.db"));
    }

    #[test]
    fn a_url_of_no_store_is_refused_without_repeating_its_password() {
        for bad in [
            "postgres://longplay:hunter2@db/longplay",
            "hunter2",
            "sqlite:///a?key=hunter2",
            "sqlite://",
            "sqlite:///var/",
            "sqlite://:memory:",
        ] {
            let message = sqlite_path(bad).unwrap_err().to_string();
            assert!(message.contains("sqlite:///") && !message.contains("hunter2"), "{message}");
        }
        assert!(sqlite_path("postgres:///x").unwrap_err().to_string().contains("not in this version"));
    }
}
