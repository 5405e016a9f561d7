//! The daemon: wiring in start order, and its life between READY and STOPPING. Only this module sees everything.

mod bare;
mod care;
mod core;
mod door;
mod guard;
mod heard;
mod interrupt;
mod key;
mod lifecycle;
mod local;
mod moving;
mod notify;
mod outside;
mod privacy;
mod reload;
mod seen;
mod serve;
mod state;
mod status;
mod upkeep;

pub use bare::Bare;
pub use core::{Core, CoreError, Current, Ground};
pub use local::{LocalError, LocalMode};
pub use notify::status as tell_status;
pub use outside::Outside;
pub use privacy::be_private;
pub use serve::{ServeError, serve};
pub use state::{StateDir, StateError, StatePaths, become_owner};

#[cfg(test)]
mod tests;
