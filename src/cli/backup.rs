//! `longplay backup`: the whole store, in a file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::meter::{Meter, size};
use super::output::{count, note};
use super::whole_file::WholeFile;
use crate::config::Place;

/// Back up the whole store into a file
///
/// Everything of one moment, while longplay goes on: archive, users, tokens. The file is a SQLite
/// database, also where the store is PostgreSQL; it is checked before it is handed over, and appears
/// once it is whole. A back-up of that name is replaced then (so a nightly job can name the same
/// file every night); anything else of that name is left alone and refused.
///
/// The tokens in it are sealed: keep the token key too, apart from it. Without that key everyone must
/// log in again.
///
/// To restore it where the store is SQLite: stop longplay, put the file in the store's place, start
/// longplay, and run `longplay adopt`. Where the store is PostgreSQL: make it the store.url of a
/// configuration with the same state directory and key, and run `longplay copy --to` an empty database.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay backup /srv/backup/longplay.db
  longplay backup /srv/backup/longplay-$(date +%F).db"
)]
pub struct Backup {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Backup {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        replaceable(&self.file)?;
        // Before the command becomes whoever owns the archive.
        let mut file = WholeFile::create(&self.file)?;
        let mut meter = Meter::new();
        meter.tell(|| "making the back-up".to_owned());
        let client = connect(place, Needs::Store).await?;
        let mut backup = client.back_up().await?;
        let mut written = 0;
        while let Some(piece) = backup.bytes.next().await? {
            file.write(&piece)?;
            written += u64::try_from(piece.len()).unwrap_or(0);
            meter.tell(|| match backup.length {
                Some(length) => format!("backing up: {} of {}", size(written), size(length)),
                None => format!("backing up: {}", size(written)),
            });
        }
        drop(meter);
        if backup.length.is_some_and(|length| length != written) {
            return Err(CliError::new(Exit::Unavailable, "the back-up was cut off: nothing was written"));
        }
        // Without a daemon the archive is open by now, and seen to be in use.
        replaceable(&self.file)?;
        file.finish()?;
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        note(&format!(
            "{} is a back-up of {} and {}, {}; keep the token key too, apart from it",
            self.file.display(),
            count(number(backup.users), "user", "users"),
            count(number(backup.plays), "play", "plays"),
            size(written)
        ));
        Ok(Exit::Done)
    }
}

/// What is there may be an older back-up, and nothing else: not an archive that is in use either.
fn replaceable(path: &Path) -> Result<(), CliError> {
    let refused = |what: &str| {
        CliError::failed(format!("{} is {what}: name another file, or remove it", path.display()))
    };
    let Ok(there) = std::fs::metadata(path) else { return Ok(()) };
    if !there.is_file() || there.len() == 0 {
        return Ok(());
    }
    // The log lies beside the file itself, not beside a link to it.
    let mut log = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    if Path::new(&log).exists() {
        return Err(refused("an archive that is in use"));
    }
    // A SQLite file's application id (sqlite.org/fileformat.html, 1.3).
    let mut head = [0; 72];
    match File::open(path).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) if head.starts_with(b"SQLite format 3\0") && head.ends_with(b"lply") => Ok(()),
        _ => Err(refused("no back-up of longplay's")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_back_up_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(replaceable(&path).is_ok());
        let mut head = b"SQLite format 3\0".to_vec();
        head.resize(68, 0);
        for (content, taken) in [
            (Vec::new(), true),
            (b"a letter".to_vec(), false),
            ([head.clone(), b"lply".to_vec(), vec![0; 28]].concat(), true),
            ([head.clone(), b"else".to_vec(), vec![0; 28]].concat(), false),
        ] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(replaceable(&path).is_ok(), taken, "{content:?}");
        }
        std::fs::write(&path, [head, b"lply".to_vec()].concat()).unwrap();
        std::fs::write(folder.path().join("a-wal"), "").unwrap();
        assert!(replaceable(&path).unwrap_err().lines[0].contains("in use"));
    }
}
