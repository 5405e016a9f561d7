//! Where the log goes: the journal with structured fields under systemd, readable lines on standard error otherwise.

use std::io::Write as _;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::journald::Journald;

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

/// The log that was started.
#[derive(Clone)]
pub struct Log(Option<reload::Handle<EnvFilter, Registry>>);

/// Whether standard error goes to the journal. `$JOURNAL_STREAM` (systemd.exec(5)) names what does, and is inherited by
/// whoever writes elsewhere too.
pub fn journal_reads_stderr() -> bool {
    let (Ok(stream), Ok(stderr)) = (std::env::var("JOURNAL_STREAM"), rustix::fs::fstat(std::io::stderr()))
    else {
        return false;
    };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

/// An error on standard error, line by line. The journal is told that each is one (sd-daemon(3)).
pub fn print_error<'a>(lines: impl IntoIterator<Item = &'a str>) {
    let level = if journal_reads_stderr() { "<3>" } else { "" };
    let mut stderr = std::io::stderr().lock();
    for line in lines {
        // Where nobody listens there is nobody to tell.
        let _ = writeln!(stderr, "{level}{line}");
    }
}

/// Starts logging for the process, from `level` on (`error` to `trace`); of the libraries only warnings are logged.
/// Fields go to the journal as `LONGPLAY_USER=`, `LONGPLAY_EVENT=` and so on.
///
/// # Errors
/// A word that is no level, or a log that was started before.
pub fn start_log(to: LogTo, level: &str) -> Result<Log, Box<dyn std::error::Error + Send + Sync>> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let layer = match to {
        LogTo::Journal => match Journald::open() {
            Ok(journal) => journal.boxed(),
            Err(_) => lines(false),
        },
        LogTo::StandardError { colour } => lines(colour),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(Log(Some(handle)))
}

impl Log {
    /// No log: for whoever logs nothing, or elsewhere.
    pub fn none() -> Self {
        Self(None)
    }

    /// Logs from this level on.
    pub fn set_level(&self, level: &str) {
        let (Some(handle), Ok(filter)) = (&self.0, filter(level)) else { return };
        if let Err(error) = handle.reload(filter) {
            tracing::warn!("the log's level can't be changed: {error}");
        }
    }
}

fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("warn,longplay={level}"))
}

fn lines<S>(colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false).boxed()
}
