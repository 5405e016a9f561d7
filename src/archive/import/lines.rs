//! One file of rows, whichever form it has.

use std::io::{self, BufReader, Cursor, Read};

use super::csv::{self, Table};
use super::extended::Extended;
use super::frame::{Frames, Next, Position};
use super::row::{Kind, Row};
use super::wire::Wire;
use crate::domain::Timestamp;

/// How much of a file is looked at to see what it is.
const LOOKED_AT: usize = 64 * 1024;

/// What a file is, as far as its beginning shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// An export. Of an extended history also when its first row is of.
    Export(Option<Timestamp>),
    /// JSON that is an empty list.
    Empty,
    /// Something else.
    Other,
}

/// Looks at the beginning of a file.
pub fn sniff(from: impl Read) -> io::Result<Sniffed> {
    let mut begin = Vec::new();
    from.take(LOOKED_AT as u64).read_to_end(&mut begin)?;
    let bare = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&begin);
    if bare.starts_with(csv::BEGINS) {
        return Ok(Sniffed::Export(None));
    }
    if !matches!(bare.trim_ascii_start().first(), Some(b'[' | b'{')) {
        return Ok(Sniffed::Other);
    }
    let mut frames = Frames::new(bare);
    while let Next::Row(row, _) = frames.next() {
        // One row may be broken.
        let Ok(wire) = Wire::read(row) else { continue };
        if let Some(kind) = wire.kind() {
            return Ok(Sniffed::Export(wire.ended().filter(|_| kind == Kind::Extended)));
        }
    }
    Ok(if bare.trim_ascii() == b"[]" { Sniffed::Empty } else { Sniffed::Other })
}

/// What a reader hears of each row.
pub enum Line<'a> {
    /// It says this.
    Row(Row<'a>, Kind),
    /// It can't be read, and why.
    Unreadable(String, Position),
    /// Neither it nor what follows can be read.
    Broken(&'static str, Position),
}

/// Reads a file to its end. `hear` gets each row and how many bytes were read; false ends it.
pub fn read(
    mut from: impl Read,
    present: Timestamp,
    hear: &mut dyn FnMut(Line<'_>, u64) -> bool,
) -> io::Result<()> {
    let mut begin = Vec::new();
    from.by_ref().take(16).read_to_end(&mut begin)?;
    let is_csv = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&begin).starts_with(csv::BEGINS);
    let whole = Cursor::new(begin).chain(from);
    match is_csv {
        true => read_csv(BufReader::new(whole), present, hear),
        false => read_json(whole, present, hear),
    }
    Ok(())
}

fn read_json(from: impl Read, present: Timestamp, hear: &mut dyn FnMut(Line<'_>, u64) -> bool) {
    let mut frames = Frames::new(from);
    // Rows are mostly of the kind of the one before.
    let mut is_extended = true;
    loop {
        let read = frames.consumed();
        // What makes sense needs nobody to look for its end.
        let understood = frames.ahead().filter(|_| is_extended).and_then(|(bytes, position)| {
            let (row, length) = Extended::begins(bytes)?;
            Some((hear(extended(row, position, present), read), position, length))
        });
        if let Some((goes_on, position, length)) = understood {
            frames.pass(position, length);
            if !goes_on {
                return;
            }
            continue;
        }
        let line = match frames.next() {
            Next::End => return,
            Next::Broken(why, position) => {
                hear(Line::Broken(why, position), read);
                return;
            }
            Next::Row(bytes, position) => match is_extended.then(|| Extended::is(bytes)).flatten() {
                Some(row) => extended(row, position, present),
                None => other(bytes, position, present),
            },
        };
        is_extended = matches!(line, Line::Row(_, Kind::Extended));
        if !hear(line, read) {
            return;
        }
    }
}

fn extended(row: Extended<'_>, position: Position, present: Timestamp) -> Line<'_> {
    match row.row(present) {
        Ok(row) => Line::Row(row, Kind::Extended),
        Err(why) => Line::Unreadable(why.to_owned(), position),
    }
}

fn other(bytes: &[u8], position: Position, present: Timestamp) -> Line<'_> {
    let wire = match Wire::read(bytes) {
        Ok(wire) => wire,
        Err(why) => return Line::Unreadable(why, position),
    };
    let kind = wire.kind();
    match (wire.row(present), kind) {
        (Ok(row), Some(kind)) => Line::Row(row, kind),
        (Ok(_), None) => Line::Unreadable("it is no row of an export".to_owned(), position),
        (Err(why), _) => Line::Unreadable(why.to_owned(), position),
    }
}

fn read_csv(from: impl Read, present: Timestamp, hear: &mut dyn FnMut(Line<'_>, u64) -> bool) {
    let mut table = Table::new(from);
    loop {
        let read = table.consumed();
        let line = match table.next() {
            csv::Next::End => return,
            csv::Next::Broken(why, position) => {
                hear(Line::Broken(why, position), read);
                return;
            }
            csv::Next::Unreadable(why, position) => Line::Unreadable(why.to_owned(), position),
            csv::Next::Row(position) => match table.row(present) {
                Ok(row) => Line::Row(row, Kind::Own),
                Err(why) => Line::Unreadable(why, position),
            },
        };
        if !hear(line, read) {
            return;
        }
    }
}
