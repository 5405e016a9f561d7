//! Where chance comes from: the host's, or a seed for tests and simulation. The only place that draws it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[expect(clippy::disallowed_types, reason = "the one home of chance")]
use rand::rngs::OsRng;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng, TryRngCore};
use uuid::Uuid;

/// Chance, injected.
#[derive(Debug)]
pub struct Random(Mutex<Source>);

#[derive(Debug)]
enum Source {
    /// With dice for what is no secret: the host's numbers cost a system call each.
    Host(Box<StdRng>),
    Seeded(Box<StdRng>),
}

impl Random {
    /// The host's random numbers, fit for keys.
    pub fn host() -> Self {
        Self(Mutex::new(Source::Host(Box::new(StdRng::from_seed(hosts())))))
    }

    /// The same numbers for the same seed. For tests and simulation only.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(Source::Seeded(Box::new(StdRng::seed_from_u64(seed)))))
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        match &mut *self.source() {
            Source::Host(_) => hosts(),
            Source::Seeded(rng) => {
                let mut bytes = [0; N];
                rng.fill_bytes(&mut bytes);
                bytes
            }
        }
    }

    /// A random UUID (version 4).
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// Somewhere between 0 and 1; nothing that must not be guessed.
    pub fn unit(&self) -> f64 {
        let (Source::Host(dice) | Source::Seeded(dice)) = &mut *self.source();
        f64::from(dice.next_u32()) / f64::from(u32::MAX)
    }

    /// Somewhere between nothing and `most`.
    pub fn upto(&self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    /// `about`, give or take a fifth.
    pub fn jitter(&self, about: Duration) -> Duration {
        about.mul_f64(0.8) + self.upto(about.mul_f64(0.4))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes of the host.
fn hosts<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A host without random numbers can keep no secret: there is nothing to go on with.
    OsRng.try_fill_bytes(&mut bytes).expect("the host gives random numbers");
    bytes
}
