//! The two clocks: wall time for what is stored and shown, boot time (which goes on during suspend) for age.
//! The only place that reads a real clock or sleeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::domain::Timestamp;

/// Time since the host was started, suspend included (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// How long from `earlier` to here.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A future that ends when the time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall time; it can jump either way.
    fn now(&self) -> Timestamp;
    /// Boot time; it never goes back.
    fn boot(&self) -> BootTime;
    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The host's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    fn boot(&self) -> BootTime {
        let t = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
        BootTime(Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0)))
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of sleep")]
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct SimulatedClock {
    wall_offset: Mutex<i64>,
    boot: watch::Sender<Duration>,
}

impl SimulatedClock {
    /// Starts at this wall time, just booted.
    pub fn new(now: Timestamp) -> Self {
        Self { wall_offset: Mutex::new(now.as_millis()), boot: watch::Sender::new(Duration::ZERO) }
    }

    /// Lets time pass on both clocks; whoever slept until then wakes.
    pub fn advance(&self, duration: Duration) {
        self.boot.send_modify(|boot| *boot += duration);
    }

    /// Steps the wall clock alone, as an administrator or NTP does.
    pub fn step_wall(&self, millis: i64) {
        *self.offset() += millis;
    }

    fn offset(&self) -> std::sync::MutexGuard<'_, i64> {
        self.wall_offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.offset()) + *self.boot.borrow()
    }

    fn boot(&self) -> BootTime {
        BootTime(*self.boot.borrow())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut boot = self.boot.subscribe();
        let until = *boot.borrow() + duration;
        Box::pin(async move {
            // An error means that the clock is gone, and with it all time.
            let _ = boot.wait_for(|now| *now >= until).await;
        })
    }
}

/// Simulated time that tokio moves: its own clock, paused, goes to the next timer whenever nobody has anything to do.
/// That clock stands still while the host is suspended; both of these go on.
#[derive(Debug)]
pub struct PausedClock {
    began: tokio::time::Instant,
    at: Mutex<Reading>,
}

/// What the clocks show.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// The boot clock.
    pub boot: BootTime,
}

impl PausedClock {
    /// In a runtime whose time is paused; both clocks begin here.
    #[expect(clippy::disallowed_methods, reason = "the clock of a paused runtime")]
    pub fn new(at: Reading) -> Self {
        Self { began: tokio::time::Instant::now(), at: Mutex::new(at) }
    }

    /// Suspends the host: so much time passes at once, and no timer gets nearer.
    pub fn suspend(&self, duration: Duration) {
        let mut at = self.at();
        (at.wall, at.boot.0) = (at.wall + duration, at.boot.0 + duration);
    }

    /// Steps the wall clock alone, as an administrator or NTP does.
    pub fn step_wall(&self, millis: i64) {
        let mut at = self.at();
        at.wall = at.wall.offset_millis(millis);
    }

    /// What both clocks show now.
    pub fn reading(&self) -> Reading {
        let (at, passed) = (*self.at(), self.began.elapsed());
        Reading { wall: at.wall + passed, boot: BootTime(at.boot.0 + passed) }
    }

    fn at(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.reading().wall
    }

    fn boot(&self) -> BootTime {
        self.reading().boot
    }

    #[expect(clippy::disallowed_methods, reason = "the timer of a paused runtime")]
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_goes_to_the_next_timer_and_suspend_brings_none_nearer() {
        let second = Duration::from_secs(1);
        let clock = PausedClock::new(Reading { wall: Timestamp::from_millis(0), boot: BootTime(second * 7) });
        let hour = clock.sleep(second * 3_600);
        clock.sleep(second * 3).await;
        assert_eq!((clock.now(), clock.boot()), (Timestamp::from_millis(3_000), BootTime(second * 10)));
        clock.suspend(second * 3_600);
        clock.step_wall(-1_000);
        hour.await;
        assert_eq!(clock.boot(), BootTime(second * (7 + 3_600 + 3_600)));
        assert_eq!(clock.now(), Timestamp::from_millis(7_199_000));
    }

    #[tokio::test]
    async fn a_simulated_sleep_ends_when_its_time_has_come() {
        let clock = SimulatedClock::new(Timestamp::from_millis(1_000));
        let nap = tokio::spawn(clock.sleep(Duration::from_secs(5)));
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!nap.is_finished());
        clock.advance(Duration::from_secs(1));
        nap.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_millis(6_000));
        clock.step_wall(-1_000);
        assert_eq!(
            (clock.now(), clock.boot()),
            (Timestamp::from_millis(5_000), BootTime(Duration::from_secs(5)))
        );
    }
}
