//! What is wrong with a configuration, for people: where, what was got, what is accepted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The file, `environment variable NAME`, `credential NAME`, or `default`.
    pub file: String,
    /// The dotted key, or the place in the file where it stops being TOML; empty for the file as a whole.
    pub key: String,
    /// What was found there.
    pub got: String,
    /// What would be accepted.
    pub accepted: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, key, got, accepted } = self;
        let separator = if key.is_empty() { "" } else { ": " };
        write!(f, "{file}{separator}{key}: got {got}; accepted: {accepted}")
    }
}

/// Every fault that was found in a configuration; never empty. Written one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
