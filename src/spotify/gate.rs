//! One gate per app. It knows when the app may call again (Retry-After), whether the token endpoint refuses the app,
//! and how its provider rotates; it remembers that in the store, so that a restart changes nothing. All of them are shut
//! while the store is one that nobody has accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::{AppFault, AppName, AppState, EventKind, Rotation, Timestamp};
use crate::store::{GrantStore, StoreError};
use crate::telemetry::{Events, Note};

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
    states: Arc<Mutex<HashMap<AppName, AppState>>>,
    /// Held while a state is saved, so that an older one never overtakes a newer one.
    saving: Arc<tokio::sync::Mutex<()>>,
    shut: Arc<RwLock<Option<Arc<str>>>>,
}

impl Gate {
    /// Knows nothing yet: call [`Gate::load`].
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn GrantStore>, events: Events) -> Self {
        Self { clock, store, events, states: Arc::default(), saving: Arc::default(), shut: Arc::default() }
    }

    /// Reads what the store remembers of apps that are not known here yet: of the others memory is newer. A fault may be
    /// tried again at once: the configuration has just been read.
    pub async fn load<'a>(&self, apps: impl IntoIterator<Item = &'a AppName>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (known, new): (Vec<AppName>, Vec<AppName>) = {
            let states = self.states();
            apps.into_iter().cloned().partition(|app| states.contains_key(app))
        };
        let mut stored: HashMap<AppName, AppState> = match new.is_empty() {
            true => HashMap::new(),
            false => self.store.app_states(&new).await?.into_iter().collect(),
        };
        let mut states = self.states();
        for app in known.into_iter().chain(new) {
            let stored = stored.remove(&app).unwrap_or_default();
            if let Some(fault) = &mut states.entry(app).or_insert(stored).fault {
                fault.retry_at = now;
            }
        }
        Ok(())
    }

    /// Takes in what another daemon on the same store has learnt; a hold that is known here is never shortened. An older
    /// version is of a store that lost its last commits.
    pub fn learn(&self, app: &AppName, stored: AppState) {
        if let Some(known) = self.states().get_mut(app)
            && stored.version != known.version
        {
            *known = after(known, stored);
        }
    }

    /// Reads again what is stored of an app.
    pub async fn reread(&self, app: &AppName) -> Result<(), StoreError> {
        let stored = self.store.app_state(app).await?;
        self.learn(app, stored);
        Ok(())
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
        self.states().get(app).and_then(|state| state.hold_until).filter(|until| *until > now)
    }

    /// Why the token endpoint refuses the app, while it does.
    pub fn fault(&self, app: &AppName) -> Option<AppFault> {
        self.states().get(app).and_then(|state| state.fault.clone())
    }

    /// How the app's provider rotates.
    pub fn rotation(&self, app: &AppName) -> Rotation {
        self.states().get(app).map(|state| state.rotation).unwrap_or_default()
    }

    /// A 429: nobody of the app calls before the answer's moment, whatever reason it gave. A hold is never shortened,
    /// and several 429s of calls that were under way together count as one.
    pub async fn hold(&self, app: &AppName, retry_after: Option<Duration>) -> Timestamp {
        let now = self.clock.now();
        let (until, news) = self
            .change(app, move |state| {
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
        until
    }

    /// An answer that was no 429.
    pub async fn answered(&self, app: &AppName) {
        if self.states().get(app).is_some_and(|state| state.holds_in_a_row > 0) {
            self.change(app, |state| state.holds_in_a_row = 0).await;
        }
    }

    /// The token endpoint refuses the app itself; said loudly once.
    pub async fn refuse(&self, app: &AppName, reason: &str) {
        let now = self.clock.now();
        let news = self
            .change(app, |state| {
                let since = state.fault.as_ref().map(|fault| fault.since);
                let fault = AppFault {
                    reason: reason.to_owned(),
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
        self.change(app, |state| match &mut state.fault {
            Some(fault) if fault.retry_at > now => false,
            Some(fault) => {
                fault.retry_at = now + FAULT_PAUSE;
                true
            }
            None => true,
        })
        .await
    }

    /// The token endpoint accepted the app. `rotated`: whether its answer brought a new refresh token, where it
    /// brought tokens at all. One answer without a new token proves nothing about a provider that has rotated before.
    pub async fn accept(&self, app: &AppName, rotated: Option<bool>) {
        let learnt = |known| match (known, rotated) {
            (Rotation::Rotates, _) | (_, Some(true)) => Rotation::Rotates,
            (_, Some(false)) => Rotation::Keeps,
            (known, None) => known,
        };
        if self.fault(app).is_none() && self.rotation(app) == learnt(self.rotation(app)) {
            return;
        }
        let mended = self
            .change(app, |state| {
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
    async fn change<T>(&self, app: &AppName, change: impl Fn(&mut AppState) -> T) -> T {
        let (mut result, changed) = self.change_here(app, &change);
        if !changed {
            return result;
        }
        let _saving = self.saving.lock().await;
        loop {
            let state = self.states().get(app).cloned().unwrap_or_default();
            let saved = match self.store.save_app_state(app, &state).await {
                Ok(true) => {
                    if let Some(known) = self.states().get_mut(app) {
                        known.version = known.version.max(state.version + 1);
                    }
                    return result;
                }
                Ok(false) => self.store.app_state(app).await,
                Err(error) => Err(error),
            };
            match saved {
                // A version that goes back is of a store that was restored.
                Ok(stored) => {
                    if let Some(known) = self.states().get_mut(app) {
                        *known = after(known, stored);
                    }
                }
                Err(error) => {
                    tracing::warn!(app = %app, "what is known of app {app} is not saved: {error}");
                    return result;
                }
            }
            (result, _) = self.change_here(app, &change);
        }
    }

    fn change_here<T>(&self, app: &AppName, change: &impl Fn(&mut AppState) -> T) -> (T, bool) {
        let mut states = self.states();
        let state = states.entry(app.clone()).or_default();
        let before = state.clone();
        (change(state), *state != before)
    }

    fn states(&self) -> MutexGuard<'_, HashMap<AppName, AppState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known after another daemon's state was read.
fn after(known: &AppState, stored: AppState) -> AppState {
    AppState { hold_until: known.hold_until.max(stored.hold_until), ..stored }
}

#[cfg(test)]
mod tests;
