//! Ctrl-C and `kill` end a command that works without a daemon only when what it has begun is finished: an answer that
//! nobody saved could cost a login. Once that was said, another signal ends it at once.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::emulate_default_handler;
use signal_hook_tokio::Signals;

use crate::clock::Clock;

/// What takes less is not worth a word. One end of a session often sends two signals, a moment apart.
const SOON: Duration = Duration::from_millis(300);

/// Whether a signal ends the process at once, as it does by default. A process has one set of handlers, and so one of
/// these; once there is a handler, the default can't be had back in another way.
static DEFAULT: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// While it lives, signals end nothing by themselves.
pub struct Interrupts {
    signals: Signals,
    first: Option<i32>,
    tell: fn(&str),
}

impl Interrupts {
    /// `tell`: how a person is told what is waited for.
    ///
    /// # Errors
    /// Signals can't be heard.
    pub fn hear(tell: fn(&str)) -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let heard: Vec<i32> =
            [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(&status, *signal)).collect();
        let signals = Signals::new(&heard)?;
        if DEFAULT.get().is_none() {
            let default = Arc::new(AtomicBool::new(false));
            for signal in heard {
                register_conditional_default(signal, Arc::clone(&default))?;
            }
            // Nobody else is here: a process works on one store at a time.
            let _ = DEFAULT.set(default);
        }
        by_default(false);
        Ok(Self { signals, first: None, tell })
    }

    /// Until the first signal.
    pub async fn first(&mut self) {
        match self.signals.next().await {
            Some(signal) => self.first = Some(signal),
            None => std::future::pending().await,
        }
    }

    /// Finishes what was begun; then ends the process, if a signal came before or meanwhile.
    pub async fn finish(mut self, finished: impl Future<Output = ()>, clock: &dyn Clock) {
        tokio::pin!(finished);
        if self.first.is_none() {
            tokio::select! {
                () = &mut finished => self.first = self.signals.next().now_or_never().flatten(),
                signal = self.signals.next() => self.first = signal,
            }
        }
        let Some(signal) = self.first else { return };
        tokio::select! {
            () = &mut finished => {}
            () = clock.sleep(SOON) => {
                by_default(true);
                (self.tell)("finishing what was begun, so that no login is lost; once more, and it ends at once");
                finished.await;
            }
        }
        // As whoever sent it expects: ended by the signal. It fails only for signals that there are not.
        let _ = emulate_default_handler(signal);
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        by_default(true);
    }
}

fn by_default(does: bool) {
    if let Some(default) = DEFAULT.get() {
        default.store(does, Ordering::SeqCst);
    }
}

/// Whether whoever started the process had it ignore a signal, as nohup does: the text of /proc/self/status (proc(5)).
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        let status = "Name:\tlongplay\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| is_ignored(status, signal)), [true, false, false]);
        assert!(!is_ignored("", SIGHUP));
    }
}
