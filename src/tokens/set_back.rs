//! Whether the wall clock was set back since the process began. A wall time of the stretch that comes twice then counts
//! as its first coming: of a token that is read from the store nobody knows which of the two it was.

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

/// Compares the wall clock with the boot clock.
#[derive(Debug)]
pub struct Watch {
    /// By how many milliseconds the wall clock was ahead of the boot clock at most.
    most: i64,
    set_back: SetBack,
}

impl Watch {
    /// From now on.
    pub fn new(clock: &dyn Clock) -> Self {
        Self { most: ahead(clock.now(), clock.boot()), set_back: SetBack::default() }
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
        self.set_back
    }
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
        let mut watch = Watch::new(&clock);
        clock.advance(HOUR * 3);
        assert_eq!(watch.look(&clock), SetBack::default());
        clock.step_wall(-3_600_000);
        clock.advance(HOUR / 2);
        let (set_back, wall) = (watch.look(&clock), START + HOUR * 2 + HOUR / 2);
        assert_eq!(set_back.wall_for(START + HOUR * 2, wall), wall + HOUR);
        assert_eq!(set_back.wall_for(START + HOUR * 3, wall), wall + HOUR);
        assert_eq!(set_back.wall_for(START + HOUR * 4, wall), wall, "that time came once");
    }

    #[test]
    fn a_clock_that_is_set_right_again_or_long_ago_says_what_it_shows() {
        let clock = SimulatedClock::new(START);
        let mut watch = Watch::new(&clock);
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
