//! `longplay archive`: runs now, waits, and says what was new.

use clap::Args;
use futures_util::StreamExt as _;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit, about};
use super::output::{count, note, print_line};
use super::time::{Show, to_the_minute};
use crate::config::Place;
use crate::control::api::{Archived, Word};
use crate::control::client::ClientError;
use crate::domain::UserName;

/// How many users are archived side by side.
const SIDE_BY_SIDE: usize = 8;

/// Archive now, wait for it, and print what was new
///
/// Users who are blocked are tried too. Of several users' outcomes the highest exit code
/// counts; blocked and paused users count only where there are no others.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay archive alice
  longplay archive --all"
)]
pub struct Archive {
    /// The users
    #[arg(value_name = "USER", required_unless_present = "all")]
    users: Vec<UserName>,
    /// Everyone
    #[arg(long, conflicts_with = "users")]
    all: bool,
}

impl Archive {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let client = connect(place, Needs::Store).await?;
        let mut users = self.users;
        if self.all {
            users = client.users().await?.into_iter().map(|user| user.name).collect();
        }
        if users.is_empty() {
            note("there are no users: add one with `longplay users add NAME`");
        }
        // Asked for twice is archived once.
        users.sort();
        users.dedup();
        let one = |user: UserName| {
            let client = &client;
            async move { (client.archive(&user).await, user) }
        };
        let mut runs = futures_util::stream::iter(users).map(one).buffer_unordered(SIDE_BY_SIDE);
        let mut outcomes = Vec::new();
        while let Some((answer, user)) = runs.next().await {
            let outcome = Outcome::of(answer, to_the_minute);
            if let Some(line) = &outcome.news {
                print_line(&format!("{user}: {line}"))?;
            }
            for line in &outcome.notes {
                note(&about(&user, line));
            }
            outcomes.push(outcome.exit);
        }
        Ok(overall(&outcomes))
    }
}

/// What one user's run came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// What was new.
    news: Option<String>,
    /// What was not as it should be.
    notes: Vec<String>,
    /// `None` for one who is blocked or paused.
    exit: Option<Exit>,
}

impl Outcome {
    fn of(answer: Result<Archived, ClientError>, show: Show) -> Self {
        let archived = match answer {
            Ok(archived) => archived,
            Err(ClientError::Problem(problem)) => {
                let set_aside = matches!(problem.word(), Some(Word::Blocked | Word::Paused));
                let error = CliError::from(*problem);
                return Self { exit: (!set_aside).then_some(error.exit), notes: error.lines, news: None };
            }
            Err(error) => {
                let error = CliError::from(error);
                return Self { exit: Some(error.exit), notes: error.lines, news: None };
            }
        };
        let mut outcome = Self { exit: Exit::of_run(archived.result), ..Self::default() };
        if archived.result.archived() {
            outcome.news = Some(match archived.new_plays {
                0 => "nothing new".to_owned(),
                n => count(n, "new play", "new plays"),
            });
        }
        for gap in &archived.gaps {
            let (from, to) = (show(gap.from), show(gap.to));
            let most = match gap.at_most {
                1 => "a play".to_owned(),
                most => format!("up to {most} plays"),
            };
            outcome.notes.push(format!("{most} may be missing between {from} and {to}"));
        }
        if outcome.exit != Some(Exit::Done) || archived.reason.is_some() {
            let result = archived.result.as_str();
            outcome.notes.push(match archived.reason {
                Some(reason) => format!("{result}: {reason}"),
                None => result.to_owned(),
            });
        }
        outcome
    }
}

/// The exit code of all.
fn overall(outcomes: &[Option<Exit>]) -> Exit {
    match outcomes.iter().flatten().max() {
        Some(exit) => *exit,
        None if outcomes.is_empty() => Exit::Done,
        None => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::Problem;
    use crate::domain::{Gap, GapCause, RunResult, Timestamp};

    fn archived(result: RunResult, new_plays: usize) -> Archived {
        Archived { result, reason: None, new_plays, gaps: Vec::new() }
    }

    fn outcome(answer: Result<Archived, ClientError>) -> Outcome {
        Outcome::of(answer, |t| t.as_millis().to_string())
    }

    fn refused(kind: &str) -> Result<Archived, ClientError> {
        Err(ClientError::Problem(Box::new(Problem {
            kind: format!("urn:longplay:{kind}"),
            title: kind.to_owned(),
            status: 409,
            detail: "so it is".to_owned(),
            retry_after: None,
            faults: Vec::new(),
            result: None,
        })))
    }

    #[test]
    fn what_was_new_is_counted() {
        let news = |n| outcome(Ok(archived(RunResult::Ok, n))).news.unwrap();
        assert_eq!([news(0), news(1), news(12)], ["nothing new", "1 new play", "12 new plays"]);
    }

    #[test]
    fn a_partial_run_is_done_with_a_note() {
        let reason = Some("1 item could not be read".to_owned());
        let partial = outcome(Ok(Archived { reason, ..archived(RunResult::Partial, 2) }));
        assert_eq!(partial.exit, Some(Exit::Done));
        assert_eq!(partial.news.as_deref(), Some("2 new plays"));
        assert_eq!(partial.notes, ["partial: 1 item could not be read"]);
    }

    #[test]
    fn a_new_gap_is_noted() {
        let (from, to) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let gap = Gap { from, to, cause: GapCause::DaemonDown, at_most: 9, closed_at: None };
        let outcome = outcome(Ok(Archived { gaps: vec![gap], ..archived(RunResult::Ok, 50) }));
        assert_eq!(outcome.notes, ["up to 9 plays may be missing between 1 and 2"]);
        assert_eq!(outcome.exit, Some(Exit::Done));
    }

    #[test]
    fn a_run_that_stored_nothing_says_why() {
        let failed = outcome(Ok(archived(RunResult::BadAnswer, 0)));
        assert_eq!((failed.exit, failed.news), (Some(Exit::TryLater), None));
        assert_eq!(failed.notes, ["bad_answer"]);
        let refused = outcome(refused("needs_login"));
        assert_eq!((refused.exit, refused.notes), (Some(Exit::NeedsLogin), vec!["so it is".to_owned()]));
    }

    #[test]
    fn the_highest_outcome_counts_and_blocked_or_paused_users_only_where_there_are_no_others() {
        let exits = |kinds: &[&str]| -> Vec<_> { kinds.iter().map(|k| outcome(refused(k)).exit).collect() };
        assert_eq!(overall(&exits(&["blocked", "paused"])), Exit::Failed);
        assert_eq!(overall(&exits(&["waiting", "needs_login", "paused"])), Exit::NeedsLogin);
        assert_eq!(overall(&[None, Some(Exit::Done)]), Exit::Done);
        assert_eq!(overall(&[outcome(Ok(archived(RunResult::Blocked, 0))).exit]), Exit::Failed);
        assert_eq!(overall(&[]), Exit::Done);
    }
}
