//! A change of the token key, step by step; each step can be the last before a kill, and the next start goes on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::{fits, keep, make, read, remove, sync};
use crate::config::TokenKey;
use crate::daemon::core::{CoreError, Current, Ground};
use crate::daemon::state::StatePaths;
use crate::domain::{Owner, Sealed, UserId, said};
use crate::random::Random;
use crate::store::{Custody, SealedGrant, Store, StoreError};
use crate::telemetry::step;
use crate::tokens::{Label, OpenError, Spool, Vault};

/// How many logins are sealed anew with one transaction; with failure points one, so that there is a middle to stop in.
const BITE: i64 = if cfg!(feature = "failpoints") { 1 } else { 200 };
/// A daemon that was seen so short a while ago is at work. Each says so every [`NOTE`].
pub const LIVE: Duration = Duration::from_secs(120);
/// How often a daemon on a shared store says that it is at work.
pub const NOTE: Duration = Duration::from_secs(30);
/// How long is waited for what is sealed with the old key and on its way.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Whose tokens can't be opened, and why.
type Unopened = Vec<(UserId, OpenError)>;

/// What was sealed anew.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// Logins.
    pub logins: u64,
    /// Users with answers in the spool.
    pub answers: u64,
}

/// Why the key is not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration, or another daemon's, must be changed first.
    #[error("{0}")]
    Unprepared(String),
    /// The state directory.
    #[error("{0}: what is done so far stays, and the next start or `longplay key rotate` goes on")]
    Host(String),
    /// Something is sealed that can't be opened.
    #[error("{0}")]
    Sealed(String),
}

/// Changes the key of one store. It does not hold the state directory: what asks it may outlive the daemon's loop.
#[derive(Clone)]
pub struct KeyKeeper {
    store: Arc<dyn Store>,
    settings: Current,
    random: Arc<Random>,
    paths: Option<StatePaths>,
    owner: Owner,
    vault: Arc<Vault>,
    spool: Arc<dyn Spool>,
}

impl KeyKeeper {
    /// Over what the core is built on.
    pub fn new(ground: &Ground, vault: Arc<Vault>, spool: Arc<dyn Spool>) -> Self {
        Self {
            store: Arc::clone(&ground.store),
            settings: ground.settings.clone(),
            random: Arc::clone(&ground.random),
            paths: ground.outside.paths(),
            owner: ground.outside.owner(),
            vault,
            spool,
        }
    }

    /// Goes on with a change that was broken off; and seals the spool with the key that the configuration gives now. At
    /// a start, where there is nothing to do but rarely.
    ///
    /// # Errors
    /// Where the store can't be reached.
    pub async fn go_on(&self) -> Result<(), StoreError> {
        if !self.vault.has_old_key() {
            return Ok(());
        }
        match self.is_ours() {
            true => match self.finish().await {
                Ok(done) => info!("the change of the token key was finished: {} logins", done.logins),
                Err(RotateError::Store(error)) => return Err(error),
                Err(error) => warn!("the change of the token key is not finished: {error}"),
            },
            false => drop(self.reseal_spool().await.inspect_err(|error| warn!("{error}"))),
        }
        Ok(())
    }

    /// Whether longplay itself keeps the key.
    fn is_ours(&self) -> bool {
        self.settings.get().tokens.key.is_none()
    }

    /// Where the keys are that longplay itself keeps.
    fn files(&self) -> Result<&StatePaths, RotateError> {
        let none =
            || RotateError::Unprepared("there is no state directory that could keep a token key".to_owned());
        self.paths.as_ref().ok_or_else(none)
    }

    /// Seals everything with a new key, or with the one that the configuration gives now; what was done, in words too.
    ///
    /// # Errors
    /// See [`RotateError`]. What was done stays done, and the next try goes on.
    pub async fn rotate(&self) -> Result<(Resealed, String), RotateError> {
        let Some(custody) = self.store.custody() else { return Ok(Default::default()) };
        if !self.is_ours() {
            return self.take_configured(custody).await;
        }
        if let Some(why) = self.misfit().await? {
            return Err(RotateError::Unprepared(why));
        }
        let files = self.files()?;
        let others = self.others(custody).await?;
        if !others.is_empty() {
            return Err(RotateError::Unprepared(format!(
                "others work on this store with the same key ({}): it can only be changed by the configuration, tokens.key_file and tokens.old_key_file of every daemon; the README says in which order (a command counts for two minutes)",
                others.join(", ")
            )));
        }
        let (key, old) = self.next_key()?;
        step!("key-after-switch");
        if tokio::time::timeout(SETTLED_WITHIN, self.vault.set_key(&key, &old)).await.is_err() {
            let why = "a refresh waits for the store, and its tokens are sealed with the old key";
            return Err(RotateError::Host(why.to_owned()));
        }
        step!("key-in-use");
        let done = self.finish().await?;
        let message = format!(
            "a new token key is in use: {} logins and the answers of {} users were sealed anew; back up {}",
            done.logins,
            done.answers,
            files.key().display()
        );
        Ok((done, message))
    }

