//! Why the store did not do what it was asked.

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached or written now; later it may.
    #[error("{doing}: the store can't be reached")]
    Unavailable {
        /// What was being done, to what.
        doing: String,
        /// The database's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer longplay has migrated it.
    #[error(
        "{store} has schema {found}, and this longplay knows up to {known}: install the newer longplay that wrote it, or restore a back-up"
    )]
    NewerSchema {
        /// Which store.
        store: String,
        /// Its schema's number.
        found: i64,
        /// The newest number that this program knows.
        known: i64,
    },
    /// One of the migrations that it went through is not this program's.
    #[error(
        "{store} is longplay's, but its migration {version} is another than this longplay knows: install the longplay that wrote it, or restore a back-up"
    )]
    OtherSchema {
        /// Which store.
        store: String,
        /// Which migration.
        version: i64,
    },
    /// The database holds somebody else's tables.
    #[error("{store} is not longplay's: it holds {found}; choose another store.url")]
    Foreign {
        /// Which store.
        store: String,
        /// What was found in it.
        found: String,
    },
    /// It was restored or moved, and nobody has accepted that yet.
    #[error(
        "{store} was restored or moved: {why}. Nothing is refreshed or archived: run `longplay adopt` if this is to be the one that is used from now on, or stop this longplay (`longplay doctor` tells more)"
    )]
    NotAccepted {
        /// Which store.
        store: String,
        /// How that shows.
        why: String,
    },
    /// It is sealed with a key that whoever asks doesn't have.
    #[error(
        "{store} is sealed with another token key than this longplay has. Nothing is refreshed or archived: where the key was changed by another daemon, rename this one's token-key to token-key-old (or give it as tokens.old_key_file), put the new one in its place and restart; where the store was restored or moved, give its own key as tokens.key_file or the credential token-key"
    )]
    AnotherKey {
        /// Which store.
        store: String,
    },
    /// The database refused a statement, or holds what can't be read.
    #[error("{doing}: the store refused it")]
    Broken {
        /// What was being done, to what.
        doing: String,
        /// The database's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
