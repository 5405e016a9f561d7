//! The shipped program against a simulated Spotify, driven as its users drive it: by command line, configuration and
//! local API. One binary, since each would link the whole crate.

#[path = "../fixture/mod.rs"]
mod fixture;

mod api;
mod archive;
mod crash;
mod fault;
mod life;
mod limit;
mod local;
mod login;
mod secret;
mod setting;
mod shape;
mod systemd;
mod token;
mod user;
