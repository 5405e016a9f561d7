//! Spotify's own top artists, fetched once a day after a run has told its outcome: one try, in nobody's way.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::run::Run;
use crate::domain::{Timestamp, Urgency, UserId};

const ONCE_IN: Duration = Duration::from_secs(24 * 3600);

/// When each user's top artists were last fetched or asked for in vain, so that a refusal costs one call a day too, and
/// most runs need not ask the store.
#[derive(Default)]
pub(super) struct Tried(Mutex<HashMap<UserId, Timestamp>>);

impl Tried {
    fn is_due(&self, user: UserId, now: Timestamp) -> bool {
        self.tried().get(&user).is_none_or(|last| is_due(*last, now))
    }

    fn note(&self, user: UserId, at: Timestamp) {
        self.tried().insert(user, at);
    }

    fn tried(&self) -> MutexGuard<'_, HashMap<UserId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a day has passed, or the clock was set back beyond it.
fn is_due(last: Timestamp, now: Timestamp) -> bool {
    now.since(last) >= ONCE_IN || last.since(now) >= ONCE_IN
}

impl Run<'_> {
    /// Fetches and keeps them where that is due. Nothing follows from a failure, but that a 429 holds the app.
    pub async fn fetch_top_artists(&self) {
        if let Err(why) = self.try_top_artists().await {
            tracing::debug!(user = %self.who.name, "no top artists today: {why}");
        }
    }

    async fn try_top_artists(&self) -> Result<(), String> {
        let (with, tried, now) = (&self.shared.with, &self.shared.tried, self.now());
        if !tried.is_due(self.who.id, now) {
            return Ok(());
        }
        let user = with.store.user(&self.who.name).await.map_err(|error| error.to_string())?;
        let fetched_at = user.and_then(|user| user.top_fetched_at).filter(|at| !is_due(*at, now));
        tried.note(self.who.id, fetched_at.unwrap_or(now));
        if fetched_at.is_some() {
            return Ok(());
        }
        let asked = |token| async move { with.client.top_artists(&self.who.api_url, &token).await };
        let answer = self.call(Urgency::Spare, asked).await.map_err(|fault| fault.reason)?;
        let artists = answer.map_err(|error| error.to_string())?;
        let kept = with.store.save_top_artists(self.who.id, self.now(), &artists).await;
        kept.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_asked_about_once_a_day_even_if_it_fails() {
        let hour = |h: i64| Timestamp::from_millis(h * 3_600_000);
        let (tried, user) = (Tried::default(), UserId(1));
        assert!(tried.is_due(user, hour(0)));
        tried.note(user, hour(0));
        assert!(tried.is_due(UserId(2), hour(0)));
        assert!(!tried.is_due(user, hour(23)) && tried.is_due(user, hour(24)));
        // A clock that was days ahead must not hold it up for days.
        assert!(!tried.is_due(user, hour(-1)) && tried.is_due(user, hour(-24)));
    }
}
