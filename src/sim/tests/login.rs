//! The consent page, and codes against tokens.

use super::*;
use crate::sim::{Consent, Endpoint};

#[tokio::test]
async fn a_consent_brings_a_code_and_the_code_brings_tokens() {
    let stage = stage();
    let back = landed(&stage.authorize(&[]).await);
    assert_eq!(back["state"], "xyz");
    let (status, tokens) = stage.redeem(&back["code"], &[]).await;
    assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &"Bearer".into(), &3600.into()));
    assert_eq!(tokens["scope"], "user-read-recently-played user-top-read");
    assert!(stage.spotify.alive("ann", tokens["refresh_token"].as_str().unwrap()));
    assert!(stage.spotify.access_valid(tokens["access_token"].as_str().unwrap()));
    for secret in [&back["code"], tokens["refresh_token"].as_str().unwrap()] {
        assert!(stage.spotify.issued().iter().any(|issued| issued == secret));
    }
    assert_eq!(stage.spotify.requests_of("ann", Endpoint::Token), 1);
}

#[tokio::test]
async fn an_unknown_parameter_comes_back_every_second_time() {
    let stage = stage();
    assert!(!landed(&stage.authorize(&[]).await).contains_key("sim_extra"));
    assert!(landed(&stage.authorize(&[]).await).contains_key("sim_extra"));
}

#[tokio::test]
async fn the_next_consent_is_whoever_was_named_and_may_be_a_no() {
    let stage = stage();
    stage.spotify.next_consent(Consent::By("ben".to_owned()));
    stage.spotify.next_consent(Consent::Partly("cat".to_owned(), vec!["user-top-read".to_owned()]));
    stage.spotify.next_consent(Consent::Deny);
    let code = stage.code().await;
    assert_eq!(stage.redeem(&code, &[]).await.0, 200);
    assert!(stage.spotify.login_alive("ben") && !stage.spotify.login_alive("ann"));
    let code = stage.code().await;
    assert_eq!(stage.redeem(&code, &[]).await.1["scope"], "user-top-read");
    let back = landed(&stage.authorize(&[]).await);
    assert_eq!((back["error"].as_str(), back["state"].as_str(), back.len()), ("access_denied", "xyz", 2));
    let code = stage.code().await;
    stage.redeem(&code, &[]).await;
    assert!(stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn a_client_or_an_address_that_is_not_registered_is_not_gone_back_to() {
    let stage = stage();
    let wrong = [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "http://127.0.0.1:8468/callback"),
        ("redirect_uri", "http://localhost:8467/callback"),
        ("redirect_uri", ""),
    ];
    for change in wrong {
        let response = stage.authorize(&[change]).await;
        assert_eq!(response.status(), 400, "{change:?}");
        assert!(!response.headers().contains_key("location"));
    }
}

#[tokio::test]
async fn a_request_for_consent_that_is_wrong_is_told_so_at_its_address() {
    let stage = stage();
    let wrong = [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("scope", "user-read-recently-played everything", "invalid_scope"),
    ];
    for (name, value, error) in wrong {
        let back = landed(&stage.authorize(&[(name, value)]).await);
        assert_eq!(back["error"], error, "{name}={value}");
        assert!(!back.contains_key("code"));
    }
    let plain = [("client_id", "web"), ("code_challenge", ""), ("code_challenge_method", "")];
    assert_eq!(landed(&stage.authorize(&plain).await)["error"], "invalid_request");
}

#[tokio::test]
async fn a_code_works_once_soon_and_for_whoever_asked_for_it() {
    let stage = stage();
    let invalid = ("invalid_grant", "Invalid authorization code");
    let code = stage.code().await;
    assert_eq!(stage.redeem(&code, &[]).await.0, 200);
    assert_eq!(oauth_error(&stage.redeem(&code, &[]).await), invalid);
    assert_eq!(oauth_error(&stage.redeem("AQmadeup", &[]).await), invalid);
    let code = stage.code().await;
    stage.pass(59);
    assert_eq!(stage.redeem(&code, &[]).await.0, 200);
    let code = stage.code().await;
    stage.pass(60);
    assert_eq!(oauth_error(&stage.redeem(&code, &[]).await).1, "Authorization code expired");
    stage.spotify.register_app(App::pkce("other").redirect(REDIRECT));
    let code = stage.code().await;
    assert_eq!(oauth_error(&stage.redeem(&code, &[("client_id", "other")]).await), invalid);
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_its_address() {
    let stage = stage();
    let incorrect = ("invalid_grant", "code_verifier was incorrect");
    let wrong_length = VERIFIER.repeat(4);
    for (name, value, error) in [
        ("code_verifier", "a-verifier-of-forty-three-characters-or-more", incorrect),
        ("code_verifier", "short", incorrect),
        ("code_verifier", &wrong_length, incorrect),
        ("code_verifier", CHALLENGE, incorrect),
        ("code_verifier", "", ("invalid_request", "code_verifier must be supplied")),
        ("redirect_uri", "http://127.0.0.1:9/callback", ("invalid_grant", "Invalid redirect URI")),
        ("redirect_uri", "", ("invalid_request", "redirect_uri must be supplied")),
        ("code", "", ("invalid_request", "code must be supplied")),
    ] {
        let code = stage.code().await;
        assert_eq!(oauth_error(&stage.redeem(&code, &[(name, value)]).await), error, "{name}={value}");
    }
    assert!(!stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn a_confidential_client_needs_no_pkce_but_keeps_to_it_once_begun() {
    let stage = stage();
    let plain = [("client_id", "vault"), ("code_challenge", ""), ("code_challenge_method", "")];
    let code = landed(&stage.authorize(&plain).await).remove("code").unwrap();
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
    let post = || stage.client.post(stage.spotify.token_url()).basic_auth("vault", Some("s3cret"));
    assert_eq!(answer(post().form(&form)).await.0, 200);
    let code = landed(&stage.authorize(&[("client_id", "vault")]).await).remove("code").unwrap();
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
    assert_eq!(oauth_error(&answer(post().form(&form)).await).1, "code_verifier must be supplied");
}
