//! Everyone, counted by state: what the status line and the metrics tell. The store counts, by what decides a state;
//! with many users that takes a while, so it is not done again before it is worth it.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::clock::BootTime;
use crate::config::Settings;
use crate::domain::{AppName, Event, EventKind, Footing, Tally, UserId, UserState};
use crate::store::{Result as Stored, UserSeen};

use super::api::Problem;
use super::attention::Whom;
use super::service::Service;
use super::standing::{AppSeen, state};

/// What takes no longer is done whenever somebody asks.
const NOTHING: Duration = Duration::from_millis(10);
/// For so many times as long as it took, a tally holds: 0.25 % of the time is spent on it.
const HOLDS: u32 = 400;
/// After news it holds no longer than this many times as long.
const HOLDS_AFTER_NEWS: u32 = 20;
/// However long it took, once, a tally holds no longer than this; and after news than that.
const AT_MOST: Duration = Duration::from_secs(120);
const AT_MOST_AFTER_NEWS: Duration = Duration::from_secs(15);
/// Of so many users who back off each is counted in the present state; the others as if they did not.
const MOST_BACKING_OFF: usize = 500;
/// How many users are read at once.
const BATCH: i64 = 1_000;

/// The last tally.
pub struct LastTally {
    events: Receiver<Event>,
    news: bool,
    last: Option<(Tally, BootTime, Duration)>,
}

impl LastTally {
    /// Nobody was counted yet; news come from these events.
    pub fn new(events: Receiver<Event>) -> Self {
        Self { events, news: false, last: None }
    }

    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.news |= moves_somebody(event.kind),
                Err(TryRecvError::Lagged(_)) => self.news = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// The last one, however old.
    pub fn latest(&self) -> Tally {
        self.last.as_ref().map(|(tally, ..)| tally.clone()).unwrap_or_default()
    }

    /// The last one, while it holds.
    fn holding(&self, now: BootTime) -> Option<&Tally> {
        let (tally, at, took) = self.last.as_ref()?;
        let (times, at_most) =
            if self.news { (HOLDS_AFTER_NEWS, AT_MOST_AFTER_NEWS) } else { (HOLDS, AT_MOST) };
        let holds = took.saturating_mul(times).min(at_most);
        (*took > NOTHING && now.since(*at) < holds).then_some(tally)
    }
}

/// Whether an event tells of somebody whose state is another now. What every run tells is not waited for.
fn moves_somebody(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Archived
            | EventKind::GapFound
            | EventKind::TokenRefreshed
            | EventKind::LoginEnding
            | EventKind::LoginEnded
    )
}

impl Service {
    /// Everyone, counted: as they are now, or were a short while ago where there are many.
    pub async fn tally(&self) -> Result<Tally, Problem> {
        // Who asks meanwhile waits for the same.
        let mut last = self.0.tally.lock().await;
        last.hear();
        let began = self.parts().clock.boot();
        if let Some(tally) = last.holding(began) {
            return Ok(tally.clone());
        }
        let tally = self.count().await?;
        let now = self.parts().clock.boot();
        last.news = false;
        last.last = Some((tally.clone(), now, now.since(began)));
        Ok(tally)
    }

    async fn count(&self) -> Stored<Tally> {
        let (settings, mut tally) = (self.settings(), Tally::default());
        // The actor is this process's own; without an answer it is stopping.
        let backing_off = self.parts().tokens.health().await.unwrap_or_default().backing_off;
        let mut must_log_in = Whom::default();
        for alike in self.parts().store.tally().await? {
            let state = state(&alike.footing, &self.app_seen(&settings, &alike.footing.app), false);
            // Who is paused is not archived on purpose.
            let archived = alike.oldest_archived.filter(|_| state != UserState::Paused);
            tally.add(state, alike.users, archived, alike.newest_played);
            if state == UserState::NeedsLogin {
                must_log_in.users += alike.users;
                must_log_in.one = [must_log_in.one, Some(alike.first)].into_iter().flatten().min();
            }
        }
        self.0.attention.set_must_log_in(must_log_in);
        // Only the actor knows who these are.
        let backing_off: Vec<UserId> = backing_off.keys().copied().take(MOST_BACKING_OFF).collect();
        if backing_off.is_empty() {
            return Ok(tally);
        }
        for seen in self.parts().store.users_seen_of(&backing_off).await? {
            let footing = Footing::of(&seen.user, seen.login.as_ref(), seen.read_at);
            let app = self.app_seen(&settings, &footing.app);
            tally.moves(state(&footing, &app, false), state(&footing, &app, true));
        }
        Ok(tally)
    }

    /// Reads everyone by number, never many at once.
    pub(super) async fn look_at_everyone(&self, mut each: impl FnMut(UserSeen)) -> Stored<()> {
        let mut after: Option<UserId> = None;
        loop {
            let batch = self.parts().store.users_seen(after, BATCH).await?;
            batch.users.into_iter().for_each(&mut each);
            after = batch.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// What is known of an app.
    pub(super) fn app_seen<'a>(&self, settings: &'a Settings, app: &AppName) -> AppSeen<'a> {
        let gate = &self.parts().gate;
        let shut = gate.shut_because();
        let Some(known) = settings.apps.get(app) else { return AppSeen { shut, ..AppSeen::default() } };
        AppSeen {
            shut,
            client_id: Some(&known.client_id),
            held_until: gate.held_until(app),
            fault: gate.fault(app),
        }
    }
}

#[cfg(test)]
mod tests;
