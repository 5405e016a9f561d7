//! The demo's lines: each event of the daemon with a few words on what it shows, and what the simulation does meanwhile.

use std::collections::BTreeMap;

use super::CliError;
use crate::cli::output::{plain, print, print_line};
use crate::clock::{BootTime, Clock as _, SystemClock};
use crate::domain::{Event, EventKind, UserName};

/// Something to print.
#[derive(Debug)]
pub enum Line {
    /// What the daemon tells.
    Event(Event),
    /// What the simulation does, or found.
    Scene(String),
    /// Several lines, as they are.
    Text(String),
}

/// Prints lines with the time since the start.
pub struct Printer {
    colour: bool,
    began: BootTime,
    said: BTreeMap<UserName, String>,
}

impl Printer {
    /// Begins to count the time.
    pub fn start(colour: bool) -> Self {
        Self { colour, began: SystemClock.boot(), said: BTreeMap::new() }
    }

    /// Prints at once. A run that fails again for the same reason is not repeated.
    pub fn print(&mut self, line: &Line) -> Result<(), CliError> {
        match line {
            Line::Event(event) if self.repeats(event) => Ok(()),
            Line::Event(event) => {
                let who = event.user.as_ref().map_or("-", |user| user.as_str());
                self.row(who, event.kind.as_str(), colour_of(event.kind), &message(event), shows(event))
            }
            Line::Scene(text) => self.row("scene", "(simulated)", "1", text, ""),
            Line::Text(text) => print(text),
        }
    }

    fn row(&self, who: &str, what: &str, code: &str, text: &str, shows: &str) -> Result<(), CliError> {
        let seconds = SystemClock.boot().since(self.began).as_secs();
        let time = format!("sim {}:{:02}", seconds / 60, seconds % 60);
        let what = self.painted(code, &format!("{what:<15}"));
        let shows = match shows {
            "" => String::new(),
            shows => self.painted("2", &format!("  ({shows})")),
        };
        print_line(&format!("{time}  {who:<7}  {what}  {text}{shows}"))
    }

    fn painted(&self, code: &str, text: &str) -> String {
        match self.colour && !code.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn repeats(&mut self, event: &Event) -> bool {
        let Some(user) = &event.user else { return false };
        if event.kind != EventKind::RunFailed {
            self.said.remove(user);
            return false;
        }
        let before = self.said.insert(user.clone(), event.message.clone());
        before.is_some_and(|before| before == event.message)
    }
}

/// The daemon's words, without the name that stands before them already.
fn message(event: &Event) -> String {
    let message = plain(&event.message);
    let name = event.user.as_ref().map_or("", |user| user.as_str());
    match message.strip_prefix(name).map(|rest| rest.trim_start_matches(':').trim_start()) {
        Some(rest) if !name.is_empty() => rest.to_owned(),
        _ => message,
    }
}

fn shows(event: &Event) -> &'static str {
    let says = |words| event.message.contains(words);
    match event.kind {
        EventKind::Archived if says("nothing new") => "asking again stores nothing twice",
        EventKind::Archived => "each stored once, for good",
        EventKind::RunFailed if says("rate_limited") => "longplay waits, and calls nobody of this app",
        EventKind::RunFailed if says("needs_login") => "from now on without any request, and stopping nobody",
        EventKind::RunFailed => "nothing is lost by it",
        EventKind::GapFound => "Spotify shows 50 plays only: what may be missing is on record",
        EventKind::TokenRefreshed if says("with a new refresh token") => {
            "saved before anyone saw the access token"
        }
        EventKind::TokenRefreshed => "Spotify kept the old one",
        EventKind::RefreshFailed => "nothing was spent; it is tried again",
        EventKind::InDoubt => "nothing is thrown away: the old token is tried while Spotify still takes it",
        EventKind::LoggedIn => "sealed and on disk; archived at once",
        EventKind::LoginLost => "found with one refresh; the tokens are kept, the archive too",
        EventKind::RateLimited => "Retry-After holds this app, also over a restart; other apps go on",
        EventKind::UserAdded => "as with `longplay users add`",
        EventKind::Paused | EventKind::Resumed => "as with `longplay pause`",
        _ => "",
    }
}

fn colour_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Archived | EventKind::AppAccepted => "32",
        EventKind::TokenRefreshed | EventKind::LoggedIn => "36",
        EventKind::GapFound | EventKind::RateLimited | EventKind::InDoubt | EventKind::RunFailed => "33",
        EventKind::LoginLost
        | EventKind::AppRefused
        | EventKind::UserBlocked
        | EventKind::StoreRefused
        | EventKind::Problem => "31",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn event(kind: EventKind, message: &str) -> Event {
        let user = Some("carol".parse().unwrap());
        let at = Timestamp::from_millis(0);
        Event { at, kind, user, app: None, run: None, attempt: None, message: message.to_owned() }
    }

    #[test]
    fn a_name_is_said_once() {
        let said = |words| message(&event(EventKind::LoginLost, words));
        assert_eq!(said("carol must log in"), "must log in");
        assert_eq!(said("carol: a token was taken over"), "a token was taken over");
        assert_eq!(said("12 new\nplays"), "12 new plays");
    }

    #[test]
    fn a_run_that_fails_alike_again_is_said_once() {
        let mut printer = Printer::start(false);
        let failed = |why| event(EventKind::RunFailed, why);
        let mut repeats = |event: &Event| printer.repeats(event);
        assert!(!repeats(&failed("a")));
        assert!(repeats(&failed("a")));
        assert!(!repeats(&failed("b")));
        assert!(!repeats(&event(EventKind::Archived, "1 new play")));
        assert!(!repeats(&failed("b")), "it had gone well meanwhile");
    }
}
