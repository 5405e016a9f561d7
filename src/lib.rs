//! Longplay keeps everyone's Spotify listening history. The map, each module using only what stands above it:

pub mod domain; // the words everyone uses; no I/O

pub mod clock; // wall clock and boot clock, real and simulated

pub mod sim; // a simulated Spotify, for the demo, examples and tests
