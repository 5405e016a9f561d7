//! `GET /authorize`: the consent page, where the simulated listener has always made up their mind
//! (RFC 6749, section 4.1.1; RFC 7636, section 4.3).

use oauth2::url::{Host, Url};

use super::Consent;
use super::message::{Call, Reply};
use super::world::{Code, World};
use crate::domain::Timestamp;

/// The scopes that an app may ask for here.
const SCOPES: [&str; 4] =
    ["user-read-recently-played", "user-top-read", "user-read-private", "user-read-email"];

/// Who would consent next.
pub(super) fn account(world: &World) -> Option<String> {
    match world.consents.front() {
        Some(Consent::By(account) | Consent::Partly(account, _)) => Some(account.clone()),
        Some(Consent::Deny) => None,
        None => world.first_account.clone(),
    }
}

/// Answers, and takes the next consent if one is asked for rightly.
pub(super) fn answer(world: &mut World, call: &Call, now: Timestamp) -> Reply {
    let query = call.query();
    let page = |text: &str| Reply::text(400, text);
    if let Some(name) = query.repeated() {
        return page(&format!("INVALID_REQUEST: {name} is repeated"));
    }
    let client_id = query.get("client_id").unwrap_or_default();
    let Some(app) = world.apps.get(client_id).filter(|app| app.enabled) else {
        return page("INVALID_CLIENT: Invalid client");
    };
    // Without a redirect URI that can be trusted there is nowhere to send an error (RFC 6749, section 4.1.2.1).
    let asked = query.get("redirect_uri").unwrap_or_default();
    let Some(target) = redirect(asked, &app.redirect_uris) else {
        return page("INVALID_CLIENT: Invalid redirect URI");
    };
    let state = query.get("state");
    let refuse = |error: &str| back(target.clone(), &[("error", Some(error)), ("state", state)]);
    if query.get("response_type") != Some("code") {
        return refuse("unsupported_response_type");
    }
    let challenge = query.get("code_challenge");
    let proven = match (challenge, query.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) => challenge.len() == 43,
        (None, None) => app.secret.is_some(),
        _ => false,
    };
    if !proven {
        return refuse("invalid_request");
    }
    let scope = query.get("scope").unwrap_or_default();
    if !scope.split_whitespace().all(|scope| SCOPES.contains(&scope)) {
        return refuse("invalid_scope");
    }
    let (account, scope) = match world.consents.pop_front() {
        Some(Consent::By(account)) => (account, scope.to_owned()),
        Some(Consent::Partly(account, scopes)) => (account, scopes.join(" ")),
        Some(Consent::Deny) => return refuse("access_denied"),
        None => match world.first_account.clone() {
            Some(account) => (account, scope.to_owned()),
            None => return refuse("access_denied"),
        },
    };
    let code = Code {
        account,
        client_id: client_id.to_owned(),
        redirect_uri: asked.to_owned(),
        scope,
        challenge: challenge.map(str::to_owned),
        expires_at: now + world.code_lifetime,
        used: false,
    };
    let code = world.issue_code(code);
    world.consents_given += 1;
    // A parameter that no specification knows, every second time: clients must ignore it.
    let extra = world.consents_given.is_multiple_of(2).then_some("1");
    back(target, &[("code", Some(&code)), ("state", state), ("sim_extra", extra)])
}

fn back(mut target: Url, fields: &[(&str, Option<&str>)]) -> Reply {
    for (name, value) in fields {
        if let Some(value) = value {
            target.query_pairs_mut().append_pair(name, value);
        }
    }
    Reply::redirect(target.as_str())
}

/// The address to go back to, if it is registered: literally, or on loopback without a port, which stands for any.
fn redirect(asked: &str, registered: &[String]) -> Option<Url> {
    let url = Url::parse(asked).ok()?;
    let loopback = match url.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(_) => false,
    };
    let allowed = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if !allowed || url.host_str() == Some("localhost") || url.fragment().is_some() {
        return None;
    }
    let fits = |known: &String| {
        known == asked
            || (loopback && {
                let mut portless = url.clone();
                portless.set_port(None).is_ok()
                    && url.port().is_some()
                    && Url::parse(known).is_ok_and(|known| known == portless)
            })
    };
    registered.iter().any(fits).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::redirect;

    fn fits(asked: &str, registered: &str) -> bool {
        redirect(asked, &[registered.to_owned()]).is_some()
    }

    #[test]
    fn only_a_registered_address_is_gone_back_to() {
        assert!(fits("https://a.example/cb", "https://a.example/cb"));
        assert!(fits("http://127.0.0.1:8467/callback", "http://127.0.0.1:8467/callback"));
        assert!(!fits("http://127.0.0.1:8468/callback", "http://127.0.0.1:8467/callback"));
        assert!(!fits("https://a.example/cb/", "https://a.example/cb"));
        assert!(!fits("https://a.example:444/cb", "https://a.example/cb"));
        assert!(!fits("", ""));
    }

    #[test]
    fn a_loopback_address_registered_without_a_port_accepts_any() {
        assert!(fits("http://127.0.0.1:41000/callback", "http://127.0.0.1/callback"));
        assert!(fits("http://[::1]:41000/callback", "http://[::1]/callback"));
        assert!(!fits("http://127.0.0.1:41000/other", "http://127.0.0.1/callback"));
        assert!(!fits("http://[::1]:41000/callback", "http://127.0.0.1/callback"));
    }

    #[test]
    fn localhost_and_plain_http_elsewhere_are_refused_even_if_registered() {
        for address in
            ["http://localhost:8467/cb", "https://localhost/cb", "http://a.example/cb", "ftp://127.0.0.1/cb"]
        {
            assert!(!fits(address, address), "{address}");
        }
    }
}
