//! What happens when, drawn before anything runs.

use std::time::Duration;

use longplay::domain::Timestamp;

use super::dice::Dice;
use super::rates::{Ill, rate};
use super::world::StepOf;
use super::{START, Setup};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(86_400);
/// Nothing goes wrong in the first hour and in the last 26: whatever is wrong by then must have mended itself.
const CALM: Duration = Duration::from_secs(26 * 3_600);
/// Where it is about a day or two people may not have logged in again by the end.
const SHORT_CALM: Duration = Duration::from_secs(8 * 3_600);

#[derive(Debug, Clone)]
pub enum Happening {
    FalseGrants(Duration),
    SpotifyDown(Duration),
    StoreDown(Duration),
    Snapshot,
    Restore(Duration),
    Crash {
        down: Duration,
        reboot: bool,
    },
    /// The process ends at so many steps of refreshes, or of runs, from here.
    Arm(StepOf, usize),
    Stop(Duration),
    Suspend(Duration),
    Step(i64),
    Revoke(usize),
    Pause(usize, Duration),
    Resume(usize),
    Refuse(usize, Duration),
    Accept(usize),
    LogIn(usize),
    /// A program asks for the user's token.
    Ask(usize),
}

/// In order of time; what comes at the same moment in the order of its coming here.
pub struct Calendar {
    entries: Vec<(Timestamp, u64, Happening)>,
    number: u64,
    /// Until when anything goes wrong.
    pub calm_from: Timestamp,
}

impl Calendar {
    pub fn draw(setup: &Setup) -> Self {
        let end = START + DAY * setup.days;
        let rough_until = end - if setup.days < 3 { SHORT_CALM } else { CALM };
        let mut calendar = Self { entries: Vec::new(), number: 0, calm_from: rough_until };
        for who in (0..setup.users).step_by(super::PROGRAMS) {
            calendar.put(START + HOUR * 2, Happening::Ask(who));
        }
        if setup.calm {
            calendar.calm_from = START;
            return calendar;
        }
        let apps = setup.users.div_ceil(super::APP_SIZE);
        let crowd = setup.users as f64 / 100.0;
        let times = |ill, crowd: f64| calendar_times(setup, ill, rate(ill) * crowd, rough_until);
        let dice = Dice::new(setup.seed, 1);
        let (between, about) = (|a, b| dice.between(a, b), |a, b| dice.about(a, b));
        let second = Duration::from_secs(1);
        for at in times(Ill::FalseGrants, 1.0) {
            calendar.put(at, Happening::FalseGrants(MINUTE * 20));
        }
        for at in times(Ill::SpotifyDown, 1.0) {
            calendar.put(at, Happening::SpotifyDown(about(MINUTE, HOUR)));
        }
        for at in times(Ill::StoreDown, 1.0) {
            calendar.put(at, Happening::StoreDown(about(second * 5, MINUTE * 30)));
        }
        for at in times(Ill::Rollback, 1.0) {
            let lost = about(second, second * 120);
            calendar.put(at, Happening::Snapshot);
            calendar.put(at + lost, Happening::Restore(about(second * 2, MINUTE)));
        }
        for at in times(Ill::Crash, 1.0) {
            let (down, reboot) = (about(second, MINUTE * 40), dice.hits(0.25));
            calendar.put(at, Happening::Crash { down, reboot });
        }
        for at in times(Ill::CrashInRefresh, 1.0) {
            calendar.put(at, Happening::Arm(StepOf::Refresh, 1 + dice.below(20)));
        }
        for at in times(Ill::CrashInRun, 1.0) {
            calendar.put(at, Happening::Arm(StepOf::Run, 1 + dice.below(20)));
        }
        for at in times(Ill::Stop, 1.0) {
            calendar.put(at, Happening::Stop(about(second, MINUTE * 5)));
        }
        for at in times(Ill::Suspend, 1.0) {
            calendar.put(at, Happening::Suspend(about(MINUTE, HOUR * 8)));
        }
        for at in times(Ill::ClockStep, 1.0) {
            let by = i64::try_from(about(second, HOUR * 2).as_millis()).unwrap_or(0);
            let by = if dice.hits(0.5) { by } else { -by };
            calendar.put(at, Happening::Step(by));
            calendar.put(at + about(MINUTE, HOUR * 6), Happening::Step(-by));
        }
        for at in times(Ill::Revoke, crowd) {
            calendar.put(at, Happening::Revoke(dice.below(setup.users)));
        }
        for at in times(Ill::Pause, crowd) {
            let (who, long) = (dice.below(setup.users), between(HOUR, HOUR * 12));
            calendar.put(at, Happening::Pause(who, long));
            calendar.put(at + long, Happening::Resume(who));
        }
        for at in times(Ill::AppRefused, 1.0) {
            let (app, long) = (dice.below(apps), about(MINUTE * 10, HOUR * 5));
            calendar.put(at, Happening::Refuse(app, long));
            calendar.put(at + long, Happening::Accept(app));
        }
        calendar
    }

    pub fn put(&mut self, at: Timestamp, happening: Happening) {
        self.number += 1;
        let after = self.entries.partition_point(|(other, ..)| *other <= at);
        self.entries.insert(after, (at, self.number, happening));
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.entries.first().map(|(at, ..)| *at)
    }

    pub fn due(&mut self, now: Timestamp) -> Option<Happening> {
        (self.next()? <= now).then(|| self.entries.remove(0).2)
    }
}

fn calendar_times(setup: &Setup, ill: Ill, in_a_month: f64, end: Timestamp) -> Vec<Timestamp> {
    // Each ill has its own stream: another rate of one moves no other.
    let dice = Dice::new(setup.seed, 1_000 + ill as u64);
    let in_a_month = in_a_month * setup.haste;
    let (mut at, mut times) = (START + HOUR, Vec::new());
    loop {
        at = at + dice.until_next(in_a_month.max(1e-9), DAY * 30);
        if at >= end {
            return times;
        }
        times.push(at);
    }
}
