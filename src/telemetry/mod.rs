//! What longplay tells of itself: metrics for Prometheus, events for people, and where the log goes.

/// A step of what must survive a kill, told at debug level; a failure point of this name in builds for tests.
macro_rules! step {
    ($name:literal) => {
        tracing::debug!("step {}", $name);
        fail::fail_point!($name);
    };
}

mod events;
mod journal;
mod journald;
mod metrics;

pub use events::{Events, Note};
pub use journal::{Log, LogTo, journal_reads_stderr, print_error, start_log};
pub(crate) use step;

pub use metrics::{LoginLoss, Metrics, RefreshError, USERS_SHOWN, UsersSeen};
