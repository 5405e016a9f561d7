//! Where the store says what it last lived on, and the fence: while it stands, no refresh begins.

use super::home::{Change, Home, Whereabouts};
use super::sql::{Dialect, Session, params};
use super::{Result, StoreError};
use crate::domain::{KeyId, Owner, Sealed};

/// What doubt a store leaves that was accepted: its refresh tokens may have been spent since.
pub const RESTORED: &str = "the store was restored from a back-up, or moved";

/// What the store says of itself.
struct Notes(Vec<(String, Vec<u8>)>);

impl Notes {
    async fn read(session: &mut Session) -> Result<Self> {
        session
            .all(
                "SELECT name, value FROM meta WHERE name IN ('home', 'fence', 'key_probe')",
                params![],
                |row| Ok((row.get::<String>("name")?, row.get::<Vec<u8>>("value")?)),
            )
            .await
            .map(Self)
    }

    fn get(&self, wanted: &str) -> Option<&[u8]> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
    }

    fn text(&self, wanted: &str) -> Option<String> {
        self.get(wanted).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn stands(&self, now: Home) -> Whereabouts {
        let (mut before, mut fence) = (None, self.text("fence"));
        match self.text("home").map(|json| serde_json::from_str(&json)) {
            Some(Ok(home)) => before = Some(home),
            // Whoever accepts the store writes it anew.
            Some(Err(error)) => {
                fence.get_or_insert_with(|| {
                    format!("what it notes of where it last lived can't be read ({error})")
                });
            }
            None => {}
        }
        Whereabouts { before, now, fence }
    }

    fn sealed_with(&self) -> Option<KeyId> {
        Sealed(self.get("key_probe")?.to_vec()).key_id()
    }
}

pub async fn whereabouts(session: &mut Session, now: Home) -> Result<Whereabouts> {
    Ok(Notes::read(session).await?.stands(now))
}

/// Why no refresh may begin of whoever has these keys, if that is so.
pub async fn check(session: &mut Session, now: Home, keys: &[KeyId], store: &str) -> Result<()> {
    if session.dialect() == Dialect::Postgres {
        session.run("SELECT pg_advisory_xact_lock_shared(1819307132)", params![]).await?;
    }
    let notes = Notes::read(session).await?;
    if notes.sealed_with().is_some_and(|key| !keys.contains(&key)) {
        return Err(StoreError::AnotherKey { store: store.to_owned() });
    }
    let stands = notes.stands(now);
    let change = stands.change();
    match (stands.fence, change) {
        (Some(why), _) | (None, Change::Elsewhere(why)) => {
            Err(StoreError::NotAccepted { store: store.to_owned(), why })
        }
        (None, Change::Promoted) => Err(StoreError::Unavailable {
            doing: "beginning a refresh".to_owned(),
            source: "the database's server is another since a moment: what it lacks is looked for first"
                .into(),
        }),
        (None, Change::Nothing) => Ok(()),
    }
}

async fn put(session: &mut Session, name: &'static str, value: String) -> Result<()> {
    session
        .run(
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![name, value.into_bytes()],
        )
        .await?;
    Ok(())
}

/// What is not told now stays as it was told before: several daemons need not see the same of one server.
pub async fn settle(session: &mut Session, home: &Home) -> Result<()> {
    let stands = whereabouts(session, home.clone()).await?;
    let completed = home.completed(stands.before.as_ref());
    match stands.before == Some(completed.clone()) {
        true => Ok(()),
        false => keep_home(session, &completed).await,
    }
}

async fn keep_home(session: &mut Session, home: &Home) -> Result<()> {
    let json = serde_json::to_string(home).map_err(|e| StoreError::Broken {
        doing: "noting what the store lives on".to_owned(),
        source: e.into(),
    })?;
    put(session, "home", json).await
}

/// Raises a fence, or puts another reason on the one that stands.
pub async fn put_fence(session: &mut Session, why: &str) -> Result<()> {
    put(session, "fence", why.to_owned()).await
}

/// False where another one stands, or none.
pub async fn replace_fence(session: &mut Session, old: &str, new: &str) -> Result<bool> {
    let replaced = session
        .run(
            "UPDATE meta SET value = $2 WHERE name = 'fence' AND value = $1",
            params![old.to_owned().into_bytes(), new.to_owned().into_bytes()],
        )
        .await?;
    Ok(replaced > 0)
}

/// False where one stands already.
pub async fn fence(session: &mut Session, why: &str, owner: Owner) -> Result<bool> {
    let raised = session
        .run(
            "INSERT INTO meta (name, value) VALUES ('fence', $1) ON CONFLICT (name) DO NOTHING",
            params![why.to_owned().into_bytes()],
        )
        .await?;
    if raised > 0 {
        doubt_everyone(session, owner).await?;
    }
    Ok(raised > 0)
}

/// Whoever raises a fence waits for the intents that have passed it, so that it can see them all.
pub async fn lock_intents_out(session: &mut Session) -> Result<()> {
    if session.dialect() == Dialect::Postgres {
        session.run("SELECT pg_advisory_xact_lock(1819307132)", params![]).await?;
    }
    Ok(())
}

/// Who was put in doubt with the fence is not put there again: the spool may have ended it since.
pub async fn adopt(session: &mut Session, home: &Home, owner: Owner) -> Result<u64> {
    let stood = whereabouts(session, home.clone()).await?;
    keep_home(session, home).await?;
    let lifted = session.run("DELETE FROM meta WHERE name = 'fence'", params![]).await?;
    // A copy of a store that nobody had accepted: nobody was put in doubt there.
    let filled = "SELECT name FROM meta WHERE name = 'moved_from'";
    let filled = session.first(filled, params![], |row| row.get::<String>("name")).await?.is_some();
    let first_home = filled && stood.before.is_none();
    if lifted == 0 || stood.change() != Change::Nothing || first_home {
        doubt_everyone(session, owner).await?;
    }
    session
        .one("SELECT count(*) AS logins FROM grants WHERE doubt_since IS NOT NULL", params![], |row| {
            row.get::<i64>("logins")
        })
        .await
        .map(i64::unsigned_abs)
}

/// A login that is refused is known to be dead, and one without tokens has nothing to doubt.
pub async fn doubt_everyone(session: &mut Session, owner: Owner) -> Result<()> {
    let now = session.now().await?;
    session
        .run(
            "UPDATE grants SET doubt_since = COALESCE(doubt_since, $1), doubt_owner = COALESCE(doubt_owner, $2),
               doubt_reason = COALESCE(doubt_reason, $3)
             WHERE refresh_token IS NOT NULL AND refusal_since IS NULL",
            params![now, owner, RESTORED],
        )
        .await?;
    Ok(())
}
