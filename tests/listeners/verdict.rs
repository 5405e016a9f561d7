//! What a rule costs and keeps, over a population.

use super::dice::Dice;
use super::people::{Kind, Listener};
use super::rule::Rule;
use super::watch::{Kept, watch};

/// How many lost plays are too many for one user.
const MANY: usize = 50;

/// Each listener's kind, and what became of them.
pub struct Verdict(Vec<(Kind, Kept)>);

/// Of some listeners together.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Calls for a user and day.
    pub calls: f64,
    /// Of a hundred plays those that were on no page.
    pub lost: f64,
    /// Of a hundred users those who lost more than 50.
    pub bereft: f64,
}

impl Verdict {
    /// Follows a rule for so many days. The seed draws the moment of each first look, and the jitter of waits.
    pub fn of(rule: Rule, people: &[Listener], days: u32, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let one = |who: &Listener| {
            let mut follower = rule.begin(dice.split());
            (who.kind, watch(&mut dice, who, days, |seen| follower.wait(seen)))
        };
        Self(people.iter().map(one).collect())
    }

    /// Of all of them.
    pub fn all(&self) -> Figures {
        self.figures(|_| true)
    }

    /// Of one kind.
    pub fn kind(&self, kind: Kind) -> Figures {
        self.figures(|other| other == kind)
    }

    fn figures(&self, wanted: impl Fn(Kind) -> bool) -> Figures {
        let some: Vec<&Kept> =
            self.0.iter().filter(|(kind, _)| wanted(*kind)).map(|(_, kept)| kept).collect();
        let sum = |of: fn(&Kept) -> f64| some.iter().map(|kept| of(kept)).sum::<f64>();
        let share = |part: f64, of: f64| if of > 0.0 { 100.0 * part / of } else { 0.0 };
        Figures {
            calls: sum(|kept| kept.calls as f64) / sum(|kept| kept.days),
            lost: share(sum(|kept| kept.lost as f64), sum(|kept| kept.plays as f64)),
            bereft: share(sum(|kept| f64::from(u8::from(kept.lost > MANY))), some.len() as f64),
        }
    }
}
