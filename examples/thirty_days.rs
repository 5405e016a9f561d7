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
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    println!("{}\n", rates::printed());
    let mut failed = 0;
    for seed in args.seed..args.seed + args.seeds {
        let setup = Setup { seed, users: args.users, days: args.days, calm: args.calm, haste: args.haste };
        let log = args.log.as_ref().map(|path| {
            let file = std::fs::File::create(path).expect("the log can be written");
            Box::new(std::io::BufWriter::new(file)) as _
        });
        let began = Instant::now();
        let report = run(setup, log);
        let count = |what: &str| report.counts.get(what).copied().unwrap_or(0);
        println!(
            "seed {seed}: {} users, {} days, {:.1} s: {} runs archived, {} failed, {} refreshes, {} lives; {} logins lost that nobody could help, {} plays lost of {} ({} between two looks); {} found; {}",
            args.users,
            args.days,
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
            failed += 1;
            println!(
                "  replay: cargo run --release --example thirty_days -- --seed {seed} --users {} --days {} --haste {} --log history.txt",
                args.users, args.days, args.haste
            );
        }
    }
    std::process::ExitCode::from(u8::from(failed > 0))
}
