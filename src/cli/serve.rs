//! `longplay serve`: the daemon, in the foreground.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::exit::{CliError, Exit};
use super::output::plain;
use crate::config::{self, Place};
use crate::daemon::{self, ServeError};
use crate::telemetry::{LogTo, journal_reads_stderr, start_log};

/// What tasks that block get to end in.
const LAST: Duration = Duration::from_millis(500);

/// Runs the daemon until it is stopped; systemd's status line keeps what made it fail.
pub fn run(place: &Place) -> Result<Exit, CliError> {
    served(place).inspect_err(|error| {
        if let Some(line) = error.lines.first() {
            daemon::tell_status(&plain(line));
        }
    })
}

fn served(place: &Place) -> Result<Exit, CliError> {
    // Faults for tests, named in $FAILPOINTS.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let settings = config::load(place)?;
    let terminal = std::io::stderr().is_terminal();
    let to = match journal_reads_stderr() {
        true => LogTo::Journal,
        false => LogTo::StandardError { colour: terminal && place.var("NO_COLOR").is_none() },
    };
    let log = start_log(to, &settings.log.level)
        .map_err(|e| CliError::failed(format!("the log can't be started: {e}")))?;
    daemon::become_owner(&settings.store.state_dir)
        .map_err(|e| CliError::failed(format!("becoming the owner of the state directory: {e}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("starting the daemon: {e}")))?;
    let outcome = runtime.block_on(daemon::serve(place.clone(), settings, log));
    runtime.shutdown_timeout(LAST);
    outcome.map(|()| Exit::Done).map_err(CliError::from)
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Configuration(faults) => faults.into(),
            ServeError::Unfit(_) => Self::new(Exit::Configuration, error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}
