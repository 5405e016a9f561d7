//! `longplay pause` and `longplay resume`.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::print_line;
use crate::config::Place;
use crate::domain::UserName;

/// Whom it is about.
#[derive(Debug, Args)]
pub struct Whom {
    /// The users
    #[arg(value_name = "USER", required_unless_present = "all")]
    users: Vec<UserName>,
    /// Everyone
    #[arg(long, conflicts_with = "users")]
    all: bool,
}

impl Whom {
    pub async fn pause(self, place: &Place) -> Result<Exit, CliError> {
        let client = connect(place, Needs::Store).await?;
        if self.all {
            client.pause_all().await?;
            print_line("everyone is paused")?;
        }
        for user in &self.users {
            client.pause(user).await.map_err(|e| CliError::from(e).about(user))?;
            print_line(&format!("{user} is paused"))?;
        }
        Ok(Exit::Done)
    }

    pub async fn resume(self, place: &Place) -> Result<Exit, CliError> {
        let client = connect(place, Needs::Store).await?;
        if self.all {
            client.resume_all().await?;
            print_line("everyone is resumed")?;
        }
        for user in &self.users {
            client.resume(user).await.map_err(|e| CliError::from(e).about(user))?;
            print_line(&format!("{user} is resumed"))?;
        }
        Ok(Exit::Done)
    }
}
