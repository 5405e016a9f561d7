//! `longplay users`: lists, adds, changes and removes users.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, print, print_json, print_line};
use super::table::{self, text};
use super::time::resolved;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Place;
use crate::control::api::{PutUser, UserEntry};
use crate::domain::{AppName, Moment, Origin, Schedule, UserName, parse_zone};

/// List, add, change and remove users
///
/// A user that a configuration file declares is changed and removed there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay users
  longplay users add alice --timezone Europe/Berlin
  longplay users set alice --schedule '5 * * * *'
  pass spotify/bob | longplay users add bob --refresh-token-file - --login-at 2026-10-01
  longplay users remove alice")]
pub struct Users {
    /// Print JSON: [{"name", "app", "schedule", "timezone", "origin": "file" or "store"}]
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Add a user
    Add(Named),
    /// Change a user; what isn't given stays as it is
    Set(Named),
    /// Remove a user: the tokens go, the archive stays
    Remove {
        /// The user
        name: UserName,
        /// Delete the archive too
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// The user: 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit
    name: UserName,
    /// Which app the login belongs to
    #[arg(long)]
    app: Option<AppName>,
    /// "adaptive", or a cron expression of 5 fields, or 6 with seconds
    #[arg(long, value_name = "S", value_parser = schedule)]
    schedule: Option<String>,
    /// An IANA name such as Europe/Berlin
    #[arg(long, value_name = "TZ", value_parser = zone)]
    timezone: Option<String>,
    /// A file with a refresh token from elsewhere, to be taken over; "-": standard input
    #[arg(long, value_name = "FILE")]
    refresh_token_file: Option<PathBuf>,
    /// When the user consented to that token: a time, a date or an age
    #[arg(long, value_name = "T", requires = "refresh_token_file")]
    login_at: Option<Moment>,
}

fn schedule(given: &str) -> Result<String, String> {
    given.parse::<Schedule>().map(|_| given.trim().to_owned()).map_err(|e| e.to_string())
}

fn zone(given: &str) -> Result<String, String> {
    parse_zone(given).map(|zone| zone.name().to_owned()).map_err(|e| e.to_string())
}

impl Users {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        match self.command {
            Some(_) if self.json => return Err(CliError::usage("--json is for the list of users only")),
            None => list(place, self.json).await?,
            Some(Change::Add(named)) => add(place, named).await?,
            Some(Change::Set(named)) => set(place, named).await?,
            Some(Change::Remove { name, purge }) => remove(place, &name, purge).await?,
        }
        Ok(Exit::Done)
    }
}

async fn list(place: &Place, json: bool) -> Result<(), CliError> {
    let users = connect(place, Needs::Store).await?.users().await?;
    match json {
        true => print_json(&users),
        false if users.is_empty() => {
            note("no users yet: add one with `longplay users add NAME`");
            Ok(())
        }
        false => print(&rendered(&users)),
    }
}

async fn add(place: &Place, named: Named) -> Result<(), CliError> {
    let put = PutUser { add: true, ..named.put()? };
    let name = &named.name;
    let client = connect(place, Needs::Store).await?;
    client.put_user(name, &put).await?;
    print_line(&match put.refresh_token {
        Some(_) => format!("{name} is added, with the login"),
        None => format!("{name} is added: go on with `longplay login {name}`"),
    })
}

async fn set(place: &Place, named: Named) -> Result<(), CliError> {
    let put = named.put()?;
    let nothing =
        (&put.app, &put.schedule, &put.timezone, &put.refresh_token) == (&None, &None, &None, &None);
    if nothing {
        let cure = "give --app, --schedule, --timezone or --refresh-token-file";
        return Err(CliError::usage(format!("nothing to change: {cure}")));
    }
    let client = connect(place, Needs::Store).await?;
    // PUT would add an unknown user.
    client.user(&named.name).await?;
    client.put_user(&named.name, &put).await?;
    print_line(&format!("{} is changed", named.name))
}

