//! How the domain's words are kept in a column: numbers, text and bytes only, the same in every database.

use std::time::Duration;

use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error as WordError};
use serde::ser::{SerializeSeq as _, Serializer};
use sqlx::error::BoxDynError;
use sqlx::{Decode, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::domain::{
    AppName, AttemptId, Cause, Epoch, EventKind, GapCause, Generation, ImportId, Origin, Owner, RunId,
    RunResult, Sealed, Source, Timestamp, Trigger, UserId, UserName,
};

/// A parameter, null or not, of a type that the database knows beforehand.
#[derive(Debug)]
pub enum Value {
    Bool(Option<bool>),
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    /// A table: see `text.rs`. The last parameter, since PostgreSQL takes one for each column.
    Rows(Vec<Column>),
}

/// A column of a table that is a parameter.
#[derive(Debug)]
pub enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Column {
    /// One cell a row.
    pub fn of<T: Bind<As: Cell>>(cells: impl Iterator<Item = T>) -> Self {
        T::As::column(cells.map(T::plain).collect())
    }

    /// The table as SQLite reads it: an array of rows, each an array of cells.
    pub fn json(columns: &[Self]) -> String {
        let height = columns.first().map_or(0, |column| match column {
            Self::Ints(cells) => cells.len(),
            Self::Texts(cells) => cells.len(),
        });
        let rows = (0..height).map(|row| Cells { columns, row });
        let mut json = Vec::with_capacity(height * columns.len() * 16);
        // Numbers and texts are always JSON, and JSON is always UTF-8.
        let written = (&mut serde_json::Serializer::new(&mut json)).collect_seq(rows);
        written.ok().and_then(|()| String::from_utf8(json).ok()).unwrap_or_default()
    }
}

/// One row of a table.
struct Cells<'c> {
    columns: &'c [Column],
    row: usize,
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_seq(Some(self.columns.len()))?;
        for column in self.columns {
            match column {
                Column::Ints(cells) => row.serialize_element(&cells[self.row])?,
                Column::Texts(cells) => row.serialize_element(&cells[self.row])?,
            }
        }
        row.end()
    }
}

/// What can be a parameter.
pub trait Bind: Sized {
    /// What it goes to the database as.
    type As: Plain;
    /// As that; `None`: null.
    fn plain(self) -> Option<Self::As>;
    /// As a parameter.
    fn bind(self) -> Value {
        Self::As::value(self.plain())
    }
}

/// What parameters are made of.
pub trait Plain: Sized {
    /// As a parameter.
    fn value(value: Option<Self>) -> Value;
}

/// What the columns of tables are made of.
pub trait Cell: Plain {
    /// One cell a row.
    fn column(cells: Vec<Option<Self>>) -> Column;
}

impl Cell for i64 {
    fn column(cells: Vec<Option<Self>>) -> Column {
        Column::Ints(cells)
    }
}

impl Cell for String {
    fn column(cells: Vec<Option<Self>>) -> Column {
        Column::Texts(cells)
    }
}

/// What can be read from a column.
pub trait Read: Sized {
    /// The column's own type.
    type Raw: Raw;
    /// From the column's value.
    fn read(raw: Self::Raw) -> Result<Self, BoxDynError>;
}

/// A type that both databases have.
pub trait Raw:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}
impl<T> Raw for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T: Bind> Bind for Option<T> {
    type As = T::As;
    fn plain(self) -> Option<T::As> {
        self.and_then(T::plain)
    }
}

macro_rules! plain {
    ($($type:ty as $value:ident),*) => {$(
        impl Plain for $type {
            fn value(value: Option<Self>) -> Value {
                Value::$value(value)
            }
        }
        impl Read for $type {
            type Raw = Self;
            fn read(raw: Self) -> Result<Self, BoxDynError> {
                Ok(raw)
            }
        }
    )*};
}
plain!(bool as Bool, i64 as Int, String as Text, Vec<u8> as Blob);

macro_rules! as_it_is {
    ($($type:ty),*) => {$(
        impl Bind for $type {
            type As = Self;
            fn plain(self) -> Option<Self> {
                Some(self)
            }
        }
    )*};
}
as_it_is!(bool, i64, Vec<u8>);

impl Bind for String {
    type As = Self;
    fn plain(self) -> Option<Self> {
        // PostgreSQL keeps every character but this one, and SQLite forgets what stands after it.
        Some(if self.contains('\0') { self.replace('\0', "\u{fffd}") } else { self })
    }
}

/// For types that are made of another: how to get there, and how back.
macro_rules! made_of {
    ($($type:ty: $raw:ty, $to:expr, $from:expr;)*) => {$(
        impl Bind for $type {
            type As = $raw;
            fn plain(self) -> Option<$raw> {
                let to: fn($type) -> $raw = $to;
                to(self).plain()
            }
        }
        impl Read for $type {
            type Raw = $raw;
            fn read(raw: $raw) -> Result<Self, BoxDynError> {
                let from: fn($raw) -> Result<$type, BoxDynError> = $from;
                from(raw)
            }
        }
    )*};
}
made_of! {
    UserId: i64, |id| id.0, |raw| Ok(Self(raw));
    ImportId: i64, |id| id.0, |raw| Ok(Self(raw));
    RunId: i64, |id| id.0, |raw| Ok(Self(raw));
    Epoch: i64, |epoch| epoch.0, |raw| Ok(Self(raw));
    Generation: i64, |generation| generation.0, |raw| Ok(Self(raw));
    Timestamp: i64, Timestamp::as_millis, |raw| Ok(Self::from_millis(raw));
    Duration: i64, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX), |raw| Ok(Self::from_millis(raw.try_into()?));
    u32: i64, i64::from, |raw| Ok(raw.try_into()?);
    Uuid: Vec<u8>, |id| id.as_bytes().to_vec(), |raw| Ok(Self::from_slice(&raw)?);
    AttemptId: Vec<u8>, |id| id.0.as_bytes().to_vec(), |raw| Ok(Self(Uuid::from_slice(&raw)?));
    Owner: Vec<u8>, |owner| owner.0.as_bytes().to_vec(), |raw| Ok(Self(Uuid::from_slice(&raw)?));
    Sealed: Vec<u8>, |sealed| sealed.0, |raw| Ok(Self(raw));
    UserName: String, String::from, |raw| Ok(raw.parse()?);
    AppName: String, String::from, |raw| Ok(raw.parse()?);
    Cause: String, |c| word(&c), from_word;
    EventKind: String, |k| word(&k), from_word;
    GapCause: String, |c| word(&c), from_word;
    Origin: String, |o| word(&o), from_word;
    RunResult: String, |r| word(&r), from_word;
    Source: String, |s| word(&s), from_word;
    Trigger: String, |t| word(&t), from_word;
}

impl Bind for &str {
    type As = String;
    fn plain(self) -> Option<String> {
        self.to_owned().plain()
    }
}

impl<T: Bind + Clone> Bind for &T {
    type As = T::As;
    fn plain(self) -> Option<T::As> {
        self.clone().plain()
    }
}

/// The word that JSON uses for it too.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("an enum without fields is written as a word, not as {other:?}"),
    }
}

fn from_word<T: DeserializeOwned>(word: String) -> Result<T, BoxDynError> {
    T::deserialize(IntoDeserializer::<WordError>::into_deserializer(word)).map_err(BoxDynError::from)
}
