//! The spool: a user's newest answer of the token endpoint, durable before anyone reads it, kept until the next one
//! replaces it. A preallocated file per user with two slots; an answer that failed never overwrites the last success.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::{AttemptId, Cause, Epoch, Generation, RefreshToken, Sealed, Timestamp, UserId};
use crate::oauth::RawAnswer;
use crate::random::Random;

use super::seal::{Label, Vault};

const MAGIC: &[u8; 8] = b"lpspool1";
/// Magic, sequence number, whether the status was 200, length.
const HEAD: usize = 8 + 8 + 1 + 4;
/// Room for the longest answer, sealed. The file is sparse beyond what is preallocated.
const SLOT: u64 = 128 * 1024;
/// What is preallocated of a slot: all usual answers fit, also on a full disk.
const PREALLOCATED: u64 = 8 * 1024;

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

/// Where answers are kept.
#[async_trait]
pub trait Spool: Send + Sync + 'static {
    /// Makes room for a user's answer, before a token is spent.
    async fn prepare(&self, user: UserId) -> io::Result<()>;
    /// Keeps an answer; durable when this returns.
    async fn keep(&self, kept: &Kept) -> io::Result<()>;
    /// Everything kept, a user's newest answer first; and what can't be read, in words.
    async fn kept(&self) -> io::Result<(Vec<Kept>, Vec<String>)>;
    /// The same, of one user.
    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)>;
    /// Forgets a user's answers.
    async fn forget(&self, user: UserId) -> io::Result<()>;
}

/// The spool in the state directory.
pub struct FileSpool {
    folder: PathBuf,
    vault: Arc<Vault>,
    random: Arc<Random>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    epoch: Epoch,
    sent: Generation,
    refresh_token: String,
    attempt: AttemptId,
    cause: Cause,
    sent_at: Timestamp,
    received_at: Timestamp,
    status: u16,
    retry_after: Option<String>,
    date: Option<String>,
    body: String,
}

struct Slot {
    sequence: u64,
    success: bool,
    sealed: Sealed,
}

impl FileSpool {
    /// In `folder`, which exists.
    pub fn new(folder: PathBuf, vault: Arc<Vault>, random: Arc<Random>) -> Self {
        Self { folder, vault, random }
    }

    fn path(&self, user: UserId) -> PathBuf {
        self.folder.join(user.0.to_string())
    }

    fn opened(&self, files: Vec<(UserId, Slots)>) -> (Vec<Kept>, Vec<String>) {
        let (mut kept, mut faults) = (Vec::new(), Vec::new());
        for (user, slots) in files {
            for slot in slots {
                match slot.and_then(|slot| self.open_kept(user, &slot)) {
                    Ok(answer) => kept.push(answer),
                    Err(fault) => faults.push(format!("{}: {fault}", self.path(user).display())),
                }
            }
        }
        (kept, faults)
    }

    fn open_kept(&self, user: UserId, slot: &Slot) -> Result<Kept, String> {
        let label = Label::Answer(user, slot.sequence, slot.success);
        let text = self.vault.open(label, &slot.sealed).map_err(|e| e.to_string())?;
        let mut record: Record = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        let body = Zeroizing::new(STANDARD.decode(&record.body).map_err(|e| e.to_string())?);
        record.body.zeroize();
        Ok(Kept {
            user,
            epoch: record.epoch,
            sent: record.sent,
            refresh_token: RefreshToken::from(std::mem::take(&mut record.refresh_token)),
            attempt: record.attempt,
            cause: record.cause,
            sent_at: record.sent_at,
            received_at: record.received_at,
            answer: RawAnswer {
                status: record.status,
                retry_after: record.retry_after,
                date: record.date,
                body,
            },
        })
    }
}

#[async_trait]
impl Spool for FileSpool {
    async fn prepare(&self, user: UserId) -> io::Result<()> {
        let path = self.path(user);
        blocking(move || {
            if std::fs::metadata(&path).is_ok_and(|file| file.len() >= SLOT + PREALLOCATED) {
                return Ok(());
            }
            let file = create(&path)?;
            for slot in [0, SLOT] {
                fallocate(&file, FallocateFlags::empty(), slot, PREALLOCATED)?;
            }
            file.sync_all()?;
            match path.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        })
        .await
    }

