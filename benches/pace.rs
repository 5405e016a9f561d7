//! What it costs to look at a simulated population of listeners, and how much of what they hear is kept: at fixed
//! intervals, by the pace as it was before, and by the pace. Several populations are drawn; what they differ by is the
//! confidence.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;
#[path = "../tests/listeners/mod.rs"]
mod listeners;
mod measure;

use std::process::ExitCode;

use listeners::people::{Kind, Listener, population};
use listeners::rule::Rule;
use listeners::verdict::{Figures, Verdict};
use measure::Args;

const RULES: [Rule; 8] = [
    Rule::Every(30),
    Rule::Every(60),
    Rule::Every(120),
    Rule::Every(180),
    Rule::Before,
    Rule::Pace(1.0),
    Rule::Pace(4.0),
    Rule::Pace(16.0),
];

/// What is wanted of the pace: calls for a user and day, plays lost of a hundred, and users of a hundred who lose more
/// than 50.
const WANTED: Figures = Figures { calls: 15.0, lost: 0.1, bereft: 1.0 };

fn main() -> ExitCode {
    let args = Args::read();
    let (users, days, seeds) = (args.size(1_000, 20), args.size(60, 5), args.size(8, 2));
    println!(
        "Pace: {seeds} populations of {users} listeners, {days} days each; 95 % lie within the figures after +-"
    );
    println!("{:<34} {:>16} {:>20} {:>12}", "", "calls/user/day", "kept %", "lost > 50 %");
    let crowds: Vec<Vec<Listener>> = (1..=seeds).map(|seed| population(seed, users, days + 1)).collect();
    let mut kept = true;
    for rule in RULES.into_iter().filter(|rule| args.wants(&rule.name())) {
        let of = |(people, seed): (&Vec<Listener>, u64)| Verdict::of(rule, people, days, seed);
        let verdicts: Vec<Verdict> = crowds.iter().zip(1..).map(of).collect();
        let all = |figure: fn(&Figures) -> f64| spread(verdicts.iter().map(|verdict| figure(&verdict.all())));
        let (calls, lost, bereft) = (all(|f| f.calls), all(|f| f.lost), all(|f| f.bereft));
        row(&rule.name(), calls, lost, bereft);
        for (kind, _) in Kind::ALL {
            let of = |figure: fn(&Figures) -> f64| spread(verdicts.iter().map(|v| figure(&v.kind(kind))));
            row(&format!("    {}", kind.name()), of(|f| f.calls), of(|f| f.lost), of(|f| f.bereft));
        }
        if rule == Rule::Pace(1.0) {
            kept = calls.0 <= WANTED.calls && lost.0 <= WANTED.lost && bereft.0 <= WANTED.bereft;
            println!(
                "    wanted: at most {} calls, at least {} % kept, at most {} %{}",
                WANTED.calls,
                100.0 - WANTED.lost,
                WANTED.bereft,
                if kept { "" } else { "  MISSED" }
            );
        }
    }
    if args.check && !kept { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn row(what: &str, calls: (f64, f64), lost: (f64, f64), bereft: (f64, f64)) {
    let kept = 100.0 - lost.0;
    println!(
        "{what:<34} {:>8.2} +- {:<5.2} {kept:>10.4} +- {:<6.4} {:>8.2} +- {:.2}",
        calls.0, calls.1, lost.1, bereft.0, bereft.1
    );
}

/// The mean, and how far from it the true one may be.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, 1.96 * (variance / count).sqrt())
}
