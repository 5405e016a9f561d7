//! Everyone, counted by state: what the status line and the metrics tell. The store counts, by what decides a state;
//! with many users that takes a while, so it is not done again before it is worth it.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::clock::BootTime;
use crate::config::Settings;
use crate::domain::{AppName, Event, EventKind, Footing, Tally, UserId};
use crate::store::{Result as Stored, UserSeen};

use super::api::Problem;
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
/// So many users who back off are looked at one by one; of more it is enough to be right after a while.
const ONE_BY_ONE: usize = 500;
/// How many users are read at once.
const BITE: i64 = 1_000;

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
        EventKind::Archived | EventKind::GapFound | EventKind::TokenRefreshed | EventKind::LoginEnding
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
        for alike in self.parts().store.tally().await? {
            let state = state(&alike.footing, &self.app_seen(&settings, &alike.footing.app), false);
            tally.add(state, alike.users, alike.oldest_archived, alike.newest_played);
        }
        // Only the actor knows who these are.
        let now = self.now();
        for user in backing_off.keys().take(ONE_BY_ONE) {
            let bite = self.parts().store.users_seen(Some(UserId(user.0.saturating_sub(1))), 1).await?;
            let Some(seen) = bite.users.into_iter().find(|seen| seen.user.id == *user) else { continue };
            let footing = Footing::of(&seen.user, seen.login.as_ref(), now);
            let app = self.app_seen(&settings, &footing.app);
            tally.moves(state(&footing, &app, false), state(&footing, &app, true));
        }
        Ok(tally)
    }

    /// Reads everyone by number, never many at once.
    pub(super) async fn look_at_everyone(&self, mut each: impl FnMut(UserSeen)) -> Stored<()> {
        let mut after: Option<UserId> = None;
        loop {
            let bite = self.parts().store.users_seen(after, BITE).await?;
            bite.users.into_iter().for_each(&mut each);
            after = bite.next;
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
