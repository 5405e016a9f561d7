//! `longplay watch`: events as they happen.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{plain, print_line};
use super::time::{Show, to_the_second};
use crate::config::Place;
use crate::domain::Event;

/// Print events as they happen
///
/// A line each, until it is interrupted or the daemon stops.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay watch
  longplay watch --json | jq 'select(.kind == \"login_lost\")'")]
pub struct Watch {
    /// Print JSON lines: {"at", "kind", "user", "app", "run", "attempt", "message"}
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let mut events = connect(place, Needs::Daemon).await?.events().await?;
        while let Some(event) = events.next().await? {
            let line = match self.json {
                true => serde_json::to_string(&event).map_err(std::io::Error::from)?,
                false => line(&event, to_the_second),
            };
            print_line(&line)?;
        }
        Err(CliError::new(Exit::Unavailable, "the daemon has stopped: `systemctl status longplay` says why"))
    }
}

fn line(event: &Event, show: Show) -> String {
    let user = event.user.as_ref().map_or("-", |user| user.as_str());
    let message = plain(&event.message);
    format!("{}  {user:<12}  {:<15}  {message}", show(event.at), event.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventKind, Timestamp};

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            at: Timestamp::from_millis(0),
            kind: EventKind::Archived,
            user: Some("alice".parse().unwrap()),
            app: None,
            run: None,
            attempt: None,
            message: "12 new\nplays".to_owned(),
        };
        let line = line(&event, |t| t.to_string());
        assert_eq!(line, "1970-01-01T00:00:00.000Z  alice         archived         12 new plays");
    }
}
