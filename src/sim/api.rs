//! The Web API: who is asking, what they may see, and the three answers that longplay reads.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde_json::json;

use super::message::{Call, Fields, Reply};
use super::page;
use super::world::{Account, PageKey, World};
use super::{Endpoint, Shape};
use crate::domain::Timestamp;

/// No more plays than these exist, however one asks.
const PLAYS_THAT_EXIST: usize = 50;

/// Whose access token a request carries, valid or not.
pub(super) fn account(world: &World, call: &Call) -> Option<String> {
    let access = world.access.get(call.bearer()?)?;
    Some(world.logins[access.login].account.clone())
}

/// Answers.
pub(super) fn answer(world: &World, endpoint: Endpoint, call: &Call, now: Timestamp) -> Reply {
    let answered = admit(world, endpoint, call, now).and_then(|account| match endpoint {
        Endpoint::Recent => recent(world, account, &call.query(), now),
        Endpoint::Top => top(world, account, &call.query(), now),
        _ => Ok(me(account)),
    });
    answered.unwrap_or_else(|refusal| refusal)
}

/// The account that the token stands for, or the reason why it may not.
fn admit<'a>(
    world: &'a World,
    endpoint: Endpoint,
    call: &Call,
    now: Timestamp,
) -> Result<&'a Account, Reply> {
    if call.authorization.is_none() {
        return Err(Reply::api_error(401, "No token provided"));
    }
    let token =
        call.bearer().ok_or_else(|| Reply::api_error(400, "Only valid bearer authentication supported"))?;
    let login = world.login_of_access(token, now).ok_or_else(|| {
        let known = world.access.contains_key(token);
        Reply::api_error(401, if known { "The access token expired" } else { "Invalid access token" })
    })?;
    let needed = match endpoint {
        Endpoint::Recent => Some("user-read-recently-played"),
        Endpoint::Top => Some("user-top-read"),
        _ => None,
    };
    if needed.is_some_and(|needed| !login.scope.split_whitespace().any(|scope| scope == needed)) {
        return Err(Reply::api_error(403, "Insufficient client scope"));
    }
    if world.apps.get(&login.client_id).is_some_and(|app| !app.premium) {
        return Err(Reply::text(403, "Active premium subscription required for the owner of the app."));
    }
    match world.accounts.get(&login.account) {
        Some(account) if account.allow_listed => Ok(account),
        _ => Err(Reply::text(
            403,
            "Check settings on developer.spotify.com/dashboard, the user may not be registered.",
        )),
    }
}

fn me(account: &Account) -> Reply {
    let mut body = json!({
        "display_name": account.id,
        "external_urls": {"spotify": format!("https://open.spotify.com/user/{}", account.id)},
        "href": format!("https://api.spotify.com/v1/users/{}", account.id),
        "id": account.id,
        "images": [],
        "type": "user",
        "uri": format!("spotify:user:{}", account.id),
    });
    if let Some(account_id) = &account.account_id {
        body["account_id"] = json!(account_id);
    }
    Reply::json(200, &body)
}

fn limit(query: &Fields) -> Result<usize, Reply> {
    let Some(text) = query.get("limit") else { return Ok(20) };
    let limit = text.parse().ok().filter(|limit| (1..=50).contains(limit));
    limit.ok_or_else(|| Reply::api_error(400, "Invalid limit"))
}

fn cursor(query: &Fields, name: &str) -> Result<Option<Timestamp>, Reply> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let millis = text.parse().ok().filter(|millis| *millis >= 0);
    let millis = millis.ok_or_else(|| Reply::api_error(400, &format!("Invalid {name} cursor")))?;
    Ok(Some(Timestamp::from_millis(millis)))
}

fn recent(world: &World, account: &Account, query: &Fields, now: Timestamp) -> Result<Reply, Reply> {
    let limit = limit(query)?;
    let (before, after) = (cursor(query, "before")?, cursor(query, "after")?);
    if before.is_some() && after.is_some() {
        return Err(Reply::api_error(400, "Only one of before and after can be given"));
    }
    let newest_first = account.plays.iter().enumerate().rev();
    let visible = newest_first.filter(|(_, play)| play.visible_at <= now).take(PLAYS_THAT_EXIST);
    let shown: Vec<usize> = visible
        .filter(|(_, listen)| before.is_none_or(|before| listen.play.played_at < before))
        .filter(|(_, listen)| after.is_none_or(|after| listen.play.played_at > after))
        .take(limit)
        .map(|(at, _)| at)
        .collect();
    let key = (shown, limit, account.shape);
    let mut last = account.page.lock().unwrap_or_else(PoisonError::into_inner);
    let body = match &*last {
        Some((made_of, body)) if *made_of == key => body.clone(),
        _ => {
            let body = page(world, account, &key);
            last.insert((key, body)).1.clone()
        }
    };
    Ok(Reply::new(200, "application/json; charset=utf-8", body))
}

fn page(world: &World, account: &Account, (shown, limit, shape): &PageKey) -> Vec<u8> {
    let plays: Vec<_> = shown.iter().map(|at| &account.plays[*at]).collect();
    let href = format!("{}/v1/me/player/recently-played", world.base);
    let mut body = page::recently_played(&plays, *limit, &href, world.markets);
    match shape {
        Shape::Full => {}
        Shape::Nulls => page::thin_out(&mut body, false),
        Shape::Absent => page::thin_out(&mut body, true),
    }
    body.to_string().into_bytes()
}

fn top(world: &World, account: &Account, query: &Fields, now: Timestamp) -> Result<Reply, Reply> {
    let limit = limit(query)?;
    if !matches!(query.get("time_range"), None | Some("short_term" | "medium_term" | "long_term")) {
        return Err(Reply::api_error(400, "Invalid time range"));
    }
    let mut heard = BTreeMap::new();
    for listen in account.plays.iter().filter(|play| play.visible_at <= now) {
        for artist in &listen.play.track.artists {
            heard.entry(&artist.name).or_insert((0_u64, artist)).0 += 1;
        }
    }
    let mut ranked: Vec<_> = heard.into_values().collect();
    ranked.sort_by_key(|(plays, _)| std::cmp::Reverse(*plays));
    let total = ranked.len();
    let artists: Vec<_> = ranked.into_iter().take(limit).map(|(_, artist)| artist).collect();
    let href = format!("{}/v1/me/top/artists?limit={limit}", world.base);
    Ok(Reply::json(200, &page::top_artists(&artists, total, limit, &href)))
}
