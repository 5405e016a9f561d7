//! Tokens at rest: XChaCha20-Poly1305 with random nonces, the key's id in front, and whose it is as associated data,
//! so that a sealed token can't be moved to another user, login, generation or deployment.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::TokenKey;
use crate::domain::{Epoch, Generation, KeyId, Sealed, UserId};
use crate::random::Random;

const FORMAT: u8 = 1;
const KEY_ID: usize = size_of::<KeyId>();
const NONCE: usize = 24;
const HEAD: usize = 1 + KEY_ID + NONCE;
/// By how much a sealed text is longer than the text.
pub const OVERHEAD: usize = HEAD + 16;
const PROBE: &[u8] = b"longplay token key";

/// What a sealed text is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label<'a> {
    /// A refresh token.
    Refresh(UserId, Epoch, Generation),
    /// An access token.
    Access(UserId, Epoch, Generation),
    /// What stands before an answer in the spool, in the clear.
    Head(UserId, &'a [u8]),
    /// An answer in the spool, with what stands before it.
    Answer(UserId, &'a [u8]),
    /// The PKCE verifier of a login under way, by its `state`.
    Verifier(&'a str),
    /// The text that tells a wrong key.
    Probe,
}

/// Why a sealed text can't be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// Sealed with a key that is not here.
    #[error(
        "sealed with another token key (id {0}): give that key as tokens.key_file or the credential token-key, or as the old key"
    )]
    WrongKey(String),
    /// Altered, cut, or somebody else's.
    #[error("damaged, or moved from where it belongs")]
    Damaged,
}

/// Seals and opens with the token key; opens with old ones too. The keys can be changed while it is in use.
pub struct Vault {
    deployment: Uuid,
    /// The deployments that this one was copied from: what a spool has may be sealed for one of them.
    former: Vec<Uuid>,
    keys: RwLock<Arc<Keys>>,
    /// Held by whoever has sealed something that is not yet where it belongs.
    on_its_way: tokio::sync::RwLock<()>,
}

struct Keys {
    key: Lock,
    old: Vec<Lock>,
    /// Whether anything may still be sealed with an old one.
    needed: bool,
}

impl Keys {
    fn new(key: Lock, old: impl IntoIterator<Item = Lock>) -> Self {
        let mut others: Vec<Lock> = Vec::new();
        for lock in old {
            if lock.id != key.id && others.iter().all(|other| other.id != lock.id) {
                others.push(lock);
            }
        }
        Self { needed: !others.is_empty(), key, old: others }
    }
}

#[derive(Clone)]
struct Lock {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl Lock {
    fn new(key: &TokenKey) -> Self {
        let digest = Sha256::new().chain_update(b"longplay key id").chain_update(key.expose()).finalize();
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        Self { id, cipher: XChaCha20Poly1305::new(key.expose().into()) }
    }
}

impl Vault {
    /// For one deployment: the UUID that the store's first migration made.
    pub fn new<'a>(deployment: Uuid, key: &TokenKey, old: impl IntoIterator<Item = &'a TokenKey>) -> Self {
        let keys = Keys::new(Lock::new(key), old.into_iter().map(Lock::new));
        Self::over(deployment, Arc::new(keys))
    }

    fn over(deployment: Uuid, keys: Arc<Keys>) -> Self {
        Self {
            deployment,
            former: Vec::new(),
            keys: RwLock::new(keys),
            on_its_way: tokio::sync::RwLock::default(),
        }
    }

    /// The same, which also opens what was sealed for the deployments that this one was copied from.
    #[must_use]
    pub fn after(self, former: Vec<Uuid>) -> Self {
        Self { former, ..self }
    }

