//! The local API: HTTP/1.1 with JSON over a Unix socket. The service does the work, the routes speak HTTP, and the
//! client is what the command line uses, with or without a daemon.

pub mod api;
mod attention;
mod care;
pub mod client;
mod doctor;
mod ending;
mod exporting;
mod extract;
mod imports;
mod login;
mod loss;
mod mended;
pub mod moving;
mod plan;
mod problem;
mod quota;
mod reading;
mod redemption;
mod replay;
mod roster;
mod routes;
mod runs;
mod service;
mod shared;
pub mod socket;
mod standing;
mod status;
mod stream;
mod takeover;
mod taking_in;
mod tally;
mod users;
mod word;

pub use care::Caretaker;
pub use quota::share_quotas;
pub use routes::routes;
pub use service::{Parts, Service, limits};

/// Where the browser comes back to after a login, on the page's address.
pub const CALLBACK_PATH: &str = "/callback";
