//! How the domain's words are kept in a column: numbers, text and bytes only, the same in every database.

use std::time::Duration;

use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error as WordError};
use sqlx::error::BoxDynError;
use sqlx::{Decode, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::domain::{
    AppName, AttemptId, Cause, Epoch, EventKind, GapCause, Generation, Origin, Owner, RunId, RunResult,
    Sealed, Source, Timestamp, Trigger, UserId, UserName,
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
    pub fn of<T: Bind>(cells: impl Iterator<Item = T>) -> Self {
        match T::NULL {
            Value::Int(_) => Self::Ints(cells.map(|cell| cell.bind().int()).collect()),
            _ => Self::Texts(cells.map(|cell| cell.bind().text()).collect()),
        }
    }

    /// The table as SQLite reads it: an array of rows, each an array of cells.
    pub fn json(columns: &[Self]) -> String {
        let height = columns.first().map_or(0, |column| match column {
            Self::Ints(cells) => cells.len(),
            Self::Texts(cells) => cells.len(),
        });
        let cell = |column: &Self, n: usize| match column {
            Self::Ints(cells) => serde_json::Value::from(cells[n]),
            Self::Texts(cells) => serde_json::Value::from(cells[n].as_deref()),
        };
        let row = |n| columns.iter().map(|column| cell(column, n)).collect::<serde_json::Value>();
        (0..height).map(row).collect::<serde_json::Value>().to_string()
    }
}

impl Value {
    fn int(self) -> Option<i64> {
        match self {
            Self::Int(value) => value,
            Self::Bool(value) => value.map(i64::from),
            _ => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(value) => value,
            _ => None,
        }
    }
}

/// What can be a parameter.
pub trait Bind: Sized {
    /// Null of this type.
    const NULL: Value;
    /// As it goes to the database.
    fn bind(self) -> Value;
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
    const NULL: Value = T::NULL;
    fn bind(self) -> Value {
        self.map_or(T::NULL, T::bind)
    }
}

macro_rules! plain {
    ($($type:ty as $value:ident),*) => {$(
        impl Bind for $type {
            const NULL: Value = Value::$value(None);
            fn bind(self) -> Value {
                Value::$value(Some(self))
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
plain!(bool as Bool, i64 as Int, Vec<u8> as Blob);

impl Bind for String {
    const NULL: Value = Value::Text(None);
    fn bind(self) -> Value {
        // PostgreSQL keeps every character but this one, and SQLite forgets what stands after it.
        Value::Text(Some(if self.contains('\0') { self.replace('\0', "\u{fffd}") } else { self }))
    }
}

impl Read for String {
    type Raw = Self;
    fn read(raw: Self) -> Result<Self, BoxDynError> {
        Ok(raw)
    }
}

/// For types that are made of another: how to get there, and how back.
macro_rules! made_of {
    ($($type:ty: $raw:ty, $to:expr, $from:expr;)*) => {$(
        impl Bind for $type {
            const NULL: Value = <$raw as Bind>::NULL;
            fn bind(self) -> Value {
                let to: fn($type) -> $raw = $to;
                to(self).bind()
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
    const NULL: Value = Value::Text(None);
    fn bind(self) -> Value {
        self.to_owned().bind()
    }
}

impl<T: Bind + Clone> Bind for &T {
    const NULL: Value = T::NULL;
    fn bind(self) -> Value {
        self.clone().bind()
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
