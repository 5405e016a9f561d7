//! A user's file in the spool: two slots, each an answer with a head in front. What is usual of both lies side by side
//! at the file's beginning, where it is preallocated; the rest of a long answer lies behind. Heads are in the clear and
//! sealed by themselves, so that an answer can be passed over by its head alone; until that seal is opened, or the
//! answer's, nothing in a head is believed.

use std::io;
use std::os::unix::fs::FileExt;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::{AttemptId, Epoch, Generation, Sealed, UserId};
use crate::random::Random;

use super::super::seal::{Label, OVERHEAD, OpenError, Vault};
use super::Head;

/// How many slots a file has.
const SLOTS: usize = 2;
/// How much of a slot is preallocated: all usual answers fit, also on a full disk.
const NEAR: usize = 8 * 1024;
/// Room for the longest answer, sealed.
const LONGEST: usize = 128 * 1024;
/// What is preallocated of a file.
pub const PREALLOCATED: u64 = (SLOTS * NEAR) as u64;
/// The least length of a file that anything was written to: all heads are inside. One that is shorter is cut.
pub const LEAST: u64 = ((SLOTS - 1) * NEAR + HEAD) as u64;

const MAGIC: &[u8; 8] = b"lpspool1";
/// Magic, sequence number, epoch, generation that was sent, attempt, whether the status was 200.
const NAMED: usize = 8 + 8 + 8 + 8 + 16 + 1;
/// The same, and the length of the sealed answer.
const CLEAR: usize = NAMED + 4;
/// The same, and the head's own seal.
const HEAD: usize = CLEAR + OVERHEAD;

/// A slot that something was written to, as its head says.
pub struct Slot {
    number: usize,
    /// Rises with every answer of the user.
    pub sequence: u64,
    /// Whether the status was 200.
    pub success: bool,
    clear: [u8; CLEAR],
    seal: Sealed,
}

/// What is in the slots, the newest first; in words, what can't be read.
pub fn read(file: &impl FileExt) -> Vec<Result<Slot, String>> {
    // One that was made, and not yet given its room.
    if file.read_at(&mut [0], 0).is_ok_and(|length| length == 0) {
        return Vec::new();
    }
    let mut slots: Vec<_> = (0..SLOTS).filter_map(|number| slot(file, number).transpose()).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.as_ref().map_or(0, |slot| slot.sequence)));
    slots
}

/// A slot by its number, whatever the other holds; `None`: nothing was ever written there.
fn slot(file: &impl FileExt, number: usize) -> Result<Option<Slot>, String> {
    let mut head = [0; HEAD];
    match file.read_at(&mut head, begin(number)) {
        Err(error) => return Err(format!("the answer in slot {number} can't be read: {error}")),
        Ok(length) if length < HEAD => return Err(damaged(number)),
        Ok(_) if head == [0; HEAD] => return Ok(None),
        Ok(_) => {}
    }
    let (clear, seal) = head.split_at(CLEAR);
    let slot = Slot {
        number,
        sequence: u64::from_le_bytes(part(clear, 8)),
        success: clear[NAMED - 1] == 1,
        clear: part(clear, 0),
        seal: Sealed(seal.to_vec()),
    };
    if &head[..8] != MAGIC || HEAD + slot.length() > LONGEST {
        return Err(damaged(number));
    }
    Ok(Some(slot))
}

impl Slot {
    /// Its head, once the seal has proven it.
    ///
    /// # Errors
    /// Where it was altered, or is sealed with another key.
    pub fn head(&self, user: UserId, vault: &Vault) -> Result<Head, OpenError> {
        vault.open(Label::Head(user, &self.clear), &self.seal)?;
        Ok(Head {
            epoch: Epoch(i64::from_le_bytes(part(&self.clear, 16))),
            sent: Generation(i64::from_le_bytes(part(&self.clear, 24))),
            attempt: AttemptId(Uuid::from_bytes(part(&self.clear, 32))),
            success: self.success,
        })
    }

    /// Whether head and answer are sealed with the key in use.
    pub fn is_current(&self, file: &impl FileExt, vault: &Vault) -> bool {
        let mut answer = vec![0; OVERHEAD];
        let read = file.read_exact_at(&mut answer, begin(self.number) + HEAD as u64);
        vault.is_current(&self.seal) && read.is_ok() && vault.is_current(&Sealed(answer))
    }

