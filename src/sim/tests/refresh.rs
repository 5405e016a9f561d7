//! Refresh tokens: who may present them, how they rotate, when they die.

use super::*;
use crate::sim::{Effect, Endpoint, Fault, Gate, Injection};

#[tokio::test]
async fn without_rotation_the_old_token_stays_however_that_is_said() {
    for (rotation, said) in [
        (Rotation::Never, None),
        (Rotation::Null, Some(Value::Null)),
        (Rotation::Empty, Some("".into())),
        (Rotation::Same, Some("same".into())),
    ] {
        let stage = stage_with(rotation);
        let token = stage.spotify.grant("ann", "web", &BOTH);
        for _ in 0..2 {
            let (status, body) = answer(stage.refresh(&token)).await;
            let said = said.clone().map(|said| if said == "same" { token.clone().into() } else { said });
            assert_eq!((status, body.get("refresh_token").cloned()), (200, said), "{rotation:?}");
            assert!(stage.spotify.access_valid(body["access_token"].as_str().unwrap()));
        }
        assert!(stage.spotify.alive("ann", &token));
        assert_eq!(stage.spotify.refreshes("ann").accepted, 2);
    }
}

#[tokio::test]
async fn on_strict_rotation_a_spent_token_revokes_the_whole_login() {
    let stage = stage_with(Rotation::Rotate);
    let first = stage.spotify.grant("ann", "web", &BOTH);
    let (_, body) = answer(stage.refresh(&first)).await;
    let second = body["refresh_token"].as_str().unwrap();
    assert_eq!(stage.spotify.current_refresh_token("ann").as_deref(), Some(second));
    assert!(!stage.spotify.alive("ann", &first) && stage.spotify.alive("ann", second));
    assert!(stage.spotify.login_alive("ann"));

    let revoked = ("invalid_grant", "Refresh token revoked");
    assert_eq!(oauth_error(&answer(stage.refresh(&first)).await), revoked);
    assert_eq!(oauth_error(&answer(stage.refresh(second)).await), revoked);
    assert!(!stage.spotify.login_alive("ann"));
    let counts = stage.spotify.refreshes("ann");
    assert_eq!((counts.asked, counts.accepted, counts.reused), (3, 1, 1));
    assert!(stage.spotify.access_valid(body["access_token"].as_str().unwrap()));
}

