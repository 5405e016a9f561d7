//! What the core reaches outside of its process but the store: the state directory and the network. A simulation has
//! its own of both.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use crate::clock::Clock;
use crate::config::TokenKey;
use crate::domain::{Owner, Secret};
use crate::oauth::{HttpTransport, Transport};
use crate::random::Random;
use crate::spotify::Client;
use crate::tokens::{FileSpool, Spool, Vault};

use super::core::CoreError;
use super::state::{StateDir, write_private};

/// The state directory and the network.
pub trait Outside: Send + Sync + 'static {
    /// Names the state directory in the store.
    fn owner(&self) -> Owner;
    /// Where answers are kept.
    fn spool(&self, vault: &Arc<Vault>, random: &Arc<Random>) -> Arc<dyn Spool>;
    /// The token key that is kept here; `store`: what it must open.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    fn key(&self, store: &str) -> Result<TokenKey, CoreError>;
    /// The same for an empty store: made, where there is none.
    ///
    /// # Errors
    /// Where it can't be written, or one is there and can't be read.
    fn key_for_empty(&self, random: &Random) -> Result<TokenKey, CoreError>;
    /// The way to the Web API.
    ///
    /// # Errors
    /// Where the host lacks something.
    fn client(&self) -> Result<Client, CoreError>;
    /// The way to the token endpoint.
    ///
    /// # Errors
    /// Where the host lacks something.
    fn transport(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Transport>, CoreError>;
}

impl Outside for StateDir {
    fn owner(&self) -> Owner {
        Self::owner(self)
    }

    fn spool(&self, vault: &Arc<Vault>, random: &Arc<Random>) -> Arc<dyn Spool> {
        Arc::new(FileSpool::new(Self::spool(self), Arc::clone(vault), Arc::clone(random)))
    }

    fn key(&self, store: &str) -> Result<TokenKey, CoreError> {
        let path = Self::key(self);
        match read_key(self) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(CoreError::Key(format!(
                "{store} is sealed, and its token key is missing: restore {} from a back-up, or give it as tokens.key_file or the credential token-key",
                path.display()
            ))),
            read => read.map_err(|error| unusable(self, &error))?,
        }
    }

    fn key_for_empty(&self, random: &Random) -> Result<TokenKey, CoreError> {
        match read_key(self) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let bytes = zeroize::Zeroizing::new(random.bytes::<32>());
                let line = Secret::from(STANDARD.encode(*bytes));
                write_private(&Self::key(self), line.expose_secret()).map_err(|e| unusable(self, &e))?;
                Ok(TokenKey::new(*bytes))
            }
            read => read.map_err(|error| unusable(self, &error))?,
        }
    }

    fn client(&self) -> Result<Client, CoreError> {
        Client::new().map_err(|error| no_client(&error))
    }

    fn transport(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Transport>, CoreError> {
        Ok(Arc::new(HttpTransport::new(Arc::clone(clock)).map_err(|error| no_client(&error))?))
    }
}

/// The key's file, and what it holds.
fn read_key(state: &StateDir) -> Result<Result<TokenKey, CoreError>, Error> {
    let path = state.key();
    let line = std::fs::read_to_string(&path)?;
    Ok(TokenKey::from_base64(&line).ok_or_else(|| {
        let path = path.display();
        CoreError::Key(format!(
            "{path} holds no token key (32 bytes in base64 on one line): restore it from a back-up"
        ))
    }))
}

fn unusable(state: &StateDir, error: &Error) -> CoreError {
    CoreError::Key(format!("the token key {}: {error}", state.key().display()))
}

fn no_client(error: &dyn std::error::Error) -> CoreError {
    CoreError::Host(format!("no HTTP client can be made: {error}"))
}
