//! `longplay login`: the user opens an address, consents, and the browser comes back: to the daemon, to this command,
//! or, on a headless host, by way of paste.

use std::time::Duration;

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, plain, print_line};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Place;
use crate::control::api::{LoginBegun, LoginQuestion, LoginState, Progress};
use crate::domain::{AppName, UserName};

mod callback;

/// How long the browser may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often the daemon is asked whether it has come back.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Log a user in to Spotify, or renew a login
///
/// Prints an address to open in a browser, and waits until the user has consented there.
/// Spotify ends every login six months after it was given, so that it has to be renewed.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay login alice
  longplay login alice --paste     on a host without a browser: open the address elsewhere, and paste
                                   the address of the page that could not be opened"
)]
pub struct Login {
    /// The user, who is added if there is no such user
    user: UserName,
    /// Which app; the user's own, or "default", where it is absent
    #[arg(long)]
    app: Option<AppName>,
    /// Read the address that the browser could not open from standard input
    #[arg(long)]
    paste: bool,
}

impl Login {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        // No client is kept while a person is waited for: without a daemon it holds the lock.
        let client = connect(place, Needs::Store).await?;
        let without_daemon = client.is_in_process();
        let begun = client.begin_login(&self.user, &LoginQuestion { app: self.app.clone() }).await?;
        drop(client);
        let state = match (self.paste, begun.served) {
            (true, _) => pasted(place, &begun).await?,
            (false, true) => awaited(place, &begun).await?,
            (false, false) => callback::received(place, &begun, PATIENCE).await?,
        };
        self.said(&state, without_daemon)
    }

    fn said(&self, state: &LoginState, without_daemon: bool) -> Result<Exit, CliError> {
        let user = &self.user;
        if state.progress != Progress::Done {
            return Err(CliError::failed(format!("{user} is not logged in: {}", state.message)));
        }
        note(&plain(&state.message));
        if without_daemon {
            note(&format!("no daemon runs: archive with `longplay archive {user}`, or start it"));
        }
        Ok(Exit::Done)
    }
}

/// Says what to open; the address alone goes to standard output.
fn ask_to_open(begun: &LoginBegun) -> Result<(), CliError> {
    note("open this address in a browser and consent:");
    print_line(&begun.authorize_url)
}

async fn pasted(place: &Place, begun: &LoginBegun) -> Result<LoginState, CliError> {
    ask_to_open(begun)?;
    note("the browser then shows a page, or an error; paste the address of that page here:");
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = line.await.map_err(std::io::Error::from).and_then(|line| line);
    let line = line.map_err(|e| CliError::failed(format!("reading the address from standard input: {e}")))?;
    finish(place, line.trim().to_owned()).await
}

async fn awaited(place: &Place, begun: &LoginBegun) -> Result<LoginState, CliError> {
    ask_to_open(begun)?;
    let client = connect(place, Needs::Daemon).await?;
    let until = SystemClock.boot().0 + PATIENCE;
    while SystemClock.boot().0 < until {
        let state = client.login_state(&begun.state).await.map_err(no_usage)?;
        if state.progress != Progress::Pending {
            return Ok(state);
        }
        SystemClock.sleep(ASK_EVERY).await;
    }
    Err(nobody_came())
}

/// Hands the address over that the browser came back to.
async fn finish(place: &Place, address: String) -> Result<LoginState, CliError> {
    if address.is_empty() {
        return Err(CliError::failed("no address was given: nothing was changed"));
    }
    let client = connect(place, Needs::Store).await?;
    client.finish_login(address).await.map_err(no_usage)
}

/// An address that can't be used came from the browser, not from the command line.
fn no_usage(error: crate::control::client::ClientError) -> CliError {
    let error = CliError::from(error);
    let exit = if error.exit == Exit::Usage { Exit::Failed } else { error.exit };
    CliError { exit, ..error }
}

fn nobody_came() -> CliError {
    let minutes = PATIENCE.as_secs() / 60;
    CliError::failed(format!(
        "no browser came back within {minutes} minutes, nothing was changed: try again, or use --paste where the \
         browser runs on another host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(progress: Progress) -> Result<Exit, CliError> {
        let login = Login { user: "alice".parse().unwrap(), app: None, paste: false };
        login.said(&LoginState { progress, message: "access was denied".to_owned() }, false)
    }

    #[test]
    fn a_login_that_failed_says_why_and_exits_with_1() {
        assert_eq!(ended(Progress::Done), Ok(Exit::Done));
        let error = ended(Progress::Failed).unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert_eq!(error.lines, ["alice is not logged in: access was denied"]);
        assert!(ended(Progress::Pending).is_err());
    }
}
