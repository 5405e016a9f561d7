//! Text from others, as it can be kept.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A string as it can be stored: half a surrogate pair is replaced, a NUL (which PostgreSQL refuses) left out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ForeignText(pub String);

impl std::borrow::Borrow<str> for ForeignText {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ForeignText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since serde_json lets half a surrogate pair pass there.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = ForeignText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<ForeignText, E> {
        let text = String::from_utf8_lossy(bytes);
        Ok(ForeignText(if text.contains('\0') { text.replace('\0', "") } else { text.into_owned() }))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ForeignText, E> {
        self.visit_bytes(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_store_keeps_is_replaced_or_left_out() {
        let read = |json: &str| serde_json::from_str::<ForeignText>(json).unwrap().0;
        assert_eq!(read(r#""a\u0000b""#), "ab");
        assert_eq!(read(r#""\ud83c\udfb5""#), "\u{1f3b5}");
        assert!(read(r#""a\ud83cb""#).contains('\u{fffd}'));
        assert!(serde_json::from_str::<ForeignText>("7").is_err());
    }
}
