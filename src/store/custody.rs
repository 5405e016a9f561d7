//! What is known of a store as a place: what it lives on, whether it was accepted there, what is sealed in it and who
//! works on it. Every method is one transaction, as those of [`super::Store`] are.

use std::time::Duration;

use async_trait::async_trait;

use super::{DaemonSeen, Home, Result, SealedGrant, Whereabouts};
use crate::domain::{Owner, Sealed, UserId};

/// What a store in a database can do besides.
#[async_trait]
pub trait Custody: Send + Sync {
    /// What it lives on and last lived on.
    async fn whereabouts(&self) -> Result<Whereabouts>;
    /// Notes what it lives on: of a store that was just made, or of a replica that was promoted.
    async fn settle(&self, home: &Home) -> Result<()>;
    /// Raises the fence, behind which no refresh begins, and puts every login in doubt; false where it stands already.
    async fn fence(&self, why: &str, owner: Owner) -> Result<bool>;
    /// Accepts the store where it is and lifts the fence. Every login is in doubt then, but whose doubt has ended since a
    /// fence was raised; answers how many.
    async fn adopt(&self, home: &Home, owner: Owner) -> Result<u64>;

    /// The next tokens after this user, by number, as they are sealed.
    async fn sealed_grants(&self, after: Option<UserId>, limit: i64) -> Result<Vec<SealedGrant>>;
    /// Puts new seals in the place of old ones, each where the old one still is: `(old, new)`. How many.
    async fn reseal_grants(&self, seals: &[(SealedGrant, SealedGrant)]) -> Result<u64>;
    /// The verifiers of logins under way, as they are sealed, by `state`.
    async fn sealed_verifiers(&self) -> Result<Vec<(String, Sealed)>>;
    /// Puts a new seal in the place of a login's verifier.
    async fn reseal_verifier(&self, state: &str, new: Sealed) -> Result<()>;
    /// Puts another probe in the place of the one on record.
    async fn replace_key_probe(&self, probe: Sealed) -> Result<()>;
    /// Notes that this daemon is at work, and what it seals with.
    async fn note_daemon(&self, owner: Owner, key: &[u8]) -> Result<()>;
    /// The daemons that were noted so short a while ago, by the store's clock.
    async fn daemons_seen(&self, within: Duration) -> Result<Vec<DaemonSeen>>;
}
