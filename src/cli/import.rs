//! `longplay import`: takes what Spotify gives its users of their own data into the archive.

mod progress;
mod receipt;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{count, note, print_json, print_line};
use crate::archive::import::{Collected, Plan, Step, Target, plan, read};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Place;
use crate::control::api::{ImportDone, ImportFinish};
use crate::control::client::{Client, ClientError};
use crate::domain::{ImportId, Taken, UserName};
use crate::random::Random;
use progress::Progress;
use receipt::Receipt;

/// How many batches are read ahead of what is being stored.
const AHEAD: usize = 1;
/// How many batches are on their way: while the rows of one are stored, the next is taken apart and its tracks are stored.
const AT_ONCE: usize = 2;

/// Import a listening history that Spotify has sent
///
/// Takes the zip as it was sent, folders and single files: the extended streaming history of any
/// year, the account data of the last year, and what `longplay export` wrote. A play that the
/// archive has is not added again, whichever side knows its time more exactly. The same command
/// again adds nothing; broken off, it goes on where it was. The daemon archives meanwhile.
/// Gaps are closed where the files have everything, each from its first row to its last, and
/// narrowed where they have a part. Where a file is damaged, the rest is imported, the receipt
/// names it, and the exit status is 1. An import that is taken back takes the plays that it
/// brought; later imports that may have had some of them are named: import their files again.
///
/// Ask for the extended streaming history at <https://www.spotify.com/account/privacy/>.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    override_usage = "longplay import [OPTIONS] <USER> <PATH>...\n       longplay import [OPTIONS] --undo <ID>",
    after_help = "\
Examples:
  longplay import alice my_spotify_data.zip --dry-run
  longplay import alice my_spotify_data.zip
  longplay import --undo 3"
)]
pub struct Import {
    /// The user
    #[arg(required_unless_present = "undo")]
    user: Option<UserName>,
    /// Files, folders and zips
    #[arg(value_name = "PATH", required_unless_present = "undo")]
    paths: Vec<PathBuf>,
    /// Only say what would become of each row
    #[arg(long)]
    dry_run: bool,
    /// Take back what the import of this number has added and changed
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "paths", "dry_run"])]
    undo: Option<i64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        if let Some(id) = self.undo {
            return undo(place, ImportId(id), self.json).await;
        }
        let Some(user) = self.user else {
            return Err(CliError::usage("whose? longplay import USER PATH..."));
        };
        // Nothing is connected to before every path is known to be an export.
        let plan = plan(&self.paths).map_err(|refused| CliError::failed(refused.to_string()))?;
        let client = connect(place, Needs::Store).await?;
        let work = Work { client, user, plan, dry_run: self.dry_run };
        let (done, collected) = work.run().await?;
        let receipt = Receipt::new(&done, &collected, self.dry_run);
        match self.json {
            true => print_json(&receipt)?,
            false => receipt.print()?,
        }
        match collected.damaged {
            0 => Ok(Exit::Done),
            damaged => Err(CliError::failed(format!(
                "{} could not be read to the end, and what {} is missing: download the export again and import that, nothing is doubled",
                count(damaged, "file", "files"),
                if damaged == 1 { "it holds there" } else { "they hold there" },
            ))),
        }
    }
}

async fn undo(place: &Place, import: ImportId, json: bool) -> Result<Exit, CliError> {
    let undone = connect(place, Needs::Store).await?.undo_import(import).await?;
    if json {
        print_json(&undone)?;
        return Ok(Exit::Done);
    }
    let number = |number: i64| usize::try_from(number).unwrap_or(0);
    let plays = count(number(undone.plays), "play", "plays");
    let short = count(number(undone.short_plays), "short row", "short rows");
    let gaps = count(
        number(undone.gaps),
        "gap is open again or as wide as before",
        "gaps are open again or as wide as before",
    );
    let restored = number(undone.restored);
    print_line(&format!("import {}: {plays} and {short} were taken out", import.0))?;
    if restored > 0 {
        print_line(&format!("{} as before", count(restored, "play is", "plays are")))?;
    }
    if undone.gaps > 0 {
        print_line(&gaps)?;
    }
    for other in &undone.also_in {
        note(&format!("import {} found plays there, which may be gone now: import its files again", other.0));
    }
    Ok(Exit::Done)
}

