//! After the configuration was read: whoever a wrong one had blocked is tried again. Of an app that the token endpoint
//! refused, one user goes first; the others follow where that mended it, so that a wrong secret costs one request.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{AppName, Trigger, UserId};

use crate::tokens::{Need, TokenError, TokenSource as _};

use super::roster::Known;
use super::service::Service;

impl Service {
    /// Tries those again who were blocked. Nobody waits for it.
    pub fn retry_blocked(&self) {
        let mut users: Vec<Arc<Known>> = self.roster().all().filter(|user| !user.paused).cloned().collect();
        users.sort_by_key(|user| user.id);
        let mut refused: BTreeMap<AppName, Vec<Arc<Known>>> = BTreeMap::new();
        let mut blocked = Vec::new();
        for user in users {
            if self.parts().gate.fault(&user.app).is_some() {
                refused.entry((*user.app).clone()).or_default().push(user);
            } else if user.blocked.is_some() {
                blocked.push(user.id);
            }
        }
        self.retry_soon(blocked);
        for (app, users) in refused {
            let service = self.clone();
            self.spawn(async move { service.retry_refused(&app, users).await });
        }
    }

    /// Asks the token endpoint for one user, also where the present token is still valid: the first whose login can be
    /// sent.
    async fn retry_refused(&self, app: &AppName, mut users: Vec<Arc<Known>>) {
        let fresh = Need { fresh: true, ..Need::default() };
        while let Some(user) = users.pop() {
            let outcome = self.parts().tokens.token(user.id, fresh).await;
            let mended = self.parts().gate.fault(app).is_none();
            let is_dead = |error: &TokenError| {
                matches!(error, TokenError::NeedsLogin(_) | TokenError::Paused | TokenError::UnknownUser)
            };
            if !mended && outcome.as_ref().is_err_and(is_dead) {
                continue; // nothing was sent
            }
            if let Err(problem) = self.run(&user, Trigger::Schedule).await {
                tracing::warn!(user = %user.name, "no run: {}", problem.detail);
            }
            if mended {
                self.retry_soon(users.into_iter().map(|user| user.id).collect());
            }
            return;
        }
    }

    fn retry_soon(&self, users: Vec<UserId>) {
        let service = self.clone();
        self.spawn(async move {
            service.bring_forward(&users).await;
        });
    }
}
