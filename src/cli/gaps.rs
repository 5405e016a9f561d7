//! `longplay gaps`: where plays may be missing, and why.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, print, print_json};
use super::table::{self, numbers, text};
use super::time::{Show, or_dash, to_the_minute};
use crate::config::Place;
use crate::domain::{Gap, UserName};

/// Show where plays may be missing, and why, newest first
///
/// A gap says how many plays it can hide at most. It is closed when it is found to hold nothing more.
#[derive(Debug, Args)]
pub struct Gaps {
    /// The user
    user: UserName,
    /// Print JSON: [{"from", "to", "cause", "at_most", "closed_at"}]
    #[arg(long)]
    json: bool,
}

impl Gaps {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let gaps = connect(place, Needs::Store).await?.gaps(&self.user).await?;
        match self.json {
            true => print_json(&gaps)?,
            false if gaps.is_empty() => note(&format!("no plays of {} are known to be missing", self.user)),
            false => print(&rendered(&gaps, to_the_minute))?,
        }
        Ok(Exit::Done)
    }
}

fn rendered(gaps: &[Gap], show: Show) -> String {
    let columns = [text("FROM"), text("TO"), numbers("AT MOST"), text("CAUSE"), text("CLOSED")];
    let row = |gap: &Gap| {
        vec![
            show(gap.from).into(),
            show(gap.to).into(),
            gap.at_most.to_string().into(),
            gap.cause.as_str().into(),
            or_dash(gap.closed_at, show).into(),
        ]
    };
    table::render(&columns, &gaps.iter().map(row).collect::<Vec<_>>(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GapCause, Timestamp};

    #[test]
    fn a_gap_is_shown_with_its_cause() {
        let gap = Gap {
            from: Timestamp::from_millis(0),
            to: Timestamp::from_millis(1),
            cause: GapCause::ListenedTooFast,
            at_most: 12,
            closed_at: None,
        };
        let table = rendered(&[gap], |t| t.as_millis().to_string());
        assert_eq!(
            table,
            "FROM  TO  AT MOST  CAUSE              CLOSED\n0     1        12  listened_too_fast  -\n"
        );
    }
}
