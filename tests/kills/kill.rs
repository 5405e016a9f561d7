//! Kill -9 at random moments and at every named step, on both stores, under every kind of rotation. Only a kill between a
//! strict provider's commit and the spool's sync may cost a login, and the user is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use longplay::clock::{BootTime, Clock, Sleep, SystemClock};
use longplay::domain::Timestamp;
use longplay::sim::{App, Options, Rotation};

use crate::effort::{kills, say, seed};
use crate::fixture::{Host, at_once};
use crate::fleet::{Fleet, Mode, Moment, STEPS, Tally, USERS};

/// How many fleets: three kinds of rotation on two stores.
const FLEETS: usize = 6;
/// By how many refreshes the window is measured.
const REFRESHES: usize = 50;

/// The moments of a fleet's kills, in turn: a named step, where the program has them, and random ones.
fn moment(round: usize) -> Moment {
    match round % 4 {
        0 | 2 if has_steps() => Moment::Step(STEPS[round / 2 % STEPS.len()]),
        1 => Moment::Starting,
        _ => Moment::Asked,
    }
}

/// Whether the program stands still where it is told to.
fn has_steps() -> bool {
    cfg!(feature = "failpoints") && std::env::var_os("LONGPLAY_PROGRAM").is_none()
}

#[test]
fn a_kill_at_any_moment_costs_no_login_that_the_provider_lets_live_and_each_loss_is_told() {
    let (kills, seed) = (kills(), seed());
    say(&format!("kills: {kills}, seed: {seed} (LONGPLAY_KILLS, LONGPLAY_SEED)"));
    let share = kills.div_ceil(FLEETS);
    let tallies = at_once(FLEETS, |n| {
        let (mode, on_postgres) = (Mode::ALL[n % 3], n >= 3);
        let mut fleet = Fleet::start(mode, on_postgres, seed.wrapping_mul(31).wrapping_add(n as u64));
        for round in 0.. {
            if fleet.tally.kills >= share {
                break;
            }
            fleet.kill(moment(round));
        }
        (mode, on_postgres, fleet.tally)
    });
    for (mode, on_postgres, tally) in tallies {
        report(mode, on_postgres, tally);
        assert!(tally.kills >= share && tally.commits > 0);
        assert!(mode == Mode::Strict || (tally.lost_named, tally.lost_random) == (0, 0));
    }
}

fn report(mode: Mode, on_postgres: bool, tally: Tally) {
    let store = if on_postgres { "PostgreSQL" } else { "SQLite" };
    say(&format!(
        "{store:10} {mode:6?}: {} kills ({} at steps, {} at random while refreshing, {} while starting after those, {} at rest before a step), {} refreshes; lost {} by steps, {} at random",
        tally.kills,
        tally.named,
        tally.random,
        tally.starting,
        tally.at_rest,
        tally.commits,
        tally.lost_named,
        tally.lost_random
    ));
    assert_eq!(tally.kills, tally.named + tally.random + tally.starting + tally.at_rest);
    if mode == Mode::Strict && tally.random > 0 {
        let exposed = tally.random * USERS;
        let share = 100.0 * tally.lost_random as f64 / exposed as f64;
        say(&format!(
            "{store:10} Strict: {share:.1} % of {exposed} logins that were being refreshed without a pause"
        ));
    }
}

/// The host's clock, which notes when it was asked.
#[derive(Default)]
struct Noting(Mutex<Vec<DateTime<Utc>>>);

impl Clock for Noting {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().push(SystemTime::now().into());
        SystemClock.now()
    }

    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        SystemClock.sleep(duration)
    }
}

/// The window that nobody can close, as it is where nothing else is asked of the daemon.
#[test]
fn between_the_providers_commit_and_the_spools_sync_lie_milliseconds() {
    let clock = Arc::new(Noting::default());
    let app = App::pkce("client").rotation(Rotation::Rotate);
    let host = Host::with(Options { clock: clock.clone(), ..Options::default() }, app);
    host.configure("[log]\nlevel = \"debug\"");
    let daemon = host.serve();
    host.settled_user("alice");
    let mut widths: Vec<f64> = Vec::new();
    for _ in 0..REFRESHES {
        clock.0.lock().unwrap().clear();
        host.token("alice", "{\"fresh\":true}").ok();
        // The simulated provider looks at its clock when a request comes, when it commits, and for the answer's date.
        let asked = clock.0.lock().unwrap();
        assert_eq!(asked.len(), 3, "one refresh and nothing else");
        let width = synced(&daemon.log()) - asked[1];
        widths.push(width.num_microseconds().unwrap() as f64 / 1_000.0);
    }
    widths.sort_by(f64::total_cmp);
    let (median, longest) = (widths[REFRESHES / 2], widths[REFRESHES - 1]);
    say(&format!(
        "the window is {median:.2} ms wide (median of {REFRESHES} refreshes; the longest {longest:.2} ms)"
    ));
    assert!(widths[0] > 0.0 && median < 250.0, "{widths:?}");
}

/// When the last answer was durable.
fn synced(log: &str) -> DateTime<Utc> {
    let line = log.lines().rfind(|line| line.contains("step refresh-after-spool")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}
