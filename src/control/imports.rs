//! Imports: what a command has read of a user's own data is kept, so many rows at a time.

use crate::domain::{ImportId, ImportRow, OLDEST_PLAY, Taken, Timestamp, Undone, UserName};
use crate::store::{ImportBatch, ImportEnd};

use super::api::{
    ImportBegun, ImportDone, ImportFinish, ImportQuestion, ImportRows, MOST_ROWS, Problem, Word,
};
use super::service::Service;

/// The longest name of a set of files.
const LONGEST_DIGEST: usize = 128;
/// The most stretches that the files of one import cover.
const MOST_COVERED: usize = 1_000;
/// How far ahead of the present a play may lie, in milliseconds: a day.
const AHEAD: i64 = 24 * 3600 * 1_000;

impl Service {
    /// Opens an import, or the one of these files that was broken off.
    pub async fn begin_import(
        &self,
        name: &UserName,
        asked: &ImportQuestion,
    ) -> Result<ImportBegun, Problem> {
        self.unless_moving()?;
        let user = self.any_user(name).await?;
        if asked.digest.is_empty() || asked.digest.len() > LONGEST_DIGEST {
            return Err(Problem::bad_request(format!("digest: from 1 to {LONGEST_DIGEST} bytes")));
        }
        let (import, resumed) = self.parts().store.begin_import(user, &asked.digest, self.now()).await?;
        Ok(ImportBegun { import, resumed })
    }

    /// Keeps rows, or says what would become of them.
    pub async fn import_rows(&self, name: &UserName, sent: ImportRows) -> Result<Taken, Problem> {
        self.unless_moving()?;
        let user = self.any_user(name).await?;
        let latest = self.now().offset_millis(AHEAD);
        check(&sent, latest)?;
        let import = sent.import;
        let batch = ImportBatch {
            user,
            import,
            threshold: self.settings().archive.import_threshold,
            tracks: sent.tracks,
            rows: sent.rows,
        };
        self.parts().store.import_rows(&batch).await?.ok_or_else(|| not_open(import))
    }

    /// Ends an import, or says what it would have come to.
    pub async fn end_import(&self, name: &UserName, sent: ImportFinish) -> Result<ImportDone, Problem> {
        self.unless_moving()?;
        let user = self.any_user(name).await?;
        if sent.covered.len() > MOST_COVERED {
            return Err(Problem::bad_request(format!("covered: {MOST_COVERED} stretches at most")));
        }
        let import = sent.import;
        let end = ImportEnd { user, import, at: self.now(), counts: sent.counts, covered: sent.covered };
        let counts = self.parts().store.end_import(&end).await?.ok_or_else(|| not_open(import))?;
        if let Some(import) = import {
            tracing::info!(user = %name, "import {} of {name} added {} plays", import.0, counts.imported);
            let (service, name) = (self.clone(), name.clone());
            self.spawn(async move {
                if let Err(problem) = service.count_for_readers(&name).await {
                    tracing::debug!(user = %name, "the next reader counts: {}", problem.detail);
                }
            });
        }
        Ok(ImportDone { import, counts })
    }

    /// Takes back what an import has added and changed.
    pub async fn undo_import(&self, import: ImportId) -> Result<Undone, Problem> {
        self.unless_moving()?;
        let undone = self.parts().store.undo_import(import).await?;
        undone.ok_or_else(|| {
            let detail = format!("there is no import {}, or it was taken back before", import.0);
            Problem::new(Word::UnknownImport, 404, detail)
        })
    }
}

fn check(sent: &ImportRows, latest: Timestamp) -> Result<(), Problem> {
    if sent.rows.len() > MOST_ROWS {
        return Err(Problem::bad_request(format!("rows: {MOST_ROWS} at most")));
    }
    let fits = |row: &ImportRow| {
        row.track < sent.tracks.len()
            && (OLDEST_PLAY.as_millis()..=latest.as_millis()).contains(&row.at)
            && row.ms_played.is_none_or(|ms| ms >= 0)
    };
    match sent.rows.iter().position(|row| !fits(row)) {
        None => Ok(()),
        Some(n) => Err(Problem::bad_request(format!(
            "rows[{n}]: a track that is listed, a time since 2006 and not in the future, and no negative ms_played are wanted"
        ))),
    }
}

fn not_open(import: Option<ImportId>) -> Problem {
    let which = import.map_or(0, |import| import.0);
    Problem::new(
        Word::UnknownImport,
        404,
        format!("import {which} is not open: it has ended, or was taken back"),
    )
}
