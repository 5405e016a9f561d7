//! The command line: what there is to say, and where each command lives. A command returns how it ended; printing an
//! error and leaving with its code happens here, once.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Place;

mod adopt;
mod archive;
mod backup;
mod check;
mod completions;
mod config;
mod connect;
mod copy;
mod demo;
mod doctor;
mod exit;
mod export;
mod gaps;
mod import;
mod key;
mod login;
mod meter;
mod output;
mod pause;
mod plays;
mod reload;
mod replay;
mod serve;
mod stats;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod top;
mod users;
mod watch;
mod whole_file;

use exit::{CliError, Exit};

/// Keeps everyone's Spotify listening history for good.
///
/// Longplay is a daemon that archives what its users hear on Spotify, and a command line that
/// talks to it. Most commands work without the daemon too: they then open the archive themselves.
#[derive(Debug, Parser)]
#[command(name = "longplay", version, verbatim_doc_comment, after_long_help = AFTER)]
pub struct Cli {
    /// Read this configuration instead of the host's
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Examples:
  longplay users add alice --timezone Europe/Berlin
  longplay login alice
  longplay status
  longplay plays alice --since 7d

Exit codes:
  0   done
  1   failed, or every user asked for is blocked or paused
  2   the command line is wrong
  69  the daemon or the store can't be reached, or the socket isn't open to you
  75  try again later: Spotify or the store is down, rate limited, or in doubt
  77  the user must log in
  78  the configuration is wrong";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon, in the foreground
    ///
    /// This is what systemd starts. It logs to the journal, or to standard error where there is
    /// none, and ends on SIGTERM when every refresh under way is finished.
    #[command(verbatim_doc_comment)]
    Serve,
    /// Try everything out with a simulated Spotify
    ///
    /// Runs the daemon with simulated users who listen to simulated music, and an archive that
    /// is deleted at the end.
    #[command(verbatim_doc_comment)]
    Demo,
    Check(check::Check),
    Config(config::Config),
    Login(login::Login),
    Users(users::Users),
    /// Suspend runs, refreshes and tokens until resumed
    ///
    /// It survives a restart of the daemon.
    Pause(pause::Whom),
    /// Let what was paused go on
    Resume(pause::Whom),
    Status(status::StatusOf),
    Archive(archive::Archive),
    Plays(plays::Plays),
    Top(top::Top),
    Stats(stats::StatsOf),
    Gaps(gaps::Gaps),
    Export(export::Export),
    Backup(backup::Backup),
    Copy(copy::Copy),
    Import(import::Import),
    Replay(replay::Replay),
    Token(token::Token),
    Watch(watch::Watch),
    Doctor(doctor::Doctor),
    Key(key::Key),
    Adopt(adopt::Adopt),
    /// Have the daemon load its configuration anew
    ///
    /// Waits for it. If the new configuration is refused, every fault is said, and the old one
    /// stays in force.
    #[command(verbatim_doc_comment)]
    Reload,
    Completions(completions::Completions),
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    // Before any token or secret is read.
    crate::daemon::be_private();
    let exit = dispatched(cli).unwrap_or_else(|error| {
        error.print();
        error.exit
    });
    ExitCode::from(exit.code())
}

fn dispatched(cli: Cli) -> Result<Exit, CliError> {
    let place = Place::of_process(cli.config);
    match cli.command {
        Command::Serve => serve::run(&place),
        Command::Demo => demo::run(&place),
        Command::Check(check) => check.run(&place),
        Command::Config(config) => config.run(&place),
        Command::Login(login) => wait(login.run(&place)),
        Command::Users(users) => wait(users.run(&place)),
        Command::Pause(whom) => wait(whom.pause(&place)),
        Command::Resume(whom) => wait(whom.resume(&place)),
        Command::Status(status) => wait(status.run(&place)),
        Command::Archive(archive) => wait(archive.run(&place)),
        Command::Plays(plays) => wait(plays.run(&place)),
        Command::Top(top) => wait(top.run(&place)),
        Command::Stats(stats) => wait(stats.run(&place)),
        Command::Gaps(gaps) => wait(gaps.run(&place)),
        Command::Export(export) => wait(export.run(&place)),
        Command::Backup(backup) => wait(backup.run(&place)),
        Command::Copy(copy) => wait(copy.run(&place)),
        Command::Import(import) => wait(import.run(&place)),
        Command::Replay(replay) => wait(replay.run(&place)),
        Command::Token(token) => wait(token.run(&place)),
        Command::Watch(watch) => wait(watch.run(&place)),
        Command::Doctor(doctor) => wait(doctor.run(&place)),
        Command::Key(key) => wait(key.run(&place)),
        Command::Adopt(adopt) => wait(adopt.run(&place)),
        Command::Reload => wait(reload::run(&place)),
        Command::Completions(completions) => completions.run(),
    }
}

/// Waits for a command on one thread: starting more would take longer than most commands do.
fn wait(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("starting the command: {e}")))?;
    let outcome = runtime.block_on(command);
    // A thread that waits for standard input would otherwise be waited for.
    runtime.shutdown_background();
    outcome
}
