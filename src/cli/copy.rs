//! `longplay copy`: the whole store, into another that is used from then on.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::meter::Meter;
use super::output::{note, print, print_json};
use super::table::{self, numbers, text};
use crate::config::Place;

/// Move the whole store into another database
///
/// From SQLite to PostgreSQL and back, or to another of the same kind: everything, with the tokens
/// sealed anew for the other store by the same token key. The other store must be empty. Each table
/// is read again there, and compared by its number of rows and a digest, which are printed.
///
/// longplay may go on meanwhile: the archive can be read, but nothing is refreshed and no run made
/// until the copy is complete; Spotify keeps the last 50 plays. From then on this store is not used
/// any more, since a token must never be refreshed in two stores: make the other one the store.url
/// and restart longplay. If you change your mind, `longplay adopt` lets it go on here. A copy that
/// fails or is interrupted leaves the other store empty, and longplay goes on as before.
///
/// Of several daemons on one store stop all but one first. To have a copy beside the store in use,
/// make a back-up.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay copy --to 'postgres:///longplay?host=/run/postgresql'
  longplay copy --to sqlite:///var/lib/longplay/longplay.db
  longplay copy --to - < url      (a URL with a password, which others could see in the process list)"
)]
pub struct Copy {
    /// The other store's URL, as in the configuration; "-": from standard input
    #[arg(long, value_name = "URL")]
    to: String,
    /// Print JSON: {"from", "to", "tables": [{"table", "rows", "digest"}]}
    #[arg(long)]
    json: bool,
}

/// How much of a digest a table shows; JSON has all of it.
const SHOWN: usize = 16;

impl Copy {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let to = match self.to.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())
                .map_err(|e| CliError::failed(format!("reading the URL from standard input: {e}")))?
                .trim()
                .to_owned(),
            _ => self.to,
        };
        let client = connect(place, Needs::Store).await?;
        let mut meter = Meter::new();
        meter.tell(|| "waiting for refreshes and runs under way".to_owned());
        let copied = client
            .copy(to)
            .await?
            .end(|progress| {
                meter.tell(|| {
                    format!("copying {}: {} of {} rows", progress.table, progress.rows / 2, progress.of / 2)
                });
            })
            .await;
        drop(meter);
        let copied = copied?;
        if self.json {
            print_json(&copied)?;
        } else {
            let rows: Vec<Vec<table::Cell>> = copied
                .tables
                .iter()
                .map(|table| {
                    vec![
                        (&table.table).into(),
                        table.rows.to_string().into(),
                        table.digest.get(..SHOWN).unwrap_or_default().into(),
                    ]
                })
                .collect();
            print(&table::render(&[text("TABLE"), numbers("ROWS"), text("DIGEST")], &rows, false))?;
        }
        note(&format!(
            "{} was copied to {}, and is not used any more: make that the [store] url, and restart longplay (`systemctl restart longplay`)",
            copied.from, copied.to
        ));
        Ok(Exit::Done)
    }
}
