//! What the programs that measure have in common: their arguments, rounds that take turns, and the table they print.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "what measures does so in real time, and prints small numbers"
)]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub mod bare;
pub mod crowd;
pub mod database;
pub mod pages;
pub mod wired;

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub struct Args {
    /// A tiny size, to see that the program still works.
    pub quick: bool,
    /// Whether a missed figure is a failure.
    pub check: bool,
    /// Which databases; all where none was named.
    stores: Vec<database::Kind>,
    /// Only the parts whose name contains one of these.
    parts: Vec<String>,
}

impl Args {
    /// Reads them; ends the process where they make no sense.
    pub fn read() -> Self {
        let mut args = Self { quick: false, check: false, stores: Vec::new(), parts: Vec::new() };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                // What cargo itself says.
                "--bench" => {}
                "--quick" => args.quick = true,
                "--check" => args.check = true,
                "sqlite" => args.stores.push(database::Kind::Sqlite),
                "postgres" => args.stores.push(database::Kind::Postgres),
                part if !part.starts_with('-') => args.parts.push(part.to_owned()),
                other => panic!("{other}: this takes --quick, --check, sqlite, postgres, and parts of names"),
            }
        }
        args
    }

    /// The databases to measure on.
    pub fn stores(&self) -> Vec<database::Kind> {
        if self.stores.is_empty() { database::Kind::ALL.to_vec() } else { self.stores.clone() }
    }

    /// Whether this part is to be measured.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| part.contains(wanted.as_str()))
    }

    /// One number for a measurement, another for a look at whether it works.
    pub fn size<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// The figures of one program.
pub struct Table {
    check: bool,
    missed: usize,
}

impl Table {
    pub fn new(args: &Args, title: &str) -> Self {
        println!("{title}");
        println!("{:<58} {:>16} {:>16} {:>9}   wanted", "", "baseline", "longplay", "figure");
        Self { check: args.check, missed: 0 }
    }

    /// A figure: what, the baseline and ours as people read them, and what is compared with what is wanted.
    pub fn row(&mut self, what: &str, baseline: &str, ours: &str, figure: f64, wanted: Wanted) {
        let (kept, shown) = match wanted {
            Wanted::AtLeast(least) => (figure >= least, format!(">= {least}")),
            Wanted::AtMost(most) => (figure <= most, format!("<= {most}")),
        };
        self.missed += usize::from(!kept);
        let verdict = if kept { "" } else { "  MISSED" };
        println!("{what:<58} {baseline:>16} {ours:>16} {figure:>9.2}   {shown}{verdict}");
    }

    /// Something worth knowing that nothing is wanted of.
    pub fn note(&self, what: &str, value: &str) {
        println!("{what:<58} {value}");
    }

    /// Failure where a figure was missed and that was to be checked.
    pub fn end(self) -> ExitCode {
        match (self.missed, self.check) {
            (0, _) => ExitCode::SUCCESS,
            (missed, check) => {
                println!("missed: {missed}");
                if check { ExitCode::FAILURE } else { ExitCode::SUCCESS }
            }
        }
    }
}

/// What several rounds of a baseline and of ours took, in turns: the machine is noisy, and neighbours in time see the
/// same noise.
#[derive(Debug, Default)]
pub struct Rounds {
    pub baseline: Vec<f64>,
    pub ours: Vec<f64>,
}

impl Rounds {
    pub fn add(&mut self, baseline: f64, ours: f64) {
        self.baseline.push(baseline);
        self.ours.push(ours);
    }

    /// The median of each round's ours by its baseline.
    pub fn ratio(&self) -> f64 {
        median(
            &self.ours.iter().zip(&self.baseline).map(|(ours, baseline)| ours / baseline).collect::<Vec<_>>(),
        )
    }

    /// The same with the baseline counted from above: for what is better the larger it is.
    pub fn medians(&self) -> (f64, f64) {
        (median(&self.baseline), median(&self.ours))
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which so much of them lies.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1)) as f64 * part;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

/// Now, to count from.
pub fn begin() -> Instant {
    Instant::now()
}

/// Does nothing for so long.
pub fn stand_still(time: Duration) {
    std::thread::sleep(time);
}

/// A number of things, as databases count them.
pub fn count_of(things: usize) -> i64 {
    things as i64
}

/// Seconds from then to now.
pub fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}

/// A time as people read it.
pub fn shown(seconds: f64) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = match seconds {
        s if s < 0.001 => write!(text, "{:.1} us", s * 1e6),
        s if s < 1.0 => write!(text, "{:.2} ms", s * 1e3),
        s => write!(text, "{s:.2} s"),
    };
    text
}

/// A runtime like the daemon's.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// How long a condition is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);
