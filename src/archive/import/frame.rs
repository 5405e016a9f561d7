//! Cuts JSON into the rows of its array, or into lines, without understanding them: a row that makes no sense ends where
//! the next begins.

use std::io::{ErrorKind, Read};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;
/// No row is longer.
const LONGEST: usize = 1024 * 1024;

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its number, from 1.
    pub row: u64,
    /// Its first byte, from 0.
    pub byte: u64,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A row.
    Row(&'a [u8], Position),
    /// Nothing more can be read, and why.
    Broken(&'static str, Position),
    /// The file is at its end.
    End,
}

/// The rows of a file.
pub struct Frames<R> {
    from: R,
    buffer: Vec<u8>,
    /// What of the buffer was handed out.
    used: usize,
    /// How many bytes came before the buffer.
    before: u64,
    ended: bool,
    fault: Option<&'static str>,
    rows: u64,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Array,
    Lines,
    Done,
}

/// A value in the buffer, or what is missing of it.
enum Scanned {
    Until(usize),
    Incomplete,
}

impl<R: Read> Frames<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            used: 0,
            before: 0,
            ended: false,
            fault: None,
            rows: 0,
            form: Form::Unknown,
        }
    }

    /// How many bytes were handed out.
    pub fn consumed(&self) -> u64 {
        self.before + self.used as u64
    }

    /// The next row.
    pub fn next(&mut self) -> Next<'_> {
        if self.form == Form::Unknown {
            if self.fill_to(3) && self.buffer[self.used..].starts_with(b"\xef\xbb\xbf") {
                self.used += 3;
            }
            match self.skip(b"") {
                Some(b'[') => {
                    self.used += 1;
                    self.form = Form::Array;
                }
                Some(_) => self.form = Form::Lines,
                None => self.form = Form::Done,
            }
        }
        match self.form {
            Form::Array => self.element(),
            Form::Lines => self.line(),
            Form::Unknown | Form::Done => self.at_end(),
        }
    }

    /// What of an array is in memory from the next row on, if that is an object, and where it stands. Nothing is read for it,
    /// so that the row may not be there to its end.
    pub fn ahead(&self) -> Option<(&[u8], Position)> {
        if self.form != Form::Array {
            return None;
        }
        let mut comma = self.rows > 0;
        let mut rest = &self.buffer[self.used..];
        while let [byte, after @ ..] = rest {
            match byte {
                b'{' => {
                    let byte = self.before + (self.buffer.len() - rest.len()) as u64;
                    return Some((rest, Position { row: self.rows + 1, byte }));
                }
                b',' if comma => comma = false,
                byte if byte.is_ascii_whitespace() => {}
                _ => return None,
            }
            rest = after;
        }
        None
    }

    /// The row that is [`Frames::ahead`] has so many bytes.
    pub fn pass(&mut self, position: Position, length: usize) {
        let begin = usize::try_from(position.byte - self.before).unwrap_or(usize::MAX);
        self.used = begin.saturating_add(length).min(self.buffer.len());
        self.rows += 1;
    }

    fn position(&self) -> Position {
        Position { row: self.rows + 1, byte: self.consumed() }
    }

    fn broken(&mut self, why: &'static str) -> Next<'_> {
        self.form = Form::Done;
        Next::Broken(self.fault.take().unwrap_or(why), self.position())
    }

    /// A file that can't be read any more has no end.
    fn at_end(&mut self) -> Next<'_> {
        self.form = Form::Done;
        match self.fault.take() {
            Some(why) => Next::Broken(why, self.position()),
            None => Next::End,
        }
    }

    fn element(&mut self) -> Next<'_> {
        let comma: &[u8] = if self.rows == 0 { b"" } else { b"," };
        match self.skip(comma) {
            Some(b']') => {
                // Only at its very end a file of a zip shows whether it is as it was packed.
                self.used = self.buffer.len();
                while self.fill_more() {
                    self.used = self.buffer.len();
                }
                return self.at_end();
            }
            Some(b'}' | b':' | b',') => return self.broken("this is no JSON"),
            Some(_) => {}
            None => return self.broken("the file is cut off here"),
        }
        let mut length = 0;
        loop {
            match scan(&self.buffer[self.used..]) {
                Scanned::Until(end) => {
                    length = end;
                    break;
                }
                Scanned::Incomplete if self.buffer.len() - self.used > LONGEST => {
                    return self.broken("no row ends within a megabyte");
                }
                Scanned::Incomplete if self.fill_more() => {}
                Scanned::Incomplete => break,
            }
        }
        if length == 0 {
            return self.broken("the file is cut off here");
        }
        self.hand_out(length)
    }

    fn line(&mut self) -> Next<'_> {
        if self.skip(b"").is_none() {
            return self.at_end();
        }
        let mut looked_at = 0;
        let length = loop {
            let rest = &self.buffer[self.used..];
            if let Some(end) = rest[looked_at..].iter().position(|byte| *byte == b'\n') {
                break looked_at + end;
            }
            looked_at = rest.len();
            if looked_at > LONGEST {
                return self.broken("no row ends within a megabyte");
            }
            if !self.fill_more() {
                break looked_at;
            }
        };
        if self.fault.is_some() {
            return self.broken("");
        }
        self.hand_out(length)
    }

    fn hand_out(&mut self, length: usize) -> Next<'_> {
        let position = self.position();
        let from = self.used;
        self.used += length;
        self.rows += 1;
        Next::Row(&self.buffer[from..from + length], position)
    }

    /// Goes past blanks, and one of `also`; answers the next byte.
    fn skip(&mut self, also: &[u8]) -> Option<u8> {
        let mut also = also.first().copied();
        loop {
            while let Some(byte) = self.buffer.get(self.used).copied() {
                if also == Some(byte) {
                    also = None;
                } else if !byte.is_ascii_whitespace() {
                    return Some(byte);
                }
                self.used += 1;
            }
            if !self.fill_more() {
                return None;
            }
        }
    }

    fn fill_to(&mut self, least: usize) -> bool {
        while self.buffer.len() - self.used < least {
            if !self.fill_more() {
                return false;
            }
        }
        true
    }

    /// Reads on; false at the end.
    fn fill_more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.buffer.drain(..self.used);
        self.before += self.used as u64;
        self.used = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = loop {
            match self.from.read(&mut self.buffer[old..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = read.unwrap_or_else(|_| {
            self.fault = Some("the file can't be read on: it is damaged");
            0
        });
        self.buffer.truncate(old + read);
        self.ended = read == 0;
        read > 0
    }
}

/// Where the value that begins here ends. Brackets in texts don't count.
fn scan(bytes: &[u8]) -> Scanned {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match end_of_text(&bytes[at + 1..]) {
                Some(length) => at += length,
                None => return Scanned::Incomplete,
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Scanned::Until(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Scanned::Until(at + 1);
                }
            }
            b',' if depth == 0 => return Scanned::Until(at),
            _ => {}
        }
        at += 1;
    }
    Scanned::Incomplete
}

/// The length of a text up to its closing quote, which is included.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}
