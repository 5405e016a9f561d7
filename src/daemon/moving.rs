//! Backing up and copying the store, as the daemon does it: where the file lies meanwhile, and with which keys the other
//! store's tokens are sealed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::warn;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::control::api::{Problem, StoreCopied, TableCopied, Word};
use crate::control::moving::{BackUp, Copying};
use crate::domain::{Sealed, said};
use crate::random::Random;
use crate::store::transfer::{Copied, CopyError, Held, Moving, Seal, Seals, Target, Tell, Whose};
use crate::store::{Store, StoreError};
use crate::telemetry::step;
use crate::tokens::{Exchange, Label, Vault};

use super::core::{Current, Ground, offer};
use super::state::StatePaths;

/// What is left free on the disk of the state directory, for the answers and the archive that come meanwhile.
const LEFT_FREE: u64 = 64 << 20;
/// What a back-up's file is called while it is made.
const DRAFT: &str = "backup-draft.db";

/// Copies and backs up one store.
#[derive(Clone)]
pub struct Mover {
    store: Arc<dyn Store>,
    settings: Current,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    paths: Option<StatePaths>,
    exchange: Arc<Exchange>,
    one_back_up: Arc<Mutex<()>>,
}

impl Mover {
    /// Over what the core is built on. What a back-up left that was killed goes.
    pub fn new(ground: &Ground, exchange: Arc<Exchange>) -> Self {
        let paths = ground.outside.paths();
        if let Some(paths) = &paths {
            remove_draft(&paths.draft(DRAFT));
        }
        Self {
            store: Arc::clone(&ground.store),
            settings: ground.settings.clone(),
            clock: Arc::clone(&ground.clock),
            random: Arc::clone(&ground.random),
            paths,
            exchange,
            one_back_up: Arc::default(),
        }
    }

    fn moving(&self) -> Result<(&dyn Moving, &StatePaths), Problem> {
        let none = || Problem::bad_request("this store lives in memory alone");
        Ok((self.store.moving().ok_or_else(none)?, self.paths.as_ref().ok_or_else(none)?))
    }

    /// Everything of one moment, in a file that nobody else knows of.
    pub async fn back_up(&self) -> Result<BackUp, Problem> {
        let (moving, paths) = self.moving()?;
        let _one = self.one_back_up.lock().await;
        let draft = paths.draft(DRAFT);
        remove_draft(&draft);
        let size = moving.size().await?;
        room_for(&draft, size)?;
        let made = self.made(moving, &draft).await;
        // Open, it stays until it is read; and a process that is killed leaves nothing.
        remove_draft(&draft);
        made
    }

    async fn made(&self, moving: &dyn Moving, draft: &Path) -> Result<BackUp, Problem> {
        let folder = draft.parent().unwrap_or(draft).display().to_string();
        let lost = |e: std::io::Error| {
            Problem::new(Word::Fault, 500, format!("the back-up can't be read in {folder}: {e}"))
        };
        let tables = moving.back_up(draft).await.map_err(|error| match error {
            CopyError::Store(error @ StoreError::Unavailable { .. }) => {
                let detail = format!(
                    "{}; the back-up is made in {folder}, which needs as much room as the archive takes",
                    said(&error)
                );
                Problem::new(Word::Store, 503, detail)
            }
            error => problem(error),
        })?;
        let file = File::open(draft).map_err(lost)?;
        let bytes = file.metadata().map_err(lost)?.len();
        Ok(BackUp { file, bytes, tables })
    }

    /// Begins to copy the store: nothing is refreshed from here on. `one`: held until it is done.
    pub async fn begin_copy(&self, url: &str, one: OwnedMutexGuard<()>) -> Result<Box<dyn Copying>, Problem> {
        let (moving, _) = self.moving()?;
        if url == self.settings.get().store.url.expose_secret() {
            return Err(Problem::bad_request("this is the store that is in use: name another, empty one"));
        }
        let target = Target::open(url, Arc::clone(&self.clock)).await.map_err(problem)?;
        let vault = self.exchange.vault.beside(target.deployment());
        let held = moving.hold(&target.describe()).await?;
        Ok(Box::new(Copy { mover: self.clone(), target, vault, held, copied: None, noted: false, _one: one }))
    }
}

/// A copy under way.
struct Copy {
    mover: Mover,
    target: Target,
    vault: Vault,
    held: Held,
    copied: Option<Copied>,
    /// Whether the store says that it was copied, as far as that is known.
    noted: bool,
    _one: OwnedMutexGuard<()>,
}

impl Copy {
    fn not_accepted(&self, why: String) -> String {
        said(&StoreError::NotAccepted { store: self.mover.store.describe(), why })
    }

    fn moving(&self) -> Result<&dyn Moving, Problem> {
        self.mover.moving().map(|(moving, _)| moving)
    }
}

#[async_trait]
impl Copying for Copy {
    fn held(&self) -> Option<String> {
        match &self.held {
            Held::Held(why) => Some(self.not_accepted(why.clone())),
            Held::NotAccepted(_) => None,
        }
    }

    fn moved(&self) -> String {
        self.not_accepted(crate::store::transfer::moved(&self.target.describe()))
    }

    async fn under_way(&self) -> Result<u64, Problem> {
        Ok(self.moving()?.under_way().await?)
    }

