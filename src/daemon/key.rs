//! The token key: found, or made once for an empty store; and changed. A key that longplay made is in the state directory,
//! and so is the next one while it is being made, and the old one until nothing is sealed with it any more. At every
//! instant the keys of all that is sealed are among these files.

mod rotate;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config::TokenKey;
use crate::random::Random;
use crate::store::{Store, StoreError};
use crate::tokens::Vault;

use super::core::{CoreError, Ground};
use super::state::{StatePaths, write_private};

pub use rotate::{KeyKeeper, LIVE, NOTE, RotateError};

/// The key that is configured, or the one made here. A key is made only for an empty store; a wrong one is refused.
pub async fn vault(ground: &Ground, deployment: Uuid) -> Result<Vault, CoreError> {
    let tokens = &ground.settings.get().tokens;
    let store = &ground.store;
    let probe = store.key_probe().await?;
    let vault = match &tokens.key {
        Some(key) => Vault::new(deployment, key, tokens.old_key.as_ref()),
        None => {
            let paths = ground.outside.paths();
            let paths = paths.ok_or_else(|| CoreError::Key("no token key is configured".to_owned()))?;
            let key = kept_key(ground, &paths, probe.is_none())?;
            let old = left_behind(&paths, &key).map_err(|e| unusable(&paths.old_key(), &e))?;
            Vault::new(deployment, &key, old.iter().chain(&tokens.old_key))
        }
    };
    let former = match store.moving() {
        Some(moving) => moving.moved_from().await?,
        None => Vec::new(),
    };
    let vault = vault.after(former);
    if probe.is_none() {
        store.keep_key_probe(vault.probe(&ground.random)).await?;
    }
    // Said before the probe is read, by a command too: whoever changes the key writes the probe and then looks who is at
    // work, so that of a change and a start at once one sees the other.
    if let Some(custody) = store.custody().filter(|_| store.is_shared()) {
        custody.note_daemon(ground.outside.owner(), &vault.key_id()).await?;
    }
    fits(store, &vault).await?;
    Ok(vault)
}

/// Whether the store is sealed with a key of this vault.
async fn fits(store: &Arc<dyn Store>, vault: &Vault) -> Result<(), CoreError> {
    let Some(probe) = store.key_probe().await? else { return Ok(()) };
    let another = || StoreError::AnotherKey { store: store.describe() };
    vault.check_probe(&probe).map_err(|_| CoreError::Key(another().to_string()))
}

fn unusable(path: &Path, error: &io::Error) -> CoreError {
    CoreError::Key(format!("the token key {}: {error}", path.display()))
}

fn kept_key(ground: &Ground, paths: &StatePaths, empty_store: bool) -> Result<TokenKey, CoreError> {
    let path = paths.key();
    match read(&path) {
        Ok(Some(key)) => Ok(key),
        Ok(None) if empty_store => make(&path, &ground.random).map_err(|e| unusable(&path, &e)),
        Ok(None) => Err(CoreError::Key(format!(
            "{} is sealed, and its token key is missing: restore {} from a back-up, or give it as tokens.key_file or the credential token-key",
            ground.store.describe(),
            path.display()
        ))),
        Err(error) => Err(unusable(&path, &error)),
    }
}

/// The key in a file; `None` where there is no file.
fn read(path: &Path) -> io::Result<Option<TokenKey>> {
    match std::fs::read_to_string(path) {
        Ok(line) => TokenKey::from_base64(&line).map(Some).ok_or_else(|| {
            io::Error::other("it holds no key (32 bytes in base64 on one line): restore it from a back-up")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(path: &Path, random: &Random) -> io::Result<TokenKey> {
    let key = TokenKey::new(*zeroize::Zeroizing::new(random.bytes::<32>()));
    keep(path, &key)?;
    Ok(key)
}

fn keep(path: &Path, key: &TokenKey) -> io::Result<()> {
    let line = crate::domain::Secret::from(STANDARD.encode(key.expose()));
    write_private(path, line.expose_secret())
}

/// The old key of a change that was broken off after the new one came into use. Where it had not come into use, nothing
/// is sealed with it, and what was prepared is taken away.
fn left_behind(state: &StatePaths, key: &TokenKey) -> io::Result<Option<TokenKey>> {
    remove(&state.next_key())?;
    match read(&state.old_key())? {
        Some(old) if old == *key => remove(&state.old_key()).map(|()| None),
        old => Ok(old),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
