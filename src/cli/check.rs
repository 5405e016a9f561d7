//! `longplay check`: loads the configuration as the daemon would, and says every fault.

use clap::Args;
use serde::Serialize;

use super::exit::{CliError, Exit};
use super::output::{count, print_json, print_line};
use crate::config::{self, Fault, Faults, Place, Settings};

/// Check the configuration as the daemon would load it
///
/// Loads the files, the environment and the credentials. Prints every fault with the file,
/// the key, what was got and what is accepted, and exits with 78 if there is one.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay check
  longplay check --config ./longplay.toml --json"
)]
pub struct Check {
    /// Print JSON: {"good", "apps", "users", "faults": [{"file", "key", "got", "accepted"}]}
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Checked {
    good: bool,
    apps: Option<usize>,
    users: Option<usize>,
    faults: Vec<Fault>,
}

impl Check {
    pub fn run(self, place: &Place) -> Result<Exit, CliError> {
        match config::load(place) {
            Ok(settings) if self.json => print_json(&good(&settings)).map(|()| Exit::Done),
            Ok(settings) => {
                let apps = count(settings.apps.len(), "app", "apps");
                let users = count(settings.users.len(), "user", "users");
                print_line(&format!("the configuration is good: {apps}, {users}"))?;
                Ok(Exit::Done)
            }
            Err(Faults(faults)) if self.json => {
                print_json(&Checked { good: false, apps: None, users: None, faults })?;
                Ok(Exit::Configuration)
            }
            Err(faults) => Err(faults.into()),
        }
    }
}

fn good(settings: &Settings) -> Checked {
    let (apps, users) = (settings.apps.len(), settings.users.len());
    Checked { good: true, apps: Some(apps), users: Some(users), faults: Vec::new() }
}
