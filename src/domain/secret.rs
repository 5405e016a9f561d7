//! Secrets by type: redacted when printed, zeroed when the last who holds one drops it.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// Any secret text: a client secret, a password, a code verifier.
pub type Secret = SecretString;

macro_rules! token {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $type(Arc<SecretString>); // one copy in memory, whoever holds it

        impl $type {
            /// The token itself. Every call is a place where it can leak; keep them few.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl From<String> for $type {
            fn from(token: String) -> Self {
                Self(Arc::new(token.into()))
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.expose() == other.expose()
            }
        }
        impl Eq for $type {}
    };
}

token!(
    /// An OAuth access token (RFC 6749, section 1.4).
    AccessToken
);
token!(
    /// An OAuth refresh token (RFC 6749, section 1.5).
    RefreshToken
);

/// No word of people's is as long as the shortest secret, a client secret of 32 characters.
const SHORTEST_SECRET: usize = 32;

/// Foreign words, with everything hidden that is long enough to be a token or a secret (the alphabet of RFC 6750,
/// section 2.1): an answer may repeat what it was asked with.
pub fn without_secrets(words: &str) -> String {
    let secretive = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let mut shown = String::new();
    let mut rest = words;
    while let Some(start) = rest.find(secretive) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !secretive(c)).unwrap_or(from.len()));
        shown.push_str(before);
        shown.push_str(if word.len() < SHORTEST_SECRET { word } else { "(hidden)" });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_redacted_when_printed() {
        let shown =
            format!("{:?} {:?}", AccessToken::from("BQx".to_owned()), RefreshToken::from("AQx".to_owned()));
        assert!(!shown.contains("BQx") && !shown.contains("AQx"), "{shown}");
    }

    #[test]
    fn words_stay_and_what_could_be_a_secret_is_hidden() {
        let token = "AQ-_.~+/=".repeat(4);
        for (words, shown) in [
            ("Refresh token revoked", "Refresh token revoked"),
            ("upstream connect error or disconnect/reset", "upstream connect error or disconnect/reset"),
            (&format!("é '{token}', é"), "é '(hidden)', é"),
            (&format!("{token} {token}"), "(hidden) (hidden)"),
            (&"a".repeat(31), &"a".repeat(31)),
            (&"a".repeat(32), "(hidden)"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(words), shown);
        }
    }
}
