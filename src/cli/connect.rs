//! How a command finds the daemon; and, where none runs, what stands in for it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::exit::{CliError, Exit};
use super::output::note;
use crate::config::{self, Place, Settings};
use crate::control::client::{Client, ClientError};
use crate::daemon::{LocalError, LocalMode, StateError, become_owner};
use crate::domain::said;

/// What a command can't do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A daemon that runs.
    Daemon,
    /// The store; where no daemon runs, the command opens it itself.
    Store,
}

/// A client for one operation. In local mode it holds the lock of the state directory, so it is dropped before
/// anything is waited for that a person does.
pub async fn connect(place: &Place, needs: Needs) -> Result<Client, CliError> {
    let control = config::load_control(place)?;
    match Client::open(&control.socket) {
        Err(ClientError::NoDaemon(_)) if needs == Needs::Store => {
            // The service's secrets are root's alone.
            let settings = config::load(place)?;
            become_owner(&control.state_dir)
                .map_err(|e| CliError::failed(format!("becoming the owner of the state directory: {e}")))?;
            local(settings).await
        }
        opened => Ok(opened?),
    }
}

/// What stands in for the daemon: the same router, on the store, under the lock. It ends when the client is dropped.
async fn local(settings: Settings) -> Result<Client, CliError> {
    let local = LocalMode::open(settings, note).await.map_err(|error| match error {
        LocalError::State(StateError::Locked { .. }) => CliError::new(Exit::Unavailable, error.to_string()),
        LocalError::State(_) => CliError::new(Exit::Unavailable, said(&error)),
        LocalError::Core(ref core) if core.passes() => CliError::new(Exit::Unavailable, said(&error)),
        LocalError::Core(_) => CliError::new(Exit::Configuration, said(&error)),
        LocalError::Start(problem) => CliError::from(*problem),
    })?;
    Ok(Client::in_process(local.router(), local))
}

/// How to be permitted to connect to `socket`.
pub fn permission(socket: &Path) -> String {
    // Where the socket's folder may not be looked into either, it belongs to the same group.
    let file = socket.metadata().or_else(|_| socket.parent().unwrap_or(socket).metadata());
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    match file.map(|file| file.gid()) {
        Ok(0) => "it belongs to root, so run the command with sudo".to_owned(),
        Ok(gid) => join(group_name(&groups, gid).unwrap_or(&gid.to_string())),
        Err(_) => join("longplay"),
    }
}

fn join(group: &str) -> String {
    format!("join its group with `sudo usermod -aG {group} $USER`, then log in to this host again")
}

/// The name of a group in the text of `/etc/group` (group(5)).
fn group_name(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(gid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &Path, config: &str) -> Place {
        let file = dir.join("longplay.toml");
        std::fs::write(&file, config).unwrap();
        Place { config: None, env: Default::default(), root: true, system_file: file }
    }

    #[tokio::test]
    async fn a_daemon_is_found_by_its_socket_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        // Even where the rest of the configuration is wrong.
        let config = format!("[control]\nsocket = {socket:?}\n[tokens]\nbuffer = \"soon\"\n");
        let place = place(dir.path(), &config);
        let error = connect(&place, Needs::Daemon).await.err().unwrap();
        assert_eq!(error.exit.code(), 69);
        assert!(error.lines[0].contains("longplay serve"), "{error:?}");
        let _daemon = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for needs in [Needs::Daemon, Needs::Store] {
            assert!(!connect(&place, needs).await.unwrap().is_in_process());
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_none_is_a_fault_of_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), "[control]\nsocket = 7\n");
        let error = connect(&place, Needs::Store).await.err().unwrap();
        assert_eq!(error.exit.code(), 78);
        assert!(error.lines[0].contains("control.socket"), "{error:?}");
    }

    #[test]
    fn a_group_is_found_by_its_number() {
        let groups = "root:x:0:\n\nbroken\nlongplay:x:998:alice,bob\n";
        assert_eq!(group_name(groups, 998), Some("longplay"));
        assert_eq!(group_name(groups, 99), None);
    }

    #[test]
    fn the_cure_names_the_group_of_the_socket() {
        assert!(join("music").contains("usermod -aG music $USER"));
        assert!(permission(Path::new("/proc/1/nothing/here")).contains("usermod -aG longplay"));
    }
}
