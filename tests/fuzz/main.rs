//! What others write, at random: bytes, and mutations of what is valid, through the same functions that the program
//! uses. Not only that nothing panics, but what holds of whatever comes out. `PROPTEST_CASES` makes a run longer.

#![expect(clippy::unwrap_used, reason = "a test")]

mod bytes;
mod configuration;
mod export;
mod page;
mod schedule;
mod token_answer;

use proptest::prelude::ProptestConfig;

/// `usual` many cases, unless the environment asks for another number. What fails is printed, and belongs into a test
/// of its own.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(usual),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

/// What a message for people never is: long, of several lines, or the bearer of something that could be a secret.
fn unfit(message: &str) -> Option<&'static str> {
    let secretive = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let longest = message.split(|c| !secretive(c)).map(str::len).max();
    match () {
        () if message.chars().count() > 1_000 => Some("too long"),
        () if message.contains(char::is_control) => Some("more than a line"),
        () if longest >= Some(32) => Some("perhaps a secret"),
        () => None,
    }
}
