//! The command line: what there is to say, and where each command lives. A command returns how it ended; printing an
//! error and leaving with its code happens here, once.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Place;

mod archive;
mod check;
mod completions;
mod config;
mod connect;
mod demo;
mod exit;
mod gaps;
mod login;
mod output;
mod pause;
mod plays;
mod reload;
mod serve;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod top;
mod users;
mod watch;

use exit::{CliError, Exit};

/// Keeps everyone's Spotify listening history for good.
///
/// Longplay is a daemon that archives what its users hear on Spotify, and a command line that talks to it. Most commands
/// work without the daemon too: they then open the archive themselves.
#[derive(Debug, Parser)]
#[command(name = "longplay", version, after_long_help = AFTER)]
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
    Serve,
    /// Try everything out with a simulated Spotify
    Demo,
    /// Check the configuration as the daemon would load it
    Check(check::Check),
    /// Show the settings in force, each with where it came from
    Config(config::Config),
    /// Log a user in to Spotify, or renew a login
    Login(login::Login),
    /// List, add, change and remove users
    Users(users::Users),
    /// Suspend runs, refreshes and tokens until resumed
    Pause(pause::Whom),
    /// Let what was paused go on
    Resume(pause::Whom),
    /// Show how everyone is
    Status(status::StatusOf),
    /// Archive now, and wait for it
    Archive(archive::Archive),
    /// Read the archive, newest first
    Plays(plays::Plays),
    /// Show what was heard most
    Top(top::Top),
    /// Show where plays may be missing, and why
    Gaps(gaps::Gaps),
    /// Print an access token, and nothing else
    Token(token::Token),
    /// Print events as they happen
    Watch(watch::Watch),
    /// Have the daemon load its configuration anew
    Reload,
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let place = Place::of_process(cli.config);
    let outcome = match cli.command {
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
        Command::Gaps(gaps) => wait(gaps.run(&place)),
        Command::Token(token) => wait(token.run(&place)),
        Command::Watch(watch) => wait(watch.run(&place)),
        Command::Reload => wait(reload::run(&place)),
        Command::Completions(completions) => completions.run(),
    };
    let exit = outcome.unwrap_or_else(|error| {
        error.print();
        error.exit
    });
    ExitCode::from(exit.code())
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
