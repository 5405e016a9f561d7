//! The browser's half of a login: the authorization request with PKCE and state (RFC 6749, section 4.1.1; RFC 7636),
//! and the callback it comes back with.

use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};

use crate::config::AppSettings;
use crate::domain::Secret;

/// What longplay asks for: the last plays, and the top artists.
pub const SCOPES: [&str; 2] = ["user-read-recently-played", "user-top-read"];

/// An authorization request.
pub struct Authorization {
    /// What the user opens in a browser.
    pub url: String,
    /// Comes back in the callback.
    pub state: String,
    /// The PKCE code verifier, to be sent with the code.
    pub verifier: Secret,
}

/// What the browser came back with.
#[derive(Debug)]
pub struct Callback {
    /// The `state` of the request.
    pub state: String,
    /// The authorization code, or the provider's `error` (RFC 6749, section 4.1.2.1).
    pub code: Result<Secret, String>,
}

/// Why an address is no callback.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallbackError {
    /// Not an address at all.
    #[error(
        "that is no address: paste the whole address that the browser could not open, from http to its end"
    )]
    NotAnAddress,
    /// An address without the parameters.
    #[error("that address has no {0}: paste the whole address that the browser could not open")]
    Incomplete(&'static str),
}

/// Makes an authorization request with a new state and verifier.
///
/// # Errors
/// Where the configured addresses are no URLs.
pub fn authorize(app: &AppSettings) -> Result<Authorization, String> {
    let fault = |e: url::ParseError| format!("app {}: {e}", app.name);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = oauth2::basic::BasicClient::new(ClientId::new(app.client_id.clone()))
        .set_auth_uri(AuthUrl::new(app.authorize_url.clone()).map_err(fault)?)
        .set_redirect_uri(RedirectUrl::new(app.redirect_uri.clone()).map_err(fault)?)
        .authorize_url(CsrfToken::new_random)
        .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    Ok(Authorization {
        url: url.to_string(),
        state: state.secret().clone(),
        verifier: Secret::from(verifier.secret().as_str()),
    })
}

/// Reads the address that the browser was sent to. Unknown parameters are ignored (RFC 6749, section 4.1.2).
///
/// # Errors
/// Where it is no such address.
pub fn read_callback(address: &str) -> Result<Callback, CallbackError> {
    let url = url::Url::parse(address.trim()).map_err(|_| CallbackError::NotAnAddress)?;
    let parameter = |name: &str| {
        url.query_pairs()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    };
    let state = parameter("state").ok_or(CallbackError::Incomplete("state"))?;
    let code = match (parameter("error"), parameter("code")) {
        (Some(error), _) => Err(error.chars().filter(|c| !c.is_control()).take(80).collect()),
        (None, Some(code)) => Ok(Secret::from(code)),
        (None, None) => return Err(CallbackError::Incomplete("code")),
    };
    Ok(Callback { state, code })
}

/// Which of [`SCOPES`] the granted scope lacks. A provider that names no scope granted what was asked for (RFC 6749,
/// section 5.1).
pub fn missing_scopes(granted: Option<&str>) -> Vec<&'static str> {
    let Some(granted) = granted else { return Vec::new() };
    SCOPES.into_iter().filter(|scope| !granted.split_whitespace().any(|s| s == *scope)).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_callback_is_read_and_what_is_unknown_ignored() {
        let callback =
            read_callback(" http://127.0.0.1:8467/callback?utm=1&code=C%2B1&state=S&iss=x \n").unwrap();
        assert_eq!(callback.state, "S");
        assert_eq!(callback.code.unwrap().expose_secret(), "C+1");
        let denied = read_callback("http://127.0.0.1/callback?error=access_denied&state=S").unwrap();
        assert_eq!(denied.code.unwrap_err(), "access_denied");
    }

    #[test]
    fn what_is_no_callback_is_refused_with_the_cure() {
        assert_eq!(read_callback("AQxyz").unwrap_err(), CallbackError::NotAnAddress);
        assert_eq!(read_callback("http://x/?code=1").unwrap_err(), CallbackError::Incomplete("state"));
        assert_eq!(read_callback("http://x/?state=1&code=").unwrap_err(), CallbackError::Incomplete("code"));
    }

    #[test]
    fn a_granted_scope_must_hold_what_was_asked_for() {
        assert!(missing_scopes(None).is_empty());
        assert!(missing_scopes(Some("user-top-read user-read-recently-played x")).is_empty());
        assert_eq!(missing_scopes(Some("user-read-recently-played-x")), SCOPES);
    }
}
