//! One gate per app. It knows when the app may call again (Retry-After), whether the token endpoint refuses the app,
//! and how its provider rotates; it remembers that in the store, so that a restart changes nothing. All of them are shut
//! while the store is one that nobody has accepted.

mod known;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::{AppFault, AppName, AppState, EventKind, Rotation, Timestamp, Urgency};
use crate::store::{GrantStore, SLOT, StoreError};
use crate::telemetry::{Events, Note};

use super::{ApiError, Ledger, NoCall};
use known::{Apps, Kind, Known};

/// The hold after a 429 without a usable Retry-After; it doubles with each one in a row.
const FIRST_HOLD: Duration = Duration::from_secs(60);
/// What that doubling ends at.
const LONGEST_GUESS: Duration = Duration::from_secs(3_600);
/// What is believed of a Retry-After. The longest seen from Spotify is 22 hours.
const LONGEST_HOLD: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long an app that the token endpoint refuses is left alone.
const FAULT_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// The gates of all apps; clones share them.
#[derive(Clone)]
pub struct Gate {
    clock: Arc<dyn Clock>,
    store: Arc<dyn GrantStore>,
    events: Events,
    ledger: Ledger,
    apps: Arc<Mutex<Apps>>,
    /// Held while a state is saved, so that an older one never overtakes a newer one.
    saving: Arc<tokio::sync::Mutex<()>>,
    shut: Arc<RwLock<Option<Arc<str>>>>,
}

