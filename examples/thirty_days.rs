//! Thirty days in minutes, for more seeds and more users than the tests take:
//! `cargo run --release --example thirty_days -- --seeds 20 --users 1000`. `--seed N` replays one.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, in real time")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::time::Instant;

use clap::Parser;
use simulation::{Setup, rates, run};

/// Simulates many users over many days, with faults drawn from a seed.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Args {
    /// The seed, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[arg(long, default_value_t = 100)]
    users: usize,
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Nothing goes wrong.
    #[arg(long)]
    calm: bool,
    /// How many times as often as the table says something happens to everyone.
    #[arg(long, default_value_t = 1.0)]
    haste: f64,
    /// Writes all that happens to this file.
    #[arg(long)]
    log: Option<std::path::PathBuf>,
    /// Prints what was counted.
    #[arg(long)]
    counts: bool,
    /// Does not print how often what goes wrong.
    #[arg(long, hide = true)]
    bare: bool,
}

/// Each seed in a process of its own: a daemon frees what it holds for its life with its process, so here it adds up.
fn each_alone(args: &Args) -> bool {
    let this = std::env::current_exe().expect("a program has a path");
    let one = |seed: u64| {
        let mut command = std::process::Command::new(&this);
        command.args(std::env::args_os().skip(1));
        command.args(["--bare", "--seeds", "1", "--seed", &seed.to_string()]);
        command.status().expect("a process can be started").success()
    };
    (args.seed..args.seed + args.seeds).filter(|seed| !one(*seed)).count() == 0
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    if !args.bare {
        println!("{}\n", rates::printed());
    }
    let well = if args.seeds == 1 { simulate(&args) } else { each_alone(&args) };
    std::process::ExitCode::from(u8::from(!well))
}

fn simulate(args: &Args) -> bool {
    let Args { seed, users, days, calm, haste, .. } = *args;
    let log = args.log.as_ref().map(|path| {
        let file = std::fs::File::create(path).expect("the log can be written");
        Box::new(std::io::BufWriter::new(file)) as _
    });
    let began = Instant::now();
    let report = run(Setup { seed, users, days, calm, haste }, log);
    let count = |what: &str| report.counts.get(what).copied().unwrap_or(0);
    println!(
        "seed {seed}: {users} users, {days} days, {:.1} s: {} runs archived, {} failed, {} refreshes, {} lives; {} logins lost that nobody could help, {} plays lost of {} ({} between two looks); {} found; {}",
        began.elapsed().as_secs_f64(),
        count("archived"),
        count("run_failed"),
        count("token_refreshed"),
        count("started"),
        count("login dead"),
        count("plays lost that no run could have had"),
        count("plays heard"),
        count("plays lost because an adaptive user skipped more than before"),
        report.found.len(),
        &report.hash[..16],
    );
    if args.counts {
        report.counts.iter().for_each(|(what, count)| println!("  {count:>9} {what}"));
    }
    for found in report.found.iter().take(50) {
        println!("  {found}");
    }
    if !report.found.is_empty() {
        println!(
            "  replay: cargo run --release --example thirty_days -- --seed {seed} --users {users} --days {days} --haste {haste} --log history.txt"
        );
    }
    report.found.is_empty()
}
