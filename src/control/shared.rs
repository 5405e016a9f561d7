//! A store that several daemons share: what the others changed is taken in.

use crate::domain::{AppName, UserId, said};
use crate::tokens::News;

use super::api::Problem;
use super::service::Service;

impl Service {
    /// The store has something new about a user's grant.
    pub async fn heard(&self, user: UserId, news: News) {
        self.parts().tokens.heard(user, news).await;
    }

    /// The store has something new about an app.
    pub async fn reread_app(&self, app: &AppName) {
        if !self.settings().apps.contains_key(app) {
            return;
        }
        if let Err(error) = self.parts().gate.reread(app).await {
            tracing::debug!(app = %app, "what is known of app {app} is not read: {}", said(&error));
        }
    }

    /// Anything may have changed unheard.
    pub async fn reread_everything(&self) {
        self.parts().tokens.reread_all().await;
        let missed = async {
            self.refresh_users().await?;
            self.catch_up().await
        };
        if let Err(problem) = missed.await {
            tracing::debug!("what others changed is not read: {}", problem.detail);
        }
    }

    /// Takes in what other daemons changed since this was last done, in case it was not heard.
    pub async fn catch_up(&self) -> Result<(), Problem> {
        if !self.parts().store.is_shared() {
            return Ok(());
        }
        let (parts, mut caught_up) = (self.parts(), self.0.caught_up.lock().await);
        let changed = parts.store.changed_since(*caught_up).await?;
        *caught_up = Some(changed.at);
        for (app, state) in changed.apps {
            parts.gate.learn(&app, state);
        }
        for (user, generation) in changed.tokens {
            parts.tokens.heard(user, News::Generation(generation)).await;
        }
        Ok(())
    }
}
