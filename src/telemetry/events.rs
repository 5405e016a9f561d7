//! Events of note: each is logged once with its fields, and handed to whoever listens. Bounded: a listener that
//! falls behind misses the oldest.

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
        let event = Event {
            at: self.clock.now(),
            kind,
            user: note.user,
            app: note.app,
            run: note.run.map(|run| run.0),
            attempt: note.attempt.map(|attempt| attempt.to_string()),
            message: message.into(),
        };
        log(&event);
        // Nobody listening is no fault.
        let _ = self.sender.send(event);
    }
}

/// What a person must act on is a warning, what the daemon can't do its work with an error, all else is information.
fn log(event: &Event) {
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                user = event.user.as_ref().map(tracing::field::display),
                event = event.kind.as_str(),
                app = event.app.as_ref().map(tracing::field::display),
                run = event.run,
                attempt = event.attempt.as_deref(),
                "{}",
                event.message
            )
        };
    }
    match event.kind {
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
