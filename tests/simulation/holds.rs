//! After a 429 nothing is sent for its app until its Retry-After is over, also by the next process.

use std::time::Duration;

use longplay::domain::Timestamp;
use longplay::store::GrantStore as _;

use super::calendar::MINUTE;
use super::world::{State, World};

/// What was under way by the gate when the 429 came may still be sent.
const UNDER_WAY: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// An app's hold, as the process was told of it.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    since: Timestamp,
    /// When the last 429 came.
    last: Timestamp,
    until: Timestamp,
}

impl World {
    /// The process has a 429 in its hands.
    pub fn told_to_wait(&self, who: Option<usize>, wait: Duration) {
        let (now, mut state) = (self.now(), self.state());
        let Some(app) = who.map(|who| state.people[who].app) else { return };
        let hold = Hold { since: now, last: now, until: now + wait };
        let held = state.holds.get(&app).copied().filter(|held| held.until > now);
        let longer = |held: Hold| Hold { since: held.since, last: now, until: held.until.max(hold.until) };
        state.holds.insert(app, held.map_or(hold, longer));
    }

    /// A request is sent.
    pub fn sends(&self, who: Option<usize>, what: &str) {
        let now = self.now();
        let hold = {
            let state = self.state();
            let hold = who.and_then(|who| state.holds.get(&state.people[who].app)).copied();
            // Who waits for the store before a request asked the gate long ago.
            hold.filter(|hold| !store_failed(&state, hold.since))
        };
        if let Some(Hold { since, until, .. }) = hold
            && now > since + UNDER_WAY
            && now + SECOND < until
        {
            self.found(&format!("{who:?}: {what} though a 429 of {since} holds the app until {until}"));
        }
    }

    /// The process has ended: what the next one can't know it need not heed.
    pub async fn holds_outlive_the_process(&self) {
        let now = self.now();
        let holds: Vec<(usize, Hold)> = self.state().holds.iter().map(|(app, hold)| (*app, *hold)).collect();
        for (app, hold) in holds.into_iter().filter(|(_, hold)| hold.until > now + SECOND) {
            let name = format!("app{app}").parse().expect("a good name");
            let stored = self.store.app_state(&name).await.ok().and_then(|known| known.hold_until);
            let ahead = self.state().ahead;
            if stored.is_some_and(|until| until.offset_millis(-ahead) + SECOND >= hold.until) {
                continue;
            }
            self.note("hold forgotten", format_args!("{app}"));
            let excused = {
                let mut state = self.state();
                state.holds.remove(&app);
                hold.last + UNDER_WAY >= now || store_failed(&state, hold.since)
            };
            if !excused {
                self.found(&format!("app{app}: its hold until {} is not on record", hold.until));
            }
        }
    }
}

/// Whether the store failed, or lost something, since then.
fn store_failed(state: &State, since: Timestamp) -> bool {
    let early = since - MINUTE;
    state.store_down >= early
        || state.rolled_back >= early
        || state.blips.iter().rev().any(|blip| blip.to >= early + MINUTE * 2)
}