async fn remove(place: &Place, name: &UserName, purge: bool) -> Result<(), CliError> {
    connect(place, Needs::Store).await?.remove_user(name, purge).await?;
    let what = if purge { "with all of the archive" } else { "the archive stays" };
    print_line(&format!("{name} is removed, {what}"))
}

impl Named {
    fn put(&self) -> Result<PutUser, CliError> {
        let login_at = self.login_at.map(resolved);
        if login_at.is_some_and(|at| at > SystemClock.now()) {
            return Err(CliError::usage("--login-at lies in the future: give the time of the consent"));
        }
        Ok(PutUser {
            add: false,
            app: self.app.clone(),
            schedule: self.schedule.clone(),
            timezone: self.timezone.clone(),
            refresh_token: self.refresh_token_file.as_deref().map(refresh_token).transpose()?,
            login_at,
        })
    }
}

/// Reads a refresh token from a file or, for `-`, from standard input.
fn refresh_token(file: &Path) -> Result<String, CliError> {
    let shown = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let mut text = Zeroizing::new(String::new());
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(drop),
        false => std::fs::read_to_string(file).map(|read| *text = read),
    };
    read.map_err(|e| CliError::usage(format!("reading the refresh token from {shown}: {e}")))?;
    let token = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    let cure = "give the refresh token on one line";
    match token {
        "" => Err(CliError::usage(format!("{shown} is empty: {cure}"))),
        _ if token.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(CliError::usage(format!("{shown} holds more than a token: {cure}")))
        }
        _ => Ok(token.to_owned()),
    }
}

fn rendered(users: &[UserEntry]) -> String {
    let columns = [text("USER"), text("APP"), text("SCHEDULE"), text("TIME ZONE"), text("FROM")];
    let row = |user: &UserEntry| {
        let origin = match user.origin {
            Origin::File => "file",
            Origin::Store => "store",
        };
        vec![
            user.name.as_str().into(),
            user.app.as_str().into(),
            (&user.schedule).into(),
            (&user.timezone).into(),
            origin.into(),
        ]
    };
    table::render(&columns, &users.iter().map(row).collect::<Vec<_>>(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(content: &str) -> Result<String, CliError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, content).unwrap();
        refresh_token(&file)
    }

    #[test]
    fn a_tokens_trailing_newline_is_ignored() {
        for content in ["AQx", "AQx\n", "AQx\r\n"] {
            assert_eq!(token_of(content).unwrap(), "AQx", "{content:?}");
        }
    }

    #[test]
    fn what_holds_no_token_is_refused_without_showing_it() {
        for content in ["", "\n", "\r\n", "AQx y", "AQx\n\n", "{\n\"token\": \"AQx\"}"] {
            let error = token_of(content).unwrap_err();
            assert_eq!(error.exit, Exit::Usage, "{content:?}");
            assert!(!error.lines[0].contains("AQx"), "{error:?}");
        }
        assert_eq!(refresh_token(Path::new("/proc/nothing")).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_schedule_and_a_zone_are_checked_before_anything_is_asked() {
        assert_eq!(schedule(" 5 * * * * ").unwrap(), "5 * * * *");
        assert!(schedule("hourly").unwrap_err().contains("cron"));
        assert_eq!(zone("Europe/Berlin").unwrap(), "Europe/Berlin");
        assert!(zone("Berlin").unwrap_err().contains("IANA"));
    }

    #[test]
    fn users_are_listed_with_where_they_come_from() {
        let user = UserEntry {
            name: "alice".parse().unwrap(),
            app: "default".parse().unwrap(),
            schedule: "adaptive".to_owned(),
            timezone: "UTC".to_owned(),
            origin: Origin::File,
        };
        assert_eq!(
            rendered(&[user]),
            "USER   APP      SCHEDULE  TIME ZONE  FROM\nalice  default  adaptive  UTC        file\n"
        );
    }
}
