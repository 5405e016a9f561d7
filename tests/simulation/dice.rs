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
        whole(least + most.saturating_sub(least).mul_f64(self.unit()))
    }

    /// The same, short ones as likely as long ones.
    pub fn about(&self, least: Duration, most: Duration) -> Duration {
        let (low, high) = (least.as_secs_f64().ln(), most.as_secs_f64().ln());
        whole(Duration::from_secs_f64((low + (high - low) * self.unit()).exp()))
    }

    /// One of so many.
    pub fn below(&self, count: usize) -> usize {
        let drawn = Duration::from_millis(count as u64).mul_f64(self.unit()).as_millis();
        usize::try_from(drawn).unwrap_or(0).min(count.saturating_sub(1))
    }

    /// How long until the next of something that comes so often in a period.
    pub fn until_next(&self, times: f64, period: Duration) -> Duration {
        let draw = (1.0 - self.unit()).max(1e-9);
        Duration::from_secs_f64(-draw.ln() * period.as_secs_f64() / times)
    }
}

fn whole(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
