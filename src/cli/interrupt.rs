//! Ctrl-C and `kill` end a command only when the refresh that it has under way without a daemon is finished: an answer
//! that nobody saved could cost the login. A second signal ends it at once.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook_tokio::Signals;

use super::output::note;

/// What takes less is not worth a word.
const SOON: Duration = Duration::from_millis(300);

/// Runs to the end, or until a signal; then answers that, with everything finished that `command` holds.
///
/// # Errors
/// Signals can't be heard.
pub async fn or_interrupted<T>(command: impl Future<Output = T>) -> io::Result<Result<T, i32>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let heard = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(&status, *signal));
    let once = Arc::new(AtomicBool::new(false));
    for signal in heard.clone() {
        flag::register_conditional_default(signal, Arc::clone(&once))?;
        flag::register(signal, Arc::clone(&once))?;
    }
    let mut signals = Signals::new(heard)?;
    let mut command = Box::pin(command);
    tokio::select! {
        ended = &mut command => Ok(Ok(ended)),
        Some(signal) = signals.next() => {
            let told = Told::start();
            drop(command);
            told.end();
            Ok(Err(signal))
        }
    }
}

/// Whether whoever started the process had it ignore a signal, as nohup does: the text of /proc/self/status (proc(5)).
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Says what is waited for, if it takes long.
struct Told {
    over: Sender<()>,
    thread: JoinHandle<()>,
}

impl Told {
    fn start() -> Self {
        let (over, ends) = channel::<()>();
        let thread = std::thread::spawn(move || {
            if ends.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
                note("finishing what was begun, so that no login is lost; once more, and it ends at once");
            }
        });
        Self { over, thread }
    }

    fn end(self) {
        drop(self.over);
        // A panic in there has been printed.
        let _ = self.thread.join();
    }
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
