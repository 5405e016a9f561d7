//! One gate per app. It knows when the app may call again (Retry-After), whether the token endpoint refuses the app,
//! and how its provider rotates; it remembers that in the store, so that a restart changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
}

impl Gate {
    /// Knows nothing yet: call [`Gate::load`].
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn GrantStore>, events: Events) -> Self {
        Self { clock, store, events, states: Arc::default() }
    }

    /// Reads what the store remembers of these apps. A fault on record may be tried again at once: the configuration
    /// has just been read.
    pub async fn load<'a>(&self, apps: impl IntoIterator<Item = &'a AppName>) -> Result<(), StoreError> {
        let now = self.clock.now();
        for app in apps {
            let mut state = self.store.app_state(app).await?;
            if let Some(fault) = &mut state.fault {
                fault.retry_at = now;
            }
            self.states().insert(app.clone(), state);
        }
        Ok(())
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

    /// A 429: nobody of the app calls before the answer's moment, whatever reason it gave.
    pub async fn hold(&self, app: &AppName, retry_after: Option<Duration>) -> Timestamp {
        let now = self.clock.now();
        let until = self
            .change(app, |state| {
                let pause = match retry_after.filter(|d| !d.is_zero()) {
                    Some(told) => told.min(LONGEST_HOLD),
                    None => {
                        let doubled = FIRST_HOLD * 2_u32.pow(state.holds_in_a_row.min(6));
                        state.holds_in_a_row += 1;
                        doubled.min(LONGEST_GUESS)
                    }
                };
                let until = (now + pause).max(state.hold_until.unwrap_or(now));
                state.hold_until = Some(until);
                until
            })
            .await;
        let note = Note { app: Some(app.clone()), ..Note::default() };
        self.events.tell(
            EventKind::RateLimited,
            note,
            format!("Spotify answered 429: app {app} waits until {until}"),
        );
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

    /// Whether a refused app may be tried now. Grants it to one caller: the next try is then due later.
    pub async fn try_refused(&self, app: &AppName) -> bool {
        let now = self.clock.now();
        let due = self.states().get(app).and_then(|s| s.fault.as_ref()).is_none_or(|f| f.retry_at <= now);
        if due && self.fault(app).is_some() {
            self.change(app, |state| {
                if let Some(fault) = &mut state.fault {
                    fault.retry_at = now + FAULT_PAUSE;
                }
            })
            .await;
        }
        due
    }

    /// The token endpoint accepted the app. `rotated`: whether its answer brought a new refresh token, where it
    /// brought tokens at all.
    pub async fn accept(&self, app: &AppName, rotated: Option<bool>) {
        let learnt = match rotated {
            Some(true) => Some(Rotation::Rotates),
            // An answer without a new token proves nothing about a provider that has rotated before.
            Some(false) if self.rotation(app) == Rotation::Unknown => Some(Rotation::Keeps),
            _ => None,
        };
        let news = learnt.filter(|rotation| *rotation != self.rotation(app));
        if news.is_none() && self.fault(app).is_none() {
            return;
        }
        let mended = self
            .change(app, |state| {
                state.rotation = news.unwrap_or(state.rotation);
                state.fault.take().is_some()
            })
            .await;
        if mended {
            let note = Note { app: Some(app.clone()), ..Note::default() };
            self.events.tell(EventKind::AppAccepted, note, format!("app {app} is accepted again"));
        }
    }

    async fn change<T>(&self, app: &AppName, change: impl FnOnce(&mut AppState) -> T) -> T {
        let (result, state) = {
            let mut states = self.states();
            let state = states.entry(app.clone()).or_default();
            (change(state), state.clone())
        };
        // Memory rules while the process lives; what can't be written is written with the next change.
        if let Err(error) = self.store.save_app_state(app, &state).await {
            tracing::warn!(app = %app, "what is known of app {app} is not saved: {error}");
        }
        result
    }

    fn states(&self) -> MutexGuard<'_, HashMap<AppName, AppState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
