//! True time, which goes on while no process lives. A life of a process is a runtime of its own, with its own clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longplay::clock::{BootTime, Clock, PausedClock, Reading, Sleep};
use longplay::domain::Timestamp;

enum Mode {
    /// No process lives.
    Stands(Timestamp),
    Goes(Arc<PausedClock>),
}

/// True time.
pub struct TrueClock(Mutex<Mode>);

impl TrueClock {
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(Mode::Stands(start)))
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life begins; called in its runtime.
    pub fn go(&self) {
        let wall = self.now();
        *self.mode() = Mode::Goes(Arc::new(PausedClock::new(Reading { wall, boot: BootTime::default() })));
    }

    /// It ends; called in its runtime.
    pub fn stand(&self) {
        let now = self.now();
        *self.mode() = Mode::Stands(now);
    }

    /// Time passes without a process, or in its sleep.
    pub fn pass(&self, duration: Duration) {
        match &mut *self.mode() {
            Mode::Stands(at) => *at = *at + duration,
            Mode::Goes(clock) => clock.suspend(duration),
        }
    }
}

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        match &*self.mode() {
            Mode::Stands(at) => *at,
            Mode::Goes(clock) => clock.now(),
        }
    }

    fn boot(&self) -> BootTime {
        BootTime(Duration::from_millis(self.now().as_millis().unsigned_abs()))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        match &*self.mode() {
            Mode::Stands(_) => Box::pin(std::future::pending()),
            Mode::Goes(clock) => clock.sleep(duration),
        }
    }
}