    async fn copy(&mut self, tell: Tell<'_>) -> Result<(), Problem> {
        let mover = &self.mover;
        // What the spool alone has the copy would lack.
        for fault in offer(&mover.exchange, &mover.store, &mover.settings.get()).await? {
            warn!("{}", fault.what);
        }
        // No other key comes into use meanwhile.
        let _held = mover.exchange.vault.hold().await;
        let seals = Resealed { source: &mover.exchange.vault, target: &self.vault, random: &mover.random };
        let copied = self.moving()?.copy_to(&self.target, &self.held, &seals, tell).await.map_err(problem)?;
        self.copied = Some(copied);
        Ok(())
    }

    async fn finish(&mut self) -> Result<StoreCopied, Problem> {
        let copied = self.copied.take().ok_or_else(|| fault("nothing was copied"))?;
        let (from, to) = (self.mover.store.describe(), self.target.describe());
        // First: where this is the last that is done, nobody refreshes anywhere, and nothing is lost.
        self.noted = true;
        if !self.moving()?.moved(&to, &self.held, self.mover.exchange.owner).await? {
            self.noted = false;
            return Err(fault(&format!(
                "{from} was accepted while it was copied, by `longplay adopt`, and is in use: nothing was copied"
            )));
        }
        step!("copy-before-commit");
        let tables = match copied.commit().await {
            Ok(tables) => tables,
            Err(error) => {
                // It may be complete: nothing is refreshed here until a person has looked.
                self.held = Held::NotAccepted(crate::store::transfer::moved(&to));
                return Err(fault(&format!(
                    "whether the copy is complete is not known ({}): look whether {to} has the archive; where it has, use it; where not, run `longplay adopt` to go on here, and copy again",
                    said(&error)
                )));
            }
        };
        step!("copy-after-commit");
        self.target.close().await;
        let table = |table: crate::store::transfer::TableCopied| TableCopied {
            table: table.name,
            rows: table.rows,
            digest: table.digest,
        };
        Ok(StoreCopied { from, to, tables: tables.into_iter().map(table).collect() })
    }

    async fn let_go(&mut self) -> Result<(), Problem> {
        drop(self.copied.take());
        self.target.close().await;
        match &self.held {
            Held::Held(_) => Ok(self.moving()?.let_go(&self.target.describe(), self.noted).await?),
            Held::NotAccepted(_) => Ok(()),
        }
    }
}

/// With the same keys, for the other store.
struct Resealed<'v> {
    source: &'v Vault,
    target: &'v Vault,
    random: &'v Random,
}

impl Seals for Resealed<'_> {
    fn open(&self, whose: Whose, seal: Seal<'_>, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let vault = match whose {
            Whose::Source => self.source,
            Whose::Target => self.target,
        };
        vault.open(label(seal), sealed).ok()
    }

    fn seal(&self, seal: Seal<'_>, text: &[u8]) -> Sealed {
        self.target.seal(label(seal), text, self.random)
    }
}

fn label(seal: Seal<'_>) -> Label<'_> {
    match seal {
        Seal::Refresh(user, epoch, generation) => Label::Refresh(user, epoch, generation),
        Seal::Access(user, epoch, generation) => Label::Access(user, epoch, generation),
        Seal::Verifier(state) => Label::Verifier(state),
        Seal::Probe => Label::Probe,
    }
}

fn fault(detail: &str) -> Problem {
    Problem::new(Word::Fault, 500, detail)
}

fn problem(error: CopyError) -> Problem {
    match error {
        CopyError::Store(error @ StoreError::Unavailable { .. }) => error.into(),
        CopyError::Store(error) => Problem::bad_request(said(&error)),
        CopyError::Refused(why) => Problem::bad_request(why),
        CopyError::Differs(why) => fault(&why),
    }
}

/// The file, and what SQLite makes beside it.
fn remove_draft(draft: &Path) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut path = draft.as_os_str().to_owned();
        path.push(end);
        match std::fs::remove_file(PathBuf::from(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!("{}{end} can't be removed: {error}", draft.display());
            }
            _ => {}
        }
    }
}

fn room_for(draft: &Path, size: u64) -> Result<(), Problem> {
    let folder = draft.parent().unwrap_or(draft);
    // Where that can't be told, it shows when the disk is full.
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= size.saturating_add(LEFT_FREE) {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let detail = format!(
        "the back-up is made in {} first, where {} MB are free, and it needs {} MB: make room there",
        folder.display(),
        megabytes(free),
        megabytes(size.saturating_add(LEFT_FREE))
    );
    Err(Problem::new(Word::Store, 507, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_up_is_begun_only_where_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join(DRAFT);
        assert!(room_for(&draft, 1).is_ok());
        let refused = room_for(&draft, u64::MAX).unwrap_err();
        assert_eq!(refused.status, 507);
        assert!(
            refused.detail.contains("make room") && refused.detail.contains(" MB are free"),
            "{refused:?}"
        );
    }

    #[test]
    fn a_draft_goes_with_what_sqlite_makes_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join(DRAFT);
        for end in ["", "-wal", "-shm", "-journal"] {
            std::fs::write(format!("{}{end}", draft.display()), "").unwrap();
        }
        std::fs::write(folder.path().join("longplay.db"), "").unwrap();
        remove_draft(&draft);
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["longplay.db"]);
    }
}
