//! `longplay replay`: reads the raw journal again.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{count, note, print_json, print_line};
use super::time::{Show, resolved, to_the_minute};
use crate::config::Place;
use crate::control::api::{ReplayQuestion, Replayed};
use crate::domain::{Moment, UserName};

/// What turns the journal on.
const TURN_ON: &str =
    "it is kept with raw_journal_days in [archive] of longplay.toml (how many days), from the next run on";

/// Read Spotify's answers again that were kept, and archive what was missed
///
/// With archive.raw_journal_days every page is kept as Spotify sent it, for so many days.
/// Should longplay have read them wrongly, this mends it once a better version is installed:
/// plays that the archive lacks are added, and gaps that turn out to hold nothing more are
/// closed. Spotify is not asked, and to do it again changes nothing.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay replay alice
  longplay replay alice --since 7d"
)]
pub struct Replay {
    /// The user
    user: UserName,
    /// Only what was fetched since then: a date, a time, or an age (7d)
    #[arg(long, value_name = "T")]
    since: Option<Moment>,
    /// Print JSON: {"pages", "new_plays", "gaps_closed", "unreadable", "faults": [{"at", "why"}],
    /// "held_back", "raw_journal_days"}
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let question = ReplayQuestion { since: self.since.map(resolved) };
        let replayed = connect(place, Needs::Store).await?.replay(&self.user, &question).await?;
        if self.json {
            print_json(&replayed)?;
        } else if replayed.pages > 0 {
            print_line(&summary(&self.user, &replayed))?;
        }
        let (exit, lines) = told(&self.user, &replayed, question.since.is_some(), to_the_minute);
        match exit {
            Exit::Done => lines.iter().for_each(|line| note(line)),
            exit => return Err(CliError { exit, lines }),
        }
        Ok(exit)
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}

fn summary(user: &UserName, replayed: &Replayed) -> String {
    format!(
        "{user}: {} read again: {}, {}",
        counted(replayed.pages, "page", "pages"),
        counted(replayed.new_plays, "new play", "new plays"),
        counted(replayed.gaps_closed, "gap closed", "gaps closed")
    )
}

/// What was not as it should be, with the cure. A journal that is off can't be read.
fn told(user: &UserName, replayed: &Replayed, bounded: bool, show: Show) -> (Exit, Vec<String>) {
    if replayed.pages == 0 {
        return match (replayed.raw_journal_days, bounded) {
            (0, _) => (Exit::Failed, vec![format!("{user}: the raw journal is off: {TURN_ON}")]),
            (_, true) => (Exit::Done, vec![format!("{user}: nothing of that time is in the raw journal")]),
            (days, false) => {
                let kept = counted(days.into(), "day", "days");
                (
                    Exit::Done,
                    vec![format!("{user}: the raw journal is empty; what runs fetch is kept {kept}")],
                )
            }
        };
    }
    let fault = |at, why: &str| format!("{user}: the page of {}: {why}", show(at));
    let mut lines: Vec<String> = replayed.faults.iter().map(|page| fault(page.at, &page.why)).collect();
    let untold = replayed.unreadable.saturating_sub(replayed.faults.len() as u64);
    if untold > 0 {
        lines.push(format!("{user}: {} can't be read", counted(untold, "more page", "more pages")));
    }
    if replayed.held_back > 0 {
        lines.push(format!(
            "{user}: {} left alone, since it is not on record yet that plays may be missing before: \
             `longplay archive {user}`, then this again",
            counted(replayed.held_back, "page was", "pages were")
        ));
    }
    (Exit::Done, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::ReplayFault;
    use crate::domain::Timestamp;

    fn nothing(raw_journal_days: u32) -> Replayed {
        Replayed {
            pages: 0,
            new_plays: 0,
            gaps_closed: 0,
            unreadable: 0,
            faults: Vec::new(),
            held_back: 0,
            raw_journal_days,
        }
    }

    fn said(replayed: &Replayed, bounded: bool) -> (Exit, Vec<String>) {
        told(&"alice".parse().unwrap(), replayed, bounded, |at| at.as_millis().to_string())
    }

    #[test]
    fn a_journal_that_is_off_is_a_failure_with_the_cure_and_an_empty_one_is_none() {
        let (exit, lines) = said(&nothing(0), false);
        assert_eq!((exit, lines.len()), (Exit::Failed, 1));
        assert!(lines[0].contains("is off") && lines[0].contains("raw_journal_days"), "{lines:?}");
        let (exit, lines) = said(&nothing(7), false);
        assert_eq!(exit, Exit::Done);
        assert!(lines[0].ends_with("is kept 7 days"), "{lines:?}");
        let (exit, lines) = said(&nothing(7), true);
        assert_eq!(exit, Exit::Done);
        assert!(lines[0].contains("of that time"), "{lines:?}");
    }

    #[test]
    fn what_was_read_is_counted_and_what_cant_be_is_told() {
        let at = Timestamp::from_millis(5);
        let replayed = Replayed {
            pages: 9,
            new_plays: 1,
            gaps_closed: 2,
            unreadable: 3,
            faults: vec![ReplayFault { at, why: "no page".to_owned() }],
            held_back: 1,
            ..nothing(0)
        };
        let line = summary(&"alice".parse().unwrap(), &replayed);
        assert_eq!(line, "alice: 9 pages read again: 1 new play, 2 gaps closed");
        let (exit, lines) = said(&replayed, false);
        assert_eq!((exit, lines.len()), (Exit::Done, 3));
        assert_eq!(lines[..2], ["alice: the page of 5: no page", "alice: 2 more pages can't be read"]);
        assert!(lines[2].contains("1 page was left alone") && lines[2].contains("longplay archive alice"));
        assert_eq!(said(&Replayed { pages: 3, ..nothing(7) }, false), (Exit::Done, vec![]));
    }
}
