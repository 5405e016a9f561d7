//! `longplay token`: an access token, for scripts and programs on this host.

use std::time::Duration;

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::print_line;
use super::time::parse_duration;
use crate::config::Place;
use crate::control::api::TokenQuestion;
use crate::domain::UserName;

/// Print an access token that is valid for a while, and nothing else
///
/// Refreshes first where that is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay token alice
  longplay token alice --valid-for 20m
  curl -H \"Authorization: Bearer $(longplay token alice)\" https://api.spotify.com/v1/me")]
pub struct Token {
    /// The user
    user: UserName,
    /// The least validity, such as 10m or 600; the configured buffer where it is absent
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    valid_for: Option<Duration>,
    /// Refresh first
    #[arg(long)]
    fresh: bool,
}

impl Token {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let client = connect(place, Needs::Store).await?;
        let answer = client.token(&self.user, &self.question()).await?;
        print_line(&answer.access_token)?;
        Ok(Exit::Done)
    }

    fn question(&self) -> TokenQuestion {
        // A part of a second counts as a whole one: less than was asked for is never given.
        let whole = |d: Duration| d.as_secs() + u64::from(d.subsec_nanos() > 0);
        TokenQuestion { valid_for: self.valid_for.map(whole), fresh: self.fresh.then_some(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_second_counts_as_a_whole_one() {
        let token = |valid_for| Token { user: "alice".parse().unwrap(), valid_for, fresh: true };
        assert_eq!(token(Some(Duration::from_millis(1_500))).question().valid_for, Some(2));
        assert_eq!(token(None).question().valid_for, None);
        assert_eq!(token(None).question().fresh, Some(true));
    }
}
