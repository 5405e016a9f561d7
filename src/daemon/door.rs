//! The door to the service: requests come before the store is within reach.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::control::api::{Health, Problem, Word};
use crate::control::routes;

use super::core::Core;

/// How long a question waits while the store is tried for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The door to the service: open once the core stands. While that is being tried for the first time, questions wait;
/// after that they are answered with what is wrong.
#[derive(Clone)]
pub struct Door(watch::Sender<Behind>);

#[derive(Clone)]
enum Behind {
    Starting,
    Closed(Vec<String>),
    Open(Arc<Core>, Router),
}

impl Door {
    /// Still shut.
    pub fn new() -> Self {
        Self(watch::Sender::new(Behind::Starting))
    }

    /// Opens it.
    pub fn open(&self, core: Core, stop: CancellationToken) {
        let router = routes(core.service.clone(), stop);
        self.0.send_replace(Behind::Open(Arc::new(core), router));
    }

    /// The core, once it stands.
    pub fn core(&self) -> Option<Arc<Core>> {
        match &*self.0.borrow() {
            Behind::Open(core, _) => Some(Arc::clone(core)),
            _ => None,
        }
    }

    /// Says why it is closed.
    pub fn closed(&self, why: Vec<String>) {
        self.0.send_replace(Behind::Closed(why));
    }

    /// Everything that is wrong, while it is closed.
    pub fn problems(&self) -> Vec<String> {
        match &*self.0.borrow() {
            Behind::Closed(why) => why.clone(),
            _ => Vec::new(),
        }
    }

    /// The routes, through the door.
    pub fn router(&self) -> Router {
        let door = self.clone();
        Router::new().fallback(move |request: Request| {
            let door = door.clone();
            async move { door.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        let mut behind = self.0.subscribe();
        let decided = behind.wait_for(|behind| !matches!(behind, Behind::Starting));
        let behind = match tokio::time::timeout(PATIENCE, decided).await {
            Ok(Ok(behind)) => behind.clone(),
            _ => Behind::Closed(vec!["longplay is starting".to_owned()]),
        };
        let problems = match behind {
            Behind::Open(_, router) => {
                return match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
            }
            Behind::Closed(problems) => problems,
            Behind::Starting => Vec::new(),
        };
        if request.uri().path() == "/healthz" {
            let health = Health { healthy: false, problems, attention: Vec::new() };
            return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response();
        }
        Problem { retry_after: Some(2), ..Problem::new(Word::Store, 503, problems.join("; ")) }
            .into_response()
    }
}
