//! `longplay export`: the archive of a user, out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::connect::{Needs, connect};
use super::exit::CliError;
use super::exit::Exit;
use super::meter::{Meter, size};
use super::output::{note, print_bytes};
use super::whole_file::WholeFile;
use crate::archive::export::Format;
use crate::config::Place;
use crate::control::api::ExportQuery;
use crate::domain::{Moment, UserName};

/// Write out a user's archive, oldest first
///
/// Everything that is known of each play. `jsonl` (a JSON object a line) and `csv` have the same
/// fields, and `longplay import` reads them back as the same plays. `listenbrainz` is what
/// listenbrainz.org imports: put the file into a zip (zip alice.zip alice.jsonl) and upload that at
/// Settings, Import listens, as ListenBrainz' own archive.
///
/// With --output the file appears once it is whole: one of that name is replaced then, and stays as
/// it was where the export fails. Texts in CSV are written as they are: a title that begins with =,
/// + or @ is taken for a formula by some spreadsheets, so import such a file there as text.
///
/// A time is a date or a time of the user's zone (2026-11-21, 2026-11-21T20:30), RFC 3339
/// (2026-11-21T20:30:00Z), or an age (30m, 24h, 7d).
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay export alice --format jsonl --output alice.jsonl
  longplay export alice --format csv --since 2026-01-01 --until 2027-01-01 > 2026.csv
  longplay export alice --format listenbrainz --output alice.jsonl && zip alice.zip alice.jsonl"
)]
pub struct Export {
    /// The user
    user: UserName,
    /// How to write it
    #[arg(long)]
    format: Written,
    /// Not older than this
    #[arg(long, value_name = "T")]
    since: Option<Moment>,
    /// Older than this
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// Write to this file; standard output where it is absent
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Written {
    Jsonl,
    Csv,
    Listenbrainz,
}

impl Export {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let query = ExportQuery {
            format: match self.format {
                Written::Jsonl => Format::Jsonl,
                Written::Csv => Format::Csv,
                Written::Listenbrainz => Format::Listenbrainz,
            },
            since: self.since,
            until: self.until,
        };
        // Before the command becomes whoever owns the archive.
        let mut file = self.output.as_deref().map(WholeFile::create).transpose()?;
        let client = connect(place, Needs::Store).await?;
        let mut bytes = client.export(&self.user, &query).await?;
        let (mut meter, mut written) = (Meter::new(), 0);
        while let Some(piece) = bytes.next().await? {
            match &mut file {
                Some(file) => file.write(&piece)?,
                None => print_bytes(&piece)?,
            }
            written += u64::try_from(piece.len()).unwrap_or(0);
            meter.tell(|| format!("exporting the plays of {}: {}", self.user, size(written)));
        }
        drop(meter);
        if let (Some(file), Some(path)) = (file, &self.output) {
            file.finish()?;
            note(&format!("{} is written: {}", path.display(), size(written)));
        }
        Ok(Exit::Done)
    }
}
