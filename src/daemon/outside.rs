//! What the core reaches outside of its process but the store: the state directory and the network. A simulation has
//! its own of both.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::Owner;
use crate::oauth::{HttpTransport, Transport};
use crate::random::Random;
use crate::spotify::Client;
use crate::tokens::{ClockNote, FileSpool, Spool, Vault};

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
    /// Where is left for the next process what this one knows of the wall clock.
    fn clock_note(&self) -> Arc<dyn ClockNote>;
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

    fn clock_note(&self) -> Arc<dyn ClockNote> {
        Arc::new(NoteFile(Self::paths(self).clock()))
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

/// A file with the boot that it is of on its first line.
struct NoteFile(PathBuf);

impl NoteFile {
    /// Tells this boot of the host from every other.
    fn boot() -> Option<String> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }
}

impl ClockNote for NoteFile {
    fn read(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        let (boot, note) = text.split_once('\n')?;
        (boot == Self::boot()?).then(|| note.trim().to_owned())
    }

    fn leave(&self, note: &str) {
        let Some(boot) = Self::boot() else { return };
        // Not synced: whatever loses it is a boot, after which it is not read.
        let anew = self.0.with_extension("new");
        let left = std::fs::write(&anew, format!("{boot}\n{note}\n"));
        if let Err(error) = left.and_then(|()| std::fs::rename(&anew, &self.0)) {
            tracing::debug!("what is known of the wall clock is not noted: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_of_the_clock_is_read_in_the_same_boot_alone() {
        let folder = tempfile::tempdir().unwrap();
        let note = NoteFile(folder.path().join("clock"));
        assert_eq!(note.read(), None);
        note.leave("1 2 3");
        assert_eq!(note.read(), NoteFile::boot().map(|_| "1 2 3".to_owned()));
        std::fs::write(&note.0, "another boot\n1 2 3\n").unwrap();
        assert_eq!(note.read(), None);
    }
}
