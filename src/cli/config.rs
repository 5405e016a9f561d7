//! `longplay config`: the settings in force, each with where it came from.

use clap::Args;

use super::exit::{CliError, Exit};
use super::output::{print, print_json};
use super::table::{self, text};
use crate::config::{self, Place, Shown};

/// Show the settings in force, each with where it came from
///
/// They are what the daemon would load now. Secrets are hidden.
#[derive(Debug, Args)]
pub struct Config {
    /// Print JSON: [{"key", "value", "from"}]
    #[arg(long)]
    json: bool,
}

impl Config {
    pub fn run(self, place: &Place) -> Result<Exit, CliError> {
        let shown = config::load(place)?.shown;
        if self.json {
            print_json(&shown)?
        } else {
            print(&rendered(&shown))?
        }
        Ok(Exit::Done)
    }
}

fn rendered(shown: &[Shown]) -> String {
    let row = |s: &Shown| vec![(&s.key).into(), (&s.value).into(), (&s.from).into()];
    let rows: Vec<_> = shown.iter().map(row).collect();
    table::render(&[text("KEY"), text("VALUE"), text("FROM")], &rows, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_shown_with_where_it_came_from() {
        let shown = Shown { key: "log.level".into(), value: "info".into(), from: "default".into() };
        assert_eq!(rendered(&[shown]), "KEY        VALUE  FROM\nlog.level  info   default\n");
    }
}
