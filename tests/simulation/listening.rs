//! What everyone hears, drawn before anything runs: evenings, marathons, and now and then somebody who skips.

use std::time::Duration;

use longplay::domain::Timestamp;
use longplay::sim::{Listen, music};

use super::calendar::{DAY, MINUTE};
use super::dice::Dice;
use super::rates::{Ill, rate};
use super::{START, Setup};

pub fn draw(setup: &Setup, number: usize) -> Vec<Listen> {
    let dice = Dice::new(setup.seed, 1_000_000 + number as u64);
    let late = if setup.calm { 0.0 } else { rate(Ill::LatePlay) };
    let mut plays = Vec::new();
    let mut free = START;
    for day in 0..setup.days {
        for _ in 0..dice.below(4) {
            let at = START + DAY * day + dice.between(MINUTE * 400, MINUTE * 1_380);
            let mut at = at.max(free);
            let (count, skips) = match dice.unit() {
                kind if kind < 0.03 => (60 + dice.below(60), false),
                kind if kind < 0.05 => (40 + dice.below(40), true),
                _ => (3 + dice.below(25), false),
            };
            for _ in 0..count {
                let track = format!("Track {}", dice.below(60));
                let length = music::track(&track).duration_ms.unwrap_or(180_000).unsigned_abs();
                let skipped = dice.between(Duration::from_secs(31), Duration::from_secs(50));
                let length = Duration::from_millis(length);
                at = at + if skips { skipped.min(length) } else { length };
                let listen = Listen::new(&track, at);
                let shown = at + dice.about(MINUTE * 10, MINUTE * 180);
                plays.push(if dice.hits(late) { listen.visible_at(shown) } else { listen });
            }
            free = at + MINUTE;
        }
    }
    let end: Timestamp = START + DAY * setup.days;
    // What Spotify shows too late can't be asked for.
    plays.retain(|listen| listen.visible_at + MINUTE * 200 < end);
    plays
}
