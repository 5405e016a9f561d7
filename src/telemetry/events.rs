//! Events of note: each is logged once with its fields, and handed to whoever listens. Bounded: a listener that
//! falls behind misses the oldest.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::domain::{AppName, AttemptId, Event, EventKind, RunId, UserName};

/// How many events a slow listener may fall behind.
const BACKLOG: usize = 1024;

/// The bus that events of note go over.
#[derive(Clone)]
pub struct Events {
    clock: Arc<dyn Clock>,
    sender: broadcast::Sender<Event>,
}

/// What an event is about, besides its kind and message.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// Whom it is about.
    pub user: Option<UserName>,
    /// Which app it is about.
    pub app: Option<AppName>,
    /// The run it happened in.
    pub run: Option<RunId>,
    /// The refresh it happened in.
    pub attempt: Option<AttemptId>,
    /// Whether it is tried again until it is mended: then it is no error, however bad.
    pub passes: bool,
}

impl Note {
    /// About a user.
    pub fn of(user: &UserName, app: &AppName) -> Self {
        Self { user: Some(user.clone()), app: Some(app.clone()), ..Self::default() }
    }
}

impl Events {
    /// A bus without listeners.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, sender: broadcast::Sender::new(BACKLOG) }
    }

    /// Events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Logs and hands on.
    pub fn tell(&self, kind: EventKind, note: Note, message: impl Into<String>) {
        let passes = note.passes;
        let event = Event {
            at: self.clock.now(),
            kind,
            user: note.user,
            app: note.app,
            run: note.run.map(|run| run.0),
            attempt: note.attempt.map(|attempt| attempt.to_string()),
            message: message.into(),
        };
        log(&event, passes);
        // Nobody listening is no fault.
        let _ = self.sender.send(event);
    }
}

/// The message, with whom it is about where it does not begin with that: in the journal it stands alone.
fn line(event: &Event) -> Cow<'_, str> {
    match &event.user {
        Some(user) if event.message.split([' ', ':']).next() != Some(user.as_str()) => {
            format!("{user}: {}", event.message).into()
        }
        _ => event.message.as_str().into(),
    }
}

/// What a person must act on is a warning, what the daemon can't do its work with an error unless it passes, all else is
/// information.
fn log(event: &Event, passes: bool) {
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                user = event.user.as_ref().map(tracing::field::display),
                event = event.kind.as_str(),
                app = event.app.as_ref().map(tracing::field::display),
                run = event.run,
                attempt = event.attempt.as_deref(),
                "{}",
                line(event)
            )
        };
    }
    match event.kind {
        EventKind::Problem if passes => at!(warn),
        EventKind::AppRefused | EventKind::StoreRefused | EventKind::Problem => at!(error),
        EventKind::LoginLost
        | EventKind::LoginEnding
        | EventKind::LoginEnded
        | EventKind::UserBlocked
        | EventKind::GapFound
        | EventKind::InDoubt => at!(warn),
        EventKind::TokenRefreshed => at!(debug),
        _ => at!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_line_of_the_journal_says_whom_it_is_about_once() {
        let event = |user: Option<&str>, message: &str| Event {
            at: Timestamp::default(),
            kind: EventKind::Archived,
            user: user.map(|user| user.parse().unwrap()),
            app: None,
            run: None,
            attempt: None,
            message: message.to_owned(),
        };
        assert_eq!(line(&event(Some("bob"), "2 new plays")), "bob: 2 new plays");
        assert_eq!(line(&event(Some("bob"), "bob must log in")), "bob must log in");
        assert_eq!(line(&event(Some("no"), "nothing new")), "no: nothing new");
        assert_eq!(line(&event(None, "the clock is wrong")), "the clock is wrong");
    }
}
