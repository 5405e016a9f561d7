//! Which files an import reads: found in folders and zips by what they hold, refused by name where one was asked for that
//! is no export. Before anything is imported.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::lines::{Sniffed, sniff};
use super::unzip::{Entry, most_of, open_zip};
use crate::domain::Timestamp;

/// How deep folders are looked into.
const DEPTH: usize = 8;
/// How many files a folder or a zip may have.
const MOST_FILES: usize = 10_000;
/// No file of a zip is larger when it is unpacked, and no zip altogether.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024 * 1024;
/// What is said of a zip that is none any more.
const DAMAGED: &str = "this zip can't be read: it is damaged; download it again";
/// Of each end of a file so much tells it from others.
const TELLING: u64 = 64 * 1024;

/// Why nothing is imported.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Refused(pub String);

/// A file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As people know it; in a zip, with the zip.
    pub name: String,
    /// The folder or zip that it is in.
    pub folder: String,
    /// How long it is.
    pub size: u64,
    /// When the first row of an extended history is of. The files of one mostly follow each other.
    pub begins: Option<Timestamp>,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Zip { path: PathBuf, entry: usize },
}

/// A file that may be an export's, and that can't be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which; in a zip, with the zip.
    pub file: String,
    /// What is wrong with it, and the cure.
    pub why: String,
}

/// What an import reads, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The files.
    pub inputs: Vec<Input>,
    /// How many others there were in the folders and zips: no exports.
    pub passed_over: usize,
    /// Which of the files there can't be read.
    pub left_out: Vec<LeftOut>,
}

impl Input {
    /// Whether it is a file of a zip.
    pub(super) fn is_in_zip(&self) -> bool {
        matches!(self.place, Place::Zip { .. })
    }
}

impl Plan {
    /// How many bytes all files have.
    pub fn size(&self) -> u64 {
        self.inputs.iter().map(|input| input.size).sum()
    }

    /// Tells these files from others: the same ones again have the same.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn digest(&self) -> io::Result<String> {
        let mut each = self.inputs.iter().map(Self::digest_of).collect::<io::Result<Vec<_>>>()?;
        // Wherever they lie, and in whatever order they are named.
        each.sort_unstable();
        let all = each.into_iter().fold(Sha256::new(), |all, one| all.chain_update(one));
        Ok(all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn digest_of(input: &Input) -> io::Result<[u8; 32]> {
        let mut digest = Sha256::new().chain_update(input.size.to_le_bytes());
        match &input.place {
            Place::Zip { path, entry } => {
                let mut zip = open_zip(path)?;
                let entry = zip.by_index_raw(*entry).map_err(io::Error::other)?;
                digest.update(entry.crc32().to_le_bytes());
            }
            Place::File(path) => {
                let mut file = File::open(path)?;
                let mut ends = Vec::new();
                (&mut file).take(TELLING).read_to_end(&mut ends)?;
                file.seek(SeekFrom::Start(input.size.saturating_sub(TELLING)))?;
                file.take(TELLING).read_to_end(&mut ends)?;
                digest.update(&ends);
            }
        }
        Ok(digest.finalize().into())
    }

    /// Opens a file of the plan.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn open(&self, input: &Input) -> io::Result<Box<dyn Read>> {
        match &input.place {
            Place::File(path) => Ok(Box::new(File::open(path)?)),
            Place::Zip { path, entry } => Ok(Box::new(Entry::open(path, *entry)?)),
        }
    }
}

/// Finds what is to be read.
///
/// # Errors
/// A path that is not there or holds no export, by name.
pub fn plan(paths: &[PathBuf]) -> Result<Plan, Refused> {
    let mut plan = Plan::default();
    for path in paths {
        let (found, seen, left_out) = (plan.inputs.len(), plan.passed_over, plan.left_out.len());
        let meta = path.metadata().map_err(|e| cant_read(path, &e))?;
        if meta.is_dir() {
            folder(&mut plan, path, DEPTH)?;
            if plan.inputs.len() == found {
                if let Some(LeftOut { file, why }) = plan.left_out.get(left_out) {
                    return Err(Refused(format!("{file}: {why}")));
                }
                let looked = plan.passed_over - seen;
                return Err(Refused(format!(
                    "{}: no export is in this folder ({looked} files were looked at): give the folder or the zip that Spotify sent",
                    path.display()
                )));
            }
        } else {
            file(&mut plan, path, meta.len(), true)?;
        }
    }
    let mut seen = std::collections::HashSet::new();
    // The same file given twice is read once.
    plan.inputs.retain(|input| seen.insert(input.name.clone()));
    Ok(plan)
}

fn cant_read(path: &Path, error: &io::Error) -> Refused {
    Refused(format!("{}: it can't be read: {error}", path.display()))
}

/// Looks through a folder, in the order of names.
fn folder(plan: &mut Plan, path: &Path, depth: usize) -> Result<(), Refused> {
    let entries = path.read_dir().map_err(|e| cant_read(path, &e))?;
    let mut names: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(|e| cant_read(path, &e))?;
    names.sort();
    for path in names {
        if plan.inputs.len() + plan.passed_over >= MOST_FILES {
            return Err(Refused(format!(
                "{}: there are more than {MOST_FILES} files: give the folder of the export alone",
                path.display()
            )));
        }
        let Ok(meta) = path.symlink_metadata() else { continue };
        let named = path.extension().is_some_and(|end| is_export_ending(&end.to_string_lossy()));
        match () {
            () if meta.is_dir() && depth > 0 => folder(plan, &path, depth - 1)?,
            () if meta.is_file() && named => file(plan, &path, meta.len(), false)?,
            () => plan.passed_over += 1,
        }
    }
    Ok(())
}

