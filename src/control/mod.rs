//! The local API: HTTP/1.1 with JSON over a Unix socket. The service does the work, the routes speak HTTP, and the
//! client is what the command line uses, with or without a daemon.

pub mod api;
pub mod client;
