//! Imports: what a command has read of a user's own data is kept, so many rows at a time.

use std::collections::HashSet;

use crate::domain::{
    ImportId, ImportRow, ImportedTrack, LONGEST_NAMES, OLDEST_PLAY, Taken, Timestamp, Undone, UserName,
    leave_out_nul,
};
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
    pub async fn import_rows(&self, name: &UserName, mut sent: ImportRows) -> Result<Taken, Problem> {
        self.unless_moving()?;
        let user = self.any_user(name).await?;
        let latest = self.now().offset_millis(AHEAD);
        check(&mut sent, latest)?;
        let import = sent.import;
        let batch = ImportBatch {
            user,
            import,
            reader: sent.reader,
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
            // A command without a daemon would have to wait for it.
            if self.parts().scheduler.is_some() {
                let (service, name) = (self.clone(), name.clone());
                self.spawn(async move {
                    if let Err(problem) = service.count_for_readers(&name).await {
                        tracing::debug!(user = %name, "the next reader counts: {}", problem.detail);
                    }
                });
            }
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

/// What no file reader hands on is refused, or left out as by them.
fn check(sent: &mut ImportRows, latest: Timestamp) -> Result<(), Problem> {
    if sent.rows.len() > MOST_ROWS {
        return Err(Problem::bad_request(format!("rows: {MOST_ROWS} at most")));
    }
    sent.tracks.iter_mut().for_each(ImportedTrack::leave_out_nul);
    sent.rows.iter_mut().filter_map(|row| row.context_uri.as_mut()).for_each(leave_out_nul);
    if let Some(n) = sent.tracks.iter().position(|track| !track.is_findable()) {
        return Err(Problem::bad_request(format!(
            "tracks[{n}]: names of {LONGEST_NAMES} bytes together and URIs of as many each are the longest"
        )));
    }
    let fits = |row: &ImportRow| {
        (OLDEST_PLAY.as_millis()..=latest.as_millis()).contains(&row.at)
            && row.ms_played.is_none_or(|ms| ms >= 0)
    };
    // What nothing is kept of is not remembered either.
    if sent.import.is_none() {
        let told: HashSet<u32> = sent.tracks.iter().map(|track| track.number).collect();
        if let Some(n) = sent.rows.iter().position(|row| !told.contains(&row.track)) {
            return Err(Problem::bad_request(format!("rows[{n}]: no track that is listed has this number")));
        }
    }
    match sent.rows.iter().position(|row| !fits(row)) {
        None => Ok(()),
        Some(n) => Err(Problem::bad_request(format!(
            "rows[{n}]: a time since 2006 and not in the future, and no negative ms_played are wanted"
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(track: &serde_json::Value) -> ImportRows {
        let all = json!({"import":1,"reader":1,"tracks":[{"number":0,"track":track}],"rows":[{"at":1_600_000_000_000_i64,"track":0}]});
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_nul_is_left_out_of_every_text() {
        let thing = |name: &str| json!({"uri":"u\0","name":name});
        let mut sent = sent(&json!({"uri":"t\0","name":"a\0b","artists":[thing("\0c")],"album":thing("d\0"),
            "isrc":"\0i","duration_ms":null}));
        sent.rows[0].context_uri = Some("x\0y".to_owned());
        check(&mut sent, Timestamp::from_millis(1_700_000_000_000)).unwrap();
        let text = format!("{:?} {:?}", sent.tracks, sent.rows);
        assert!(!text.contains("\\0"), "{text}");
        assert_eq!(
            (sent.tracks[0].track.name.as_str(), sent.rows[0].context_uri.as_deref()),
            ("ab", Some("xy"))
        );
    }

    #[test]
    fn what_is_only_asked_names_no_track_that_it_does_not_list() {
        let told = json!({"uri":"t","name":"n","artists":[],"album":null,"isrc":null,"duration_ms":null});
        let mut sent = sent(&told);
        let latest = Timestamp::from_millis(1_700_000_000_000);
        sent.rows[0].track = 7;
        check(&mut sent, latest).unwrap();
        sent.import = None;
        assert_eq!(check(&mut sent, latest).unwrap_err().status, 400);
        sent.rows[0].track = 0;
        check(&mut sent, latest).unwrap();
    }

    #[test]
    fn names_that_no_index_holds_are_refused() {
        let of = |name: usize, artist: usize, uri: usize| {
            let mut sent = sent(&json!({"uri":"u".repeat(uri),"name":"n".repeat(name),
                "artists":[{"uri":null,"name":"a".repeat(artist)}],"album":null,"isrc":null,"duration_ms":null}));
            check(&mut sent, Timestamp::from_millis(1_700_000_000_000)).is_ok()
        };
        let coded = |isrc: usize| {
            let mut sent = sent(&json!({"uri":null,"name":"n","artists":[],"album":null,
                "isrc":"I".repeat(isrc),"duration_ms":null}));
            check(&mut sent, Timestamp::from_millis(1_700_000_000_000)).is_ok()
        };
        assert!(coded(64) && !coded(65));
        assert!(of(1_000, 1_498, 2_500));
        assert!(!of(1_000, 1_499, 0) && !of(2_600, 0, 0) && !of(1, 1, 2_501));
    }
}
