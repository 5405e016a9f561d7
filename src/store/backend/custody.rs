//! What is known of the store as a place, on an SQL database.

use std::time::Duration;

use async_trait::async_trait;

use super::super::{Custody, DaemonSeen, Home, Result, SealedGrant, Whereabouts, guard, keys};
use super::{Database, SqlStore};
use crate::domain::{Owner, Sealed, UserId};
use crate::store::sql::Session;

impl SqlStore {
    /// What it lives on.
    pub(in crate::store) async fn home(&self, session: &mut Session) -> Result<Home> {
        match &self.database {
            Database::Sqlite(file) => file.home(),
            Database::Postgres(server) => server.home(session).await,
        }
    }
}

#[async_trait]
impl Custody for SqlStore {
    async fn whereabouts(&self) -> Result<Whereabouts> {
        let mut session = self.reading(format!("reading where {} lives", self.database)).await?;
        let home = self.home(&mut session).await?;
        guard::whereabouts(&mut session, home).await
    }

    async fn settle(&self, home: &Home) -> Result<()> {
        let mut session = self.writing(format!("noting where {} lives", self.database)).await?;
        guard::settle(&mut session, home).await?;
        session.commit(()).await
    }

    async fn fence(&self, why: &str, owner: Owner) -> Result<bool> {
        let mut session = self.writing_tokens(format!("fencing {}", self.database)).await?;
        let raised = guard::fence(&mut session, why, owner).await?;
        session.commit(raised).await
    }

    async fn adopt(&self, home: &Home, owner: Owner) -> Result<u64> {
        let mut session = self.writing_tokens(format!("accepting {}", self.database)).await?;
        let logins = guard::adopt(&mut session, home, owner).await?;
        session.commit(logins).await
    }

    async fn sealed_grants(&self, after: Option<UserId>, limit: i64) -> Result<Vec<SealedGrant>> {
        let mut session = self.reading("reading what is sealed").await?;
        keys::sealed(&mut session, after, limit).await
    }

    async fn reseal_grants(&self, seals: &[(SealedGrant, SealedGrant)]) -> Result<u64> {
        let mut session = self.writing_tokens("sealing tokens anew").await?;
        let resealed = keys::reseal(&mut session, seals).await?;
        session.commit(resealed).await
    }

    async fn sealed_verifiers(&self) -> Result<Vec<(String, Sealed)>> {
        let mut session = self.reading("reading the logins under way").await?;
        keys::verifiers(&mut session).await
    }

    async fn reseal_verifier(&self, state: &str, new: Sealed) -> Result<()> {
        let mut session = self.writing("sealing a login under way anew").await?;
        keys::reseal_verifier(&mut session, state, new).await?;
        session.commit(()).await
    }

    async fn replace_key_probe(&self, probe: Sealed) -> Result<()> {
        let mut session = self.writing("keeping the probe of the token key").await?;
        keys::replace_probe(&mut session, probe).await?;
        session.commit(()).await
    }

    async fn note_daemon(&self, owner: Owner, key: &[u8]) -> Result<()> {
        let mut session = self.writing("noting that this daemon is at work").await?;
        keys::note_daemon(&mut session, owner, key).await?;
        session.commit(()).await
    }

    async fn daemons_seen(&self, within: Duration) -> Result<Vec<DaemonSeen>> {
        let mut session = self.reading("reading which daemons are at work").await?;
        keys::daemons(&mut session, within).await
    }
}
