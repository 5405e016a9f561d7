//! What the process keeps to itself: no core image is written of it, no other process of the same user reads its memory
//! or environment, and a panic tells where it was, never what it worked on.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::telemetry::print_error;

/// Makes the process private, from its first moment on.
pub fn be_private() {
    forbid_core_images();
    std::panic::set_hook(Box::new(|info| {
        let mut line = sentence(info);
        // Only where RUST_BACKTRACE asks for it; it names functions, no values.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            line.push_str(&format!("\n{backtrace}"));
        }
        // The log itself may be what panicked; under systemd standard error goes to the journal too.
        print_error(line.lines());
    }));
}

/// PR_SET_DUMPABLE (prctl(2)); the kernel resets it where the process becomes another user.
pub(super) fn forbid_core_images() {
    // Refused for a wrong value only, and this is none.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Words that are made of values are left out: they may hold a token.
fn sentence(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or("an unknown place".to_owned(), ToString::to_string);
    let words = info.payload().downcast_ref::<&'static str>();
    let words = words.map_or("its words are left out, since they may hold what it worked on", |words| words);
    format!("longplay: a task broke off at {place}: {words}; this is a fault of longplay, please report it")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is said of a panic on a thread of its own.
    fn said(panics: fn()) -> String {
        let heard = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&heard);
        let ours = std::thread::Builder::new().name("privacy".to_owned());
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match std::thread::current().name() {
            Some("privacy") => *told.lock().unwrap() = sentence(info),
            _ => before(info),
        }));
        assert!(ours.spawn(panics).unwrap().join().is_err());
        Arc::try_unwrap(heard)
            .map_or_else(|heard| heard.lock().unwrap().clone(), |heard| heard.into_inner().unwrap())
    }

    #[test]
    fn a_panic_tells_where_it_was_and_no_value() {
        for panics in [
            || panic!("{}", String::from("secret-token")),
            || drop("x".parse::<u8>().map_err(|_| "secret-token").unwrap().to_string()),
            || drop("sécret-token"[..2].to_owned()),
        ] as [fn(); 3]
        {
            let said = said(panics);
            assert!(said.contains("src/daemon/privacy.rs:") && said.contains("left out"), "{said}");
            assert!(!said.contains("cret-token"), "{said}");
        }
        let said = said(|| drop(Vec::<String>::new().pop().unwrap()));
        assert!(said.contains("called `Option::unwrap()` on a `None` value"), "{said}");
    }
}
