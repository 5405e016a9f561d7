//! The spool: a user's newest answer of the token endpoint, durable before anyone reads it, kept until the next one
//! replaces it. A preallocated file per user with two slots; an answer that failed never overwrites the last success.

mod memory;
mod record;
mod slot;

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::domain::{AttemptId, Cause, Epoch, Generation, RefreshToken, Timestamp, UserId};
use crate::oauth::RawAnswer;
use crate::random::Random;

use super::seal::Vault;
pub use memory::{Files as SpoolFiles, MemorySpool};
use record::{opened, text_of};
use slot::{LEAST, PREALLOCATED, Slot};

/// How many files are read side by side: a disk that has to be asked answers several as soon as one.
const READERS: usize = 8;

/// An answer with all that is needed to apply it later.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Whose.
    pub user: UserId,
    /// The login it is of.
    pub epoch: Epoch,
    /// The generation whose refresh token was sent.
    pub sent: Generation,
    /// The refresh token that was sent: it stays where the answer brings none.
    pub refresh_token: RefreshToken,
    /// The try.
    pub attempt: AttemptId,
    /// Why it was made.
    pub cause: Cause,
    /// When the request was sent, by this host's wall clock.
    pub sent_at: Timestamp,
    /// When the answer was there.
    pub received_at: Timestamp,
    /// The answer.
    pub answer: RawAnswer,
}

impl Kept {
    /// What tells whether it can still matter.
    pub fn head(&self) -> Head {
        let success = self.answer.status == 200;
        Head { epoch: self.epoch, sent: self.sent, attempt: self.attempt, success }
    }
}

/// What tells whether an answer can still matter to a grant, without the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The login it is of.
    pub epoch: Epoch,
    /// The generation whose refresh token was sent.
    pub sent: Generation,
    /// The try.
    pub attempt: AttemptId,
    /// Whether it may bring tokens: its status was 200.
    pub success: bool,
}

/// What a look at a user's answers shows, with none of them opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Whose.
    pub user: UserId,
    /// Of each answer whose head can be trusted.
    pub heads: Vec<Head>,
    /// Nothing else is there, and nothing that can't be read.
    pub sound: bool,
}

/// Where answers are kept.
#[async_trait]
pub trait Spool: Send + Sync + 'static {
    /// Makes room for a user's answer, before a token is spent.
    async fn prepare(&self, user: UserId) -> io::Result<()>;
    /// Keeps an answer; durable when this returns.
    async fn keep(&self, kept: &Kept) -> io::Result<()>;
    /// Everyone whose answers are kept, by number.
    async fn users(&self) -> io::Result<Vec<UserId>>;
    /// Looks at the answers of these, in this order.
    async fn glance(&self, users: &[UserId]) -> io::Result<Vec<Glance>>;
    /// A user's answers, the newest first; and what can't be read, in words.
    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)>;
    /// Forgets a user's answers.
    async fn forget(&self, user: UserId) -> io::Result<()>;
    /// Seals a user's answers with the key in use; true where one was sealed with another. What can't be opened stays as
    /// it is.
    async fn reseal(&self, _user: UserId) -> io::Result<bool> {
        Ok(false)
    }
    /// Puts a user's answers where nothing finds them but a person: they are somebody else's who had the number. They stay
    /// sealed with the key that they are sealed with.
    async fn set_aside(&self, user: UserId) -> io::Result<()> {
        self.forget(user).await
    }
}

/// The spool in the state directory.
pub struct FileSpool {
    folder: PathBuf,
    vault: Arc<Vault>,
    random: Arc<Random>,
    /// Written by whoever puts another file in the place of one, or takes one away: neither may cross another's work.
    files: Arc<RwLock<()>>,
}

impl FileSpool {
    /// In `folder`, which exists.
    pub fn new(folder: PathBuf, vault: Arc<Vault>, random: Arc<Random>) -> Self {
        Self { folder, vault, random, files: Arc::default() }
    }

    fn path(&self, user: UserId) -> PathBuf {
        self.folder.join(user.0.to_string())
    }
}

#[async_trait]
impl Spool for FileSpool {
    async fn prepare(&self, user: UserId) -> io::Result<()> {
        let path = self.path(user);
        blocking(move || {
            if std::fs::metadata(&path).is_ok_and(|file| has_room(&file)) {
                return Ok(());
            }
            let file = create(&path)?;
            // Before there is room, so that a file that has its room has its name for good.
            sync_name(&path)?;
            match fallocate(&file, FallocateFlags::empty(), 0, PREALLOCATED) {
                Err(Errno::OPNOTSUPP) => fill(&file)?,
                reserved => reserved?,
            }
            file.sync_all()
        })
        .await
    }

    async fn keep(&self, kept: &Kept) -> io::Result<()> {
        let path = self.path(kept.user);
        let text = text_of(kept)?;
        let named = (kept.user, kept.head());
        let (vault, random) = (Arc::clone(&self.vault), Arc::clone(&self.random));
        let files = Arc::clone(&self.files);
        blocking(move || {
            let _in_place = files.read().unwrap_or_else(PoisonError::into_inner);
            let file = create(&path)?;
            let length = file.metadata()?;
            let prepared = has_room(&length);
            // Where nothing could be preallocated: a length takes no room.
            if length.len() < LEAST {
                file.set_len(LEAST)?;
            }
            slot::write(&file, named, &text, &vault, &random)?;
            file.sync_data()?;
            if prepared { Ok(()) } else { sync_name(&path) }
        })
        .await
    }

