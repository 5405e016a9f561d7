//! Which database a URL names. Nothing is connected to here.

use std::sync::Arc;

use super::Store;
use super::backend::{Database, SqlStore};
use super::postgres::Server;
use super::sql::Time;
use super::sqlite::SqliteFile;
use crate::clock::Clock;

/// Why a store URL was refused. The message never repeats the URL: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(pub(super) String);

/// The store that a URL names, not yet connected: `Store::open` does that, and every other method too where it has
/// not succeeded. `clock` is the store's clock where the database has none of its own.
///
/// # Errors
/// Where the URL names no store.
pub fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, UrlError> {
    Ok(Arc::new(sql(url, clock)?))
}

/// The same, for whoever works on the database itself.
pub(super) fn sql(url: &str, clock: Arc<dyn Clock>) -> Result<SqlStore, UrlError> {
    Ok(match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => {
            SqlStore::new(Database::Postgres(Box::new(Server::new(url)?)), Time::Server)
        }
        _ => {
            let file = SqliteFile::new(sqlite_path(url)?.into());
            SqlStore::new(Database::Sqlite(file), Time::Given(clock))
        }
    })
}

/// The path as it stands after `sqlite://`: no escapes, no options.
fn sqlite_path(url: &str) -> Result<&str, UrlError> {
    let refused = |why: &str| UrlError(format!("{why}: use \"sqlite:///path/to/longplay.db\""));
    let Some(path) = url.strip_prefix("sqlite://") else {
        return Err(UrlError(
            "it names no store: use \"sqlite:///path/to/longplay.db\" or \"postgres:///longplay?host=/run/postgresql\""
                .to_owned(),
        ));
    };
    if path.contains(['?', '\0']) {
        return Err(refused("a SQLite URL takes no options"));
    }
    if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
        return Err(refused("it names no file"));
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
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
        for (bad, cure) in [
            ("hunter2", "postgres:///longplay"),
            ("mysql://u:hunter2@h/d", "postgres:///longplay"),
            ("sqlite:///a?key=hunter2", "takes no options"),
            ("sqlite://", "names no file"),
            ("sqlite:///var/", "names no file"),
            ("sqlite://:memory:", "names no file"),
            ("postgres://longplay:hunter2@db:port/longplay", "invalid port"),
            ("postgres://longplay:hunter2@db/longplay?sslmode=hunter2", "one of its parts"),
            ("postgres://longplay:hunter2@db/longplay?ssl=on", "a parameter that is none of host"),
            ("postgres://longplay:hunter2@db", "names no database"),
            ("postgres://longplay:/hunter2@db/longplay", "percent-encoded"),
            ("postgres://longplay:12/hunter2@db/longplay", "percent-encoded"),
            ("postgres://u:12?hunter2@db/x", "percent-encoded"),
            ("postgres://u:12#hunter2@db/x", "names no database"),
        ] {
            let Err(error) = open(bad, Arc::clone(&clock)) else { panic!("{bad} is taken") };
            let message = error.to_string();
            assert!(message.contains(cure) && !message.contains("hunter2"), "{bad}: {message}");
        }
    }
}
