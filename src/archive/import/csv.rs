//! Longplay's own CSV: a line of names, then a row a line; lists are JSON in their cells.

use std::io::Read;

use super::frame::Position;
use super::row::Row;
use super::wire::{Text, Wire};
use crate::domain::{Source, Timestamp};

/// How a file of this form begins.
pub const BEGINS: &[u8] = b"played_at,";

/// The rows of a file.
pub struct Table<R> {
    reader: csv::Reader<R>,
    names: csv::StringRecord,
    record: csv::StringRecord,
}

/// What comes next.
pub enum Next {
    /// A row, in the table's own memory.
    Row(Position),
    /// One that can't be read.
    Unreadable(&'static str, Position),
    /// Nothing more can be read.
    Broken(&'static str, Position),
    End,
}

impl<R: Read> Table<R> {
    pub fn new(from: R) -> Self {
        let reader = csv::ReaderBuilder::new().flexible(true).from_reader(from);
        Self { reader, names: csv::StringRecord::new(), record: csv::StringRecord::new() }
    }

    pub fn consumed(&self) -> u64 {
        self.reader.position().byte()
    }

    pub fn next(&mut self) -> Next {
        if self.names.is_empty() {
            match self.reader.headers() {
                Ok(names) => self.names = names.clone(),
                Err(_) => return Next::Broken("its first line can't be read", Position { row: 1, byte: 0 }),
            }
        }
        let at = self.reader.position();
        let position = Position { row: at.record().max(1), byte: at.byte() };
        match self.reader.read_record(&mut self.record) {
            Ok(true) if self.record.len() != self.names.len() => {
                Next::Unreadable("it has another number of cells than the first line", position)
            }
            Ok(true) => Next::Row(position),
            Ok(false) => Next::End,
            Err(e) => match e.kind() {
                csv::ErrorKind::Utf8 { .. } => Next::Unreadable("it is no UTF-8", position),
                _ => Next::Broken("the file can't be read on: it is damaged", position),
            },
        }
    }

    /// What the row says.
    pub fn row(&self, present: Timestamp) -> Result<Row<'_>, String> {
        let cell = |name: &str| {
            let at = self.names.iter().position(|column| column == name)?;
            self.record.get(at).filter(|cell| !cell.is_empty())
        };
        let text = |name| cell(name).map(|cell| Text(cell.replace('\0', "").into()));
        let number = |name| match cell(name).map(str::parse::<i64>).transpose() {
            Ok(number) => Ok(number),
            Err(_) => Err(format!("{name} is no number")),
        };
        let source = match cell("source") {
            None | Some("import") => Source::Import,
            Some("api") => Source::Api,
            Some(_) => return Err("source is neither api nor import".to_owned()),
        };
        let wire = Wire {
            played_at: text("played_at"),
            track: text("track"),
            artists: list(cell("artists")).ok_or("artists is no list")?,
            artist_uris: list(cell("artist_uris")).ok_or("artist_uris is no list")?,
            album: text("album"),
            album_uri: text("album_uri"),
            track_uri: text("track_uri"),
            isrc: text("isrc"),
            duration_ms: number("duration_ms")?,
            context_uri: text("context_uri"),
            source: Some(source),
            ms_played: number("ms_played")?,
            ..Wire::default()
        };
        wire.row(present).map_err(str::to_owned)
    }
}

fn list<'a, T: serde::Deserialize<'a>>(cell: Option<&'a str>) -> Option<Vec<T>> {
    cell.map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())
}
