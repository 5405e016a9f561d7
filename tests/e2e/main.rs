//! The shipped program against a simulated Spotify, driven as its users drive it: by command line, configuration and
//! local API. One binary, since each would link the whole crate.

#![allow(
    clippy::disallowed_methods,
    reason = "the program runs in real time, and so does whoever waits for it"
)]

#[path = "../fixture/mod.rs"]
mod fixture;

mod answer;
mod api;
mod archive;
mod backup;
mod consent;
mod copy;
mod crash;
mod daemons;
mod doctor;
mod export;
mod fault;
mod gap;
mod guard;
mod import;
mod key;
mod life;
mod limit;
mod local;
mod login;
mod metric;
mod name;
mod place;
mod postgres;
mod private;
mod quota;
mod reading;
mod replay;
mod request;
mod round;
mod secret;
mod setting;
mod shape;
mod store;
mod systemd;
mod takeover;
mod token;
mod user;
