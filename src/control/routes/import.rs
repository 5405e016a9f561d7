//! The routes of imports.

use axum::extract::State;
use axum::routing::{delete, post};
use axum::{Json, Router};
use utoipa::OpenApi;

use super::{Answer, Context, known};
use crate::control::api::{ImportBegun, ImportDone, ImportFinish, ImportQuestion, ImportRows, Problem, Word};
use crate::control::extract::{Batch, Named, Sent, to_its_end};
use crate::domain::{ImportId, Taken, Undone};

/// Those that are below `/v1`.
pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/users/{name}/imports", post(begin))
        .route("/v1/users/{name}/imports/rows", post(rows))
        .route("/v1/users/{name}/imports/end", post(end))
        .route("/v1/imports/{id}", delete(undo))
}

/// Their part of the description.
#[derive(OpenApi)]
#[openapi(paths(begin, rows, end, undo))]
pub struct Description;

/// Opens an import, or goes on with the one of these files that was broken off.
#[utoipa::path(post, path = "/v1/users/{name}/imports", params(("name" = String, Path)),
    request_body = ImportQuestion, responses((status = 200, body = ImportBegun), (status = 404, body = Problem)))]
async fn begin(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<ImportQuestion>,
) -> Answer<ImportBegun> {
    let name = known(&name)?;
    Ok(Json(to_its_end(async move { context.service.begin_import(&name, &body.0).await }).await?))
}

/// Keeps rows, all or none; the same ones again change nothing.
#[utoipa::path(post, path = "/v1/users/{name}/imports/rows", params(("name" = String, Path)),
    request_body = ImportRows, responses((status = 200, body = Taken), (status = 404, body = Problem)))]
async fn rows(State(context): State<Context>, Named(name): Named, body: Batch<ImportRows>) -> Answer<Taken> {
    let name = known(&name)?;
    Ok(Json(to_its_end(async move { context.service.import_rows(&name, body.0).await }).await?))
}

/// Ends an import: counts what came of it, and closes the gaps that it covers.
#[utoipa::path(post, path = "/v1/users/{name}/imports/end", params(("name" = String, Path)),
    request_body = ImportFinish, responses((status = 200, body = ImportDone), (status = 404, body = Problem)))]
async fn end(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<ImportFinish>,
) -> Answer<ImportDone> {
    let name = known(&name)?;
    Ok(Json(to_its_end(async move { context.service.end_import(&name, body.0).await }).await?))
}

/// Takes back what an import has added and changed.
#[utoipa::path(delete, path = "/v1/imports/{id}", params(("id" = i64, Path)),
    responses((status = 200, body = Undone), (status = 404, body = Problem)))]
async fn undo(State(context): State<Context>, Named(id): Named) -> Answer<Undone> {
    let wrong =
        |_| Problem::new(Word::UnknownImport, 404, format!("there is no import {id:?}: it is a number"));
    let import = ImportId(id.parse().map_err(wrong)?);
    Ok(Json(to_its_end(async move { context.service.undo_import(import).await }).await?))
}
