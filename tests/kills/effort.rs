//! How much is done: as much as suits CI, or what the environment says. What is drawn is drawn from a seed, which is
//! printed.

use std::io::Write as _;
use std::str::FromStr;

/// How many times the daemons are killed, over all stores and kinds of rotation (`LONGPLAY_KILLS`).
pub fn kills() -> usize {
    number("LONGPLAY_KILLS").unwrap_or(102)
}

/// How many times two daemons are asked for the same user's token at once (`LONGPLAY_ASKS`).
pub fn asks() -> usize {
    number("LONGPLAY_ASKS").unwrap_or(400)
}

/// What everything is drawn from (`LONGPLAY_SEED`); another one each time, unless it is given.
pub fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    number("LONGPLAY_SEED").unwrap_or(now.as_secs())
}

fn number<N: FromStr>(variable: &str) -> Option<N> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Prints, also where the test's output is captured.
pub fn say(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr(), "{text}");
}
