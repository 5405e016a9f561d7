//! When an adaptive user is looked at again. Spotify keeps 50 plays, so the measure is plays: the wait is the longest
//! that is not expected to lose more of them than a call is worth, going by how fast plays came at their fastest, whether
//! music plays now, how full the last page was, and what came in the same hours of the last weeks. Pure.

mod full;
mod past;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono_tz::Tz;

pub use self::full::{Full, full_at};
use self::past::Past;
use crate::domain::{Habits, Timestamp};

/// How many plays Spotify shows.
const PAGE: u32 = 50;
/// Spotify lists a play after 30 seconds, so none can come faster.
const SHORTEST: Duration = Duration::from_secs(30);
/// No track counts for more: a day-long recording says nothing of how fast the next may be skipped.
const LONGEST: Duration = Duration::from_secs(3600);
/// Stands in for a track of unknown length, and for the pace of a user of whom little is known: as of somebody who skips
/// every other song.
const UNKNOWN: Duration = Duration::from_secs(100);
/// A pace is kept up for so many plays: fewer would let a few skipped songs count, more would mix skipping with listening.
const STRETCH: u32 = 20;
/// How many plays Spotify shows late, and how late as a rule at most.
const LATE: f64 = 0.01;
const LATEST: Duration = Duration::from_secs(40 * 60);
/// How many plays a call must save on average to be made.
const PRICE: f64 = 0.005;
/// How much of that is left where everything on the last page was new.
const FULL_PAGE: f64 = 0.1;
/// How likely it is that who listens goes on until the next look, at their fastest. Of a new user it is not known whether
/// they listen.
const GOES_ON: f64 = 0.4;
/// How likely it is that somebody does who is not listening, whatever they are used to.
const SURPRISE: f64 = 0.001;
/// After so much silence nobody is taken to be listening.
const SETTLED: Duration = Duration::from_secs(3600);
/// From so many days on habits count in full.
const FAMILIAR: f64 = 7.0;
/// Waits are told apart no finer than this.
const STEP: Duration = Duration::from_secs(60);

/// What is known of a user who was looked at just now.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// When.
    pub now: Timestamp,
    /// The newest plays, newest first: the end of each, and the length of its track in milliseconds.
    pub recent: &'a [(Timestamp, Option<i64>)],
    /// How many items of the page were new.
    pub new: usize,
    /// What came in which hour of the last weeks.
    pub habits: &'a Habits,
    /// Where the user lives: habits go by the hour on the wall and the day of the week.
    pub zone: Tz,
    /// How dear calls are: a call must save so many times as many plays as usual. [`PLENTY`] where there are enough of
    /// them; less counts as that.
    pub scarcity: f64,
}

/// The scarcity of calls where there are enough of them.
pub const PLENTY: f64 = 1.0;

/// How long to wait before looking again.
///
/// Always within `min` and `max` (`min`, should they be the wrong way round). More silence never shortens the wait, nor do
/// dearer calls; faster listening never lengthens it, nor does a page with more that is new.
pub fn next_look(look: &Look<'_>, min: Duration, max: Duration) -> Duration {
    let past = Past::of(look.habits);
    let same_hours = past.same_hours(look.now, look.zone, max);
    let strangeness = (1.0 - same_hours.days() / FAMILIAR).max(0.0);
    let (fastest, skipping) = (fastest(look).as_secs_f64(), UNKNOWN.as_secs_f64());
    // A stranger may skip tomorrow who did not today.
    let pace = fastest - strangeness * (fastest - skipping).max(0.0);
    let silence = look.recent.first().map_or(SETTLED, |(ended, _)| look.now.since(*ended).min(SETTLED));
    let listening = 1.0 - silence.as_secs_f64() / SETTLED.as_secs_f64();
    let goes_on = (GOES_ON * listening.max(strangeness)).max(SURPRISE);
    let late = LATEST.as_secs_f64() / pace;
    let expected = |wait: Duration| {
        let at_worst = lost(wait.as_secs_f64() / pace, late);
        let as_usual = same_hours.average(wait, |plays| lost(plays, late));
        goes_on * at_worst + (1.0 - goes_on) * as_usual
    };
    let worth = PRICE * look.scarcity.max(PLENTY) * left_by(look.new);
    let (mut wait, mut too_long) = (min, max.max(min).saturating_add(STEP));
    while too_long - wait > STEP {
        let middle = wait + (too_long - wait) / 2;
        if expected(middle) <= worth { wait = middle } else { too_long = middle }
    }
    wait.min(max).max(min)
}

/// How many plays are lost, on average, where so many come between two looks, and so many in the time by which Spotify may
/// be late: those that the page has no room for, and the late ones that become visible when their place is gone.
fn lost(plays: f64, late: f64) -> f64 {
    let page = f64::from(PAGE);
    // A late play is lost where more come until it is visible, and from then to the next look, than the page holds. Of the
    // two times the one is anything up to `late`, the other anything up to the wait.
    let beyond = (plays + late - page).max(0.0);
    let missed = if beyond < late { beyond * beyond / (2.0 * late) } else { beyond - late / 2.0 };
    (plays - page).max(0.0) + LATE * missed.min(plays)
}

/// How much a lost play weighs less: a page that is nearly full shows that the last wait was nearly too long.
fn left_by(new: usize) -> f64 {
    let full = f64::from(u32::try_from(new).unwrap_or(PAGE).min(PAGE)) / f64::from(PAGE);
    1.0 - (1.0 - FULL_PAGE) * full * full
}

/// Time per play at the user's fastest.
fn fastest(look: &Look<'_>) -> Duration {
    let usual = past::fast_hour(look.habits).map_or(LONGEST, |plays| Duration::from_secs(3600) / plays);
    fastest_stretch(look.recent).min(usual).max(SHORTEST)
}

/// Time per play over the fastest stretch of plays. Silence between two plays counts for nothing: a play takes no longer
/// than its track.
fn fastest_stretch(recent: &[(Timestamp, Option<i64>)]) -> Duration {
    let mut taken: Vec<Duration> = (0..recent.len())
        .map(|i| {
            let (ended, track_ms) = recent[i];
            let track = track_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
            let track = track.map_or(UNKNOWN, Duration::from_millis).min(LONGEST);
            let since_the_last = recent.get(i + 1).map_or(track, |(earlier, _)| ended.since(*earlier));
            track.min(since_the_last).max(SHORTEST)
        })
        .collect();
    taken.resize(taken.len().max(STRETCH as usize), UNKNOWN);
    let fastest = taken.windows(STRETCH as usize).map(|stretch| stretch.iter().sum::<Duration>()).min();
    fastest.unwrap_or(UNKNOWN) / STRETCH
}
