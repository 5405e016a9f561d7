//! Longplay keeps everyone's Spotify listening history. The map, each module using only what stands above it:

#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the numbers that tests make up are small"
    )
)]

pub mod domain; // the words everyone uses; no I/O

pub mod clock; // wall clock and boot clock, real and simulated

pub mod random; // chance, real and seeded

pub mod telemetry; // journal, metrics, events

pub mod config; // the settings: files and environment, checked as a whole

pub mod store; // what is kept: the Store trait, SQLite

pub mod oauth; // the token endpoint and the login

pub mod spotify; // the Web API: client, tolerant wire types, the gate

pub mod tokens; // the refresh actor

pub mod archive; // one user's run, as named steps

pub mod schedule; // when users run

pub mod control; // the local API: service, routes, socket, client

pub mod web; // the page

pub mod daemon; // wiring in start order; signals, reload, stop

pub mod sim; // a simulated Spotify, for the demo, examples and tests

pub mod cli; // the command line: one file per command
