//! Who listens, when, and to what.

use longplay::domain::Timestamp;

use super::dice::Dice;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;
/// A Monday, 2027-01-04T00:00:00Z; everyone lives in UTC.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_799_020_800_000);
/// What was heard before the first look, so that there is a first page.
pub const BEFORE: u32 = 3;
/// How many of the plays become visible late, and how late at most.
const LATE: (f64, f64) = (0.01, 40.0 * MINUTE);

/// What kind of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Casual,
    AtWork,
    Skipper,
    Radio,
    Binger,
}

impl Kind {
    pub const ALL: [(Self, f64); 5] = [
        (Self::Casual, 0.40),
        (Self::AtWork, 0.30),
        (Self::Skipper, 0.12),
        (Self::Radio, 0.08),
        (Self::Binger, 0.10),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Casual => "casual",
            Self::AtWork => "at work",
            Self::Skipper => "skipper",
            Self::Radio => "radio all day",
            Self::Binger => "binger",
        }
    }
}

/// One play of a track.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// When it ended, as Spotify tells it.
    pub ended: Timestamp,
    /// From when on Spotify shows it.
    pub visible: Timestamp,
    /// How long the whole track is.
    pub track_ms: i64,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    pub kind: Kind,
    /// The oldest first.
    pub plays: Vec<Heard>,
}

/// So many listeners of all kinds, in their shares, with what they hear from `BEFORE` days before the beginning to so
/// many days after it.
pub fn population(seed: u64, count: usize, days: u32) -> Vec<Listener> {
    let mut dice = Dice::new(seed);
    let mut all = Vec::with_capacity(count);
    let mut share = 0.0;
    for (kind, part) in Kind::ALL {
        share += part;
        let upto = (share * count as f64).round() as usize;
        while all.len() < upto {
            all.push(listener(&mut dice.split(), kind, days));
        }
    }
    all
}

fn listener(dice: &mut Dice, kind: Kind, days: u32) -> Listener {
    let habits = Habits::of(dice, kind);
    let mut plays = Vec::new();
    let mut silent_from = f64::MIN;
    for day in -i64::from(BEFORE)..i64::from(days) {
        for (start, length) in habits.sessions(dice, day) {
            // Nobody hears two things at once: who is still listening goes on afterwards.
            let start = start.max(silent_from);
            silent_from = start + length;
            habits.hear(dice, start, silent_from, &mut plays);
        }
    }
    Listener { kind, plays }
}

/// What one person is used to.
struct Habits {
    kind: Kind,
    /// The hours around which they begin, in the order of the day, and how much they vary.
    hours: Vec<f64>,
    vary: f64,
    /// Which of three days is the binger's.
    third: i64,
    /// How many of the plays are cut short.
    cut: f64,
}

impl Habits {
    fn of(dice: &mut Dice, kind: Kind) -> Self {
        let (hours, vary) = match kind {
            Kind::Casual => (vec![dice.between(6.5, 9.0), dice.between(16.0, 22.0)], 1.5),
            Kind::AtWork => {
                (vec![dice.between(7.5, 10.0), dice.between(12.5, 14.5), dice.between(15.0, 19.0)], 1.0)
            }
            Kind::Skipper => {
                (vec![dice.between(7.0, 9.0), dice.between(14.0, 18.0), dice.between(18.0, 22.0)], 1.5)
            }
            Kind::Radio => (vec![dice.between(6.5, 10.0)], 0.7),
            Kind::Binger => (vec![dice.between(11.0, 17.0)], 2.0),
        };
        let cut = match kind {
            Kind::Skipper => dice.between(0.7, 0.9),
            _ => 0.08,
        };
        Self { kind, hours, vary, third: dice.between(0.0, 3.0) as i64, cut }
    }

    /// When sessions begin and how long they are, in seconds, in their order.
    fn sessions(&self, dice: &mut Dice, day: i64) -> Vec<(f64, f64)> {
        let weekend = day.rem_euclid(7) >= 5;
        let count = match self.kind {
            Kind::Casual => dice.count(1.2),
            // Five days of 2.8 and two of 0.7 are 2.2 a day.
            Kind::AtWork => dice.count(if weekend { 0.7 } else { 2.8 }),
            Kind::Skipper => dice.count(1.8),
            Kind::Radio => 1,
            Kind::Binger => usize::from((day + self.third).rem_euclid(3) == 0),
        };
        let mut sessions: Vec<(f64, f64)> = (0..count)
            .map(|_| {
                let hour =
                    self.hours[((dice.part() * self.hours.len() as f64) as usize).min(self.hours.len() - 1)];
                // One in ten is at any hour of the day.
                let at =
                    if dice.chance(0.1) { dice.between(7.0, 23.0) } else { dice.normal(hour, self.vary) };
                (day as f64 * DAY + at.clamp(5.0, 24.0) * HOUR, self.length(dice))
            })
            .collect();
        sessions.sort_by(|a, b| a.0.total_cmp(&b.0));
        sessions
    }

    fn length(&self, dice: &mut Dice) -> f64 {
        let varied = |dice: &mut Dice, mean: f64| dice.exponential(mean).clamp(0.05 * mean, 6.0 * HOUR);
        match self.kind {
            Kind::Casual => varied(dice, 40.0 * MINUTE),
            Kind::AtWork => varied(dice, 130.0 * MINUTE),
            Kind::Skipper => varied(dice, 60.0 * MINUTE),
            Kind::Radio => dice.normal(9.0 * HOUR, HOUR),
            Kind::Binger => dice.normal(7.0 * HOUR, HOUR),
        }
    }

    /// One track after another until the session ends; what was begun before is heard to its end.
    fn hear(&self, dice: &mut Dice, start: f64, end: f64, plays: &mut Vec<Heard>) {
        let mut now = start;
        while now < end {
            let track = dice.normal(205.0, 50.0).clamp(60.0, 420.0);
            let most = if self.kind == Kind::Skipper { 75.0 } else { 200.0 };
            let cut = dice.chance(self.cut).then(|| dice.between(30.0, most));
            now += cut.map_or(track, |cut| cut.min(track));
            let late = if dice.chance(LATE.0) { dice.between(0.0, LATE.1) } else { 0.0 };
            let at = |seconds: f64| BEGIN.offset_millis((seconds * 1000.0) as i64);
            plays.push(Heard { ended: at(now), visible: at(now + late), track_ms: (track * 1000.0) as i64 });
        }
    }
}
