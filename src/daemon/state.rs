//! The state directory: made private, locked by whoever works on it, with the UUID that names its owner.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Gid, Uid, geteuid};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::Owner;
use crate::random::Random;

use super::seen::is_copied;

/// How often the lock is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Why the state directory can't be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It can't be read or written.
    #[error(
        "the state directory {path}: {source}; store.state_dir must be a folder that this user can write"
    )]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another longplay works on it.
    #[error(
        "another longplay (process {pid}) holds the state directory {path}: one at a time can refresh tokens"
    )]
    Locked {
        /// Which.
        path: PathBuf,
        /// Who.
        pid: String,
    },
}

/// The state directory, locked until this is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    owner: Owner,
    _lock: File,
}

impl StateDir {
    /// Makes the directory where it is missing (0700), and locks it; waits so long for another's lock.
    ///
    /// # Errors
    /// Where it can't be written, or stays locked.
    pub async fn lock(
        path: &Path,
        patience: Duration,
        clock: &dyn Clock,
        random: &Random,
    ) -> Result<Self, StateError> {
        let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
        make_private(path).map_err(unusable)?;
        let file = path.join("lock");
        let mut lock = private(&file).map_err(unusable)?;
        let began = clock.boot();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if clock.boot().since(began) < patience => {
                    clock.sleep(TRY_AGAIN).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    // Who it is only helps the message.
                    let _ = lock.read_to_string(&mut pid);
                    return Err(StateError::Locked { path: path.to_owned(), pid: pid.trim().to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unusable)?;
        make_private(&path.join("spool")).map_err(unusable)?;
        let paths = StatePaths(path.to_owned());
        let mut owner = owner(&paths.instance(), random).map_err(unusable)?;
        if is_copied(&paths, owner) {
            // Two daemons of one name would take each other's refreshes for their own.
            let copy = owner.0;
            owner = named(&paths.instance(), random).map_err(unusable)?;
            tracing::warn!(
                "{} is a copy of the state directory {copy}: it is {} from now on",
                path.display(),
                owner.0
            );
        }
        Ok(Self { path: path.to_owned(), owner, _lock: lock })
    }

    /// Names this directory in the store.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Where its files are.
    pub fn paths(&self) -> StatePaths {
        StatePaths(self.path.clone())
    }
}

/// Where the files of a state directory are, without its lock: for what may outlive who holds that.
#[derive(Debug, Clone)]
pub struct StatePaths(PathBuf);

impl StatePaths {
    /// Where its name is.
    pub fn instance(&self) -> PathBuf {
        self.0.join("instance")
    }

    /// Where answers are kept.
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// Where is noted which store this directory works with.
    pub fn seen(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Where is noted what is known of the wall clock.
    pub fn clock(&self) -> PathBuf {
        self.0.join("clock")
    }

    /// Where the next key is while it is not in use.
    pub fn next_key(&self) -> PathBuf {
        self.0.join("token-key-next")
    }

    /// Where the old key is until nothing is sealed with it any more.
    pub fn old_key(&self) -> PathBuf {
        self.0.join("token-key-old")
    }

    /// Where something is while it is made.
    pub fn draft(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where a key is that was made here.
    pub fn key(&self) -> PathBuf {
        self.0.join("token-key")
    }
}

/// Run as root, become whoever owns the state directory, so that nothing in it is ever root's. Call it before any
/// other thread exists, but for one that is to stay who it is.
///
/// # Errors
/// Where the system refuses.
pub fn become_owner(path: &Path) -> io::Result<()> {
    let Ok(folder) = std::fs::metadata(path) else { return Ok(()) };
    if !geteuid().is_root() || folder.uid() == 0 {
        return Ok(());
    }
    let gid = Gid::from_raw(folder.gid());
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(folder.uid());
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    super::privacy::forbid_core_images();
    Ok(())
}

/// A file that is durable before anyone relies on it.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn owner(path: &Path, random: &Random) -> io::Result<Owner> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let uuid = text.trim().parse::<Uuid>();
            uuid.map(Owner)
                .map_err(|_| io::Error::other(format!("{} holds no UUID: remove it", path.display())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => named(path, random),
        Err(error) => Err(error),
    }
}

fn named(path: &Path, random: &Random) -> io::Result<Owner> {
    let uuid = random.uuid();
    write_private(path, &format!("{uuid}\n"))?;
    Ok(Owner(uuid))
}

#[cfg(test)]
mod tests {
    use super::super::seen::Seen;
    use super::*;
    use crate::clock::SystemClock;

    async fn lock(path: &Path) -> Result<StateDir, StateError> {
        StateDir::lock(path, Duration::ZERO, &SystemClock, &Random::seeded(1)).await
    }

    #[tokio::test]
    async fn one_at_a_time_works_on_a_private_directory_that_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = lock(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let message = lock(&path).await.unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        let owner = first.owner();
        drop(first);
        assert_eq!(lock(&path).await.unwrap().owner(), owner);
    }

    #[tokio::test]
    async fn a_copy_of_the_directory_has_a_name_of_its_own_and_a_renamed_one_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let random = Random::seeded(2);
        let again = async |name: &str| {
            StateDir::lock(&at(name), Duration::ZERO, &SystemClock, &random).await.unwrap()
        };
        let home = crate::store::Home::Postgres { system: Some(1), database: 2, timeline: Some(3) };
        let note = |state: &StateDir| {
            Seen::here(&state.paths(), Uuid::nil(), home.clone(), state.owner())
                .note(&state.paths())
                .unwrap();
        };
        let first = again("a").await;
        let owner = first.owner();
        note(&first);
        drop(first);
        std::fs::rename(at("a"), at("b")).unwrap();
        assert_eq!(again("b").await.owner(), owner);
        // Files that were made in one tick of the kernel's clock were made at the same time.
        let born = |name: &str| std::fs::metadata(at(name).join("instance")).unwrap().created().ok();
        std::fs::create_dir(at("copy")).unwrap();
        for file in ["instance", "store"] {
            std::fs::copy(at("b").join(file), at("copy").join(file)).unwrap();
        }
        while born("copy").is_some() && born("copy") == born("b") {
            std::fs::remove_file(at("copy").join("instance")).unwrap();
            std::fs::copy(at("b").join("instance"), at("copy").join("instance")).unwrap();
        }
        let copy = again("copy").await.owner();
        assert_ne!(copy, owner);
        assert_eq!(again("copy").await.owner(), copy, "only once");
        note(&again("copy").await);
        assert_eq!(again("copy").await.owner(), copy);
        assert_eq!(again("b").await.owner(), owner);
    }

    #[tokio::test]
    async fn a_directory_that_others_can_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        lock(folder.path()).await.unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[tokio::test]
    async fn what_is_no_directory_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let message = lock(&file).await.unwrap_err().to_string();
        assert!(message.contains("store.state_dir must be a folder"), "{message}");
    }
}