    async fn keep(&self, kept: &Kept) -> io::Result<()> {
        let path = self.path(kept.user);
        let record = Record {
            epoch: kept.epoch,
            sent: kept.sent,
            refresh_token: kept.refresh_token.expose().to_owned(),
            attempt: kept.attempt,
            cause: kept.cause,
            sent_at: kept.sent_at,
            received_at: kept.received_at,
            status: kept.answer.status,
            retry_after: kept.answer.retry_after.clone(),
            date: kept.answer.date.clone(),
            body: STANDARD.encode(&kept.answer.body),
        };
        let text = Zeroizing::new(serde_json::to_vec(&record)?);
        drop((Zeroizing::new(record.body), Zeroizing::new(record.refresh_token)));
        let (user, success) = (kept.user, kept.answer.status == 200);
        let (vault, random) = (Arc::clone(&self.vault), Arc::clone(&self.random));
        blocking(move || {
            let file = create(&path)?;
            let slots = [read_slot(&file, 0), read_slot(&file, 1)];
            let sequence = slots.iter().flatten().map(|slot| slot.sequence).max().unwrap_or(0) + 1;
            let sealed = vault.seal(Label::Answer(user, sequence, success), &text, &random);
            let length = u32::try_from(sealed.0.len()).map_err(io::Error::other)?;
            let mut bytes = Vec::with_capacity(HEAD + sealed.0.len());
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&sequence.to_le_bytes());
            bytes.push(u8::from(success));
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&sealed.0);
            file.write_all_at(&bytes, victim(&slots) * SLOT)?;
            file.sync_data()
        })
        .await
    }

    async fn kept(&self) -> io::Result<(Vec<Kept>, Vec<String>)> {
        let folder = self.folder.clone();
        Ok(self.opened(blocking(move || read_folder(&folder)).await?))
    }

    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)> {
        let path = self.path(user);
        let slots = blocking(move || match File::open(path) {
            Ok(file) => Ok(read_slots(&file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        })
        .await?;
        Ok(self.opened(vec![(user, slots)]))
    }

    async fn forget(&self, user: UserId) -> io::Result<()> {
        let path = self.path(user);
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// Which slot the next answer goes to: an empty one, else the one that holds no success, else the older one.
fn victim(slots: &[Option<Slot>; 2]) -> u64 {
    match slots {
        [None, _] => 0,
        [_, None] => 1,
        [Some(first), Some(second)] if first.success == second.success => {
            u64::from(second.sequence < first.sequence)
        }
        [Some(first), Some(_)] => u64::from(first.success),
    }
}

/// A slot that was never written, or whose head is damaged, is `None`.
fn read_slot(file: &File, number: u64) -> Option<Slot> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, number * SLOT).ok()?;
    let length = u32::from_le_bytes(head[17..21].try_into().ok()?);
    if &head[..8] != MAGIC || u64::from(length) > SLOT - HEAD as u64 {
        return None;
    }
    let mut sealed = vec![0; length as usize];
    file.read_exact_at(&mut sealed, number * SLOT + HEAD as u64).ok()?;
    let sequence = u64::from_le_bytes(head[8..16].try_into().ok()?);
    Some(Slot { sequence, success: head[16] == 1, sealed: Sealed(sealed) })
}

/// Whether a slot has anything in it; tells a damaged head from a slot that was never written.
fn written(file: &File, number: u64) -> bool {
    let mut head = [0; HEAD];
    file.read_at(&mut head, number * SLOT).is_ok_and(|n| n > 0) && head != [0; HEAD]
}

type Slots = Vec<Result<Slot, String>>;

/// What is in a file, the newest first.
fn read_slots(file: &File) -> Slots {
    let damaged = |number| format!("the answer in slot {number} is damaged or cut");
    let mut slots: Slots = (0..2)
        .filter(|number| written(file, *number))
        .map(|number| read_slot(file, number).ok_or_else(|| damaged(number)))
        .collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.as_ref().map_or(0, |slot| slot.sequence)));
    slots
}

