//! What systemd is told: READY, RELOADING, STOPPING, the status line, the watchdog's ping. Without systemd nothing.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("systemd can't be told: {error}");
    }
}

/// Ready, or ready again, with a status line.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The status line.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Reading the configuration again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the monotonic clock can't be read: {error}"),
    }
}

/// Stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Alive, where systemd wants to hear it.
pub fn alive() {
    if watchdog().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

/// How often systemd wants to hear [`alive`]: half of what it grants. `None`: it doesn't.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|granted| granted / 2)
}
