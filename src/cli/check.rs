//! `longplay check`: loads the configuration as the daemon would, and says every fault.

use std::sync::Arc;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::exit::{CliError, Exit};
use super::output::{count, note, print_json, print_line};
use crate::clock::SystemClock;
use crate::config::{self, Fault, Faults, Place, STORE_URL, Settings};

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
        let loaded = config::load(place).and_then(supported);
        match loaded {
            Ok(settings) if self.json => print_json(&good(&settings)).map(|()| Exit::Done),
            Ok(settings) => {
                let apps = count(settings.apps.len(), "app", "apps");
                let users = count(settings.users.len(), "user", "users");
                print_line(&format!("the configuration is good: {apps}, {users}"))?;
                if settings.apps.is_empty() {
                    note("no app is configured: add [apps.default] with your Spotify client_id");
                }
                Ok(Exit::Done)
            }
            Err(Faults(faults)) if self.json => {
                print_json(&Checked { good: false, apps: None, users: None, faults })?;
                Ok(Exit::Configuration)
            }
            Err(faults) => {
                if place.lacks_credentials() {
                    note(
                        "only root sees the credentials of the service: as root this may say something else",
                    );
                }
                Err(faults.into())
            }
        }
    }
}

/// What the daemon would refuse later: a store that this version can't open.
fn supported(settings: Settings) -> Result<Settings, Faults> {
    match crate::store::open(settings.store.url.expose_secret(), Arc::new(SystemClock)) {
        Ok(_) => Ok(settings),
        Err(error) => {
            let from = settings.shown.iter().find(|shown| shown.key == "store.url");
            let file = from.map_or("default", |shown| shown.from.as_str()).to_owned();
            let (got, accepted) = (error.to_string(), STORE_URL.to_owned());
            Err(Faults(vec![Fault { file, key: "store.url".to_owned(), got, accepted }]))
        }
    }
}

fn good(settings: &Settings) -> Checked {
    let (apps, users) = (settings.apps.len(), settings.users.len());
    Checked { good: true, apps: Some(apps), users: Some(users), faults: Vec::new() }
}
