//! What became of every row, for people and for programs.

use serde::Serialize;

use super::super::exit::CliError;
use super::super::output::{note, plain, print};
use crate::archive::import::{Collected, Trouble};
use crate::control::api::ImportDone;
use crate::domain::ImportCounts;

/// The receipt of an import.
#[derive(Debug, Serialize)]
pub struct Receipt<'a> {
    /// The number to undo it by; null after a dry run.
    import: Option<i64>,
    dry_run: bool,
    #[serde(flatten)]
    counts: ImportCounts,
    /// The first rows and files that can't be read.
    unreadable_rows: &'a [Trouble],
    /// How many files can't be read, or not to their end.
    damaged_files: usize,
}

impl<'a> Receipt<'a> {
    pub fn new(done: &ImportDone, collected: &'a Collected, dry_run: bool) -> Self {
        let import = done.import.map(|import| import.0);
        let (unreadable_rows, damaged_files) = (&collected.troubles, collected.damaged);
        Self { import, dry_run, counts: done.counts, unreadable_rows, damaged_files }
    }

    /// As a table, with notes on what is not as it should be.
    pub fn print(&self) -> Result<(), CliError> {
        print(&self.rendered())?;
        for trouble in self.unreadable_rows {
            let Trouble { file, row, byte, why } = trouble;
            note(&format!("{}: row {row}, at byte {byte}, can't be read: {}", plain(file), plain(why)));
        }
        let untold = self.counts.unreadable - i64::try_from(self.unreadable_rows.len()).unwrap_or(0);
        if untold > 0 {
            note(&format!("and {untold} more rows that can't be read"));
        }
        match self.import {
            Some(import) => note(&format!("`longplay import --undo {import}` takes this back")),
            None => note("this was a dry run: nothing was changed"),
        }
        Ok(())
    }

    fn rendered(&self) -> String {
        let counts = &self.counts;
        let lines = [
            ("rows read", counts.read),
            ("imported", counts.imported),
            ("already there", counts.already_there),
            ("below the threshold", counts.below_threshold),
            ("podcasts", counts.podcasts),
            ("audiobooks", counts.audiobooks),
            ("without a track", counts.without_track),
            ("unreadable", counts.unreadable),
            ("gaps closed", counts.gaps_closed),
            ("gaps narrowed", counts.gaps_narrowed),
        ];
        lines.iter().map(|(what, number)| format!("{what:<20}{number:>10}\n")).collect()
    }
}
