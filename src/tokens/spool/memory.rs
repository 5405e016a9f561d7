//! A spool in memory, for simulated time: its files are bytes, all else is the spool's own.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::UserId;
use crate::random::Random;

use super::super::seal::Vault;
use super::slot::{LEAST, PREALLOCATED};
use super::{Glance, Kept, Spool, answers, glance_at, slot, text_of};

/// The files, which outlive whoever works on them.
pub type Files = Arc<Mutex<BTreeMap<UserId, Bytes>>>;

/// A file's bytes.
#[derive(Debug, Clone, Default)]
pub struct Bytes(Arc<Mutex<Vec<u8>>>);

/// A spool in memory.
pub struct MemorySpool {
    files: Files,
    vault: Arc<Vault>,
    random: Arc<Random>,
}

impl MemorySpool {
    /// On these files.
    pub fn new(files: Files, vault: Arc<Vault>, random: Arc<Random>) -> Self {
        Self { files, vault, random }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<UserId, Bytes>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, user: UserId) -> Bytes {
        self.files().get(&user).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Spool for MemorySpool {
    async fn prepare(&self, user: UserId) -> io::Result<()> {
        self.files().entry(user).or_default().make_room(PREALLOCATED);
        Ok(())
    }

    async fn keep(&self, kept: &Kept) -> io::Result<()> {
        let file = self.files().entry(kept.user).or_default().clone();
        file.make_room(LEAST);
        slot::write(&file, (kept.user, kept.head()), &text_of(kept)?, &self.vault, &self.random)
    }

    async fn users(&self) -> io::Result<Vec<UserId>> {
        Ok(self.files().keys().copied().collect())
    }

    async fn glance(&self, users: &[UserId]) -> io::Result<Vec<Glance>> {
        Ok(users.iter().map(|user| glance_at(*user, &self.file(*user), &self.vault)).collect())
    }

    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)> {
        let (mut kept, mut faults) = (Vec::new(), Vec::new());
        for answer in answers(user, &self.file(user), &self.vault) {
            match answer {
                Ok(answer) => kept.push(answer),
                Err(what) => faults.push(what),
            }
        }
        Ok((kept, faults))
    }

    async fn forget(&self, user: UserId) -> io::Result<()> {
        self.files().remove(&user);
        Ok(())
    }
}

impl Bytes {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes at least.
    fn make_room(&self, length: u64) {
        let (mut bytes, length) = (self.bytes(), usize::try_from(length).unwrap_or(usize::MAX));
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
    }
}

impl FileExt for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let from = usize::try_from(offset).map_err(io::Error::other)?.min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.bytes();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let to = from + buffer.len();
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        bytes[from..to].copy_from_slice(buffer);
        Ok(buffer.len())
    }
}
