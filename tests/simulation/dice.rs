//! Chance, from the seed: a stream of its own for each part, so that one part's draws don't move another's.

use std::time::Duration;

use longplay::random::Random;

pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(Random::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(stream)))
    }

    pub fn unit(&self) -> f64 {
        self.0.unit()
    }

    pub fn hits(&self, rate: f64) -> bool {
        // Always drawn, so that a rate of nothing moves no other draw.
        self.unit() < rate
    }

    /// From `least` to `most`, in whole milliseconds.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_secs_f64() * self.unit();
        Duration::from_millis(((least.as_secs_f64() + span) * 1_000.0) as u64)
    }

    /// The same, short ones as likely as long ones.
    pub fn about(&self, least: Duration, most: Duration) -> Duration {
        let (low, high) = (least.as_secs_f64().ln(), most.as_secs_f64().ln());
        Duration::from_millis(((low + (high - low) * self.unit()).exp() * 1_000.0) as u64)
    }

    pub fn below(&self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// How long until the next of something that comes so often in a period.
    pub fn until_next(&self, times: f64, period: Duration) -> Duration {
        let draw = (1.0 - self.unit()).max(1e-9);
        Duration::from_secs_f64(-draw.ln() * period.as_secs_f64() / times)
    }
}
