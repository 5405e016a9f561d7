//! The routes: HTTP to the service and back. Every error is `application/problem+json`.

mod import;
mod replay;

use std::convert::Infallible;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use crate::domain::{Event, Gap, UserName};

mod reading;

use super::api::*;
use super::extract::{Given, Named, Sent, to_its_end};
use super::service::Service;
use reading::{plays, stats, top, top_spotify};

mod export;
mod moving;

type Answer<T> = Result<Json<T>, Problem>;

/// What a route works with.
#[derive(Clone)]
pub struct Context {
    service: Service,
    stop: CancellationToken,
}

/// All routes of the local API. `stop` ends the streams.
pub fn routes(service: Service, stop: CancellationToken) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/users", get(users))
        .route("/v1/users/{name}", get(user).put(put_user).delete(remove_user))
        .route("/v1/users/{name}/archive", post(archive))
        .route("/v1/users/{name}/pause", post(pause))
        .route("/v1/users/{name}/resume", post(resume))
        .route("/v1/users/{name}/token", post(token))
        .route("/v1/users/{name}/token/rejected", post(rejected))
        .route("/v1/users/{name}/login", post(begin_login))
        .route("/v1/users/{name}/plays", get(plays))
        .route("/v1/users/{name}/top", get(top))
        .route("/v1/users/{name}/top/spotify", get(top_spotify))
        .route("/v1/users/{name}/stats", get(stats))
        .route("/v1/users/{name}/gaps", get(gaps))
        .route("/v1/users/{name}/export", get(export::export))
        .merge(import::routes())
        .route("/v1/users/{name}/replay", post(replay::replay))
        .route("/v1/logins", post(finish_login))
        .route("/v1/logins/{state}", get(login_state))
        .route("/v1/events", get(events))
        .route("/v1/pause", post(pause_all))
        .route("/v1/resume", post(resume_all))
        .route("/v1/reload", post(reload))
        .route("/v1/doctor", get(doctor))
        .route("/v1/adopt", post(adopt))
        .route("/v1/key/rotate", post(rotate_key))
        .route("/v1/backup", post(moving::back_up))
        .route("/v1/copy", post(moving::copy))
        .route("/v1/openapi.json", get(openapi))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(async || Problem::new(Word::NotFound, 404, "there is no such route: see /v1/openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::new(Word::MethodNotAllowed, 405, "this route takes another method: see /v1/openapi.json")
        })
        .with_state(Context { service, stop })
}

/// The OpenAPI description, made from the code.
#[derive(OpenApi)]
#[openapi(
    info(title = "longplay", description = "The local API of longplay, over its Unix socket."),
    paths(
        status,
        users,
        user,
        put_user,
        remove_user,
        archive,
        pause,
        resume,
        token,
        rejected,
        begin_login,
        reading::plays,
        reading::top,
        reading::top_spotify,
        reading::stats,
        gaps,
        export::export,
        replay::replay,
        finish_login,
        login_state,
        events,
        pause_all,
        resume_all,
        reload,
        doctor,
        adopt,
        rotate_key,
        moving::back_up,
        moving::copy,
        metrics,
        healthz
    ),
    components(schemas(Event, Problem, Word))
)]
struct Description;

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    let mut description = Description::openapi();
    description.merge(import::Description::openapi());
    Json(description)
}

/// How everyone is.
#[utoipa::path(get, path = "/v1/status", params(StatusQuery), responses((status = 200, body = Status)))]
async fn status(State(context): State<Context>, query: Given<StatusQuery>) -> Answer<Status> {
    Ok(Json(context.service.status(query.0.user.as_ref()).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatusQuery {
    /// Only this user.
    #[param(value_type = Option<String>)]
    user: Option<UserName>,
}

/// Everyone, by name.
#[utoipa::path(get, path = "/v1/users", responses((status = 200, body = [UserEntry])))]
async fn users(State(context): State<Context>) -> Answer<Vec<UserEntry>> {
    Ok(Json(context.service.users().await?))
}

/// One user.
#[utoipa::path(get, path = "/v1/users/{name}", params(("name" = String, Path)),
    responses((status = 200, body = UserEntry), (status = 404, body = Problem)))]
async fn user(State(context): State<Context>, Named(name): Named) -> Answer<UserEntry> {
    Ok(Json(context.service.user(&known(&name)?).await?))
}

/// Adds a user, or changes what is given.
#[utoipa::path(put, path = "/v1/users/{name}", params(("name" = String, Path)), request_body = PutUser,
    responses((status = 200, body = UserEntry), (status = 409, body = Problem)))]