    /// With the same keys for another deployment.
    pub fn beside(&self, deployment: Uuid) -> Self {
        Self::over(deployment, self.keys())
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// While this is held, no other key comes into use: what is sealed meanwhile can be brought to where it belongs, and
    /// is found there by whoever seals everything anew.
    pub async fn hold(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.on_its_way.read().await
    }

    /// Seals with another key from now on, and opens with this old one and all that it had besides. Waits for whoever
    /// holds the present one.
    pub async fn set_key(&self, key: &TokenKey, old: &TokenKey) {
        let _nobody = self.on_its_way.write().await;
        let had = self.keys();
        let others = [Lock::new(old), had.key.clone()].into_iter().chain(had.old.iter().cloned());
        self.put(Keys::new(Lock::new(key), others));
    }

    /// Nothing is sealed with an old key any more. What was read before that can still be opened.
    pub fn old_keys_are_done(&self) {
        let had = self.keys();
        self.put(Keys { key: had.key.clone(), old: had.old.clone(), needed: false });
    }

    fn put(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The id of the key that it seals with.
    pub fn key_id(&self) -> KeyId {
        self.keys().key.id
    }

    /// The ids of all keys that it opens with.
    pub fn key_ids(&self) -> Vec<KeyId> {
        let keys = self.keys();
        std::iter::once(&keys.key).chain(&keys.old).map(|lock| lock.id).collect()
    }

    /// Whether this is the key that it seals with.
    pub fn seals_with(&self, key: &TokenKey) -> bool {
        Lock::new(key).id == self.key_id()
    }

    /// Whether it has an old key besides, with which something may be sealed.
    pub fn has_old_key(&self) -> bool {
        self.keys().needed
    }

    /// Whether a text is sealed with the key in use.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key_id() == Some(self.key_id())
    }

    /// Seals with the key that is in use now, whatever comes into use meanwhile: for what belongs together.
    pub fn sealer(&self) -> Sealer {
        Sealer { deployment: self.deployment, keys: self.keys() }
    }

    /// Seals a text.
    pub fn seal(&self, label: Label<'_>, text: &[u8], random: &Random) -> Sealed {
        self.sealer().seal(label, text, random)
    }

    /// Opens what was sealed under the same label.
    ///
    /// # Errors
    /// Where the key is another, or the text was altered or moved.
    pub fn open(&self, label: Label<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let bytes = &sealed.0;
        if bytes.len() < HEAD || bytes[0] != FORMAT {
            return Err(OpenError::Damaged);
        }
        let (id, rest) = bytes[1..].split_at(KEY_ID);
        let (nonce, ciphertext) = rest.split_at(NONCE);
        let keys = self.keys();
        let lock = std::iter::once(&keys.key)
            .chain(&keys.old)
            .find(|lock| lock.id == id)
            .ok_or_else(|| OpenError::WrongKey(id.iter().map(|b| format!("{b:02x}")).collect()))?;
        let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        let open = |deployment| {
            let aad = associated(deployment, label);
            lock.cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: &aad }).ok()
        };
        let opened = open(self.deployment).or_else(|| self.former.iter().copied().find_map(open));
        opened.map(Zeroizing::new).ok_or(OpenError::Damaged)
    }

    /// The text that a store keeps to tell a wrong key by.
    pub fn probe(&self, random: &Random) -> Sealed {
        self.seal(Label::Probe, PROBE, random)
    }

    /// Whether a store's probe was sealed with one of our keys.
    ///
    /// # Errors
    /// Where it was not.
    pub fn check_probe(&self, probe: &Sealed) -> Result<(), OpenError> {
        self.open(Label::Probe, probe).map(|_| ())
    }
}

/// One key of a vault.
pub struct Sealer {
    deployment: Uuid,
    keys: Arc<Keys>,
}

impl Sealer {
    /// Seals a text.
    pub fn seal(&self, label: Label<'_>, text: &[u8], random: &Random) -> Sealed {
        let nonce: [u8; NONCE] = random.bytes();
        let aad = associated(self.deployment, label);
        let payload = Payload { msg: text, aad: &aad };
        let mut sealed = Vec::with_capacity(text.len() + OVERHEAD);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.keys.key.id);
        sealed.extend_from_slice(&nonce);
        let ciphertext = self.keys.key.cipher.encrypt(&XNonce::from(nonce), payload);
        sealed.extend(ciphertext.expect("fails beyond 256 GiB only, and no text is longer than 64 KiB"));
        Sealed(sealed)
    }
}

