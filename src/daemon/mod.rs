//! The daemon: wiring in start order, and its life between READY and STOPPING. Only this module sees everything.

mod core;
mod lifecycle;
mod local;
mod notify;
mod serve;
mod state;

pub use local::{LocalError, LocalMode};
pub use serve::{ServeError, serve};
pub use state::{StateError, become_owner};
