//! The configuration as it is on disk and in the environment: read, parsed and merged, but not yet checked. Later
//! layers win: the main file, `conf.d/*.toml` beside it in name order, then `LONGPLAY_SECTION__KEY`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError, FileFormat, Format as _, Map, Source, Value, ValueKind};

use super::place::exists;
use super::section::{dotted, kind_of, nearest};
use super::{Fault, Place};

/// The sections, in the order in which they are checked and shown.
pub(super) const SECTIONS: [&str; 8] =
    ["store", "apps", "tokens", "archive", "control", "web", "log", "users"];

/// What begins the origin of a value that came from the environment.
pub(super) const VARIABLE: &str = "environment variable ";

/// A configuration file is never this large.
const FILE_LIMIT: u64 = 4 << 20;

/// All layers as one.
pub(super) struct Raw {
    /// The sections that any layer has.
    pub sections: Map<String, Value>,
    /// Which layer first had each section, and each table in one, by dotted name.
    pub declared: BTreeMap<String, String>,
    /// What could not be read or makes no section.
    pub faults: Vec<Fault>,
    /// Whether a file is missing from the whole, so that what it may have set can't be called missing.
    pub incomplete: bool,
}

/// Reads all layers.
pub(super) fn read(place: &Place, main: &Path) -> Raw {
    let mut raw =
        Raw { sections: Map::new(), declared: BTreeMap::new(), faults: Vec::new(), incomplete: false };
    let mut files = Vec::new();
    match place.missing_file() {
        Some(fault) => raw.unread(fault),
        None if exists(main) => files.push(main.to_owned()),
        None => {}
    }
    raw.list_conf_d(main, &mut files);
    let mut builder = Config::builder();
    for file in files {
        match parse(&file) {
            Ok(table) => builder = builder.add_source(raw.layer(&file.display().to_string(), table)),
            Err(fault) => raw.unread(fault),
        }
    }
    for (name, value) in &place.env {
        if let Some(path) = name.strip_prefix("LONGPLAY_").filter(|path| path.contains("__")) {
            let origin = format!("{VARIABLE}{name}");
            let table = nested(&path.to_lowercase(), Value::new(Some(&origin), value.as_str()));
            builder = builder.add_source(raw.layer(&origin, table));
        }
    }
    // Layers are parsed by now, and merging them can't fail; an empty whole is what an empty file gives.
    if let Ok(Value { kind: ValueKind::Table(sections), .. }) = builder.build().map(|merged| merged.cache) {
        raw.sections = sections;
    }
    raw
}

impl Raw {
    fn unread(&mut self, fault: Fault) {
        self.faults.push(fault);
        self.incomplete = true;
    }

    fn list_conf_d(&mut self, main: &Path, files: &mut Vec<PathBuf>) {
        let dir = main.with_file_name("conf.d");
        if !exists(&dir) {
            return;
        }
        let wanted = |path: &PathBuf| {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !hidden && path.extension().is_some_and(|extension| extension == "toml")
        };
        let listed = fs::read_dir(&dir)
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>());
        match listed {
            Ok(mut found) => {
                found.retain(wanted);
                found.sort();
                files.append(&mut found);
            }
            Err(e) => self.unread(unreadable(&dir, &e.to_string(), "a folder that longplay may read")),
        }
    }

    /// Keeps what is a section, says what isn't, and notes who declared which table.
    fn layer(&mut self, origin: &str, table: Map<String, Value>) -> Layer {
        let mut sections = BTreeMap::new();
        for (name, value) in table {
            let mut fault = |got: String, accepted: String| {
                let key = dotted(&[&name]);
                self.faults.push(Fault { file: origin.to_owned(), key, got, accepted });
            };
            if !SECTIONS.contains(&name.as_str()) {
                fault("an unknown section".into(), nearest(&name, &SECTIONS, "one of the sections "));
                continue;
            }
            let ValueKind::Table(entries) = &value.kind else {
                fault(kind_of(&value.kind).into(), format!("a table, [{name}]"));
                continue;
            };
            self.declared.entry(name.clone()).or_insert_with(|| origin.to_owned());
            for (entry, value) in entries {
                if matches!(value.kind, ValueKind::Table(_)) {
                    self.declared.entry(dotted(&[&name, entry])).or_insert_with(|| origin.to_owned());
                }
            }
            sections.insert(name, value);
        }
        Layer(sections)
    }
}

/// One layer on its way into the merge. Its names are sections, which the merge would otherwise read as paths.
#[derive(Debug, Clone)]
struct Layer(BTreeMap<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone().into_iter().collect())
    }
}

/// `a__b__c` and a value as the table `{a: {b: {c: value}}}`.
fn nested(path: &str, value: Value) -> Map<String, Value> {
    let (first, rest) = path.split_once("__").unwrap_or((path, ""));
    // What follows a third part can't be a key of ours; keeping it whole also bounds the depth.
    let inner = match rest.split_once("__") {
        Some((second, third)) => {
            Map::from([(second.to_owned(), Map::from([(third.to_owned(), value)]).into())])
        }
        None => Map::from([(rest.to_owned(), value)]),
    };
    Map::from([(first.to_owned(), inner.into())])
}

fn unreadable(path: &Path, why: &str, accepted: &str) -> Fault {
    Fault {
        file: path.display().to_string(),
        key: String::new(),
        got: why.to_owned(),
        accepted: accepted.to_owned(),
    }
}

fn parse(path: &Path) -> Result<Map<String, Value>, Fault> {
    let failed = |why: &str| unreadable(path, why, "a file of TOML in UTF-8 that longplay may read");
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    read.map_err(|e| failed(&e.to_string()))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(failed("more than 4 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("bytes that are not UTF-8"))?;
    let origin = path.display().to_string();
    FileFormat::Toml.parse(Some(&origin), &text).map_err(|e| {
        // Only the message: the whole error quotes the line, which may hold a secret.
        let syntax = e.downcast_ref::<toml::de::Error>();
        let got = syntax.map_or_else(|| e.to_string(), |e| e.message().trim().replace('\n', ", "));
        let key = syntax.and_then(toml::de::Error::span).map(|span| position(&text, span.start));
        Fault { file: origin.clone(), key: key.unwrap_or_default(), got, accepted: "TOML".into() }
    })
}

/// The place of a byte, as editors count.
fn position(text: &str, at: usize) -> String {
    let before: String = text.char_indices().take_while(|(i, _)| *i < at).map(|(_, c)| c).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    format!("line {line}, column {column}")
}