async fn put_user(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<PutUser>,
) -> Answer<UserEntry> {
    let name = new_name(&name)?;
    Ok(Json(to_its_end(async move { context.service.put_user(&name, body.0).await }).await?))
}

/// Removes a user: the tokens go, the archive stays.
#[utoipa::path(delete, path = "/v1/users/{name}", params(("name" = String, Path), RemoveQuery),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove_user(
    State(context): State<Context>,
    Named(name): Named,
    query: Given<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let name = known(&name)?;
    to_its_end(async move { context.service.remove_user(&name, query.0.purge).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Archives now, and answers when that is done.
#[utoipa::path(post, path = "/v1/users/{name}/archive", params(("name" = String, Path)),
    responses((status = 200, body = Archived), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn archive(State(context): State<Context>, Named(name): Named) -> Answer<Archived> {
    let name = known(&name)?;
    Ok(Json(to_its_end(async move { context.service.archive(&name).await }).await?))
}

/// Suspends a user: no runs, no refreshes, no tokens.
#[utoipa::path(post, path = "/v1/users/{name}/pause", params(("name" = String, Path)), responses((status = 204)))]
async fn pause(State(context): State<Context>, Named(name): Named) -> Result<StatusCode, Problem> {
    set_paused(context, Some(known(&name)?), true).await
}

/// Lets a user go on.
#[utoipa::path(post, path = "/v1/users/{name}/resume", params(("name" = String, Path)), responses((status = 204)))]
async fn resume(State(context): State<Context>, Named(name): Named) -> Result<StatusCode, Problem> {
    set_paused(context, Some(known(&name)?), false).await
}

/// Suspends everyone.
#[utoipa::path(post, path = "/v1/pause", responses((status = 204)))]
async fn pause_all(State(context): State<Context>) -> Result<StatusCode, Problem> {
    set_paused(context, None, true).await
}

/// Lets everyone go on.
#[utoipa::path(post, path = "/v1/resume", responses((status = 204)))]
async fn resume_all(State(context): State<Context>) -> Result<StatusCode, Problem> {
    set_paused(context, None, false).await
}

async fn set_paused(context: Context, name: Option<UserName>, paused: bool) -> Result<StatusCode, Problem> {
    to_its_end(async move { context.service.set_paused(name.as_ref(), paused).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token that is valid for at least the buffer.
#[utoipa::path(post, path = "/v1/users/{name}/token", params(("name" = String, Path)), request_body = TokenQuestion,
    responses((status = 200, body = TokenAnswer), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn token(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<TokenQuestion>,
) -> Result<Response, Problem> {
    let answer = Json(context.service.token(&known(&name)?, body.0).await?);
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

/// Spotify answered 401 with this generation; 204 when that is settled.
#[utoipa::path(post, path = "/v1/users/{name}/token/rejected", params(("name" = String, Path)),
    request_body = Rejected, responses((status = 204), (status = 409, body = Problem)))]
async fn rejected(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<Option<Rejected>>,
) -> Result<StatusCode, Problem> {
    let rejected = body.0.ok_or_else(|| Problem::bad_request("which one? send {\"generation\": N}"))?;
    context.service.rejected(&known(&name)?, rejected.generation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins a login.
#[utoipa::path(post, path = "/v1/users/{name}/login", params(("name" = String, Path)),
    request_body = LoginQuestion, responses((status = 200, body = LoginBegun)))]
async fn begin_login(
    State(context): State<Context>,
    Named(name): Named,
    body: Sent<LoginQuestion>,
) -> Answer<LoginBegun> {
    Ok(Json(context.service.begin_login(&new_name(&name)?, body.0).await?))
}

/// Finishes a login with the address that the browser came back to.
#[utoipa::path(post, path = "/v1/logins", request_body = LoginAddress, responses((status = 200, body = LoginState)))]
async fn finish_login(
    State(context): State<Context>,
    body: Sent<Option<LoginAddress>>,
) -> Answer<LoginState> {
    let body = body.0.ok_or_else(|| Problem::bad_request("which one? send {\"address\": \"http://...\"}"))?;
    Ok(Json(to_its_end(async move { context.service.finish_login(&body.address).await }).await?))
}

/// How a login stands.
#[utoipa::path(get, path = "/v1/logins/{state}", params(("state" = String, Path)),
    responses((status = 200, body = LoginState)))]
async fn login_state(State(context): State<Context>, Named(state): Named) -> Answer<LoginState> {
    Ok(Json(context.service.login_state(&state).await?))
}

/// Where plays may be missing, newest first.
#[utoipa::path(get, path = "/v1/users/{name}/gaps", params(("name" = String, Path)),
    responses((status = 200, body = [Gap])))]
async fn gaps(State(context): State<Context>, Named(name): Named) -> Answer<Vec<Gap>> {
    Ok(Json(context.service.gaps(&known(&name)?).await?))
}

/// Events as they happen: server-sent, each an `Event` in JSON.
#[utoipa::path(get, path = "/v1/events", responses((status = 200, content_type = "text/event-stream", body = Event)))]
async fn events(State(context): State<Context>) -> Response {
    let stream = listen(context.service.events(), context.stop);
    axum::response::Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

fn listen(
    receiver: tokio::sync::broadcast::Receiver<Event>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Sse, Infallible>> {
    futures_util::stream::unfold((receiver, stop), |(mut receiver, stop)| async move {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return None,
                event = receiver.recv() => event,
            };
            match event {
                Ok(event) => {
                    let sse = Sse::default().event(event.kind.as_str()).json_data(&event).ok()?;
                    return Some((Ok(sse), (receiver, stop)));
                }
                // A reader who is too slow misses the oldest.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// Loads the configuration again; refused with its faults, it changes nothing.
#[utoipa::path(post, path = "/v1/reload",
    responses((status = 200, body = Reloaded), (status = 422, body = Problem)))]
async fn reload() -> Answer<Reloaded> {
    // A daemon answers this before it comes here, since it needs no store.
    Err(Problem::bad_request("no daemon runs: the next command reads the files anew"))
}

/// Looks at everything that a token's life hangs on; spends none.
#[utoipa::path(get, path = "/v1/doctor", responses((status = 200, body = Findings), (status = 503, body = Problem)))]
async fn doctor(State(context): State<Context>) -> Json<Findings> {
    Json(context.service.examine().await)
}

/// Accepts a store that was restored or moved: every login counts as in doubt then.
#[utoipa::path(post, path = "/v1/adopt",
    responses((status = 200, body = Adopted), (status = 503, body = Problem)))]
async fn adopt(State(context): State<Context>) -> Answer<Adopted> {
    Ok(Json(to_its_end(async move { context.service.adopt().await }).await?))
}

/// Seals the stored tokens with a new key.
#[utoipa::path(post, path = "/v1/key/rotate",
    responses((status = 200, body = KeyRotated), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn rotate_key(State(context): State<Context>) -> Answer<KeyRotated> {
    Ok(Json(to_its_end(async move { context.service.rotate_key().await }).await?))
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(State(context): State<Context>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, context.service.metrics().await).into_response()
}

/// Whether nothing is wrong with the daemon.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn healthz(State(context): State<Context>) -> Response {
    let health = context.service.health();
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// A name that must be somebody's: what can't be a name is nobody's.
fn known(name: &str) -> Result<UserName, Problem> {
    name.parse().map_err(|e| Problem::new(Word::UnknownUser, 404, format!("there is no such user: {e}")))
}

fn new_name(name: &str) -> Result<UserName, Problem> {
    name.parse().map_err(|e: crate::domain::NameError| Problem::bad_request(e.to_string()))
}
