//! What is written where: results to standard output, notes and errors to standard error, a line each.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::exit::CliError;
use crate::config::Place;
use crate::telemetry::print_error;

/// Writes a result to standard output, at once.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a piece of a result to standard output, at once.
pub fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a line to standard output, at once.
pub fn print_line(line: &str) -> Result<(), CliError> {
    print(&format!("{line}\n"))
}

/// Writes a result as JSON, for people to read too.
pub fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    print_line(&serde_json::to_string_pretty(value).map_err(std::io::Error::from)?)
}

/// Writes to standard error, each line with the program's name in front.
pub fn note(text: &str) {
    let mut err = std::io::stderr().lock();
    for line in text.lines() {
        // Where nobody listens there is nobody to tell.
        let _ = writeln!(err, "{}", named(line));
    }
}

/// The same for an error, which the journal keeps as one.
pub fn error(text: &str) {
    let lines: Vec<String> = text.lines().map(named).collect();
    print_error(lines.iter().map(String::as_str));
}

fn named(line: &str) -> String {
    format!("longplay: {}", plain(line))
}

/// Text of others without what could move the cursor or turn the writing's direction: control characters (Unicode Cc)
/// and the bidirectional ones (UAX 9).
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// Whether standard output takes colours (<https://no-color.org>).
pub fn colours(place: &Place) -> bool {
    std::io::stdout().is_terminal() && wants_colours(place)
}

fn wants_colours(place: &Place) -> bool {
    let var = |name| place.env.get(name).map(String::as_str).unwrap_or_default();
    var("NO_COLOR").is_empty() && var("TERM") != "dumb"
}

/// A number with the word for what is counted.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_a_dumb_terminal_mean_no_colours() {
        let place = |name: &str, value: &str| Place {
            config: None,
            env: [(name.to_owned(), value.to_owned())].into(),
            root: false,
            system_file: "/nowhere".into(),
        };
        assert!(wants_colours(&place("NO_COLOR", "")));
        assert!(!wants_colours(&place("NO_COLOR", "1")));
        assert!(!wants_colours(&place("TERM", "dumb")));
    }

    #[test]
    fn a_title_can_not_write_to_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\nc\u{9b}é"), "a [31mb c é");
    }
}
