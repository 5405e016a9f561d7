//! Secrets by type: redacted when printed, zeroed when dropped.

use secrecy::{ExposeSecret, SecretString};

/// Any secret text: a client secret, a password, a code verifier.
pub type Secret = SecretString;

macro_rules! token {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $type(SecretString);

        impl $type {
            /// The token itself. Every call is a place where it can leak; keep them few.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl From<String> for $type {
            fn from(token: String) -> Self {
                Self(token.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_redacted_when_printed() {
        let shown =
            format!("{:?} {:?}", AccessToken::from("BQx".to_owned()), RefreshToken::from("AQx".to_owned()));
        assert!(!shown.contains("BQx") && !shown.contains("AQx"), "{shown}");
    }
}
