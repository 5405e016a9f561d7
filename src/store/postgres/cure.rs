//! Why a PostgreSQL server was not reached, and what an administrator has to do.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{ConnectOptions as _, Connection as _, Error};

use super::super::StoreError;
use super::super::sql::{sqlstate, store_error};

/// How long a method waits for a connection; so long a server may take to restart without anyone noticing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the server said, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{cure}")]
struct Cured {
    cure: String,
    source: Error,
}

/// A connection of its own.
pub async fn connect(options: &PgConnectOptions) -> std::result::Result<PgConnection, Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::PoolTimedOut),
    }
}

/// Why a pool gave no connection in time: it only says that it did not, so the server itself is asked.
pub async fn no_connection(pool: &PgPool, doing: String, e: Error) -> StoreError {
    let options = pool.connect_options();
    if !matches!(e, Error::PoolTimedOut) {
        return explained(&options, doing, e);
    }
    match connect(&options).await {
        Ok(connection) => {
            let _ = connection.close().await;
            explained(&options, doing, e)
        }
        Err(why) => explained(&options, doing, why),
    }
}

/// What was being done, what failed, and what to do about it.
pub fn explained(options: &PgConnectOptions, doing: String, e: Error) -> StoreError {
    match cure(options, &e) {
        Some(cure) => StoreError::Unavailable { doing, source: Box::new(Cured { cure, source: e }) },
        None => store_error(doing, e),
    }
}

/// What an administrator has to do, where that is known.
fn cure(options: &PgConnectOptions, e: &Error) -> Option<String> {
    let (user, database) = (options.get_username(), options.get_database().unwrap_or_default());
    match e {
        Error::Io(why) if why.kind() == std::io::ErrorKind::InvalidData => {
            return Some("the server's TLS was refused: see sslmode and sslrootcert".to_owned());
        }
        Error::Io(_) => return Some("is PostgreSQL running there (systemctl status postgresql)?".to_owned()),
        Error::PoolTimedOut => {
            return Some(format!("PostgreSQL gave no connection within {} s", CONNECT_TIMEOUT.as_secs()));
        }
        Error::Tls(_) => return Some("the server's TLS was refused: see sslmode and sslrootcert".to_owned()),
        _ => {}
    }
    match sqlstate(e)?.as_str() {
        "3D000" => Some(format!(
            "create the database: createdb --owner={user} --encoding=UTF8 --template=template0 {database}"
        )),
        "28000" => Some(format!(
            "let role {user} in: createuser {user}, run longplay as the user of that name, or see pg_hba.conf"
        )),
        "28P01" => Some(format!("give the password of role {user} in the URL (url_file or store-url)")),
        "42501" => Some(format!("let the role make tables: ALTER DATABASE {database} OWNER TO {user}")),
        _ => None,
    }
}
