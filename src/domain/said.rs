//! Errors in words.

/// An error with its causes, in a line.
pub fn said(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Many libraries end their own words with those of their cause.
        if !line.ends_with(&words) {
            line.push_str(&format!(": {words}"));
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading a")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("reading a: {0}")]
    struct Repeating(#[source] std::io::Error);

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        assert_eq!(said(&Repeating(std::io::Error::other("gone"))), "reading a: gone");
    }

    #[test]
    fn the_causes_follow_the_error() {
        assert_eq!(said(&Outer(std::io::Error::other("gone"))), "reading a: gone");
    }
}
