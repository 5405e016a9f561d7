//! Runs against a simulated Spotify, in simulated time.

mod kept;
mod order;
mod results;
mod scene;
mod sqlite;
mod stopping;

use scene::{Journal, LIMITS, Scene};
