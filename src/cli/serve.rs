//! `longplay serve`: the daemon, in the foreground.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::exit::{CliError, Exit};
use crate::config::{self, Place};
use crate::daemon::{self, ServeError};
use crate::telemetry::{LogTo, start_log};

/// What tasks that block get to end in.
const LAST: Duration = Duration::from_millis(500);

/// Runs the daemon until it is stopped.
pub fn run(place: &Place) -> Result<Exit, CliError> {
    // Faults for tests, named in $FAILPOINTS.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let settings = config::load(place)?;
    let terminal = std::io::stderr().is_terminal();
    let to = match place.var("JOURNAL_STREAM") {
        Some(stream) if is_standard_error(stream) => LogTo::Journal,
        _ => LogTo::StandardError { colour: terminal && place.var("NO_COLOR").is_none() },
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

/// Whether `$JOURNAL_STREAM` (systemd.exec(5)) is where standard error really goes; it may be inherited.
fn is_standard_error(journal_stream: &str) -> bool {
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    journal_stream == format!("{}:{}", stat.st_dev, stat.st_ino)
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