    /// The key that comes into use and the one that goes, in their files. Where a change was broken off, these are the
    /// ones that are there.
    fn next_key(&self) -> Result<(TokenKey, TokenKey), RotateError> {
        let state = self.files()?;
        let host = |e: io::Error| RotateError::Host(format!("the token key can't be changed: {e}"));
        let present =
            || read(&state.key()).map_err(host)?.ok_or_else(|| host(io::Error::other("it is gone")));
        let (key, old) = (present()?, read(&state.old_key()).map_err(host)?);
        // Where the last step of a change failed, the old one is the present one.
        let old = old.filter(|old| *old != key);
        if !self.vault.seals_with(&key) && !old.as_ref().is_some_and(|old| self.vault.seals_with(old)) {
            return Err(RotateError::Unprepared(format!(
                "{} holds another key than the one in use: put that one back, or keep it as {} and restart; then run this again",
                state.key().display(),
                state.old_key().display()
            )));
        }
        if let Some(old) = old {
            return Ok((key, old));
        }
        make(&state.next_key(), &self.random).map_err(host)?;
        step!("key-after-make");
        keep(&state.old_key(), &key).map_err(host)?;
        step!("key-after-old");
        std::fs::rename(state.next_key(), state.key()).and_then(|()| sync(&state.key())).map_err(host)?;
        Ok((present()?, key))
    }

    /// From where the new key is in use until the old one is gone.
    async fn finish(&self) -> Result<Resealed, RotateError> {
        let Some(custody) = self.store.custody() else { return Ok(Resealed::default()) };
        let done = self.seal_everything_anew(custody).await?;
        step!("key-before-forget");
        let old = self.files()?.old_key();
        remove(&old).map_err(|e| RotateError::Host(format!("{}: {e}", old.display())))?;
        if self.settings.get().tokens.old_key.is_none() {
            self.vault.old_keys_are_done();
        }
        step!("key-after-forget");
        Ok(done)
    }

    async fn take_configured(&self, custody: &dyn Custody) -> Result<(Resealed, String), RotateError> {
        if let Some(why) = self.misfit().await? {
            return Err(RotateError::Unprepared(why));
        }
        let lacking = self.others_without(custody).await?;
        if !lacking.is_empty() {
            return Err(RotateError::Unprepared(format!(
                "these daemons work on this store and seal with another key ({}): give them the same tokens.key_file and tokens.old_key_file, restart them, then run this again",
                lacking.join(", ")
            )));
        }
        if !self.vault.has_old_key() {
            return Err(RotateError::Unprepared(
                "the configuration gives the token key: give every daemon of this store the new one as tokens.old_key_file (or the credential token-key-old) and restart it; then the new one as tokens.key_file (or token-key) and the present one as tokens.old_key_file, and restart each again; then run this again".to_owned(),
            ));
        }
        let done = self.seal_everything_anew(custody).await?;
        let message = format!(
            "{} logins and the answers of {} users were sealed with the present key: the old one can be taken out of the configuration, once every daemon was started with the new one",
            done.logins, done.answers
        );
        Ok((done, message))
    }

    /// Once this is done, nobody needs the old key.
    async fn seal_everything_anew(&self, custody: &dyn Custody) -> Result<Resealed, RotateError> {
        self.replace_probe(custody).await?;
        let (done, unopened) = self.reseal_everything(custody).await?;
        // Who started meanwhile may have read the probe before it was replaced, but had said before that it is at work.
        let lacking = self.others_without(custody).await?;
        let mut why = Vec::new();
        if !unopened.is_empty() {
            why.push(format!("what is stored of some can't be opened: {}", self.named(unopened).await?));
        }
        if !lacking.is_empty() {
            why.push(format!(
                "others have come that have the old key alone ({}): give them the new one, and the old one beside it as token-key-old or tokens.old_key_file, and restart them",
                lacking.join(", ")
            ));
        }
        match why.is_empty() {
            true => Ok(done),
            false => Err(RotateError::Sealed(format!(
                "a new token key is in use, {} logins and the answers of {} users were sealed anew, but the old key is kept: {}; then run `longplay key rotate` again",
                done.logins,
                done.answers,
                why.join("; and ")
            ))),
        }
    }

    /// Whose tokens can't be opened and why, with the cure.
    async fn named(&self, unopened: Unopened) -> Result<String, StoreError> {
        const SHOWN: usize = 20;
        let numbers: Vec<UserId> = unopened.iter().take(SHOWN).map(|(user, _)| *user).collect();
        let users = self.store.users_of(&numbers).await?;
        let name = |number: UserId| match users.iter().find(|user| user.id == number) {
            Some(user) => user.name.to_string(),
            None => format!("user {}", number.0),
        };
        let one = |(user, error): &(UserId, OpenError)| {
            format!("{0} ({1}; or run `longplay login {0}`)", name(*user), said(error))
        };
        let mut named: Vec<String> = unopened.iter().take(SHOWN).map(one).collect();
        if unopened.len() > SHOWN {
            named.push(format!("{} more", unopened.len() - SHOWN));
        }
        Ok(named.join(", "))
    }

