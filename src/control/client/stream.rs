//! Events as they come: the part of the server-sent events format (WHATWG HTML, section 9.2) that the daemon speaks.

use std::collections::VecDeque;

use super::transport::Answer;
use super::{ClientError, Result};
use crate::domain::Event;

/// Events, until the daemon ends them.
pub struct EventStream {
    answer: Answer,
    lines: Lines,
}

impl EventStream {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, lines: Lines::default() }
    }

    /// The next event; `None` when the daemon has stopped.
    ///
    /// # Errors
    /// Where the connection broke, or an event can't be read.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(data) = self.lines.ready.pop_front() {
                return serde_json::from_str(&data).map(Some).map_err(|e| ClientError::Lost {
                    doing: "reading an event".to_owned(),
                    source: e.into(),
                });
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.lines.feed(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes in, the data of whole events out.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    data: Option<String>,
    ready: VecDeque<String>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.end_of_line(&String::from_utf8_lossy(&line));
            } else {
                self.line.push(byte);
            }
        }
    }

    fn end_of_line(&mut self, line: &str) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            self.ready.extend(self.data.take());
            return;
        }
        // Comments, which keep the connection alive, and other fields don't matter.
        let Some(data) = line.strip_prefix("data:") else { return };
        let data = data.strip_prefix(' ').unwrap_or(data);
        match &mut self.data {
            Some(before) => {
                before.push('\n');
                before.push_str(data);
            }
            None => self.data = Some(data.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pieces: &[&str]) -> Vec<String> {
        let mut lines = Lines::default();
        pieces.iter().for_each(|piece| lines.feed(piece.as_bytes()));
        lines.ready.into()
    }

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let stream = ": hello\n\nevent: x\ndata: {\"a\":\"é\"}\nid: 1\n\ndata:{}\r\n\r\ndata: cut off";
        let whole = fed(&[stream]);
        assert_eq!(whole, ["{\"a\":\"é\"}", "{}"]);
        for at in (0..stream.len()).filter(|at| stream.is_char_boundary(*at)) {
            let (a, b) = stream.split_at(at);
            assert_eq!(fed(&[a, b]), whole, "{at}");
        }
    }

    #[test]
    fn data_of_several_lines_is_one_event() {
        assert_eq!(fed(&["data: a\ndata:  b\n\n"]), ["a\n b"]);
    }
}