#[tokio::test]
async fn within_the_grace_a_spent_token_brings_the_same_new_one() {
    let stage = stage_with(Rotation::RotateWithGrace(Duration::from_secs(30)));
    let first = stage.spotify.grant("ann", "web", &BOTH);
    let second = answer(stage.refresh(&first)).await.1["refresh_token"].clone();
    stage.pass(29);
    assert!(stage.spotify.alive("ann", &first));
    assert_eq!(answer(stage.refresh(&first)).await.1["refresh_token"], second);
    stage.pass(1);
    assert!(!stage.spotify.alive("ann", &first) && stage.spotify.login_alive("ann"));
    assert_eq!(answer(stage.refresh(&first)).await.0, 400);
    assert!(!stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn the_grace_ends_when_the_new_token_is_used() {
    let stage = stage_with(Rotation::RotateWithGrace(Duration::from_secs(30)));
    let first = stage.spotify.grant("ann", "web", &BOTH);
    let second = answer(stage.refresh(&first)).await.1["refresh_token"].clone();
    assert_eq!(answer(stage.refresh(second.as_str().unwrap())).await.0, 200);
    assert!(!stage.spotify.alive("ann", &first));
    assert_eq!(answer(stage.refresh(&first)).await.0, 400);
    assert!(!stage.spotify.login_alive("ann"));
}

#[tokio::test]
async fn a_login_dies_of_age_of_revocation_and_only_for_its_own_account() {
    let stage = stage();
    let (ann, ben) = (stage.spotify.grant("ann", "web", &BOTH), stage.spotify.grant("ben", "web", &BOTH));
    assert!(!stage.spotify.alive("ben", &ann));
    let access = answer(stage.refresh(&ann)).await.1["access_token"].as_str().unwrap().to_owned();
    stage.spotify.revoke("ann");
    assert_eq!(oauth_error(&answer(stage.refresh(&ann)).await).1, "Refresh token revoked");
    assert!(!stage.spotify.login_alive("ann") && stage.spotify.login_alive("ben"));
    assert_eq!(answer(stage.get("/me", &access)).await.0, 200);

    stage.pass(182 * 86_400 - 1);
    assert_eq!(answer(stage.refresh(&ben)).await.0, 200);
    stage.pass(1);
    assert_eq!(oauth_error(&answer(stage.refresh(&ben)).await).1, "Refresh token expired");
    assert!(!stage.spotify.alive("ben", &ben));

    let old = stage.clock.now() - Duration::from_secs(200 * 86_400);
    let cat = stage.spotify.grant_at("cat", "web", &BOTH, old);
    assert_eq!(oauth_error(&answer(stage.refresh(&cat)).await).1, "Refresh token expired");
    stage.spotify.set_login_lifetime(None);
    let dan = stage.spotify.grant_at("dan", "web", &BOTH, old);
    assert_eq!(answer(stage.refresh(&dan)).await.0, 200);
    stage.spotify.expire_login("dan");
    assert_eq!(oauth_error(&answer(stage.refresh(&dan)).await).1, "Refresh token expired");
}

#[tokio::test]
async fn a_client_must_prove_itself_in_its_own_way() {
    let stage = stage();
    let web = stage.spotify.grant("ann", "web", &BOTH);
    let vault = stage.spotify.grant("ann", "vault", &BOTH);
    let post = || stage.client.post(stage.spotify.token_url());
    let form = |token: &str, id: Option<&str>| {
        let mut form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
        form.extend(id.map(|id| ("client_id", id.to_owned())));
        form
    };
    let mut in_body = form(&vault, Some("vault"));
    in_body.push(("client_secret", "s3cret".to_owned()));
    for refused in [
        post().form(&form(&web, None)),
        post().form(&form(&web, Some("nobody"))),
        post().form(&form(&web, None)).basic_auth("web", Some("")),
        post().form(&form(&web, Some("web"))).basic_auth("web", Some("s3cret")),
        post().form(&form(&vault, Some("vault"))),
        post().form(&form(&vault, None)).basic_auth("vault", Some("wrong")),
        post().form(&form(&vault, Some("web"))).basic_auth("vault", Some("s3cret")),
        post().form(&form(&vault, None)).bearer_auth("s3cret"),
        post().form(&in_body),
    ] {
        assert_eq!(oauth_error(&answer(refused).await).0, "invalid_client");
    }
    let right = post().form(&form(&vault, None)).basic_auth("vault", Some("s3cret"));
    assert_eq!(answer(right).await.0, 200);
    let others = post().form(&form(&web, None)).basic_auth("vault", Some("s3cret"));
    assert_eq!(oauth_error(&answer(others).await), ("invalid_grant", "Invalid refresh token"));
    assert_eq!(
        oauth_error(&answer(stage.refresh("AQmadeup")).await),
        ("invalid_grant", "Invalid refresh token")
    );
    stage.spotify.set_app_enabled("web", false);
    assert_eq!(oauth_error(&answer(stage.refresh(&web)).await), ("invalid_client", ""));
}

#[tokio::test]
async fn what_is_no_proper_form_is_refused() {
    let stage = stage();
    let token = stage.spotify.grant("ann", "web", &BOTH);
    let post = || stage.client.post(stage.spotify.token_url());
    let json = serde_json::json!({"grant_type": "refresh_token", "refresh_token": token, "client_id": "web"});
    assert_eq!(
        oauth_error(&answer(post().json(&json)).await),
        ("unsupported_grant_type", "grant_type parameter is missing")
    );
    let odd = [("grant_type", "password"), ("client_id", "web")];
    assert_eq!(oauth_error(&answer(post().form(&odd)).await).0, "unsupported_grant_type");
    let bare = [("grant_type", "refresh_token"), ("client_id", "web")];
    assert_eq!(oauth_error(&answer(post().form(&bare)).await).1, "refresh_token must be supplied");
    let twice = [("grant_type", "refresh_token"), ("client_id", "web"), ("client_id", "web")];
    assert_eq!(oauth_error(&answer(post().form(&twice)).await).0, "invalid_request");
    let get = stage.client.get(stage.spotify.token_url());
    assert_eq!(answer(get).await.0, 404);
    assert_eq!(stage.spotify.refreshes("ann").accepted, 0);
}

#[tokio::test]
async fn refreshes_at_once_are_counted_for_as_long_as_their_clients_wait() {
    let stage = stage();
    let token = stage.spotify.grant("ann", "web", &BOTH);
    let gate = Gate::new();
    let hang = Fault::before(Effect::Hang(gate.clone()));
    stage.spotify.inject(Injection::new(Endpoint::Token, hang).times(3));
    let given_up = tokio::spawn(stage.refresh(&token).send());
    gate.reached_by(1).await;
    given_up.abort();
    while stage.spotify.refreshes("ann").under_way > 0 {
        tokio::task::yield_now().await;
    }
    let (one, two) = (tokio::spawn(stage.refresh(&token).send()), tokio::spawn(stage.refresh(&token).send()));
    gate.reached_by(3).await;
    gate.open();
    assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
    let counts = stage.spotify.refreshes("ann");
    assert_eq!((counts.asked, counts.most_at_once, counts.under_way), (3, 2, 0));
    // The one whose client left was carried out all the same.
    while stage.spotify.seen().iter().any(|seen| seen.answered.is_none()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.spotify.refreshes("ann").accepted, 3);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_tokens() {
    let issued = || {
        let stage = stage();
        stage.spotify.grant("ann", "web", &BOTH);
        stage.spotify.access_token("ann").unwrap();
        stage.spotify.issued()
    };
    assert_eq!(issued(), issued());
    assert_eq!(issued().len(), 2);
}