fn read_folder(folder: &Path) -> io::Result<Vec<(UserId, Slots)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Some(user) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One file that can't be read hides no other.
        let slots = match File::open(entry.path()) {
            Ok(file) => read_slots(&file),
            Err(error) => vec![Err(error.to_string())],
        };
        files.push((UserId(user), slots));
    }
    files.sort_by_key(|(user, _)| *user);
    Ok(files)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenKey;
    use uuid::Uuid;

    fn spool(folder: &Path) -> FileSpool {
        let vault = Vault::new(Uuid::nil(), &TokenKey::new([7; 32]), None);
        FileSpool::new(folder.to_owned(), Arc::new(vault), Arc::new(Random::seeded(1)))
    }

    fn answer(sent: i64, status: u16, body: &[u8]) -> Kept {
        let at = Timestamp::from_millis(1);
        Kept {
            user: UserId(4),
            epoch: Epoch(1),
            sent: Generation(sent),
            refresh_token: RefreshToken::from("AQsent".to_owned()),
            attempt: AttemptId(Uuid::from_u128(sent.unsigned_abs().into())),
            cause: Cause::Expiry,
            sent_at: at,
            received_at: at,
            answer: RawAnswer { status, retry_after: None, date: None, body: body.to_vec().into() },
        }
    }

    async fn contents(spool: &FileSpool) -> (Vec<(i64, u16)>, Vec<String>) {
        let (kept, faults) = spool.kept().await.unwrap();
        (kept.iter().map(|k| (k.sent.0, k.answer.status)).collect(), faults)
    }

    #[tokio::test]
    async fn the_newest_answer_is_kept_and_a_failure_never_replaces_the_last_success() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.prepare(UserId(4)).await.unwrap();
        assert_eq!(contents(&spool).await, (vec![], vec![]));
        for (sent, status, expected) in [
            (1, 200, vec![(1, 200)]),
            (2, 200, vec![(2, 200), (1, 200)]),
            (3, 503, vec![(3, 503), (2, 200)]),
            (4, 503, vec![(4, 503), (2, 200)]),
            (5, 200, vec![(5, 200), (2, 200)]),
        ] {
            spool.keep(&answer(sent, status, b"{}")).await.unwrap();
            assert_eq!(contents(&spool).await, (expected, vec![]));
        }
        spool.forget(UserId(4)).await.unwrap();
        spool.forget(UserId(4)).await.unwrap();
        assert_eq!(contents(&spool).await, (vec![], vec![]));
    }

    #[tokio::test]
    async fn the_longest_answer_fits() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        let body = vec![b'x'; 64 * 1024];
        spool.keep(&answer(1, 200, &body)).await.unwrap();
        spool.keep(&answer(2, 200, &body)).await.unwrap();
        let (kept, faults) = spool.kept().await.unwrap();
        assert_eq!((kept.len(), faults.len()), (2, 0));
        assert_eq!(kept[0].answer.body.as_slice(), body);
    }

    #[tokio::test]
    async fn a_flipped_bit_or_a_cut_file_is_said_and_the_other_slot_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.keep(&answer(1, 200, b"{}")).await.unwrap();
        spool.keep(&answer(2, 200, b"{}")).await.unwrap();
        let file = OpenOptions::new().write(true).read(true).open(folder.path().join("4")).unwrap();
        for offset in [0, 9, 16, 18, 21, 60] {
            let mut byte = [0];
            file.read_exact_at(&mut byte, SLOT + offset).unwrap();
            file.write_all_at(&[byte[0] ^ 1], SLOT + offset).unwrap();
            let (kept, faults) = contents(&spool).await;
            assert_eq!((kept, faults.len()), (vec![(1, 200)], 1), "offset {offset}");
            file.write_all_at(&byte, SLOT + offset).unwrap();
        }
        file.set_len(SLOT + 40).unwrap();
        let (kept, faults) = contents(&spool).await;
        assert_eq!((kept, faults.len()), (vec![(1, 200)], 1));
    }

    #[tokio::test]
    async fn no_token_is_readable_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.keep(&answer(1, 200, b"AQsecretAQsecret")).await.unwrap();
        let bytes = std::fs::read(folder.path().join("4")).unwrap();
        let encoded = STANDARD.encode(b"AQsecretAQsecret");
        assert!(!bytes.windows(8).any(|w| w == b"AQsecret"));
        assert!(!bytes.windows(encoded.len()).any(|w| w == encoded.as_bytes()));
    }
}
