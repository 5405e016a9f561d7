//! The guard: notices that the store was restored, copied or set back, shuts the gates, and lets a person accept it. What
//! the spool has is given back before anything else.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use crate::clock::{BootTime, Clock};
use crate::control::api::Adopted;
use crate::domain::{EventKind, Owner, User, UserId, said};
use crate::store::{Change, Custody, Home, Store, StoreError, Whereabouts, machine};
use crate::telemetry::{Events, Note};
use crate::tokens::Exchange;

use super::core::{Current, Ground, offer};
use super::key::LIVE;
use super::seen::Seen;
use super::state::StatePaths;

/// How long other daemons get to give back what a promoted replica lacks. Each looks every five seconds.
const OTHERS_FIRST: Duration = Duration::from_secs(15);

/// Looks after one store. It does not hold the state directory: what asks it may outlive the daemon's loop.
#[derive(Clone)]
pub struct Guard {
    store: Arc<dyn Store>,
    settings: Current,
    clock: Arc<dyn Clock>,
    events: Events,
    paths: Option<StatePaths>,
    exchange: Arc<Exchange>,
    /// When a promoted replica was first seen.
    promoted: Arc<Mutex<Option<BootTime>>>,
    /// What was seen before somebody accepted the store must not be acted upon afterwards.
    one: Arc<tokio::sync::Mutex<()>>,
}

impl Guard {
    /// Over what the core is built on.
    pub fn new(ground: &Ground, exchange: Arc<Exchange>) -> Self {
        Self {
            store: Arc::clone(&ground.store),
            settings: ground.settings.clone(),
            clock: Arc::clone(&ground.clock),
            events: ground.events.clone(),
            paths: ground.outside.paths(),
            exchange,
            promoted: Arc::default(),
            one: Arc::default(),
        }
    }

    /// Why the store is not accepted, if it isn't. `spool`: compares it with the spool too, as is due at a start and
    /// after an outage.
    ///
    /// # Errors
    /// Where the store can't be reached.
    pub async fn look(&self, spool: bool) -> Result<Option<String>, StoreError> {
        let Some(custody) = self.store.custody() else { return Ok(None) };
        let _one = self.one.lock().await;
        let deployment = self.store.open().await?;
        let stands = custody.whereabouts().await?;
        let seen = self.paths.as_ref().and_then(Seen::read).filter(|seen| seen.deployment == deployment);
        let change = since_seen(&stands, seen.as_ref());
        let mut why = match (stands.fence, &change) {
            (Some(why), _) => Some(why),
            (None, Change::Elsewhere(why)) => Some(why.clone()),
            (None, Change::Promoted) if !knows(seen.as_ref(), &stands.now, self.exchange.owner) => Some(
                "its server was promoted, or recovered from a back-up, and this state directory never worked with it before"
                    .to_owned(),
            ),
            (None, _) => None,
        };
        if why.is_none() && (spool || change == Change::Promoted) {
            why = self.set_back(custody).await?;
        }
        if why.is_none() && change == Change::Promoted && self.others_come_first(custody).await? {
            return Ok(None);
        }
        if why.is_none() {
            if stands.before != Some(stands.now.completed(stands.before.as_ref())) {
                custody.settle(&stands.now).await?;
            }
            if change == Change::Promoted {
                let message =
                    "another server of the database was promoted, and has all that this daemon knows of";
                warn!("{message}");
                self.events.tell(EventKind::StoreAdopted, Note::default(), message.to_owned());
            }
            self.note_seen(deployment, stands.now);
        }
        Ok(why.map(|why| said(&StoreError::NotAccepted { store: self.store.describe(), why })))
    }

