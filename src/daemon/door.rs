//! The door to the service: requests come before the store is within reach.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::control::api::{Health, Problem, Word};
use crate::control::routes;
use crate::tokens::TokenError;

use super::core::Core;
use super::reload::AskReload;

/// How long a question waits while the store is tried for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The door to the service: open once the core stands. While that is being tried for the first time, questions wait;
/// after that they are answered with what is wrong. A reload needs no store, and is answered all the same.
#[derive(Clone)]
pub struct Door {
    behind: watch::Sender<Behind>,
    /// Why the last new configuration was refused.
    refused: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Behind {
    Starting,
    Closed(Vec<String>),
    Open(Arc<Core>, Router),
}

impl Door {
    /// Still shut.
    pub fn new() -> Self {
        Self { behind: watch::Sender::new(Behind::Starting), refused: Arc::default() }
    }

    /// Opens it.
    pub fn open(&self, core: Core, stop: CancellationToken) {
        let router = routes(core.service.clone(), stop);
        // Held until the door is open: of a reload at the same time the service must hear.
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        core.service.set_problems("configuration", refused.clone());
        self.behind.send_replace(Behind::Open(Arc::new(core), router));
    }

    /// The core, once it stands.
    pub fn core(&self) -> Option<Arc<Core>> {
        match &*self.behind.borrow() {
            Behind::Open(core, _) => Some(Arc::clone(core)),
            _ => None,
        }
    }

    /// Says why it is closed.
    pub fn closed(&self, why: Vec<String>) {
        self.behind.send_replace(Behind::Closed(why));
    }

    /// Why it is closed.
    pub fn why(&self) -> Vec<String> {
        match &*self.behind.borrow() {
            Behind::Closed(why) => why.clone(),
            _ => Vec::new(),
        }
    }

    /// Everything that is wrong, while it is closed.
    pub fn problems(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        self.why().into_iter().chain(refused.iter().cloned()).collect()
    }

    /// Says why a new configuration was refused; nothing: it is in force.
    pub fn refused(&self, faults: Vec<String>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match self.core() {
            Some(core) => core.service.set_problems("configuration", faults.clone()),
            None => faults.iter().for_each(|fault| tracing::error!("{fault}")),
        }
        *refused = faults;
    }

    /// The routes, through the door.
    pub fn router(&self, reload: AskReload) -> Router {
        let door = self.clone();
        Router::new().fallback(move |request: Request| {
            let (door, reload) = (door.clone(), reload.clone());
            async move { door.answer(request, reload).await }
        })
    }

    async fn answer(&self, request: Request, reload: AskReload) -> Response {
        let mut behind = self.behind.subscribe();
        let decided = behind.wait_for(|behind| !matches!(behind, Behind::Starting));
        let behind = match tokio::time::timeout(PATIENCE, decided).await {
            Ok(Ok(behind)) => behind.clone(),
            _ => Behind::Starting,
        };
        if request.method() == Method::POST && request.uri().path() == "/v1/reload" {
            return match reload.ask().await {
                Some(Ok(reloaded)) => Json(reloaded).into_response(),
                Some(Err(faults)) => Problem::from(faults).into_response(),
                None => Problem::from(TokenError::Stopped).into_response(),
            };
        }
        let problems = match behind {
            Behind::Open(_, router) => {
                return match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
            }
            Behind::Closed(_) => self.problems(),
            Behind::Starting => vec!["longplay is starting".to_owned()],
        };
        if request.uri().path() == "/healthz" {
            let health = Health { healthy: false, problems, attention: Vec::new() };
            return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response();
        }
        Problem { retry_after: Some(2), ..Problem::new(Word::Store, 503, problems.join("; ")) }
            .into_response()
    }
}