    async fn replace_probe(&self, custody: &dyn Custody) -> Result<(), RotateError> {
        let current = self.store.key_probe().await?.is_some_and(|probe| self.vault.is_current(&probe));
        if !current {
            custody.replace_key_probe(self.vault.probe(&self.random)).await?;
        }
        step!("key-after-probe");
        Ok(())
    }

    /// What could be sealed anew, and whose tokens could not.
    async fn reseal_everything(&self, custody: &dyn Custody) -> Result<(Resealed, Unopened), RotateError> {
        let (logins, unopened) = self.reseal_logins(custody).await?;
        step!("key-after-tokens");
        let seal = |state: &str, text: &[u8]| self.vault.seal(Label::Verifier(state), text, &self.random);
        for (state, verifier) in custody.sealed_verifiers().await? {
            // Who can't finish a login begins another.
            if let Ok(text) = self.vault.open(Label::Verifier(&state), &verifier)
                && !self.vault.is_current(&verifier)
            {
                custody.reseal_verifier(&state, seal(&state, &text)).await?;
            }
        }
        let answers = self.reseal_spool().await?;
        step!("key-after-answers");
        Ok((Resealed { logins, answers }, unopened))
    }

    async fn reseal_logins(&self, custody: &dyn Custody) -> Result<(u64, Unopened), RotateError> {
        let (mut after, mut resealed, mut unopened) = (None, 0, Vec::new());
        loop {
            let bite = custody.sealed_grants(after, BITE).await?;
            let Some(last) = bite.last() else { return Ok((resealed, unopened)) };
            after = Some(last.user);
            let mut seals = Vec::new();
            for old in bite {
                match self.resealed(&old) {
                    Ok(Some(new)) => seals.push((old, new)),
                    Ok(None) => {}
                    Err(error) => unopened.push((old.user, error)),
                }
            }
            if !seals.is_empty() {
                // Whoever refreshed meanwhile has sealed with the new key.
                resealed += custody.reseal_grants(&seals).await?;
            }
            step!("key-in-tokens");
        }
    }

    /// The same tokens under the key in use; `None` where they are.
    fn resealed(&self, old: &SealedGrant) -> Result<Option<SealedGrant>, OpenError> {
        let SealedGrant { user, epoch, generation, .. } = *old;
        let current = |sealed: &Sealed| self.vault.is_current(sealed);
        if current(&old.refresh_token) && old.access_token.as_ref().is_none_or(current) {
            return Ok(None);
        }
        let anew = |label: Label<'_>, sealed: &Sealed| -> Result<Sealed, OpenError> {
            let text = self.vault.open(label, sealed)?;
            Ok(self.vault.seal(label, &text, &self.random))
        };
        let access = old.access_token.as_ref();
        Ok(Some(SealedGrant {
            refresh_token: anew(Label::Refresh(user, epoch, generation), &old.refresh_token)?,
            access_token: access
                .map(|sealed| anew(Label::Access(user, epoch, generation), sealed))
                .transpose()?,
            ..old.clone()
        }))
    }

    async fn reseal_spool(&self) -> Result<u64, RotateError> {
        let unwritten = |e: io::Error| RotateError::Host(format!("the spool can't be sealed anew: {e}"));
        let mut resealed = 0;
        for user in self.spool.users().await.map_err(unwritten)? {
            resealed += u64::from(self.spool.reseal(user).await.map_err(unwritten)?);
            step!("key-in-answers");
        }
        Ok(resealed)
    }

    /// The other daemons at work, as people know them.
    async fn others(&self, custody: &dyn Custody) -> Result<Vec<String>, StoreError> {
        self.seen(custody, |_| true).await
    }

    async fn others_without(&self, custody: &dyn Custody) -> Result<Vec<String>, StoreError> {
        let id = self.vault.key_id();
        self.seen(custody, |key| key != id).await
    }

    async fn seen(
        &self,
        custody: &dyn Custody,
        which: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let own = self.owner;
        let seen = custody.daemons_seen(LIVE).await?;
        let others = seen.into_iter().filter(|daemon| daemon.owner != own && which(&daemon.key));
        Ok(others.map(|daemon| format!("instance {}", daemon.owner.0)).collect())
    }

    /// Says that this daemon is at work.
    ///
    /// # Errors
    /// Where the store can't be reached.
    pub async fn note(&self) -> Result<(), StoreError> {
        match self.store.custody() {
            Some(custody) => custody.note_daemon(self.owner, &self.vault.key_id()).await,
            None => Ok(()),
        }
    }

    /// Whether the key was changed under this daemon's feet, in words.
    ///
    /// # Errors
    /// Where the store can't be reached.
    pub async fn misfit(&self) -> Result<Option<String>, StoreError> {
        match fits(&self.store, &self.vault).await {
            Ok(()) => Ok(None),
            Err(CoreError::Store(error)) => Err(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }
}