impl Gate {
    /// Knows nothing yet: call [`Gate::load`].
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn GrantStore>, events: Events) -> Self {
        let apps = Apps::new(clock.now(), clock.boot());
        Self {
            ledger: Ledger::new(Arc::clone(&clock), Arc::clone(&store)),
            clock,
            store,
            events,
            apps: Arc::new(Mutex::new(apps)),
            saving: Arc::default(),
            shut: Arc::default(),
        }
    }

    /// Reads what the store remembers of apps that are not known here yet: of the others memory is newer. A fault may be
    /// tried again at once: the configuration has just been read.
    pub async fn load<'a>(&self, apps: impl IntoIterator<Item = &'a AppName>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (known, new): (Vec<AppName>, Vec<AppName>) = {
            let known = self.apps();
            apps.into_iter().cloned().partition(|app| known.known.contains_key(app))
        };
        let mut stored: HashMap<AppName, AppState> = match new.is_empty() {
            true => HashMap::new(),
            false => self.store.app_states(&new).await?.into_iter().collect(),
        };
        let mut apps = self.apps();
        for app in known.into_iter().chain(new) {
            let state = stored.remove(&app).unwrap_or_default();
            let known = apps.known.entry(app).or_insert_with(|| Known::read(state));
            known.try_at(now);
        }
        Ok(())
    }

    /// Takes in what another daemon on the same store has learnt; a hold that is known here is never shortened. An older
    /// version is of a store that lost its last commits. While something is being saved nothing is learnt: that may be
    /// what was read, and its save finds out what else the store has.
    pub fn learn(&self, app: &AppName, stored: AppState) {
        let Ok(_nothing_is_saved) = self.saving.try_lock() else { return };
        if let Some(known) = self.apps().known.get_mut(app)
            && stored.version != known.state.version
        {
            known.take_over(stored);
        }
    }

    /// Reads again what is stored of an app.
    pub async fn reread(&self, app: &AppName) -> Result<(), StoreError> {
        let stored = self.store.app_state(app).await?;
        self.learn(app, stored);
        Ok(())
    }

    /// The calls that are left of the day.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Lets one call of the Web API through, and counts it.
    pub async fn admit(&self, app: &AppName, urgency: Urgency) -> Result<(), NoCall> {
        if let Some(until) = self.held_until(app) {
            return Err(NoCall::Held(until));
        }
        let taken = self.ledger.take(app, urgency).await;
        if matches!(taken, Err(NoCall::Spent { .. })) && urgency != Urgency::Spare {
            self.quota_spent(app).await;
        }
        taken?;
        // It may have come meanwhile.
        self.held_until(app).map_or(Ok(()), |until| Err(NoCall::Held(until)))
    }

    async fn quota_spent(&self, app: &AppName) {
        let now = self.clock.now();
        let noted = self.quota_spent_at(app).is_some_and(|at| now.since(at) < SLOT);
        if !noted {
            self.change(app, Kind::Spent, move |state| state.quota_spent_at = Some(now)).await;
        }
    }

    /// When a call of the app was last refused for the day's quota; to within ten minutes.
    pub fn quota_spent_at(&self, app: &AppName) -> Option<Timestamp> {
        self.apps().known.get(app).and_then(|known| known.state.quota_spent_at)
    }

    /// What an answer of the Web API says of the app; until when it is held for it. The daily quota's 429 holds all apps
    /// of the developer account.
    pub async fn heed<T>(&self, app: &AppName, answer: &Result<T, ApiError>) -> Option<Timestamp> {
        match answer {
            Err(ApiError::RateLimited { retry_after, quota, .. }) => {
                let sharing = self.ledger.sharing_with(app);
                for other in sharing.iter().filter(|other| *quota && *other != app) {
                    self.hold(other, *retry_after).await;
                    self.quota_spent(other).await;
                }
                if *quota {
                    self.quota_spent(app).await;
                }
                Some(self.hold(app, *retry_after).await)
            }
            Err(ApiError::Unreachable { .. }) => None,
            _ => {
                self.answered(app).await;
                None
            }
        }
    }

    /// Shuts every gate: nobody gets a token, nothing is refreshed and nothing fetched; `None` opens them. True where
    /// that is news.
    pub fn shut(&self, why: Option<&str>) -> bool {
        let mut shut = self.shut.write().unwrap_or_else(PoisonError::into_inner);
        let news = shut.as_deref() != why;
        *shut = why.map(Arc::from);
        news
    }

    /// Why every gate is shut, and the cure.
    pub fn shut_because(&self) -> Option<Arc<str>> {
        self.shut.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until when the app may not call; `None`: it may.
    pub fn held_until(&self, app: &AppName) -> Option<Timestamp> {
        let now = self.clock.now();
        self.apps().known.get(app).and_then(|known| known.state.hold_until).filter(|until| *until > now)
    }

    /// Why the token endpoint refuses the app, while it does.
    pub fn fault(&self, app: &AppName) -> Option<AppFault> {
        self.apps().known.get(app).and_then(|known| known.state.fault.clone())
    }

    /// How the app's provider rotates.
    pub fn rotation(&self, app: &AppName) -> Rotation {
        self.apps().known.get(app).map(|known| known.state.rotation).unwrap_or_default()
    }

    /// A 429: nobody of the app calls before the answer's moment, whatever reason it gave. A hold is never shortened,
    /// and several 429s of calls that were under way together count as one.
    pub async fn hold(&self, app: &AppName, retry_after: Option<Duration>) -> Timestamp {
        let now = self.clock.now();
        let (until, news) = self
            .change(app, Kind::Hold, move |state| {
                let held = state.hold_until.filter(|until| *until > now);
                let until = match (retry_after.filter(|told| !told.is_zero()), held) {
                    (Some(told), held) => (now + told.min(LONGEST_HOLD)).max(held.unwrap_or(now)),
                    (None, Some(held)) => held,
                    (None, None) => {
                        let doubled = FIRST_HOLD * 2_u32.pow(state.holds_in_a_row.min(6));
                        state.holds_in_a_row = state.holds_in_a_row.saturating_add(1);
                        now + doubled.min(LONGEST_GUESS)
                    }
                };
                state.hold_until = Some(until);
                (until, held.is_none())
            })
            .await;
        if news {
            let note = Note { app: Some(app.clone()), ..Note::default() };
            let message = format!("Spotify answered 429: app {app} waits until {until}");
            self.events.tell(EventKind::RateLimited, note, message);
        }
        // Longer where that is known here alone.
        self.held_until(app).map_or(until, |held| held.max(until))
    }

    /// An answer that was no 429.
    pub async fn answered(&self, app: &AppName) {
        if self.apps().known.get(app).is_some_and(|known| known.state.holds_in_a_row > 0) {
            self.change(app, Kind::Answered, |state| state.holds_in_a_row = 0).await;
        }
    }

    /// The token endpoint refuses the app itself; said loudly once.
    pub async fn refuse(&self, app: &AppName, reason: &str) {
        let (now, why) = (self.clock.now(), reason.to_owned());
        let news = self
            .change(app, Kind::Refused, move |state| {
                let since = state.fault.as_ref().map(|fault| fault.since);
                let fault = AppFault {
                    reason: why.clone(),
                    since: since.unwrap_or(now),
                    retry_at: now + FAULT_PAUSE,
                };
                state.fault = Some(fault);
                since.is_none()
            })
            .await;
        if news {
            let note = Note { app: Some(app.clone()), ..Note::default() };
            self.events.tell(EventKind::AppRefused, note, format!("app {app} is refused: {reason}"));
        }
    }

    /// Whether the app may be tried now. While it is refused, that is granted to one caller: the next try is then due
    /// later.
    pub async fn try_refused(&self, app: &AppName) -> bool {
        let now = self.clock.now();
        if self.fault(app).is_none() {
            return true;
        }
        self.change(app, Kind::Tried, move |state| match &mut state.fault {
            Some(fault) if fault.retry_at > now => false,
            Some(fault) => {
                fault.retry_at = now + FAULT_PAUSE;
                true
            }
            None => true,
        })
        .await
    }

    /// The try that [`Gate::try_refused`] granted showed nothing of the app: another may follow.
    pub async fn untried(&self, app: &AppName) {
        let now = self.clock.now();
        self.change(app, Kind::Tried, move |state| {
            if let Some(fault) = &mut state.fault {
                fault.retry_at = now;
            }
        })
        .await;
    }

    /// The token endpoint accepted the app. `rotated`: whether its answer brought a new refresh token, where it
    /// brought tokens at all. One answer without a new token proves nothing about a provider that has rotated before.
    pub async fn accept(&self, app: &AppName, rotated: Option<bool>) {
        let learnt = move |known| match (known, rotated) {
            (Rotation::Rotates, _) | (_, Some(true)) => Rotation::Rotates,
            (_, Some(false)) => Rotation::Keeps,
            (known, None) => known,
        };
        if self.fault(app).is_none() && self.rotation(app) == learnt(self.rotation(app)) {
            return;
        }
        let mended = self
            .change(app, Kind::Accepted, move |state| {
                state.rotation = learnt(state.rotation);
                state.fault.take().is_some()
            })
            .await;
        if mended {
            let note = Note { app: Some(app.clone()), ..Note::default() };
            self.events.tell(EventKind::AppAccepted, note, format!("app {app} is accepted again"));
        }
    }

    /// Changes what is known, here at once, and saves it. Where another daemon has changed it meanwhile, the same change is
    /// made to that, and its result counts. What can't be written is written with the next change.
    async fn change<T: Copy + Send + 'static>(
        &self,
        app: &AppName,
        kind: Kind,
        change: impl Fn(&mut AppState) -> T + Send + Sync + 'static,
    ) -> T {
        let result = {
            let mut apps = self.apps();
            let known = apps.known.entry(app.clone()).or_default();
            let mut changed = known.state.clone();
            let first = change(&mut changed);
            if changed == known.state {
                return first;
            }
            let result = Arc::new(Mutex::new(first));
            let newest = Arc::clone(&result);
            known.change(kind, move |state| *locked(&newest) = change(state));
            result
        };
        let _saving = self.saving.lock().await;
        self.save(app).await;
        *locked(&result)
    }

    /// Saves what is ahead of the store, which may be nothing: another's save may have taken it along. `saving` is held.
    async fn save(&self, app: &AppName) {
        loop {
            let ahead = self.apps().known.get(app).and_then(Known::ahead);
            let Some((state, newest)) = ahead else { return };
            let stored = match self.store.save_app_state(app, &state).await {
                Ok(true) => {
                    if let Some(known) = self.apps().known.get_mut(app) {
                        known.saved(newest, state.version + 1);
                    }
                    return;
                }
                Ok(false) => self.store.app_state(app).await,
                Err(error) => Err(error),
            };
            match stored {
                // A version that goes back is of a store that was restored.
                Ok(stored) => {
                    if let Some(known) = self.apps().known.get_mut(app) {
                        known.take_over(stored);
                    }
                }
                Err(error) => {
                    return tracing::warn!(app = %app, "what is known of app {app} is not saved: {error}");
                }
            }
        }
    }

    fn apps(&self) -> MutexGuard<'_, Apps> {
        let mut apps = locked(&self.apps);
        apps.keep_pace(self.clock.now(), self.clock.boot());
        apps
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
