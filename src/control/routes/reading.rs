//! The routes that read the archive.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::super::api::{PlaysQuery, Problem, StatsQuery, TopQuery};
use super::super::extract::{Given, Named};
use super::{Answer, Context, known};
use crate::domain::{Stats, StoredPlay, TopArtist, TopEntry};

/// Plays, newest first. Where there are more, the Link header has the address of the next page (rel="next").
#[utoipa::path(get, path = "/v1/users/{name}/plays", params(("name" = String, Path), PlaysQuery),
    responses((status = 200, body = [StoredPlay],
            headers(("link" = String, description = "The next page, as <ADDRESS>; rel=\"next\"; absent on the last"))),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn plays(
    State(context): State<Context>,
    Named(name): Named,
    query: Given<PlaysQuery>,
) -> Result<Response, Problem> {
    let name = known(&name)?;
    let page = context.service.plays(&name, query.0.clone()).await?;
    let answer = Json(page.plays);
    let Some(next) = page.next else { return Ok(answer.into_response()) };
    let next = PlaysQuery { before: Some(next), ..query.0 };
    // A name, moments and numbers are ASCII without what a header can't hold.
    let link = format!("<{}>; rel=\"next\"", next.address(&name));
    Ok(([(header::LINK, link)], answer).into_response())
}

/// What was heard most.
#[utoipa::path(get, path = "/v1/users/{name}/top", params(("name" = String, Path), TopQuery),
    responses((status = 200, body = [TopEntry]), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn top(
    State(context): State<Context>,
    Named(name): Named,
    query: Given<TopQuery>,
) -> Answer<Vec<TopEntry>> {
    Ok(Json(context.service.top(&known(&name)?, query.0).await?))
}

/// Spotify's own top artists, as last fetched.
#[utoipa::path(get, path = "/v1/users/{name}/top/spotify", params(("name" = String, Path)),
    responses((status = 200, body = [TopArtist])))]
pub(super) async fn top_spotify(
    State(context): State<Context>,
    Named(name): Named,
) -> Answer<Vec<TopArtist>> {
    Ok(Json(context.service.top_artists(&known(&name)?).await?))
}

/// When a user listened: plays and time by day, hour and weekday of the user's zone.
#[utoipa::path(get, path = "/v1/users/{name}/stats", params(("name" = String, Path), StatsQuery),
    responses((status = 200, body = Stats), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn stats(
    State(context): State<Context>,
    Named(name): Named,
    query: Given<StatsQuery>,
) -> Answer<Stats> {
    Ok(Json(context.service.stats(&known(&name)?, query.0).await?))
}
