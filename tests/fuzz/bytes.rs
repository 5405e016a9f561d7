//! Documents that are no longer what they were.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A word that is as long as a token, and must not turn up in any message.
pub const TOKEN: &str = "BQDx7-_pLq0aZ3nR8tVwYc5eHk2mUoJf91sGbTiA4Xd";

/// What readers stumble over, to be put anywhere.
const PIECES: [&str; 40] = [
    "",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "-1e-999",
    "18446744073709551616",
    "0.1",
    "NaN",
    "\"",
    "\\",
    "\"\"",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\t",
    "#",
    "=",
    "'",
    "\"\"\"",
    "[[",
    "]]",
    "\"\\ud800\"",
    "\"\\udfff\\ud800\"",
    "\"\\u0000\"",
    "\u{feff}",
    "\u{202e}",
    "é",
    "🎵",
    "\"items\":[],",
    "\"access_token\":null,",
    "\u{7f}\u{1b}[31m",
];

/// One thing that happens to a document.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Drop(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    /// The value after some colon, or equals sign, becomes another.
    Value(Index, String),
    Nest(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        vec(any::<u8>(), 1..6),
        Just(TOKEN.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, with)| Change::Flip(at, with)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), 1..40_usize).prop_map(|(at, many)| Change::Drop(at, many)),
        (any::<Index>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), 1..60_usize, 1..6_usize)
            .prop_map(|(at, many, times)| Change::Repeat(at, many, times)),
        (any::<Index>(), value()).prop_map(|(at, value)| Change::Value(at, value)),
        (any::<Index>(), select(&[1_usize, 20, 127, 128, 3_000][..]))
            .prop_map(|(at, deep)| Change::Nest(at, deep)),
    ]
}

/// A value of JSON, most of them of TOML too.
pub fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&PIECES[..]).prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just(format!("\"{TOKEN}\"")),
        Just(format!("{{\"{TOKEN}\": \"{TOKEN}\"}}")),
        Just("\"2026-02-25T20:15:20.497Z\"".to_owned()),
        Just("\"0001-01-01T00:00:00Z\"".to_owned()),
        Just("\"spotify:track:T\"".to_owned()),
    ]
}

fn apply(document: &mut Vec<u8>, change: Change) {
    let at = |index: Index, document: &[u8]| index.index(document.len() + 1);
    match change {
        Change::Flip(index, with) => {
            if !document.is_empty() {
                *index.get_mut(document) ^= with;
            }
        }
        Change::Cut(index) => document.truncate(at(index, document)),
        Change::Drop(index, many) => {
            let from = at(index, document);
            document.drain(from..(from + many).min(document.len()));
        }
        Change::Insert(index, piece) => {
            let from = at(index, document);
            document.splice(from..from, piece);
        }
        Change::Repeat(index, many, times) => {
            let from = at(index, document);
            let part = document[from..(from + many).min(document.len())].repeat(times);
            document.splice(from..from, part);
        }
        Change::Value(index, value) => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b'\n');
            let starts: Vec<usize> =
                (0..document.len()).filter(|at| matches!(document[*at], b':' | b'=')).collect();
            if !starts.is_empty() {
                let from = starts[index.index(starts.len())] + 1;
                let long = document[from..].iter().position(ends).unwrap_or(document.len() - from);
                document.splice(from..from + long, value.into_bytes());
            }
        }
        Change::Nest(index, deep) => {
            let from = at(index, document);
            let nest = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
            document.splice(from..from, nest.into_bytes());
        }
    }
}

/// Bytes of any kind, or one of these documents after some changes.
pub fn document(valid: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (select(valid), vec(change(), 0..6)).prop_map(|(document, changes)| {
        let mut document = document.into_bytes();
        changes.into_iter().for_each(|change| apply(&mut document, change));
        document
    });
    prop_oneof![1 => vec(any::<u8>(), 0..300), 9 => changed]
}
