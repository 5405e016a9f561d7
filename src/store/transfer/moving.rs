//! What can be done to a store as a whole. While it is copied into another that is to be used instead, nothing is
//! refreshed in it: it holds its own fence, which every daemon meets. Once the copy is complete the fence says so, and
//! stays: of two stores with the same logins only one may refresh them.

use std::path::Path;

use async_trait::async_trait;
use uuid::{Builder, Uuid};

use super::super::backend::SqlStore;
use super::super::guard;
use super::super::home::Change;
use super::super::sql::params;
use super::super::{Result, Whereabouts};
use super::{Copied, CopyError, Manner, Seals, TableCopied, Target, Tell};
use crate::domain::Owner;

/// What the fence of a copy under way begins with.
const HELD: &str = "it is being copied to ";
const MOVED: &str = "it was copied to ";

/// How many deployments are remembered: each opens what the ones before it sealed.
const REMEMBERED: usize = 8;

/// Whether nothing is refreshed in a store from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing is, until it is let go.
    Held(String),
    /// Nothing was: nobody has accepted the store, for this reason.
    NotAccepted(String),
}

/// What a store in a database can do as a whole.
#[async_trait]
pub trait Moving: Send + Sync {
    /// Sees to it that no refresh begins, by any daemon, while it is copied to that store.
    async fn hold(&self, target: &str) -> Result<Held>;
    /// Lets refreshes begin again after a hold for a copy to that store, whose commit was not tried: it is not in use.
    /// `noted`: also where this one says that it is, since that it was noted could not be told.
    async fn let_go(&self, target: &str, noted: bool) -> Result<()>;
    /// Notes that it was copied to that store, which is used from now on. Every login is in doubt: whoever accepts this
    /// store later can't know what was refreshed there. False where the hold is gone: somebody has accepted this store
    /// meanwhile, and goes on here.
    async fn moved(&self, target: &str, held: &Held, owner: Owner) -> Result<bool>;
    /// How many refreshes and runs are under way, by any daemon.
    async fn under_way(&self) -> Result<u64>;
    /// The deployments that it was copied from, one after the other, the last one first: their answers may still lie in a
    /// spool.
    async fn moved_from(&self) -> Result<Vec<Uuid>>;

    /// Copies everything into an empty store, up to the commit. A hold of this one's is not copied; any other reason why
    /// it is not accepted is.
    async fn copy_to(
        &self,
        target: &Target,
        held: &Held,
        seals: &dyn Seals,
        tell: Tell<'_>,
    ) -> std::result::Result<Copied, CopyError>;
    /// Everything of one moment, into a SQLite file that is not there yet, checked. It is the same store: nothing is
    /// sealed anew.
    async fn back_up(&self, file: &Path) -> std::result::Result<Vec<TableCopied>, CopyError>;
    /// How many bytes it takes, roughly.
    async fn size(&self) -> Result<u64>;
}

/// Whether a fence is one that a copy has raised, which takes along what was written before it and nothing after.
pub fn is_of_copy(fence: &str) -> bool {
    fence.contains(HELD) || fence.contains(MOVED)
}

fn hold_for(target: &str) -> String {
    format!("{HELD}{target}")
}

/// What the fence says of a store that was copied.
pub fn moved(target: &str) -> String {
    format!("{MOVED}{target}, which is to be used instead: make that [store] url, and restart longplay")
}

/// Why nobody has accepted it, if that is so. A hold that was left behind by a copy that broke off is none.
fn not_accepted(stands: Whereabouts) -> Option<String> {
    let change = stands.change();
    stands.fence.filter(|why| !why.starts_with(HELD)).or(match change {
        Change::Elsewhere(why) => Some(why),
        Change::Nothing | Change::Promoted => None,
    })
}

