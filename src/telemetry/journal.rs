//! Where the log goes: the journal with structured fields under systemd, readable lines on standard error otherwise.

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// The journal; standard error where there is none.
    Journal,
    /// Standard error.
    StandardError {
        /// Whether to use colours.
        colour: bool,
    },
}

/// Starts logging for the process; `filter` in the syntax of `tracing_subscriber::EnvFilter`.
/// Fields go to the journal as `LONGPLAY_USER=`, `LONGPLAY_EVENT=` and so on.
///
/// # Errors
/// A faulty filter, or a log that was started before.
pub fn start_log(to: LogTo, filter: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(filter)?;
    let layer = match to {
        LogTo::Journal => match tracing_journald::layer() {
            Ok(journal) => journal
                .with_field_prefix(Some("LONGPLAY".to_owned()))
                .with_syslog_identifier("longplay".to_owned())
                .boxed(),
            Err(_) => lines(false),
        },
        LogTo::StandardError { colour } => lines(colour),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}

fn lines<S>(colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false).boxed()
}
