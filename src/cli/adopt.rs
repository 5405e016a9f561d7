//! `longplay adopt`: accepts a store that was restored or moved.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{count, print_json, print_line};
use crate::config::Place;

/// Accept a store that was restored from a back-up, copied or moved
///
/// Where the archive was restored or moved, longplay refreshes and archives nothing until you say
/// that this is the one to be used from now on: another longplay may still be using the logins
/// that are in it, and a refresh here could end them there. Make sure first that the other one is
/// stopped; and, if several daemons share the store, that all of them run, for each gives back what
/// its own spool has. Every login counts as in doubt then, until Spotify has answered for it.
///
/// Run it also after a whole machine was set back to a snapshot, which nobody can notice.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Adopt {
    /// Print JSON: {"store", "in_doubt"}
    #[arg(long)]
    json: bool,
}

impl Adopt {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let adopted = connect(place, Needs::Store).await?.adopt().await?;
        if self.json {
            print_json(&adopted)?;
            return Ok(Exit::Done);
        }
        let doubted = match adopted.in_doubt {
            0 => "no login is in doubt".to_owned(),
            n => {
                let logins = count(usize::try_from(n).unwrap_or(usize::MAX), "login", "logins");
                format!("{logins} in doubt until Spotify has answered; `longplay status` tells")
            }
        };
        print_line(&format!("{} is accepted: {doubted}", adopted.store))?;
        Ok(Exit::Done)
    }
}
