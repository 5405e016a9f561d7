//! A simulated population of listeners, and what it costs and keeps to look at them by one rule or another. No daemon is
//! in it, so that 60 days of a user take milliseconds. `benches/pace.rs` prints the table; `tests/pace.rs` holds the line.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]

pub mod before;
pub mod dice;
pub mod people;
pub mod rule;
pub mod verdict;
pub mod watch;
