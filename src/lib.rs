//! Longplay keeps everyone's Spotify listening history. The map, each module using only what stands above it:

pub mod domain; // the words everyone uses; no I/O

pub mod clock; // wall clock and boot clock, real and simulated
pub mod telemetry; // journal, metrics, events

pub mod store; // what is kept: the Store trait, SQLite

pub mod spotify; // the Web API: client, tolerant wire types, the gate

pub mod tokens; // the refresh actor

pub mod archive; // one user's run, as named steps

pub mod schedule; // when users run

pub mod sim; // a simulated Spotify, for the demo, examples and tests
