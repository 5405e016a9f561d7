//! A simulated population of listeners, and what looking at them costs and keeps: what judges the pace of adaptive users
//! (`benches/pace.rs` prints it, `tests/pace.rs` holds the line). No daemon: 60 days of a user are made in no time.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]

pub mod dice;
pub mod people;
pub mod watch;
