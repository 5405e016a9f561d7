//! Runs against a simulated Spotify, in simulated time.

mod faults;
mod order;
mod record;
mod replay;
mod results;
mod scene;
mod stopping;
mod two;

use scene::{Journal, LIMITS, NEXT, Scene};
