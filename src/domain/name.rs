//! Names of users and apps: short, lower case, safe in paths, URLs and journal fields. Clones share the text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{given:?} is not {what} name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
)]
pub struct NameError {
    what: &'static str,
    given: String,
}

fn check(what: &'static str, given: &str) -> Result<Arc<str>, NameError> {
    let mut bytes = given.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
    if first && rest && given.len() <= 63 {
        return Ok(given.into());
    }
    let mut shown: String = given.chars().take(80).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    Err(NameError { what, given: shown })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(given: &str) -> Result<Self, NameError> {
                check($what, given).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(given: String) -> Result<Self, NameError> {
                given.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.as_str().to_owned()
            }
        }

        impl From<$type> for Arc<str> {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A listener's short name, `[a-z0-9][a-z0-9._-]{0,62}`.
    UserName,
    "a user"
);
name!(
    /// The name of an app (a Spotify client id) in the configuration; same alphabet as [`UserName`].
    AppName,
    "an app"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_lower_case_and_plain() {
        for good in ["a", "0", "alice", "a.b_c-d", "9lives", &"x".repeat(63)] {
            assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
        }
        for bad in
            ["", "A", "-a", ".a", "_a", "a b", "a/b", "a'b", "a\"b", "é", "a\0", "a\n", &"x".repeat(64)]
        {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refused_name_is_shown_cut_and_escaped() {
        let message = "é\n".repeat(300).parse::<UserName>().unwrap_err().to_string();
        assert!(message.len() < 400 && !message.contains('\n'), "{message}");
    }
}
