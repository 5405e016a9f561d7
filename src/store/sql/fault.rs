//! Which of the database's errors pass by themselves, and which don't.

use super::super::StoreError;

/// SQLite's primary result codes (sqlite.org/rescode.html) of what passes, or can be put right outside the program:
/// busy, locked, no memory, read-only, I/O error, disk full, can't open, locking protocol.
const PASSING: [u32; 8] = [5, 6, 7, 8, 10, 13, 14, 15];

/// PostgreSQL's codes (its manual, appendix A) of what passes, or can be put right outside the program: classes 08
/// (connection), 28 (who may come in), 3D (no such database), 53 (no room), 57 (an operator's doing), 58 (system);
/// and read-only, serialization, deadlock, lock not available, insufficient privilege, and a key that somebody else had
/// given by the time of the commit.
const PASSING_CLASSES: [&str; 6] = ["08", "28", "3D", "53", "57", "58"];
const PASSING_STATES: [&str; 6] = ["25006", "40001", "40P01", "55P03", "42501", "23505"];

/// The store's error for one of the database's, with what was being done, to what.
pub fn store_error(doing: String, e: sqlx::Error) -> StoreError {
    let source = Box::new(e);
    if passes(&source) {
        StoreError::Unavailable { doing, source }
    } else {
        StoreError::Broken { doing, source }
    }
}

fn passes(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(_) => match sqlstate(e) {
            Some(state) => {
                PASSING_CLASSES.iter().any(|class| state.starts_with(class))
                    || PASSING_STATES.contains(&state.as_str())
            }
            None => primary_code(e).is_some_and(|code| PASSING.contains(&code)),
        },
        _ => false,
    }
}

/// Whether it met another transaction (serialization, deadlock, a lock, a key that was given meanwhile), and has to be
/// repeated: the database is well.
pub fn clashed(e: &sqlx::Error) -> bool {
    sqlstate(e).is_some_and(|state| ["40001", "40P01", "55P03", "23505"].contains(&state.as_str()))
}

/// The same of the store's error.
pub fn met_another(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    source.downcast_ref::<sqlx::Error>().is_some_and(clashed)
}

/// PostgreSQL's code, its SQLSTATE.
pub fn sqlstate(e: &sqlx::Error) -> Option<String> {
    let error = e.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    Some(error.code().to_owned())
}

/// SQLite's primary result code; the higher bytes of what sqlx hands on only refine it.
pub fn primary_code(e: &sqlx::Error) -> Option<u32> {
    let code: u32 = e.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_pool_passes_and_a_missing_row_does_not() {
        let unavailable = |e| matches!(store_error("x".to_owned(), e), StoreError::Unavailable { .. });
        assert!(unavailable(sqlx::Error::PoolTimedOut));
        assert!(unavailable(sqlx::Error::Io(std::io::ErrorKind::NotFound.into())));
        assert!(!unavailable(sqlx::Error::RowNotFound));
    }
}