    /// A promoted replica may lack the last commits. Until each daemon that is at work has had the time to give back what
    /// its spool has of them, the store takes no intent.
    async fn others_come_first(&self, custody: &dyn Custody) -> Result<bool, StoreError> {
        let settings = self.settings.get();
        for fault in offer(&self.exchange, &self.store, &settings).await? {
            warn!("{}", fault.what);
        }
        let now = self.clock.boot();
        let first = *self.promoted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        let own = self.exchange.owner;
        let others = custody.daemons_seen(LIVE).await?.iter().any(|daemon| daemon.owner != own);
        let waits = others && now.since(first) < OTHERS_FIRST;
        if !waits {
            *self.promoted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(waits)
    }

    /// Whether the spool shows that the store was set back by more than one answer; the fence stands then.
    async fn set_back(&self, custody: &dyn Custody) -> Result<Option<String>, StoreError> {
        let ahead = self.exchange.ahead_of_store().await?;
        let Some(first) = ahead.first() else { return Ok(None) };
        let user: Option<User> = self.store.users_of(&[*first]).await?.into_iter().next();
        let name = user.map_or_else(|| format!("user {}", first.0), |user| user.name.to_string());
        let others = match ahead.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let why = format!(
            "it is older than the spool, by more than one answer for {name}{others}, as after a back-up was put in its place"
        );
        custody.fence(&why, self.exchange.owner).await?;
        Ok(Some(why))
    }

    /// Accepts the store where it is.
    ///
    /// # Errors
    /// Where it can't be reached.
    pub async fn adopt(&self) -> Result<Adopted, StoreError> {
        let store = &self.store;
        let adopted = |in_doubt| Adopted { store: store.describe(), in_doubt };
        let Some(custody) = store.custody() else { return Ok(adopted(0)) };
        let _one = self.one.lock().await;
        let deployment = store.open().await?;
        let settings = self.settings.get();
        for fault in offer(&self.exchange, store, &settings).await? {
            warn!("{}", fault.what);
        }
        self.set_strangers_aside().await?;
        let now = custody.whereabouts().await?.now;
        let in_doubt = custody.adopt(&now, self.exchange.owner).await?;
        self.note_seen(deployment, now);
        Ok(adopted(in_doubt))
    }

    /// Who is not in the store was lost with what it lost, and the number may be given to somebody else.
    async fn set_strangers_aside(&self) -> Result<(), StoreError> {
        let users = self.exchange.spool.users().await.unwrap_or_default();
        for bite in users.chunks(512) {
            let mut known: HashSet<UserId> =
                self.store.users_of(bite).await?.into_iter().map(|user| user.id).collect();
            known.extend(self.store.grant_heads(bite).await?.into_iter().map(|head| head.user));
            for user in bite.iter().filter(|user| !known.contains(user)) {
                match self.exchange.spool.set_aside(*user).await {
                    Ok(()) => {
                        warn!("the answers of user {} are set aside: the store has no such user", user.0)
                    }
                    Err(error) => warn!("the answers of user {} can't be set aside: {error}", user.0),
                }
            }
        }
        Ok(())
    }

    /// It is only a memory: what can't be written is asked for again.
    fn note_seen(&self, deployment: Uuid, home: Home) {
        let Some(paths) = &self.paths else { return };
        if let Err(error) = Seen::here(paths, deployment, home, self.exchange.owner).note(paths) {
            warn!("which store this is could not be noted: {error}");
        }
    }
}

/// How the store's home differs from what it remembers itself; or, where that is the same, from what we remember: a
/// server that was left behind at a failover knows of nothing.
fn since_seen(stands: &Whereabouts, seen: Option<&Seen>) -> Change {
    match (stands.change(), seen) {
        (Change::Nothing, Some(seen)) if stands.before.is_some() => match stands.now.since(&seen.home) {
            Change::Promoted => Change::Nothing,
            change if matches!(stands.now, Home::Postgres { .. }) && left_behind(&stands.now, &seen.home) => {
                change
            }
            _ => Change::Nothing,
        },
        (change, _) => change,
    }
}

/// Whether it is a server that stayed on an older timeline than one that we worked with.
fn left_behind(now: &Home, seen: &Home) -> bool {
    match (now, seen) {
        (
            Home::Postgres { system, database, timeline: Some(timeline) },
            Home::Postgres { system: system_seen, database: database_seen, timeline: Some(timeline_seen) },
        ) => (system, database) == (system_seen, database_seen) && timeline < timeline_seen,
        _ => false,
    }
}

/// Whether this state directory, on this machine, has worked with the same database of the same cluster.
fn knows(seen: Option<&Seen>, now: &Home, owner: Owner) -> bool {
    let Some(seen) = seen else { return false };
    let moved = matches!((&seen.machine, machine()), (Some(was), Some(is)) if *was != is);
    // A copy of the directory has a name of its own.
    let copied = seen.instance.is_some_and(|instance| instance != owner);
    !moved && !copied && matches!(now.since(&seen.home), Change::Promoted | Change::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Owner = Owner(Uuid::nil());

    fn database(system: i64, timeline: i64) -> Home {
        Home::Postgres { system: Some(system), database: 5, timeline: Some(timeline) }
    }

    fn seen(home: Home, machine: Option<String>) -> Seen {
        Seen { deployment: Uuid::nil(), home, machine, instance: Some(HERE), place: None }
    }

    fn stands(before: &Home, now: &Home) -> Whereabouts {
        Whereabouts { before: Some(before.clone()), now: now.clone(), fence: None }
    }

    #[test]
    fn a_server_that_was_left_behind_is_told_by_whoever_worked_with_its_successor() {
        let old = database(7, 1);
        let here = |home| seen(home, machine());
        // It remembers nothing of the failover itself.
        assert_eq!(since_seen(&stands(&old, &old), None), Change::Nothing);
        assert_eq!(since_seen(&stands(&old, &old), Some(&here(database(7, 1)))), Change::Nothing);
        let change = since_seen(&stands(&old, &old), Some(&here(database(7, 2))));
        assert!(matches!(change, Change::Elsewhere(_)), "{change:?}");
        // Another daemon has accepted what this one has not seen yet.
        assert_eq!(since_seen(&stands(&database(7, 3), &database(7, 3)), Some(&here(old))), Change::Nothing);
    }

    #[test]
    fn only_who_worked_with_a_server_on_this_machine_knows_its_replica() {
        assert!(!knows(None, &database(7, 2), HERE));
        assert!(knows(Some(&seen(database(7, 1), machine())), &database(7, 2), HERE));
        assert!(!knows(Some(&seen(database(8, 1), machine())), &database(7, 2), HERE));
        let copy = Owner(Uuid::max());
        assert!(!knows(Some(&seen(database(7, 1), machine())), &database(7, 2), copy));
        if machine().is_some() {
            let elsewhere = seen(database(7, 1), Some("another machine".to_owned()));
            assert!(!knows(Some(&elsewhere), &database(7, 2), HERE));
        }
    }
}