fn associated(deployment: Uuid, label: Label<'_>) -> Vec<u8> {
    let text = match label {
        Label::Refresh(user, epoch, generation) => {
            format!("refresh {} {} {}", user.0, epoch.0, generation.0)
        }
        Label::Access(user, epoch, generation) => format!("access {} {} {}", user.0, epoch.0, generation.0),
        Label::Head(user, clear) => format!("head {} {}", user.0, STANDARD.encode(clear)),
        Label::Answer(user, clear) => format!("answer {} {}", user.0, STANDARD.encode(clear)),
        Label::Verifier(state) => format!("verifier {state}"),
        Label::Probe => "probe".to_owned(),
    };
    format!("longplay {deployment} {text}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Label<'static> = Label::Refresh(UserId(1), Epoch(2), Generation(3));

    fn vault(key: u8, old: Option<u8>) -> Vault {
        let key_of = |byte| TokenKey::new([byte; 32]);
        Vault::new(Uuid::nil(), &key_of(key), old.map(key_of).as_ref())
    }

    #[test]
    fn a_sealed_token_opens_only_where_it_belongs() {
        let (random, vault) = (Random::seeded(1), vault(1, None));
        let sealed = vault.seal(A, b"token", &random);
        assert_eq!(vault.open(A, &sealed).unwrap().as_slice(), b"token");
        for other in [
            Label::Refresh(UserId(9), Epoch(2), Generation(3)),
            Label::Refresh(UserId(1), Epoch(9), Generation(3)),
            Label::Refresh(UserId(1), Epoch(2), Generation(9)),
            Label::Access(UserId(1), Epoch(2), Generation(3)),
            Label::Probe,
        ] {
            assert_eq!(vault.open(other, &sealed).unwrap_err(), OpenError::Damaged, "{other:?}");
        }
        let elsewhere = Vault::new(Uuid::max(), &TokenKey::new([1; 32]), None);
        assert_eq!(elsewhere.open(A, &sealed).unwrap_err(), OpenError::Damaged);
        let moved = elsewhere.after(vec![Uuid::from_u128(7), Uuid::nil()]);
        assert_eq!(moved.open(A, &sealed).unwrap().as_slice(), b"token", "it was copied from there");
        let sealed = moved.seal(A, b"token", &random);
        assert!(vault.open(A, &sealed).is_err() && vault.beside(Uuid::max()).open(A, &sealed).is_ok());
    }

    #[test]
    fn every_altered_byte_is_detected() {
        let (random, vault) = (Random::seeded(2), vault(1, None));
        let sealed = vault.seal(A, b"token", &random);
        for i in 0..sealed.0.len() {
            let mut altered = sealed.clone();
            altered.0[i] ^= 1;
            assert!(vault.open(A, &altered).is_err(), "byte {i}");
            assert!(vault.open(A, &Sealed(sealed.0[..i].to_vec())).is_err(), "cut at {i}");
        }
    }

    #[tokio::test]
    async fn keys_change_while_nothing_that_is_sealed_is_on_its_way() {
        let (random, vault) = (Random::seeded(4), Arc::new(vault(1, None)));
        let key_of = |byte| TokenKey::new([byte; 32]);
        let old = vault.seal(A, b"token", &random);
        let held = vault.hold().await;
        let changing = Arc::clone(&vault);
        let changed = tokio::spawn(async move {
            changing.set_key(&key_of(2), &key_of(1)).await;
        });
        tokio::task::yield_now().await;
        assert!(!changed.is_finished() && vault.is_current(&old));
        drop(held);
        changed.await.unwrap();
        let new = vault.seal(A, b"token", &random);
        assert!(vault.is_current(&new) && !vault.is_current(&old));
        assert!(vault.open(A, &old).is_ok() && vault.open(A, &new).is_ok());
        // A key that it had is never thrown away, whatever is given beside the next.
        assert!(vault.has_old_key() && vault.seals_with(&key_of(2)));
        vault.set_key(&key_of(3), &key_of(9)).await;
        assert!(vault.open(A, &old).is_ok() && vault.open(A, &new).is_ok() && vault.has_old_key());
        assert_eq!(vault.key_ids().len(), 4);
        vault.old_keys_are_done();
        assert!(!vault.has_old_key() && vault.open(A, &old).is_ok());
    }

    #[test]
    fn the_old_key_opens_and_a_missing_key_is_named() {
        let random = Random::seeded(3);
        let sealed = vault(1, None).seal(A, b"token", &random);
        assert!(vault(2, Some(1)).open(A, &sealed).is_ok());
        assert!(matches!(vault(2, None).open(A, &sealed), Err(OpenError::WrongKey(_))));
        assert!(vault(2, None).check_probe(&vault(1, None).probe(&random)).is_err());
    }
}
