//! Parse, dispatch, exit code.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    longplay::cli::run(longplay::cli::Cli::parse())
}
