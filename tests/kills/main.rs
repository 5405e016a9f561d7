//! A token survives what can be done to the program: kill -9, a store that goes away, a second daemon, a provider's bad
//! hour. Real daemons, real databases, and a provider that keeps its own record: that decides.
//! How much is done is set from outside: see `effort` and CONTRIBUTING.md.
#![expect(clippy::unwrap_used, reason = "a test")]
#![allow(
    clippy::disallowed_methods,
    reason = "the program runs in real time, and so does whoever waits for it"
)]

#[path = "../fixture/mod.rs"]
mod fixture;

#[cfg(feature = "failpoints")]
mod away;
mod effort;
mod fleet;
mod incident;
mod kill;
#[cfg(feature = "failpoints")]
mod spooled;
mod two;