    async fn users(&self) -> io::Result<Vec<UserId>> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut users = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                users.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()).map(UserId));
            }
            users.sort();
            Ok(users)
        })
        .await
    }

    async fn glance(&self, users: &[UserId]) -> io::Result<Vec<Glance>> {
        let share = |users: &[UserId]| {
            let files: Vec<(UserId, PathBuf)> = users.iter().map(|user| (*user, self.path(*user))).collect();
            let vault = Arc::clone(&self.vault);
            let look = move |(user, path): &(UserId, PathBuf)| glance(*user, path, &vault);
            tokio::task::spawn_blocking(move || files.iter().map(look).collect::<Vec<_>>())
        };
        let shares: Vec<_> = users.chunks(users.len().div_ceil(READERS).max(1)).map(share).collect();
        let mut seen = Vec::with_capacity(users.len());
        for share in shares {
            seen.extend(share.await.map_err(broke_off)?);
        }
        Ok(seen)
    }

    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)> {
        let (path, vault) = (self.path(user), Arc::clone(&self.vault));
        blocking(move || Ok(kept_of(user, &path, &vault))).await
    }

    async fn forget(&self, user: UserId) -> io::Result<()> {
        let (path, files) = (self.path(user), Arc::clone(&self.files));
        blocking(move || {
            // What is being sealed anew would come back.
            let _alone = files.write().unwrap_or_else(PoisonError::into_inner);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn reseal(&self, user: UserId) -> io::Result<bool> {
        let (path, files) = (self.path(user), Arc::clone(&self.files));
        let (vault, random) = (Arc::clone(&self.vault), Arc::clone(&self.random));
        blocking(move || {
            let _alone = files.write().unwrap_or_else(PoisonError::into_inner);
            reseal(user, &path, &vault, &random)
        })
        .await
    }

    async fn set_aside(&self, user: UserId) -> io::Result<()> {
        let (path, files) = (self.path(user), Arc::clone(&self.files));
        blocking(move || {
            let _alone = files.write().unwrap_or_else(PoisonError::into_inner);
            set_aside(&path)
        })
        .await
    }
}

/// A kill in the middle leaves the old file, or the new one whole.
fn reseal(user: UserId, path: &Path, vault: &Vault, random: &Random) -> io::Result<bool> {
    let old = match File::open(path) {
        Err(error) if gone(&error) => return Ok(false),
        opened => opened?,
    };
    if slot::read(&old).iter().flatten().all(|slot| slot.is_current(&old, vault)) {
        return Ok(false);
    }
    let anew = path.with_extension("new");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&anew)?;
    io::copy(&mut &old, &mut file)?;
    let resealed = slot::reseal(&file, user, vault, random)?;
    // What was cut stays cut: with room behind it, it would look like a slot that nothing was ever written to.
    if old.metadata()?.len() >= PREALLOCATED {
        fallocate(&file, FallocateFlags::empty(), 0, PREALLOCATED)?;
    }
    file.sync_all()?;
    std::fs::rename(&anew, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(resealed)
}

/// Renames what is there to the first name that is free.
fn set_aside(path: &Path) -> io::Result<()> {
    let free = |n: &u32| !path.with_extension(format!("aside-{n}")).exists();
    let Some(n) = (1..).find(free) else { return Ok(()) };
    match std::fs::rename(path, path.with_extension(format!("aside-{n}"))) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}

fn glance(user: UserId, path: &Path, vault: &Vault) -> Glance {
    match File::open(path) {
        Ok(file) => glance_at(user, &file, vault),
        Err(error) => Glance { user, heads: Vec::new(), sound: gone(&error) },
    }
}

fn glance_at(user: UserId, file: &impl FileExt, vault: &Vault) -> Glance {
    let slots = slot::read(file);
    let head = |slot: &Result<Slot, String>| slot.as_ref().ok()?.head(user, vault).ok();
    let heads: Vec<Head> = slots.iter().filter_map(head).collect();
    Glance { user, sound: heads.len() == slots.len(), heads }
}

fn kept_of(user: UserId, path: &Path, vault: &Vault) -> (Vec<Kept>, Vec<String>) {
    let (mut kept, mut faults) = (Vec::new(), Vec::new());
    let mut fault = |what: String| faults.push(format!("{}: {what}", path.display()));
    match File::open(path) {
        Err(error) if gone(&error) => {}
        Err(error) => fault(error.to_string()),
        Ok(file) => {
            for answer in answers(user, &file, vault) {
                match answer {
                    Ok(answer) => kept.push(answer),
                    Err(what) => fault(what),
                }
            }
        }
    }
    (kept, faults)
}

/// The newest first.
fn answers(user: UserId, file: &impl FileExt, vault: &Vault) -> Vec<Result<Kept, String>> {
    let open = |slot: Result<Slot, String>| opened(user, &slot?.answer(file, user, vault)?);
    slot::read(file).into_iter().map(open).collect()
}

/// A user who was forgotten meanwhile has no answers.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn has_room(file: &Metadata) -> bool {
    file.len() >= PREALLOCATED
}

/// Writes what a file lacks of its room, where the file system can't reserve it; leaves what is in it.
fn fill(file: &File) -> io::Result<()> {
    let length = file.metadata()?.len().min(PREALLOCATED);
    let lacking = usize::try_from(PREALLOCATED - length).map_err(io::Error::other)?;
    file.write_all_at(&vec![0; lacking], length)
}

/// A new file is found again after a power cut only once its folder is synced.
fn sync_name(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(broke_off)?
}

/// Without the words of the panic: they may hold what it was about.
fn broke_off(_: tokio::task::JoinError) -> io::Error {
    io::Error::other("it broke off: this is a fault of longplay")
}

#[cfg(test)]
mod tests;
