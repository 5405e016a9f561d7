//! Thirty days in minutes: the real daemon but for its sockets, its SQL and the library that ticks, with a crowd of
//! users, on simulated time. Everything that goes wrong is drawn from the seed; the same seed is the same history.

#![allow(dead_code, reason = "the test and the example each use their part")]

mod calendar;
mod dice;
mod disk;
mod history;
mod holds;
mod life;
mod listening;
mod network;
mod oracle;
mod people;
pub mod rates;
mod time;
mod watch;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use longplay::clock::BootTime;
use longplay::domain::Timestamp;

use calendar::DAY;
use history::History;
use world::World;

/// 2026-03-01T00:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_772_323_200_000);
/// How many users share an app.
const APP_SIZE: usize = 5;
/// Which share of the users runs hourly; the others adaptively.
const HOURLY: f64 = 0.3;
/// Of so many users one has a program that asks for tokens too.
const PROGRAMS: usize = 5;
/// The least validity of a token that is handed out.
const BUFFER: Duration = Duration::from_secs(300);
/// What a boot takes.
const BOOT: Duration = Duration::from_secs(20);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub users: usize,
    pub days: u32,
    /// Nothing goes wrong.
    pub calm: bool,
    /// How many times as often as the table says something happens to everyone: for fewer days than thirty.
    pub haste: f64,
}

/// What came of it.
pub struct Report {
    /// Of all that happened, in order.
    pub hash: String,
    /// What must not be.
    pub found: Vec<String>,
    pub counts: BTreeMap<String, u64>,
}

impl World {
    pub fn end(&self) -> Timestamp {
        START + DAY * self.setup.days
    }

    /// Whether something is wrong just now.
    fn is_troubled(&self) -> bool {
        self.now() <= self.state().troubled_until
    }
}

/// Simulates, noting all that happens to `log` too.
pub fn run(setup: Setup, log: Option<Box<dyn Write + Send>>) -> Report {
    let world = Arc::new(World::new(setup, History::new(log)));
    let mut boot = BootTime(BOOT);
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let (end, at) = runtime.block_on(life::live(&world, boot));
        drop(runtime);
        if end.over || world.state().found.len() > 50 {
            break;
        }
        world.clock.pass(end.down);
        if end.reboot {
            world.state().clock_note = None;
        }
        boot = if end.reboot { BootTime(BOOT) } else { BootTime(at.0 + end.down) };
    }
    oracle::judge(&world);
    let (found, history) = {
        let mut state = world.state();
        (std::mem::take(&mut state.found), std::mem::take(&mut state.history))
    };
    let (hash, counts) = history.finish();
    Report { hash, found, counts }
}