    /// The answer, opened.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub fn answer(
        &self,
        file: &impl FileExt,
        user: UserId,
        vault: &Vault,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let length = self.length();
        let mut sealed = vec![0; length];
        let (near, far) = sealed.split_at_mut(length.min(NEAR - HEAD));
        file.read_exact_at(near, begin(self.number) + HEAD as u64)
            .and_then(|()| file.read_exact_at(far, beyond(self.number)))
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => damaged(self.number),
                _ => format!("the answer in slot {} can't be read: {error}", self.number),
            })?;
        let label = Label::Answer(user, &self.clear[..NAMED]);
        vault.open(label, &Sealed(sealed)).map_err(|error| match error {
            OpenError::Damaged => damaged(self.number),
            error => format!("the answer in slot {}: {error}", self.number),
        })
    }

    fn length(&self) -> usize {
        u32::from_le_bytes(part(&self.clear, NAMED)) as usize
    }
}

/// Writes an answer over an older one and its head; not synced.
///
/// # Errors
/// Where the file can't be written, or the answer has no room.
pub fn write(
    file: &impl FileExt,
    (user, head): (UserId, Head),
    text: &[u8],
    vault: &Vault,
    random: &Random,
) -> io::Result<()> {
    // What is damaged goes first. What only lacks its key may yet be opened with it: its word is taken for it.
    let whole = |slot: &Slot| slot.head(user, vault) != Err(OpenError::Damaged);
    let slots = [0, 1].map(|number| slot(file, number).ok().flatten().filter(whole));
    let sequence = slots.iter().flatten().map(|slot| slot.sequence).max().unwrap_or(0).saturating_add(1);
    let number = victim(&slots);
    let mut bytes = Vec::with_capacity(HEAD + text.len() + OVERHEAD);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&head.epoch.0.to_le_bytes());
    bytes.extend_from_slice(&head.sent.0.to_le_bytes());
    bytes.extend_from_slice(head.attempt.0.as_bytes());
    bytes.push(u8::from(head.success));
    put(file, number, &sealed(user, bytes, text, vault, random)?)
}

/// Seals what is sealed with another key with the one in use, each answer in its slot; not synced. True where one was.
///
/// # Errors
/// Where the file can't be written.
pub fn reseal(file: &impl FileExt, user: UserId, vault: &Vault, random: &Random) -> io::Result<bool> {
    let mut resealed = false;
    for number in 0..SLOTS {
        let Ok(Some(slot)) = slot(file, number) else { continue };
        if slot.is_current(file, vault) || slot.head(user, vault).is_err() {
            continue;
        }
        let Ok(text) = slot.answer(file, user, vault) else { continue };
        let named = slot.clear[..NAMED].to_vec();
        put(file, number, &sealed(user, named, &text, vault, random)?)?;
        resealed = true;
    }
    Ok(resealed)
}

/// What a slot holds: the answer, sealed, behind the `bytes` that name it.
fn sealed(
    user: UserId,
    mut bytes: Vec<u8>,
    text: &[u8],
    vault: &Vault,
    random: &Random,
) -> io::Result<Vec<u8>> {
    // Another key may come into use at any time.
    let sealer = vault.sealer();
    let answer = sealer.seal(Label::Answer(user, &bytes), text, random).0;
    if HEAD + answer.len() > LONGEST {
        return Err(io::Error::other(format!("an answer of {} bytes has no room in a slot", text.len())));
    }
    bytes.extend_from_slice(&u32::try_from(answer.len()).map_err(io::Error::other)?.to_le_bytes());
    let seal = sealer.seal(Label::Head(user, &bytes), &[], random).0;
    bytes.extend_from_slice(&seal);
    bytes.extend_from_slice(&answer);
    Ok(bytes)
}

fn put(file: &impl FileExt, number: usize, bytes: &[u8]) -> io::Result<()> {
    let (near, far) = bytes.split_at(bytes.len().min(NEAR));
    file.write_all_at(near, begin(number))?;
    file.write_all_at(far, beyond(number))
}

/// Where a slot begins.
fn begin(number: usize) -> u64 {
    (number * NEAR) as u64
}

/// Where the part of a slot begins that is not preallocated.
fn beyond(number: usize) -> u64 {
    (SLOTS * NEAR + number * (LONGEST - NEAR)) as u64
}

/// Which slot the next answer goes to: an empty one, else the one that holds no success, else the older one.
fn victim(slots: &[Option<Slot>; SLOTS]) -> usize {
    match slots {
        [None, _] => 0,
        [_, None] => 1,
        [Some(first), Some(second)] if first.success == second.success => {
            usize::from(second.sequence < first.sequence)
        }
        [Some(first), Some(_)] => usize::from(first.success),
    }
}

fn damaged(number: usize) -> String {
    format!("the answer in slot {number} is damaged or cut")
}

/// `N` bytes of a head from there on; every caller stays inside.
fn part<const N: usize>(clear: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&clear[from..from + N]);
    part
}
