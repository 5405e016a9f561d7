//! The route of exports.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::{Context, Given, Named, Problem, known};
use crate::control::api::ExportQuery;

/// A user's plays, all that is known of them, oldest first; a body without its end was cut off.
#[utoipa::path(get, path = "/v1/users/{name}/export", params(("name" = String, Path), ExportQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 404, body = Problem)))]
pub async fn export(
    State(context): State<Context>,
    Named(name): Named,
    query: Given<ExportQuery>,
) -> Result<Response, Problem> {
    let kind = [(header::CONTENT_TYPE, query.0.format.media_type())];
    let body = context.service.export(&known(&name)?, query.0, context.stop).await?;
    Ok((kind, body).into_response())
}
