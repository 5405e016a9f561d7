//! One table of the configuration on its way through the check: every key that is asked for is read, its faults are
//! noted and its value is shown; every key that nobody asked for is a fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{Value, ValueKind};

use super::form::{Form, Written, redacted};
use super::raw::{Raw, VARIABLE};
use super::{Fault, Shown};

/// What a check gathers on its way.
#[derive(Default)]
pub(super) struct Report {
    pub faults: Vec<Fault>,
    pub shown: Vec<Shown>,
    /// Whether a file could not be read, so that nothing can be called missing.
    pub incomplete: bool,
}

/// One value with its origin.
pub(super) struct Given<T> {
    pub value: T,
    /// As it was written.
    pub text: String,
    pub from: String,
}

/// One table being checked.
pub(super) struct Section<'a> {
    pub report: &'a mut Report,
    name: String,
    file: String,
    values: BTreeMap<String, Value>,
    /// The keys that were asked for, each with its origin where it is set.
    asked: BTreeMap<&'static str, Option<String>>,
}

impl<'a> Section<'a> {
    /// The section `name`; empty where no layer has it.
    pub fn of(report: &'a mut Report, raw: &mut Raw, name: &str) -> Self {
        let value = raw.sections.remove(name).map_or(ValueKind::Nil, |value| value.kind);
        Self::new(report, raw, dotted(&[name]), value)
    }

    /// The tables of the section `name`, as the key and the value of each; what is no table is a fault.
    pub fn tables(report: &mut Report, raw: &mut Raw, name: &str) -> Vec<(String, ValueKind)> {
        let Some(Value { kind: ValueKind::Table(entries), .. }) = raw.sections.remove(name) else {
            return Vec::new();
        };
        let mut tables: Vec<_> = entries.into_iter().collect();
        tables.sort_by(|a, b| a.0.cmp(&b.0));
        let mut table = |(entry, value): (String, Value)| {
            if matches!(value.kind, ValueKind::Table(_)) {
                return Some((entry, value.kind));
            }
            report.faults.push(Fault {
                file: value.origin().unwrap_or_default().to_owned(),
                key: dotted(&[name, &entry]),
                got: kind_of(&value.kind).into(),
                accepted: format!("a table, [{name}.NAME]"),
            });
            None
        };
        tables.into_iter().filter_map(&mut table).collect()
    }

