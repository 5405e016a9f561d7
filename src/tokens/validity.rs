//! How long an access token is valid: age by the boot clock, expiry by the wall clock corrected by the skew that the
//! answers' `Date` headers show. The pessimistic reading counts.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{AccessTimes, Timestamp};

use super::set_back::SetBack;

/// A refresh ahead of time comes earlier by up to this part of the lifetime, so that users who logged in together
/// don't refresh together for ever.
const JITTER: f64 = 0.05;
/// A difference of the two clocks that rounding explains.
const SAME: i64 = 1_000;

/// Two clocks that are right may differ by so much.
const FUTURE: Duration = Duration::from_secs(60);

/// The present: both clocks, what is known of the wall clock's fault, and a die.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// This host's wall clock.
    pub wall: Timestamp,
    /// The boot clock.
    pub boot: BootTime,
    /// By how many milliseconds the wall clock is ahead of the provider's.
    pub skew: i64,
    /// By how much the wall clock was set back since the process began.
    pub set_back: SetBack,
    /// Between 0 and 1.
    pub chance: f64,
}

impl Moment {
    /// When a wall time comes, on the boot clock; now, if it has passed.
    pub fn boot_of(&self, wall: Timestamp) -> BootTime {
        BootTime(self.boot.0.saturating_add(wall.since(self.wall)))
    }

    /// When a wall time came, or comes, on the boot clock.
    pub fn boot_at(&self, wall: Timestamp) -> BootTime {
        let (ahead, behind) = (wall.since(self.wall), self.wall.since(wall));
        BootTime(self.boot.0.saturating_add(ahead).saturating_sub(behind))
    }
}

/// The times of an access token in memory.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    times: AccessTimes,
    dead: BootTime,
    jitter: Duration,
}

impl Held {
    /// A token just received; `sent`: the boot time at which it was asked for.
    pub fn received(times: AccessTimes, sent: BootTime, now: Moment) -> Self {
        Self::until(times, BootTime(sent.0 + times.lifetime), now)
    }

    /// A token read from the store: only wall times are known of it. One that seems to have been issued in the future may
    /// be of any age: the clock was set back, and nobody saw it.
    pub fn read(times: AccessTimes, now: Moment) -> Self {
        let wall = now.set_back.wall_for(times.sent_at, now.wall);
        let truly = times.expires_at.since(wall.offset_millis(-now.skew));
        let here = (times.sent_at + times.lifetime).since(wall);
        // By either clock: another host's, or the provider's, may be ahead of this one.
        let left = match truly.min(here) {
            left if left > times.lifetime + FUTURE => Duration::ZERO,
            left => left.min(times.lifetime),
        };
        Self::until(times, BootTime(now.boot.0 + left), now)
    }

    /// Of two readings of one token the one that gives it less time: what was received here is known by the boot clock,
    /// what is read again only by wall times, and the wall clock may have been set back meanwhile.
    pub fn shorter(self, other: Self) -> Self {
        if other.dead < self.dead { other } else { self }
    }

    fn until(times: AccessTimes, dead: BootTime, now: Moment) -> Self {
        Self { times, dead, jitter: times.lifetime.mul_f64(JITTER * now.chance) }
    }

    /// How long it is still valid: by the boot clock, or by the corrected wall clock if that says less.
    pub fn left(&self, now: Moment) -> Duration {
        let truly = self.times.expires_at.since(now.wall.offset_millis(-now.skew));
        self.dead.since(now.boot).min(truly)
    }

    /// Until when it is valid, by this host's wall clock: what a program on this host can compare.
    pub fn expires_at(&self, now: Moment) -> Timestamp {
        let told = self.times.sent_at + self.times.lifetime;
        let reckoned = now.wall + self.left(now);
        if (told.as_millis() - reckoned.as_millis()).abs() <= SAME { told } else { reckoned }
    }

    /// `expires_in` of the answer that brought it.
    pub fn lifetime(&self) -> Duration {
        self.times.lifetime
    }

    /// How much earlier than others it is refreshed ahead of time.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }
}

/// A clock that is wrong by more milliseconds is a problem.
pub const WRONG_CLOCK: i64 = 30_000;

