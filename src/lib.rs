//! Longplay keeps everyone's Spotify listening history. The map, each module using only what stands above it:

pub mod domain; // the words everyone uses; no I/O

pub mod clock; // wall clock and boot clock, real and simulated

pub mod archive; // one user's run, as named steps
pub mod schedule; // when users run
