//! Whether the wall clock was set back since the host was started, as far as a process of longplay saw it. A wall time of
//! the stretch that comes twice then counts as its first coming: of a token that is read from the store nobody knows
//! which of the two it was.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::domain::Timestamp;

/// Less than this is no step: the two clocks are read one after the other.
const STEP: i64 = 1_000;
/// So long after the wall clock has made up for a step no token is left from before it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// By how much the wall clock is set back, for the wall times that it shows a second time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetBack {
    until: Timestamp,
    by: Duration,
}

impl SetBack {
    /// What the wall clock would show now, for a token that was asked for then by the wall clock.
    pub fn wall_for(&self, sent_at: Timestamp, wall: Timestamp) -> Timestamp {
        if sent_at <= self.until { wall + self.by } else { wall }
    }
}

/// Where a process leaves what it knows of the wall clock for the next one, as long as the host runs: after a boot there
/// is nothing. It need not outlive more, and a note that can't be kept is done without.
pub trait ClockNote: Send + Sync + 'static {
    /// What was left, in this boot of the host.
    fn read(&self) -> Option<String>;
    /// Leaves this in its place.
    fn leave(&self, note: &str);
}

/// For a process that is nobody's successor.
impl ClockNote for () {
    fn read(&self) -> Option<String> {
        None
    }

    fn leave(&self, _: &str) {}
}

/// Compares the wall clock with the boot clock.
pub struct Watch {
    /// By how many milliseconds the wall clock was ahead of the boot clock at most.
    most: i64,
    set_back: SetBack,
    note: Arc<dyn ClockNote>,
    noted: (i64, SetBack),
}

impl Watch {
    /// From now on, and from what an earlier process left.
    pub fn new(clock: &dyn Clock, note: Arc<dyn ClockNote>) -> Self {
        let left = note.read().and_then(|note| read(&note));
        let (most, set_back) = left.unwrap_or_else(|| (ahead(clock.now(), clock.boot()), SetBack::default()));
        let mut watch = Self { most, set_back, note, noted: (i64::MIN, set_back) };
        watch.look(clock);
        watch
    }

    /// How things are now.
    pub fn look(&mut self, clock: &dyn Clock) -> SetBack {
        let (wall, ahead) = (clock.now(), ahead(clock.now(), clock.boot()));
        if !self.set_back.by.is_zero() && wall.since(self.set_back.until) > FORGOTTEN_AFTER {
            self.most = ahead;
        }
        self.most = self.most.max(ahead);
        let by = self.most - ahead;
        let before = self.set_back.by.as_millis();
        self.set_back.by = Duration::from_millis(if by < STEP { 0 } else { by.unsigned_abs() });
        if self.set_back.by.as_millis() > before + u128::from(STEP.unsigned_abs()) {
            self.set_back.until = wall + self.set_back.by;
        }
        self.leave();
        self.set_back
    }

    /// Leaves a note where there is news.
    fn leave(&mut self) {
        let (most, set_back) = self.noted;
        let by = |set_back: SetBack| set_back.by.as_secs();
        let same = most.abs_diff(self.most) < STEP.unsigned_abs()
            && set_back.until == self.set_back.until
            && by(set_back).abs_diff(by(self.set_back)) <= 1;
        if !same {
            self.noted = (self.most, self.set_back);
            let SetBack { until, by } = self.set_back;
            self.note.leave(&format!("{} {} {}", self.most, until.as_millis(), by.as_millis()));
        }
    }
}

fn read(note: &str) -> Option<(i64, SetBack)> {
    let mut words = note.split_whitespace();
    let most = words.next()?.parse().ok()?;
    let until = Timestamp::from_millis(words.next()?.parse().ok()?);
    let by = Duration::from_millis(words.next()?.parse().ok()?);
    Some((most, SetBack { until, by }))
}

fn ahead(wall: Timestamp, boot: BootTime) -> i64 {
    wall.as_millis().saturating_sub(i64::try_from(boot.0.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    const HOUR: Duration = Duration::from_secs(3_600);
    const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    #[test]
    fn wall_times_that_come_twice_count_as_their_first_coming() {
        let clock = SimulatedClock::new(START);
        let mut watch = Watch::new(&clock, Arc::new(()));
        clock.advance(HOUR * 3);
        assert_eq!(watch.look(&clock), SetBack::default());
        clock.step_wall(-3_600_000);
        clock.advance(HOUR / 2);
        let (set_back, wall) = (watch.look(&clock), START + HOUR * 2 + HOUR / 2);
        assert_eq!(set_back.wall_for(START + HOUR * 2, wall), wall + HOUR);
        assert_eq!(set_back.wall_for(START + HOUR * 3, wall), wall + HOUR);
        assert_eq!(set_back.wall_for(START + HOUR * 4, wall), wall, "that time came once");
    }

    /// What a process left.
    #[derive(Default)]
    struct Left(std::sync::Mutex<Option<String>>);

    impl ClockNote for Left {
        fn read(&self) -> Option<String> {
            self.0.lock().unwrap().clone()
        }

        fn leave(&self, note: &str) {
            *self.0.lock().unwrap() = Some(note.to_owned());
        }
    }

    #[test]
    fn the_next_process_knows_that_the_clock_was_set_back() {
        for seen in [false, true] {
            let (clock, left) = (SimulatedClock::new(START), Arc::new(Left::default()));
            let mut watch = Watch::new(&clock, left.clone());
            clock.advance(HOUR * 3);
            clock.step_wall(-3_600_000);
            let known = seen.then(|| watch.look(&clock));
            clock.advance(HOUR / 2);
            let next = Watch::new(&clock, left).look(&clock);
            assert_eq!(next.by, HOUR);
            assert!(known.is_none_or(|known| known == next), "{known:?} {next:?}");
            let wall = clock.now();
            assert_eq!(next.wall_for(START + HOUR * 2, wall), wall + HOUR);
        }
    }

    #[test]
    fn what_is_left_is_only_what_is_new() {
        let (clock, left) = (SimulatedClock::new(START), Arc::new(Left::default()));
        let mut watch = Watch::new(&clock, left.clone());
        let take = || left.0.lock().unwrap().take().is_some();
        assert!(take());
        for (step, news) in [(0, false), (400, false), (5_000, true), (0, false), (-60_000, true), (0, false)]
        {
            clock.advance(HOUR / 60);
            clock.step_wall(step);
            watch.look(&clock);
            assert_eq!(take(), news, "{step}");
        }
    }

    #[test]
    fn a_clock_that_is_set_right_again_or_long_ago_says_what_it_shows() {
        let clock = SimulatedClock::new(START);
        let mut watch = Watch::new(&clock, Arc::new(()));
        clock.step_wall(-60_000);
        assert_ne!(watch.look(&clock), SetBack::default());
        clock.step_wall(60_000);
        assert_eq!(watch.look(&clock).wall_for(START, START), START);
        clock.step_wall(-60_000);
        watch.look(&clock);
        clock.advance(FORGOTTEN_AFTER + HOUR);
        let wall = clock.now();
        assert_eq!(watch.look(&clock).wall_for(START, wall), wall);
    }
}
