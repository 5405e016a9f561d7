//! `longplay doctor`: what the configuration can't show.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{colours, plain, print, print_json};
use super::table::{self, Cell, Paint};
use crate::config::{self, Place};
use crate::control::api::{Finding, Findings, Verdict};

/// Look for what is wrong, and say the cure
///
/// Looks at the configuration, the daemon and its socket, the store, the token key, the spool, the
/// clock, each app's credentials and each login: whether a refresh would work. No token is spent:
/// each app's token endpoint is asked once, with a token that nobody has.
///
/// Exits with 1 if there is a fault; with 69 or 78 if it is one that keeps it from looking further.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay doctor
  longplay doctor --json | jq '.findings[] | select(.verdict == \"fault\")'"
)]
pub struct Doctor {
    /// Print JSON: {"healthy", "findings": [{"about", "verdict", "found", "cure"}]}; a verdict is
    /// good, warning or fault
    #[arg(long, verbatim_doc_comment)]
    json: bool,
}

impl Doctor {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let (findings, exit) = examine(place).await;
        match self.json {
            true => print_json(&findings)?,
            false => print(&shown(&findings, colours(place)))?,
        }
        Ok(exit)
    }
}

async fn examine(place: &Place) -> (Findings, Exit) {
    let mut found = Vec::new();
    let mut keeps = None;
    match config::load(place) {
        Ok(_) => found.push(good("configuration", "it is as it must be")),
        // Members of the socket's group may not read the secrets.
        Err(faults) => found.extend(faults.0.iter().map(|fault| {
            Finding::warning(
                "configuration",
                fault.to_string(),
                "`longplay check`, as the user that runs the daemon, tells more",
            )
        })),
    }
    match connect(place, Needs::Store).await {
        Ok(client) => {
            match client.is_in_process() {
                true => {
                    let cure = "start it with `systemctl start longplay` or `longplay serve`";
                    found.push(Finding::warning("daemon", "none runs: nothing is archived", cure));
                }
                false => found.push(good("socket", "a daemon answers on it")),
            }
            match client.doctor().await {
                Ok(more) => found.extend(more.findings),
                Err(error) => keeps = Some(("daemon", CliError::from(error))),
            }
        }
        Err(error) => keeps = Some(("socket", error)),
    }
    let mut exit = None;
    if let Some((about, error)) = keeps {
        let cure = "what it says; then run this again";
        found.extend(error.lines.iter().map(|line| Finding::fault(about, line.clone(), cure)));
        exit = Some(error.exit);
    }
    let healthy = !found.iter().any(|finding| finding.verdict == Verdict::Fault);
    let exit = exit.unwrap_or(if healthy { Exit::Done } else { Exit::Failed });
    (Findings { healthy, findings: found }, exit)
}

fn good(about: &str, found: &str) -> Finding {
    Finding { about: about.to_owned(), verdict: Verdict::Good, found: found.to_owned(), cure: None }
}

fn shown(findings: &Findings, colours: bool) -> String {
    let mut text = String::new();
    for finding in &findings.findings {
        let (mark, paint) = match finding.verdict {
            Verdict::Good => ("good", Paint::Good),
            Verdict::Warning => ("warning", Paint::Warning),
            Verdict::Fault => ("FAULT", Paint::Bad),
        };
        text.push_str(&table::painted(&Cell::painted(&format!("{mark:<8}"), paint), colours));
        text.push_str(&format!("{}: {}\n", plain(&finding.about), plain(&finding.found)));
        if let Some(cure) = &finding.cure {
            text.push_str(&format!("        cure: {}\n", plain(cure)));
        }
    }
    text
}
