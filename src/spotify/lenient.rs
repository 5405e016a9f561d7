//! Reading what others wrote: fields that may be anything, texts that can be shown. Pure.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::domain::{ForeignText, without_secrets};

/// A field that is read if it can be; null, absent or anything else is `None`.
pub(super) struct Lenient<T>(pub Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(read(<&RawValue>::deserialize(deserializer)?)))
    }
}

/// A list, without what can't be read of it; empty where it is none.
pub(super) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list: Option<Vec<&RawValue>> =
            serde_json::from_str(<&RawValue>::deserialize(deserializer)?.get()).ok();
        Ok(Self(list.unwrap_or_default().into_iter().filter_map(read).collect()))
    }
}

impl Lenient<ForeignText> {
    /// The text, unless there is none or it is empty.
    pub fn text(self) -> Option<String> {
        self.0.map(|ForeignText(text)| text).filter(|text| !text.is_empty())
    }
}

/// A value that is read if it can be, and is no list: serde would take a list's entries for an object's fields.
pub(super) fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    let value = Some(value.get()).filter(|value| !value.starts_with('['))?;
    serde_json::from_str(value).ok()
}

/// A body that is read if it can be, and is no list.
pub(super) fn read_body<'a, T: Deserialize<'a>>(body: &'a str) -> Option<T> {
    read(serde_json::from_str(body).ok()?)
}

/// The first `most` characters of a foreign text on one line: what can't be printed is left out, and so is the blank
/// around words.
pub(super) fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut kept = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if kept > 0 {
            shown.push(' ');
            kept += 1;
        }
        for c in word.chars().filter(|c| !invisible(*c)) {
            if kept >= most {
                shown.push('…');
                return shown;
            }
            shown.push(c);
            kept += 1;
        }
    }
    shown
}

/// The same without whatever could be a token or a secret.
pub(super) fn told(text: &str, most: usize) -> String {
    shown(&without_secrets(&shown(text, usize::MAX)), most)
}

/// Characters that reorder or hide their neighbours.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
