//! The routes of the store as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Context, Problem, Sent, to_its_end};
use crate::control::api::{CopyLine, CopyProgress, CopyQuestion};
use crate::control::service::Service;
use crate::control::stream::{self, Pieces};
use crate::store::transfer::Progress;

/// The media type of a SQLite file (IANA).
const SQLITE: &str = "application/vnd.sqlite3";
/// How many rows of these tables are in a back-up.
pub const ROWS: [(&str, &str); 2] = [("users", "longplay-users"), ("plays", "longplay-plays")];

/// A back-up of the whole store, as a SQLite file: everything of one moment, checked.
#[utoipa::path(post, path = "/v1/backup",
    responses((status = 200, content_type = "application/vnd.sqlite3", body = Vec<u8>), (status = 503, body = Problem),
        (status = 507, body = Problem)))]
pub async fn back_up(State(context): State<Context>) -> Result<Response, Problem> {
    let Context { service, stop } = context;
    let (body, bytes, tables) = to_its_end(async move { service.back_up(stop).await }).await?;
    let mut response =
        ([(header::CONTENT_TYPE, SQLITE.to_owned()), (header::CONTENT_LENGTH, bytes.to_string())], body)
            .into_response();
    for (table, name) in ROWS {
        let rows = tables.iter().find(|one| one.name == table).map_or(0, |one| one.rows);
        response.headers_mut().insert(name, rows.into());
    }
    Ok(response)
}

/// Copies everything into an empty store that is to be used instead. Nothing is refreshed here from then on. A `CopyLine`
/// a line.
#[utoipa::path(post, path = "/v1/copy", request_body = CopyQuestion,
    responses((status = 200, content_type = "application/x-ndjson", body = CopyLine)))]
pub async fn copy(
    State(context): State<Context>,
    body: Sent<Option<CopyQuestion>>,
) -> Result<Response, Problem> {
    let question =
        body.0.ok_or_else(|| Problem::bad_request("where to? send {\"to\": \"postgres:///...\"}"))?;
    let Context { service, stop } = context;
    // Cancelled too where whoever asked has left: the work that follows is dropped then.
    let cancel = stop.child_token();
    let body = stream::body(CancellationToken::new(), |pieces| async move {
        let _guard = cancel.clone().drop_guard();
        told(&service, question, &pieces, cancel).await
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The copy is a task of its own, which comes to its end whoever hears of it.
async fn told(
    service: &Service,
    question: CopyQuestion,
    pieces: &Pieces,
    cancel: CancellationToken,
) -> Result<(), String> {
    let (far, news) = (Arc::new(std::sync::Mutex::new(None)), Arc::new(Notify::new()));
    let work = {
        let (service, far, news) = (service.clone(), Arc::clone(&far), Arc::clone(&news));
        tokio::spawn(async move {
            let tell = |progress: Progress| {
                *far.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(progress);
                news.notify_one();
            };
            service.copy_to(&question.to, &tell, &cancel).await
        })
    };
    tokio::pin!(work);
    let last = loop {
        tokio::select! {
            done = &mut work => break done,
            () = news.notified() => {
                let progress = far.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(Progress { table, rows, of }) = progress {
                    // Who has left is noticed by whoever made the pieces.
                    let _ = pieces.send(line(&CopyLine::Progress(CopyProgress { table, rows, of }))).await;
                }
            }
        }
    };
    let last = match last {
        Ok(Ok(copied)) => CopyLine::Done(copied),
        Ok(Err(problem)) => CopyLine::Problem(Box::new(problem)),
        Err(_) => return Err("the copy broke off: it is a fault of longplay".to_owned()),
    };
    let _ = pieces.send(line(&last)).await;
    Ok(())
}

fn line(line: &CopyLine) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}
