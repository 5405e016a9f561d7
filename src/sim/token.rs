//! `POST /api/token`: codes and refresh tokens against access tokens (RFC 6749, sections 4.1.3, 5 and 6; RFC 7636).

use base64::{Engine, engine::general_purpose::STANDARD};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::{Value, json};

use super::Rotation;
use super::message::{Call, Fields, Reply};
use super::world::{Standing, World};
use crate::domain::Timestamp;

/// Whose tokens a request to the token endpoint is about, if it is about any that were issued.
pub(super) fn account(world: &World, call: &Call) -> Option<String> {
    let form = call.form();
    if let Some(refresh) = form.get("refresh_token").and_then(|token| world.refresh.get(token)) {
        return Some(world.logins[refresh.login].account.clone());
    }
    form.get("code").and_then(|code| world.codes.get(code)).map(|code| code.account.clone())
}

/// Answers, and changes the record accordingly.
pub(super) fn answer(world: &mut World, call: &Call, now: Timestamp) -> Reply {
    let form = call.form();
    exchange(world, call, &form, now).unwrap_or_else(|refusal| refusal)
}

fn exchange(world: &mut World, call: &Call, form: &Fields, now: Timestamp) -> Result<Reply, Reply> {
    let unsupported = |text| Reply::oauth_error("unsupported_grant_type", Some(text));
    let grant_type = form.get("grant_type").ok_or_else(|| unsupported("grant_type parameter is missing"))?;
    if let Some(name) = form.repeated() {
        return Err(Reply::oauth_error("invalid_request", Some(&format!("{name} is repeated"))));
    }
    let client_id = client(world, call, form)?;
    match grant_type {
        "authorization_code" => with_code(world, form, &client_id, now),
        "refresh_token" => with_refresh_token(world, form, &client_id, now),
        _ => Err(unsupported("grant_type must be authorization_code or refresh_token")),
    }
}

/// The client that sent the request: by HTTP Basic if it has a secret, else by `client_id` in the body.
fn client(world: &World, call: &Call, form: &Fields) -> Result<String, Reply> {
    let invalid = |text| Reply::oauth_error("invalid_client", text);
    let stated = form.get("client_id");
    let (client_id, secret) = match &call.authorization {
        Some(header) => {
            let (id, secret) = basic(header).ok_or_else(|| invalid(Some("Invalid client")))?;
            (id, Some(secret))
        }
        None => (stated.ok_or_else(|| invalid(Some("Invalid client")))?.to_owned(), None),
    };
    let app = world.apps.get(&client_id).filter(|app| app.enabled).ok_or_else(|| invalid(None))?;
    let contradicted = stated.is_some_and(|stated| stated != client_id);
    if contradicted || app.secret != secret || form.get("client_secret").is_some() {
        return Err(invalid(Some("Invalid client secret")));
    }
    Ok(client_id)
}

fn basic(header: &str) -> Option<(String, String)> {
    let (kind, encoded) = header.split_once(' ')?;
    if !kind.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn needed<'a>(form: &'a Fields, name: &str) -> Result<&'a str, Reply> {
    let missing = || Reply::oauth_error("invalid_request", Some(&format!("{name} must be supplied")));
    form.get(name).ok_or_else(missing)
}

fn with_code(world: &mut World, form: &Fields, client_id: &str, now: Timestamp) -> Result<Reply, Reply> {
    let text = needed(form, "code")?;
    let redirect_uri = needed(form, "redirect_uri")?;
    let invalid = || Reply::invalid_grant("Invalid authorization code");
    let code = world.codes.get_mut(text).ok_or_else(invalid)?;
    if code.client_id != client_id || code.used {
        return Err(invalid());
    }
    if now >= code.expires_at {
        return Err(Reply::invalid_grant("Authorization code expired"));
    }
    // From here on it is spent, whether or not the rest is right (RFC 6749, section 10.5).
    code.used = true;
    if code.redirect_uri != redirect_uri {
        return Err(Reply::invalid_grant("Invalid redirect URI"));
    }
    if let Some(challenge) = &code.challenge
        && !verifies(needed(form, "code_verifier")?, challenge)
    {
        return Err(Reply::invalid_grant("code_verifier was incorrect"));
    }
    let (account, scope) = (code.account.clone(), code.scope.clone());
    let login = world.begin_login(&account, client_id, &scope, now);
    let first = world.logins[login].current.clone();
    Ok(tokens(world, login, Some(json!(first)), now))
}

/// Whether a verifier fits its S256 challenge (RFC 7636, section 4.6).
fn verifies(verifier: &str, challenge: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    // Checked here, since the library panics on other lengths.
    (43..=128).contains(&verifier.len())
        && verifier.chars().all(allowed)
        && PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned())).as_str()
            == challenge
}

fn with_refresh_token(
    world: &mut World,
    form: &Fields,
    client_id: &str,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let token = needed(form, "refresh_token")?;
    let unknown = || Reply::invalid_grant("Invalid refresh token");
    let login = world.refresh.get(token).ok_or_else(unknown)?.login;
    if world.logins[login].client_id != client_id {
        return Err(unknown());
    }
    let account = world.logins[login].account.clone();
    match world.refresh_standing(token, now) {
        Standing::Good => {}
        Standing::Unknown => return Err(unknown()),
        Standing::Revoked => return Err(Reply::invalid_grant("Refresh token revoked")),
        Standing::Expired => return Err(Reply::invalid_grant("Refresh token expired")),
        Standing::Spent => {
            world.logins[login].revoked = true;
            world.refreshes.entry(account).or_default().reused += 1;
            return Err(Reply::invalid_grant("Refresh token revoked"));
        }
    }
    let rotation = world.apps.get(client_id).map_or(Rotation::Never, |app| app.rotation);
    let field = match rotation {
        Rotation::Never => None,
        Rotation::Null => Some(Value::Null),
        Rotation::Empty => Some(json!("")),
        Rotation::Same => Some(json!(token)),
        Rotation::Rotate | Rotation::RotateWithGrace(_) => world.rotate(token, now).map(Value::from),
    };
    world.refreshes.entry(account).or_default().accepted += 1;
    Ok(tokens(world, login, field, now))
}

fn tokens(world: &mut World, login: usize, refresh_token: Option<Value>, now: Timestamp) -> Reply {
    let mut body = json!({
        "access_token": world.issue_access(login, now),
        "token_type": "Bearer",
        "expires_in": world.access_lifetime.as_secs(),
        "scope": world.logins[login].scope,
    });
    if let Some(token) = refresh_token {
        body["refresh_token"] = token;
    }
    Reply::json(200, &body).header("cache-control", "no-store")
}
