//! `longplay serve`: the daemon, in the foreground.

use super::exit::{CliError, Exit};
use crate::config::Place;

/// Runs the daemon until it is stopped.
// wired at merge: `crate::daemon::serve(place)`
pub fn run(_place: &Place) -> Result<Exit, CliError> {
    Err(CliError::failed("serve: not yet"))
}
