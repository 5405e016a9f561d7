//! `longplay demo`: everything at once, with a simulated Spotify and a temporary archive.

use super::exit::{CliError, Exit};
use crate::config::Place;

/// Runs the demonstration until it is stopped.
// wired at merge: the daemon on the simulated Spotify
pub fn run(_place: &Place) -> Result<Exit, CliError> {
    Err(CliError::failed("demo: not yet"))
}
