//! When an account does something without being asked: refreshes ahead of time, ends a doubt, tries a dead login.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::Rotation;

use super::super::exchange::LEASE;
use super::super::validity::Moment;
use super::{Account, Known, View, Weather, Work};

/// How long before its next run a user's token is kept fresh.
const RUN_AHEAD: Duration = Duration::from_secs(10 * 60);
/// How long after a program's question a user's token is kept fresh.
const PROGRAM_AHEAD: Duration = Duration::from_secs(3_600);
/// No refresh ahead of time follows sooner upon another, however short a life a provider gives its tokens.
const AHEAD_APART: Duration = Duration::from_secs(5);
/// How long a daemon that is not the sender leaves a doubt alone on a provider that rotates strictly.
const STRANGERS_DOUBT: Duration = Duration::from_secs(15 * 60);
/// Wall times are converted to boot times for so long at most, since the wall clock can step.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

impl Account {
    /// When [`super::Input::Wake`] is wanted next.
    pub fn wake_at(&self, now: Moment, weather: &Weather) -> Option<BootTime> {
        if self.paused || weather.shut.is_some() || self.work != Work::Idle {
            return None;
        }
        if self.stale {
            return Some(self.read_again.unwrap_or(now.boot));
        }
        let latest = BootTime(now.boot.0 + LONGEST_SLEEP);
        let Known::Login(view) = &self.known else { return Some(self.unread_until(now)?.min(latest)) };
        if !view.client_matches {
            return None;
        }
        if !self.waiters.is_empty() {
            // They wait for what happens elsewhere: it is looked at until it ends or lapses, whatever holds the app.
            return Some(self.look_again.unwrap_or(now.boot));
        }
        let held = weather.held_until.max(weather.fault.as_ref().map(|fault| fault.retry_at));
        let backoff = self.backoff.as_ref().map(|b| b.until);
        let strangers = self.strangers_until(view, now, weather);
        let held_off = backoff.max(self.look_again).max(strangers).max(held.map(|at| now.boot_of(at)));
        let due = if let Some(refusal) = &view.refusal {
            now.boot_of(refusal.next_try_at?)
        } else if view.doubt.is_some() || view.on_record.is_some() {
            now.boot
        } else {
            self.ahead_at(view, now)?
        };
        Some(due.max(held_off.unwrap_or(due)).min(latest))
    }

    /// Until when a doubt is left to the daemon that sent; `None`: this one may try.
    pub(super) fn strangers_until(&self, view: &View, now: Moment, weather: &Weather) -> Option<BootTime> {
        let (since, lapses) = match (view.on_record.filter(|record| !record.ours), &view.doubt) {
            (Some(record), _) => (record.sent, record.lapses),
            (None, Some((false, _, since))) => (now.boot_at(*since), now.boot_at(*since + LEASE)),
            (None, _) => return None,
        };
        if weather.rotation == Rotation::Keeps || now.boot.since(since) < self.rules.rotation_grace {
            return Some(lapses);
        }
        Some(BootTime(lapses.0 + STRANGERS_DOUBT))
    }

    /// Whether a refresh is due that nobody waits for.
    pub(super) fn wanted_unasked(&self, now: Moment) -> bool {
        let Known::Login(view) = &self.known else { return false };
        if !view.client_matches {
            return false;
        }
        if let Some(refusal) = &view.refusal {
            return refusal.next_try_at.is_some_and(|at| at <= now.wall);
        }
        view.doubt.is_some()
            || view.on_record.is_some()
            || self.ahead_at(view, now).is_some_and(|at| at <= now.boot)
    }

    /// When the token is refreshed without being asked for; `None`: not, as things are.
    pub(super) fn ahead_at(&self, view: &View, now: Moment) -> Option<BootTime> {
        let soonest = self.soonest(view, now)?;
        if self.programs_until().is_some_and(|until| until > soonest.max(now.boot)) {
            return Some(soonest);
        }
        Some(soonest.max(self.before_run(now)?))
    }

    /// When somebody of whom nothing was read yet is read, so that a refresh can come ahead of their run.
    pub(super) fn unread_until(&self, now: Moment) -> Option<BootTime> {
        let unread = self.rules.ahead && matches!(self.known, Known::Unread);
        if unread { self.before_run(now) } else { None }
    }

    fn before_run(&self, now: Moment) -> Option<BootTime> {
        Some(BootTime(now.boot_of(self.run_due?).0.saturating_sub(RUN_AHEAD)))
    }

    /// Whether the token is refreshed ahead of time because a program asked, so that another such question changes
    /// nothing.
    pub(super) fn is_kept_for_programs(&self, view: &View, now: Moment) -> bool {
        let soonest = self.soonest(view, now);
        let kept =
            |soonest: BootTime| self.programs_until().is_some_and(|until| until > soonest.max(now.boot));
        soonest.is_none_or(kept)
    }

    /// When the token may be refreshed ahead of time; `None`: it is not.
    fn soonest(&self, view: &View, now: Moment) -> Option<BootTime> {
        let (_, held) = view.access.as_ref().filter(|_| self.rules.ahead)?;
        let lead = (self.buffer(held) * 2).min(held.lifetime() / 2) + held.jitter();
        let early = BootTime((now.boot.0 + held.left(now)).saturating_sub(lead));
        Some(early.max(BootTime(view.born.0.0 + AHEAD_APART)))
    }

    fn programs_until(&self) -> Option<BootTime> {
        self.asked_by_program.map(|at| BootTime(at.0 + PROGRAM_AHEAD))
    }
}
