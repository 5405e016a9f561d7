//! The route that reads the raw journal again.

use axum::Json;
use axum::extract::State;

use super::{Answer, Context, known};
use crate::control::api::{Problem, ReplayQuestion, Replayed};
use crate::control::extract::{Named, Sent, to_its_end};

/// Reads the raw journal again and archives what it holds and the archive lacks. Spotify is not asked.
#[utoipa::path(post, path = "/v1/users/{name}/replay", params(("name" = String, Path)),
    request_body = ReplayQuestion,
    responses((status = 200, body = Replayed), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn replay(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<ReplayQuestion>,
) -> Answer<Replayed> {
    let name = known(&name)?;
    Ok(Json(to_its_end(async move { context.service.replay(&name, body.0).await }).await?))
}