    pub fn new(report: &'a mut Report, raw: &Raw, name: String, value: ValueKind) -> Self {
        let file = raw.declared.get(&name).cloned().unwrap_or_else(|| "default".into());
        let values = match value {
            ValueKind::Table(table) => table.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        Self { report, name, file, values, asked: BTreeMap::new() }
    }

    /// The file that declared this table.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The value of `key` in its form; `None` where it isn't set, or is faulty, which is then noted.
    pub fn given<T>(&mut self, key: &'static str, form: &Form<T>) -> Option<Given<T>> {
        let value = self.values.remove(key);
        let from = value.as_ref().and_then(origin_within).unwrap_or_else(|| self.file.clone());
        self.asked.insert(key, value.is_some().then(|| from.clone()));
        let value = value?;
        let (text, got) = match &value.kind {
            ValueKind::String(text) => (Some(text.clone()), form.got(text.trim())),
            ValueKind::I64(number) => (Some(number.to_string()), number.to_string()),
            other => (None, kind_of(other).to_owned()),
        };
        let written = match value.kind {
            ValueKind::I64(_) => Written::Number,
            _ if from.starts_with(VARIABLE) => form.written,
            _ => Written::Text,
        };
        let parsed = match text.as_ref().filter(|_| written == form.written) {
            Some(text) => (form.parse)(text.trim()),
            None => Err(String::new()),
        };
        match parsed {
            Ok(value) => Some(Given { value, text: text.unwrap_or_default(), from }),
            Err(why) => {
                // It may quote what was given.
                let why = if why.is_empty() { why } else { format!(" ({})", redacted(&why)) };
                self.fault(key, &from, got, format!("{}{why}", form.accepted));
                None
            }
        }
    }

    /// The value of `key`, shown; `None` where it isn't set, or is faulty.
    pub fn optional<T>(&mut self, key: &'static str, form: &Form<T>) -> Option<T> {
        let Given { value, text, from } = self.given(key, form)?;
        self.show(key, redacted(text.trim()), &from);
        Some(value)
    }

    /// The value of `key`, or else of `default`, shown. A faulty one is noted, and the default stands in for it.
    pub fn setting<T>(&mut self, key: &'static str, default: &str, form: &Form<T>) -> T {
        // Constants of this module only, and every test loads them.
        let value = (form.parse)(default).expect("a default is in its own form");
        self.setting_or(key, form, default.to_owned(), value)
    }

    /// The same for a path, whose default comes from the surroundings.
    pub fn path(&mut self, key: &'static str, default: &Path, form: &Form<PathBuf>) -> PathBuf {
        self.setting_or(key, form, default.display().to_string(), default.to_owned())
    }

    fn setting_or<T>(&mut self, key: &'static str, form: &Form<T>, text: String, default: T) -> T {
        let given = self.optional(key, form);
        if self.origin(key).is_none() {
            self.show(key, text, "default");
        }
        given.unwrap_or(default)
    }

    /// The value of `key`, shown; where it isn't set, that is noted.
    pub fn required<T>(&mut self, key: &'static str, form: &Form<T>) -> Option<T> {
        let value = self.optional(key, form);
        if self.origin(key).is_none() {
            self.missing(key, &form.accepted);
        }
        value
    }

    /// Where the value of a key that was asked for came from; `None` where it isn't set.
    pub fn origin(&self, key: &str) -> Option<String> {
        self.asked.get(key).cloned().flatten()
    }

    /// Whether a fault of `key` was noted.
    pub fn is_faulty(&self, key: &str) -> bool {
        let key = format!("{}.{key}", self.name);
        self.report.faults.iter().any(|fault| fault.key == key)
    }

    /// Notes that `key` is needed and not there.
    pub fn missing(&mut self, key: &str, accepted: &str) {
        if !self.report.incomplete {
            let file = self.file.clone();
            self.fault(key, &file, "nothing".into(), accepted.into());
        }
    }

    /// Notes that the table itself has a name that it can't have.
    pub fn misnamed(&mut self, given: &str) {
        let accepted = "a name of 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
        let got = format!("{:?}", given.chars().take(80).collect::<String>());
        self.report.faults.push(Fault {
            file: self.file.clone(),
            key: self.name.clone(),
            got,
            accepted: accepted.into(),
        });
    }

    pub fn fault(&mut self, key: &str, file: &str, got: String, accepted: String) {
        let key = format!("{}.{key}", self.name);
        self.report.faults.push(Fault { file: file.into(), key, got, accepted });
    }

    pub fn show(&mut self, key: &str, value: String, from: &str) {
        let key = format!("{}.{key}", self.name);
        self.report.shown.push(Shown { key, value, from: from.into() });
    }

    /// Says which keys nobody asked for. Their values are not shown: who mistypes a key may have put a secret there.
    pub fn finish(mut self) {
        let asked: Vec<_> = self.asked.keys().copied().collect();
        for (key, value) in std::mem::take(&mut self.values) {
            let file = origin_within(&value).unwrap_or_else(|| self.file.clone());
            let accepted = nearest(&key, &asked, "one of the keys ");
            self.fault(&dotted(&[&key]), &file, "an unknown key".into(), accepted);
        }
    }
}

/// Tables carry no origin, but what is in them does.
fn origin_within(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(origin_within),
        _ => value.origin().map(str::to_owned),
    }
}

/// What a value is, where it can't be what was asked for.
pub(super) fn kind_of(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(true) => "true",
        ValueKind::Boolean(false) => "false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a number with decimals",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

/// A key as TOML writes it: parts that are no bare keys are quoted.
pub(super) fn dotted(parts: &[&str]) -> String {
    let bare = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let shown = |part: &&str| {
        let cut: String = part.chars().take(80).collect();
        if bare(&cut) { cut } else { format!("{cut:?}") }
    };
    parts.iter().map(shown).collect::<Vec<_>>().join(".")
}

/// The known name that was probably meant, or else all of them.
pub(super) fn nearest(given: &str, known: &[&str], else_all: &str) -> String {
    let close = |name: &&&str| {
        let related = !given.is_empty() && (name.starts_with(given) || given.starts_with(**name));
        related || strsim::osa_distance(given, name) <= name.len() / 3
    };
    match known.iter().filter(close).min_by_key(|name| strsim::osa_distance(given, name)) {
        Some(name) => format!("{name}, which may be what was meant"),
        None => format!("{else_all}{}", known.join(", ")),
    }
}
