//! The token endpoint and the login: RFC 6749, 7636 (PKCE), 8252 (loopback redirects).

mod answer;
mod endpoint;
mod login;

pub use answer::{NO_TOKEN, Reading, Tokens, read};
pub use endpoint::{HttpTransport, PostError, RawAnswer, TokenRequest, Transport};
pub use login::{Authorization, Callback, CallbackError, SCOPES, authorize, missing_scopes, read_callback};
