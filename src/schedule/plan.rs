//! What is due, and what was handed out and has not come back yet. Whatever was handed out and isn't claimed within
//! [`REPEAT`] is handed out again, and a job is claimed once: a firing that the library loses costs half a minute, one
//! that it repeats costs nothing. Pure: the clocks are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use super::times::NextTimes;
use crate::clock::BootTime;
use crate::domain::{Timestamp, UserId};

/// How long a job that was handed out may take to be claimed; the way through the library takes milliseconds.
pub const REPEAT: Duration = Duration::from_secs(30);

/// Something that can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// A user's run.
    User(UserId),
    /// The daemon's own periodic work, by its number in the plan.
    Work(usize),
}

/// The times of everything, and what is on its way.
#[derive(Debug, Default)]
pub struct Plan {
    users: NextTimes,
    works: Vec<Work>,
    handed: BTreeMap<Job, Handed>,
    stopped: bool,
}

#[derive(Debug)]
struct Work {
    period: Duration,
    next: BootTime,
    running: bool,
}

#[derive(Debug)]
struct Handed {
    due: Timestamp,
    repeat: BootTime,
}

impl Plan {
    /// Replaces the user's time; a firing that is on its way and not yet claimed is called back.
    pub fn set(&mut self, user: UserId, at: Timestamp) {
        self.handed.remove(&Job::User(user));
        self.users.set(user, at);
    }

    /// Forgets the user, and calls back a firing that is on its way.
    pub fn remove(&mut self, user: UserId) {
        self.handed.remove(&Job::User(user));
        self.users.remove(user);
    }

    /// The user's time, until it is claimed.
    pub fn next_for(&self, user: UserId) -> Option<Timestamp> {
        let on_its_way = self.handed.get(&Job::User(user)).map(|h| h.due);
        self.users.next_for(user).or(on_its_way)
    }

    /// The earliest time of a user that is not on their way.
    pub fn next(&self) -> Option<Timestamp> {
        self.users.next()
    }

    /// Adds periodic work, first due a period from now; returns its number.
    pub fn add_work(&mut self, period: Duration, boot: BootTime) -> usize {
        self.works.push(Work { period, next: BootTime(boot.0.saturating_add(period)), running: false });
        self.works.len() - 1
    }

    /// Hands out what is due, with at most `at_most` users on their way at a time.
    pub fn hand_out(&mut self, now: Timestamp, boot: BootTime, at_most: usize) -> Vec<Job> {
        let mut out = Vec::new();
        if self.stopped {
            return out;
        }
        let repeat = BootTime(boot.0.saturating_add(REPEAT));
        for (job, handed) in &mut self.handed {
            if handed.repeat <= boot {
                handed.repeat = repeat;
                out.push(*job);
            }
        }
        for (number, work) in self.works.iter().enumerate() {
            let job = Job::Work(number);
            if work.next <= boot && !work.running && !self.handed.contains_key(&job) {
                self.handed.insert(job, Handed { due: now, repeat });
                out.push(job);
            }
        }
        let on_their_way = self.handed.keys().filter(|job| matches!(job, Job::User(_))).count();
        for (user, due) in self.users.due(now, at_most.saturating_sub(on_their_way)) {
            self.handed.insert(Job::User(user), Handed { due, repeat });
            out.push(Job::User(user));
        }
        out
    }

    /// Takes over a job that was handed out: when it was due, or `None` where it was claimed or called back before.
    /// Periodic work counts as running from here to [`Plan::work_ended`], and is due again a period from here.
    pub fn claim(&mut self, job: Job, boot: BootTime) -> Option<Timestamp> {
        let handed = self.handed.remove(&job)?;
        if let Job::Work(number) = job
            && let Some(work) = self.works.get_mut(number)
        {
            work.running = true;
            work.next = BootTime(boot.0.saturating_add(work.period));
        }
        Some(handed.due)
    }

    /// Periodic work has ended and may be handed out again.
    pub fn work_ended(&mut self, number: usize) {
        if let Some(work) = self.works.get_mut(number) {
            work.running = false;
        }
    }

    /// Calls back what is on its way, and hands out nothing any more.
    pub fn stop(&mut self) {
        self.handed.clear();
        self.stopped = true;
    }
}

#[cfg(test)]
mod tests;