fn is_export_ending(ending: &str) -> bool {
    ["json", "jsonl", "csv", "zip"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Whether Spotify calls its exports so.
fn is_export_name(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let begins = ["Streaming_History_", "StreamingHistory", "endsong_"];
    name.ends_with(".json") && begins.iter().any(|begin| name.starts_with(begin))
}

/// Takes a file that is an export; `asked`: by name, so that it is refused if it is none.
fn file(plan: &mut Plan, path: &Path, size: u64, asked: bool) -> Result<(), Refused> {
    let name = path.display().to_string();
    let mut begin = [0; 4];
    let mut file = File::open(path).map_err(|e| cant_read(path, &e))?;
    let began = file.read(&mut begin).map_err(|e| cant_read(path, &e))?;
    if begin[..began].starts_with(b"PK") {
        return zip(plan, path, asked);
    }
    if !asked && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip")) {
        plan.left_out.push(LeftOut { file: name, why: DAMAGED.to_owned() });
        return Ok(());
    }
    file.seek(SeekFrom::Start(0)).map_err(|e| cant_read(path, &e))?;
    let sniffed = sniff(file).map_err(|e| cant_read(path, &e))?;
    let (is_export, begins) = match sniffed {
        Sniffed::Export(begins) => (true, begins),
        Sniffed::Empty => (asked, None),
        Sniffed::Other => (false, None),
    };
    if is_export || is_export_name(&name) {
        let folder = path.parent().unwrap_or(path).display().to_string();
        plan.inputs.push(Input { name, folder, size, begins, place: Place::File(path.to_owned()) });
        return Ok(());
    }
    if asked {
        return Err(Refused(format!(
            "{name}: this is no export of a listening history: give Streaming_History_*.json, endsong_*.json, StreamingHistory_*.json, what `longplay export` wrote, or the folder or zip that Spotify sent"
        )));
    }
    plan.passed_over += 1;
    Ok(())
}

/// Takes the exports of a zip; `asked`: by name, so that it is refused if it can't be read.
fn zip(plan: &mut Plan, path: &Path, asked: bool) -> Result<(), Refused> {
    let shown = path.display();
    match exports(path) {
        Ok(Found { inputs, left_out, .. }) if inputs.is_empty() && asked => Err(match left_out.first() {
            Some(LeftOut { file, why }) => Refused(format!("{file}: {why}")),
            None => Refused(format!(
                "{shown}: no listening history is in this zip: give the one that Spotify sent"
            )),
        }),
        Ok(found) => {
            plan.inputs.extend(found.inputs);
            plan.passed_over += found.passed_over;
            plan.left_out.extend(found.left_out);
            Ok(())
        }
        Err(why) if asked => Err(Refused(format!("{shown}: {why}"))),
        Err(why) => {
            plan.left_out.push(LeftOut { file: shown.to_string(), why });
            Ok(())
        }
    }
}

/// What a zip holds.
#[derive(Default)]
struct Found {
    inputs: Vec<Input>,
    passed_over: usize,
    left_out: Vec<LeftOut>,
}

/// Looks through a zip; an error says why nothing of it is to be read.
fn exports(path: &Path) -> Result<Found, String> {
    let shown = path.display();
    let mut archive = open_zip(path).map_err(|_| DAMAGED.to_owned())?;
    if archive.len() > MOST_FILES {
        return Err(format!("this zip has more than {MOST_FILES} files: it is none that Spotify sends"));
    }
    let (mut found, mut total) = (Found::default(), 0_u64);
    for entry in 0..archive.len() {
        // The zip's list of files has the name, though the file may be damaged.
        let name = archive.name_for_index(entry).and_then(Result::ok).map(std::borrow::Cow::into_owned);
        let is_named = |name: &String| {
            name.rsplit_once('.')
                .is_some_and(|(_, end)| is_export_ending(end) && !end.eq_ignore_ascii_case("zip"))
        };
        let Some(name) = name.filter(is_named) else {
            found.passed_over += 1;
            continue;
        };
        let damaged = |error: String| LeftOut {
            file: format!("{shown}/{name}"),
            why: format!("it can't be unpacked ({error}): the zip is damaged, download it again"),
        };
        let file = match archive.by_index(entry) {
            Ok(file) => file,
            Err(error) => {
                found.left_out.push(damaged(error.to_string()));
                continue;
            }
        };
        let size = file.size();
        if size > most_of(file.compressed_size()) {
            return Err(format!("{name} in it unpacks to far more than an export does: it was made to harm"));
        }
        let sniffed = sniff(file);
        let begins = match sniffed {
            Ok(Sniffed::Export(begins)) => begins,
            _ => None,
        };
        match sniffed {
            // The rows before the damage can be read.
            sniffed if is_export_name(&name) || matches!(sniffed, Ok(Sniffed::Export(_))) => {
                total = total.saturating_add(size);
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                found.inputs.push(Input {
                    name: format!("{shown}/{name}"),
                    folder: format!("{shown}/{folder}"),
                    size,
                    begins,
                    place: Place::Zip { path: path.to_owned(), entry },
                });
            }
            Ok(_) => found.passed_over += 1,
            Err(error) => found.left_out.push(damaged(error.to_string())),
        }
    }
    if total > LARGEST {
        return Err("it unpacks to far more than an export does: it was made to harm".to_owned());
    }
    Ok(found)
}
