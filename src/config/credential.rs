//! Secrets, which are never in the configuration itself: each is in a file that a key names, or in a systemd
//! credential (`$CREDENTIALS_DIRECTORY`). One newline at the end is ignored.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::form::{self, Form, redacted};
use super::place::Place;
use super::section::{Given, Section};
use crate::domain::Secret;

/// A secret is never this long.
const LIMIT: u64 = 64 << 10;

/// A key that seals tokens: 32 bytes, redacted when printed, zeroed when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey(Zeroizing<[u8; 32]>);

impl TokenKey {
    /// From the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// From one line of base64 (standard alphabet, padded); `None` unless it holds 32 bytes.
    pub fn from_base64(line: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(line.trim()).ok()?);
        Some(Self::new(bytes.as_slice().try_into().ok()?))
    }

    /// The bytes. Every call is a place where they can leak; keep them few.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey([REDACTED])")
    }
}

/// A secret with where it came from: the file's path, or `credential NAME`.
pub(super) struct Found {
    pub secret: Secret,
    pub from: String,
}

/// Where a secret may be: the key that names its file, and the name of its credential.
pub(super) struct Sought<'a> {
    pub place: &'a Place,
    pub base: &'a Path,
    pub key: &'static str,
    pub credential: Option<String>,
}

impl Sought<'_> {
    /// The secret; `None` where none is configured, or it can't be read, which is then noted.
    pub fn find(self, section: &mut Section<'_>) -> Option<Found> {
        let form = secret_path(self.base);
        let given = section.given(self.key, &form);
        let credential = self
            .credential
            .and_then(|name| Some((self.place.credential(&name)?, format!("credential {name}"))));
        let (path, from, got) = match (given, credential) {
            (Some(given), Some((_, credential))) => {
                let got = format!("a value, and {credential} as well");
                section.fault(self.key, &given.from, got, "one of the two".into());
                return None;
            }
            (Some(Given { value: path, text, from }), None) => {
                section.show(self.key, redacted(text.trim()), &from);
                (path, from, Some(form.got(text.trim())))
            }
            (None, Some((path, from))) => (path, from, None),
            (None, None) => return None,
        };
        match read(&path) {
            Ok(secret) => {
                let from = if got.is_some() { path.display().to_string() } else { from };
                section.show(self.key.trim_end_matches("_file"), "(hidden)".into(), &from);
                Some(Found { secret, from })
            }
            Err(why) => {
                let got = got.map_or(why.clone(), |got| format!("{got}, where there is {why}"));
                section.fault(self.key, &from, got, "a readable file with the secret on one line".into());
                None
            }
        }
    }

    /// The same for a key that seals tokens.
    pub fn find_key(self, section: &mut Section<'_>) -> Option<TokenKey> {
        let key = self.key;
        let Found { secret, from } = self.find(section)?;
        let found = TokenKey::from_base64(secret.expose_secret());
        if found.is_none() {
            let accepted =
                "32 random bytes in base64 on one line, as `head -c 32 /dev/urandom | base64` makes them";
            section.fault(key, &from, "something else than a key".into(), accepted.into());
        }
        found
    }
}

/// A path of a file with a secret. Who puts the secret itself there must not find it in the journal.
fn secret_path(base: &Path) -> Form<PathBuf> {
    form::path(base).showing(|text| {
        let path = text.starts_with('/') && TokenKey::from_base64(text).is_none();
        if path { format!("{text:?}") } else { "something (hidden, as it may be the secret itself)".into() }
    })
}

/// The text of a secret's file, or what is wrong with it.
fn read(path: &Path) -> Result<Secret, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)).map_err(|e| {
        match e.kind() {
            std::io::ErrorKind::NotFound => "no file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "a file that longplay may not read".to_owned(),
            _ => format!("no readable file ({e})"),
        }
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "a file that is not text".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("an empty file".into());
    }
    if text.len() as u64 > LIMIT || text.contains(char::is_control) {
        return Err("more than one line".into());
    }
    Ok(text.to_owned().into())
}
