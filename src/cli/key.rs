//! `longplay key`: the key that the stored tokens are sealed with.

use clap::{Args, Subcommand};

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{print_json, print_line};
use crate::config::Place;

/// The key that the stored tokens are sealed with
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Seal the stored tokens with a new key
    ///
    /// Where longplay made the key itself (token-key in the state directory), it makes a new one,
    /// seals everything with it and deletes the old one. It can be interrupted at any point: the
    /// next start goes on with it.
    ///
    /// Where the configuration gives the key, each daemon must open at every moment what any
    /// other seals. So first give every daemon of the store the new key as the old one
    /// (tokens.old_key_file or the credential token-key-old), and restart it; then the new one as
    /// tokens.key_file (token-key) and the present one as the old one, and restart it; then run
    /// this once. The old key can go after that.
    #[command(verbatim_doc_comment)]
    Rotate {
        /// Print JSON: {"logins", "answers", "message"}
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let What::Rotate { json } = self.what;
        let rotated = connect(place, Needs::Store).await?.rotate_key().await?;
        match json {
            true => print_json(&rotated)?,
            false => print_line(&rotated.message)?,
        }
        Ok(Exit::Done)
    }
}
