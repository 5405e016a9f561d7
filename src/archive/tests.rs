//! Runs against a simulated Spotify, in simulated time.

mod kept;
mod order;
mod results;
mod scene;
mod sqlite;
mod stopping;
mod two;

use scene::{Journal, LIMITS, NEXT, Scene};