#[async_trait]
impl Moving for SqlStore {
    async fn hold(&self, target: &str) -> Result<Held> {
        let mut session = self.writing(format!("holding what is refreshed in {}", self.database)).await?;
        guard::lock_intents_out(&mut session).await?;
        let home = self.home(&mut session).await?;
        if let Some(why) = not_accepted(guard::whereabouts(&mut session, home).await?) {
            return Ok(Held::NotAccepted(why));
        }
        let held = hold_for(target);
        guard::put_fence(&mut session, &held).await?;
        session.commit(Held::Held(held)).await
    }

    async fn let_go(&self, target: &str, noted: bool) -> Result<()> {
        let mut session = self.writing(format!("letting refreshes go on in {}", self.database)).await?;
        session
            .run(
                "DELETE FROM meta WHERE name = 'fence' AND (value = $1 OR value = $2)",
                params![hold_for(target).into_bytes(), noted.then(|| moved(target).into_bytes())],
            )
            .await?;
        session.commit(()).await
    }

    async fn moved(&self, target: &str, held: &Held, owner: Owner) -> Result<bool> {
        let mut session = self.writing(format!("noting that {} was copied", self.database)).await?;
        guard::lock_intents_out(&mut session).await?;
        match held {
            Held::Held(fence) if !guard::replace_fence(&mut session, fence, &moved(target)).await? => {
                return Ok(false);
            }
            Held::Held(_) => {}
            Held::NotAccepted(_) => guard::put_fence(&mut session, &moved(target)).await?,
        }
        guard::doubt_everyone(&mut session, owner).await?;
        session.commit(true).await
    }

    async fn under_way(&self) -> Result<u64> {
        let mut session = self.reading("counting what is under way").await?;
        let now = session.now().await?;
        session
            .one(
                "SELECT (SELECT count(*) FROM grants WHERE attempt IS NOT NULL AND attempt_lease_until > $1)
                   + (SELECT count(*) FROM users WHERE run_owner IS NOT NULL AND next_run_at > $1) AS under_way",
                params![now],
                |row| row.get::<i64>("under_way"),
            )
            .await
            .map(i64::unsigned_abs)
    }

    async fn moved_from(&self) -> Result<Vec<Uuid>> {
        let mut session = self.reading("reading what the store was copied from").await?;
        let bytes: Option<Vec<u8>> = session
            .first("SELECT value FROM meta WHERE name = 'moved_from'", params![], |row| row.get("value"))
            .await?;
        let (each, _) = bytes.as_deref().unwrap_or_default().as_chunks::<16>();
        Ok(each.iter().map(|bytes| Builder::from_random_bytes(*bytes).into_uuid()).collect())
    }

    async fn copy_to(
        &self,
        target: &Target,
        held: &Held,
        seals: &dyn Seals,
        tell: Tell<'_>,
    ) -> std::result::Result<Copied, CopyError> {
        let fence = match held {
            Held::Held(_) => None,
            Held::NotAccepted(why) => {
                Some(format!("it was copied from {}, which nobody had accepted: {why}", self.database))
            }
        };
        let mut from = vec![super::super::Store::open(self).await?];
        from.extend(self.moved_from().await?);
        from.truncate(REMEMBERED);
        let manner = Manner::Anew { seals, from, fence };
        self.copied(&target.store, &manner, tell).await
    }

    async fn back_up(&self, file: &Path) -> std::result::Result<Vec<TableCopied>, CopyError> {
        super::file::back_up(self, file).await
    }

    async fn size(&self) -> Result<u64> {
        let mut side = self.side("asking how large the store is").await?;
        let sql = match side {
            super::side::Side::Sqlite(_) => {
                "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
            }
            super::side::Side::Postgres(_) => "SELECT pg_database_size(current_database())",
        };
        let size = side.number(sql.to_owned()).await;
        side.close().await;
        let size =
            size.map_err(|e| super::store_error(format!("asking how large {} is", self.database), e))?;
        Ok(size.unwrap_or(0).unsigned_abs())
    }
}
