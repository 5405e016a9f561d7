//! What is known of the apps, and by which changes that is ahead of the store. Times that were reckoned here move along
//! where the wall clock is set. Pure.

use std::collections::HashMap;

use crate::clock::BootTime;
use crate::domain::{AppName, AppState, Timestamp};

/// A wall clock that differs by so many milliseconds from what the boot clock says was set.
const SET_BY: u64 = 1_000;

/// What a change is about: of two of a kind that are not saved the newer one says all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A 429.
    Hold,
    /// The day's quota is spent.
    Spent,
    /// An answer that was none.
    Answered,
    /// The token endpoint refuses the app.
    Refused,
    /// That is tried again.
    Tried,
    /// The token endpoint accepts it.
    Accepted,
    /// The wall clock was set.
    Set,
}

struct Unsaved {
    kind: Kind,
    number: u64,
    change: Box<dyn Fn(&mut AppState) + Send + Sync>,
}

/// A hold, and the next try of a refused app.
type Times = (Option<Timestamp>, Option<Timestamp>);

/// What is known of an app.
#[derive(Default)]
pub struct Known {
    pub state: AppState,
    /// By what it is ahead of the store, in order; one of each kind at most, but of a clock that is set.
    unsaved: Vec<Unsaved>,
    made: u64,
    /// Its times as they were reckoned here, by this host's wall clock as it is. What was read may have been reckoned by
    /// another, or by this one when it was wrong.
    own: Times,
}

impl Known {
    /// As the store has it.
    pub fn read(state: AppState) -> Self {
        Self { state, ..Self::default() }
    }

    /// A refused app may be tried from now on.
    pub fn try_at(&mut self, now: Timestamp) {
        if let Some(fault) = &mut self.state.fault {
            fault.retry_at = now;
            self.own.1 = Some(now);
        }
    }

    /// Changes it; what that changes is to be saved.
    pub fn change(&mut self, kind: Kind, change: impl Fn(&mut AppState) + Send + Sync + 'static) {
        let before = self.state.clone();
        change(&mut self.state);
        if self.state == before {
            return;
        }
        let (then, now) = (times_of(&before), times_of(&self.state));
        self.own.0 = if now.0 == then.0 { self.own.0 } else { now.0 };
        self.own.1 = if now.1 == then.1 { self.own.1 } else { now.1 };
        self.made += 1;
        // A clock that was set twice has moved a time twice.
        self.unsaved.retain(|unsaved| unsaved.kind != kind || kind == Kind::Set);
        self.unsaved.push(Unsaved { kind, number: self.made, change: Box::new(change) });
    }

    /// The wall clock was set by so many milliseconds, and what was reckoned by it moves along.
    fn keep_pace(&mut self, step: i64) {
        let times = times_of(&self.state);
        let own = |time: Option<Timestamp>, own| time.filter(|_| time == own);
        let (hold, retry) = (own(times.0, self.own.0), own(times.1, self.own.1));
        self.change(Kind::Set, move |state| {
            if let Some(hold) = hold.filter(|hold| state.hold_until == Some(*hold)) {
                state.hold_until = Some(hold.offset_millis(step));
            }
            if let Some(fault) = state.fault.as_mut().filter(|fault| Some(fault.retry_at) == retry) {
                fault.retry_at = fault.retry_at.offset_millis(step);
            }
        });
    }

    #[cfg(test)]
    pub fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// What is to be saved, and the number of the newest change in it.
    pub fn ahead(&self) -> Option<(AppState, u64)> {
        self.unsaved.last().map(|newest| (self.state.clone(), newest.number))
    }

    /// The changes up to that number are saved, as this version.
    pub fn saved(&mut self, number: u64, version: i64) {
        self.state.version = version;
        self.unsaved.retain(|unsaved| unsaved.number > number);
    }

    /// Takes over what the store has, and makes the changes that it lacks to that. A hold is never shortened.
    pub fn take_over(&mut self, stored: AppState) {
        let held = std::mem::replace(&mut self.state, stored.clone()).hold_until;
        self.unsaved.iter().for_each(|unsaved| (unsaved.change)(&mut self.state));
        self.state.hold_until = self.state.hold_until.max(held);
        if self.state == stored {
            self.unsaved.clear();
        }
    }
}

fn times_of(state: &AppState) -> Times {
    (state.hold_until, state.fault.as_ref().map(|fault| fault.retry_at))
}

/// All apps, and what both clocks showed when the times in their states were right.
pub struct Apps {
    pub known: HashMap<AppName, Known>,
    wall: Timestamp,
    boot: BootTime,
}

impl Apps {
    /// None yet.
    pub fn new(wall: Timestamp, boot: BootTime) -> Self {
        Self { known: HashMap::new(), wall, boot }
    }

    /// Where the wall clock was set, what was reckoned by it moves along: a hold is neither cut short by that nor lengthened.
    pub fn keep_pace(&mut self, wall: Timestamp, boot: BootTime) {
        let expected = self.wall + boot.since(self.boot);
        let step = wall.as_millis().saturating_sub(expected.as_millis());
        if step.unsigned_abs() >= SET_BY {
            self.known.values_mut().for_each(|known| known.keep_pace(step));
            (self.wall, self.boot) = (wall, boot);
        }
    }
}
