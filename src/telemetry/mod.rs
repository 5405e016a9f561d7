//! What longplay tells of itself: metrics for Prometheus, events for people, and where the log goes.

mod events;
mod journal;
mod journald;
mod metrics;

pub use events::{Events, Note};
pub use journal::{Log, LogTo, start_log};
pub use metrics::{LoginLoss, Metrics, RefreshError, USERS_SHOWN, UsersSeen};
