//! What the core reaches outside of its process but the store: the state directory and the network. A simulation has
//! its own of both.

use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::Owner;
use crate::oauth::{HttpTransport, Transport};
use crate::random::Random;
use crate::spotify::Client;
use crate::tokens::{FileSpool, Spool, Vault};

use super::core::CoreError;
use super::state::{StateDir, StatePaths};

/// The state directory and the network.
pub trait Outside: Send + Sync + 'static {
    /// Names the state directory in the store.
    fn owner(&self) -> Owner;
    /// Where the files of the state directory are; `None` where there are none, and so the token key is configured.
    fn paths(&self) -> Option<StatePaths>;
    /// Where answers are kept.
    fn spool(&self, vault: &Arc<Vault>, random: &Arc<Random>) -> Arc<dyn Spool>;
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

    fn paths(&self) -> Option<StatePaths> {
        Some(Self::paths(self))
    }

    fn spool(&self, vault: &Arc<Vault>, random: &Arc<Random>) -> Arc<dyn Spool> {
        Arc::new(FileSpool::new(Self::paths(self).spool(), Arc::clone(vault), Arc::clone(random)))
    }

    fn client(&self) -> Result<Client, CoreError> {
        Client::new().map_err(|error| no_client(&error))
    }

    fn transport(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Transport>, CoreError> {
        Ok(Arc::new(HttpTransport::new(Arc::clone(clock)).map_err(|error| no_client(&error))?))
    }
}

fn no_client(error: &dyn std::error::Error) -> CoreError {
    CoreError::Host(format!("no HTTP client can be made: {error}"))
}
