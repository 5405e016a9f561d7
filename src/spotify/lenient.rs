//! Reading what others wrote: fields that may be anything, strings that can be stored, texts that can be shown. Pure.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

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

impl Lenient<Text> {
    /// The text, unless there is none or it is empty.
    pub fn text(self) -> Option<String> {
        self.0.map(|Text(text)| text).filter(|text| !text.is_empty())
    }
}

/// A string as it can be stored: half a surrogate pair is replaced, a NUL (which PostgreSQL refuses) left out.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Text(pub String);

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since serde_json lets half a surrogate pair pass there.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
        let text = String::from_utf8_lossy(bytes);
        Ok(Text(if text.contains('\0') { text.replace('\0', "") } else { text.into_owned() }))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
        self.visit_bytes(text.as_bytes())
    }
}

/// A value that is read if it can be.
pub(super) fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
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

/// Characters that reorder or hide their neighbours.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