struct Work {
    client: Client,
    user: UserName,
    plan: Plan,
    dry_run: bool,
}

impl Work {
    async fn run(self) -> Result<(ImportDone, Collected), CliError> {
        let import = match self.dry_run {
            true => None,
            false => {
                let unread = |e| CliError::failed(format!("the files can't be read: {e}"));
                let digest = self.plan.digest().map_err(unread)?;
                let begun = self.client.begin_import(&self.user, digest).await.map_err(of_older_daemon)?;
                if begun.resumed {
                    note(&format!("going on with import {}, which was broken off", begun.import.0));
                }
                Some(begun.import)
            }
        };
        let mut progress = Progress::new(&self.plan);
        let mut taken = Taken::default();
        let (send, mut steps) = mpsc::channel(AHEAD);
        let plan = self.plan;
        let target =
            Target { import, reader: i64::from_be_bytes(Random::host().bytes()), ..Target::default() };
        let answered = Arc::clone(&target.answered);
        let reader = tokio::task::spawn_blocking(move || {
            read(&plan, target, SystemClock.now(), &mut |step| send.blocking_send(step).is_ok())
        });
        let (mut storing, mut reading) = (FuturesOrdered::new(), true);
        loop {
            tokio::select! {
                Some((answer, rows)) = storing.next(), if !storing.is_empty() => {
                    let answer: Result<Taken, ClientError> = answer;
                    taken += answer.map_err(|e| broken_off(e, import, &taken))?;
                    answered.fetch_add(1, Ordering::Relaxed);
                    progress.stored(rows);
                }
                step = steps.recv(), if reading && storing.len() < AT_ONCE => match step {
                    Some(Step::Read(bytes)) => progress.read(bytes),
                    Some(Step::Sorted(rows)) => progress.sorted(rows),
                    Some(Step::Batch(body, rows)) => {
                        let answer = self.client.import_rows(&self.user, body);
                        storing.push_back(answer.map(move |answer| (answer, rows)));
                    }
                    None => reading = false,
                },
                else => break,
            }
        }
        let broken = |_| CliError::failed("reading the files broke off: this is a fault of longplay");
        let mut collected = reader.await.map_err(broken)?;
        progress.end();
        let counts = &mut collected.counts;
        counts.imported = taken.imported;
        counts.already_there = taken.already_there;
        counts.below_threshold = taken.below_threshold;
        let finish = ImportFinish { import, counts: *counts, covered: collected.covered.clone() };
        let done = self.client.end_import(&self.user, &finish).await;
        Ok((done.map_err(|e| broken_off(e, import, &taken))?, collected))
    }
}

/// A daemon that knows no imports is an older one.
fn of_older_daemon(error: ClientError) -> CliError {
    use crate::control::api::Word;
    match error {
        ClientError::Problem(problem) if problem.word() == Some(Word::NotFound) => CliError::failed(
            "the daemon that runs is of an older version and takes no imports: `systemctl restart longplay`",
        ),
        error => error.into(),
    }
}

/// What was stored stays, and the same command goes on.
fn broken_off(error: ClientError, import: Option<ImportId>, taken: &Taken) -> CliError {
    let mut error = CliError::from(error);
    if let Some(import) = import {
        let rows = taken.imported + taken.already_there + taken.below_threshold;
        error.lines.push(format!(
            "import {} was broken off after {rows} rows, which are kept: the same command goes on with it, `longplay import --undo {}` takes it back",
            import.0, import.0
        ));
    }
    error
}