/// By how many milliseconds this host's wall clock is ahead of the provider's. An answer's `Date` has whole seconds
/// and was made between sending and receiving; within that, the clocks agree and the skew is none.
pub fn skew(date: Option<&str>, sent: Timestamp, received: Timestamp) -> Option<i64> {
    let date = chrono::DateTime::parse_from_rfc2822(date?.trim()).ok()?.timestamp_millis();
    let (least, most) = (sent.as_millis() - (date + 1_000), received.as_millis() - date);
    Some(if least > 0 {
        least
    } else if most < 0 {
        most
    } else {
        0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(wall: i64, boot: u64, skew: i64) -> Moment {
        Moment {
            wall: Timestamp::from_millis(wall * 1_000),
            boot: BootTime(S * boot as u32),
            skew,
            ..Moment::default()
        }
    }

    fn times(sent: i64, lifetime: u32, skew: i64) -> AccessTimes {
        let sent_at = Timestamp::from_millis(sent * 1_000);
        let lifetime = S * lifetime;
        AccessTimes { sent_at, lifetime, expires_at: sent_at.offset_millis(-skew) + lifetime }
    }

    #[test]
    fn validity_counts_from_when_the_request_was_sent() {
        let held = Held::received(times(1_000, 3_600, 0), BootTime(S * 50), at(1_010, 60, 0));
        assert_eq!(held.left(at(1_010, 60, 0)), S * 3_590);
        assert_eq!(held.expires_at(at(1_010, 60, 0)), Timestamp::from_millis(4_600_000));
    }

    #[test]
    fn suspend_and_a_stepped_clock_never_lengthen_it() {
        let held = Held::received(times(1_000, 3_600, 0), BootTime(S * 50), at(1_000, 50, 0));
        assert_eq!(held.left(at(1_000, 3_650, 0)), Duration::ZERO, "the wall clock stood still");
        assert_eq!(held.left(at(500, 60, 0)), S * 3_590, "the wall clock went back");
        assert_eq!(held.left(at(4_500, 60, 0)), S * 100, "the wall clock went on");
    }

    #[test]
    fn a_token_that_is_read_again_after_the_clock_was_set_back_gains_no_time() {
        let held = Held::received(times(1_000, 3_600, 0), BootTime(S * 50), at(1_000, 50, 0));
        // An hour later by the boot clock, and an hour back on the wall.
        let now = at(1_000, 3_650, 0);
        let read = Held::read(times(1_000, 3_600, 0), now);
        assert_eq!(read.left(now), S * 3_600);
        assert_eq!(read.shorter(held).left(now), Duration::ZERO);
        assert_eq!(held.shorter(read).left(now), Duration::ZERO);
    }

    #[test]
    fn a_token_that_is_first_read_after_the_clock_was_set_back_gains_no_time() {
        let clock = crate::clock::SimulatedClock::new(Timestamp::from_millis(1_000_000));
        let mut watch = super::super::set_back::Watch::new(&clock, std::sync::Arc::new(()));
        clock.advance(S * 3_000);
        clock.step_wall(-3_000_000);
        let set_back = watch.look(&clock);
        let now = Moment { set_back, ..at(1_000, 3_050, 0) };
        assert_eq!(Held::read(times(1_000, 3_600, 0), now).left(now), S * 600);
    }

    #[test]
    fn a_token_from_the_future_may_be_of_any_age() {
        let left = |sent, ahead, now: Moment| Held::read(times(sent, 3_600, ahead), now).left(now);
        assert_eq!(left(1_000, 0, at(400, 5, 0)), Duration::ZERO, "the clock was set back before a boot");
        assert_eq!(left(1_000, 0, at(950, 5, 0)), S * 3_600);
        assert_eq!(left(1_000, 0, at(400, 5, -600_000)), S * 3_600, "a host whose clock is known to be slow");
        assert_eq!(left(1_000, -600_000, at(1_000, 5, 0)), S * 3_600, "it is as slow as when it was sent");
    }

    #[test]
    fn a_wrong_clock_that_is_known_to_be_wrong_costs_no_validity() {
        for skew in [3_600_000, -3_600_000] {
            let wall = 10_000 + skew / 1_000;
            let held = Held::received(times(wall, 3_600, skew), BootTime(S * 50), at(wall, 50, skew));
            assert_eq!(held.left(at(wall + 600, 650, skew)), S * 3_000);
            let expires = Timestamp::from_millis((wall + 3_600) * 1_000);
            assert_eq!(held.expires_at(at(wall + 600, 650, skew)), expires);
            // After a restart the skew is not known yet, the clock as wrong as before.
            let read = Held::read(times(wall, 3_600, skew), at(wall + 600, 5, 0));
            assert!(read.left(at(wall + 600, 5, 0)) <= S * 3_000);
            // Or it was mended meanwhile.
            let read = Held::read(times(wall, 3_600, skew), at(10_600, 5, 0));
            assert!(read.left(at(10_600, 5, 0)) <= S * 3_000);
        }
    }

    #[test]
    fn the_skew_is_what_rounding_and_latency_do_not_explain() {
        let date = Some("Thu, 01 Jan 1970 00:16:40 GMT"); // 1,000 s
        let ms = Timestamp::from_millis;
        assert_eq!(skew(date, ms(1_000_100), ms(1_000_900)), Some(0));
        assert_eq!(skew(date, ms(1_000_900), ms(1_001_500)), Some(0));
        assert_eq!(skew(date, ms(999_000), ms(1_000_000)), Some(0));
        assert_eq!(skew(date, ms(4_601_000), ms(4_601_500)), Some(3_600_000));
        assert_eq!(skew(date, ms(939_000), ms(940_000)), Some(-60_000));
        assert_eq!(skew(None, ms(0), ms(0)), None);
        assert_eq!(skew(Some("yesterday"), ms(0), ms(0)), None);
    }
}
