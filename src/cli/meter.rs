//! How far long work is: one line on a terminal, drawn over and over and gone at the end; nothing where nobody watches.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crate::clock::{BootTime, Clock as _, SystemClock};

/// How often the line is drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The line.
pub struct Meter {
    drawn: Option<BootTime>,
    watched: bool,
}

impl Meter {
    /// Nothing is drawn yet.
    pub fn new() -> Self {
        Self { drawn: None, watched: std::io::stderr().is_terminal() }
    }

    /// Says how far it is, in words that are made only if they are shown.
    pub fn tell(&mut self, how_far: impl FnOnce() -> String) {
        if !self.watched {
            return;
        }
        let now = SystemClock.boot();
        if self.drawn.is_some_and(|drawn| now.since(drawn) < DRAW_EVERY) {
            return;
        }
        self.drawn = Some(now);
        // Where it can't be drawn nobody misses it.
        let _ = write!(std::io::stderr(), "\r\x1b[Klongplay: {}", super::output::plain(&how_far()));
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// A number of bytes, for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let (mut amount, mut unit) = (bytes.saturating_mul(10) / 1_000, 0);
    while amount >= 10_000 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1_000, unit + 1);
    }
    format!("{}.{} {}", amount / 10, amount % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in
            [(0, "0.0 kB"), (999, "0.9 kB"), (1_234_567, "1.2 MB"), (45_600_000_000, "45.6 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
