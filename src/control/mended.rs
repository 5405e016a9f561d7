//! After the configuration was read: whoever a wrong one had blocked is tried again. Of an app that the token endpoint
//! refused, one user goes first; the others follow where that mended it, so that a wrong secret costs one request.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{AppName, Trigger, UserId};

use crate::tokens::{Need, TokenSource as _};

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
        for (app, mut users) in refused {
            let Some(first) = users.pop() else { continue };
            let service = self.clone();
            self.spawn(async move {
                // Asked of the token endpoint, also where the present token is still valid; the run tells the rest.
                let fresh = Need { fresh: true, ..Need::default() };
                let _ = service.parts().tokens.token(first.id, fresh).await;
                if let Err(problem) = service.run(&first, Trigger::Schedule).await {
                    tracing::warn!(user = %first.name, "no run: {}", problem.detail);
                }
                if service.parts().gate.fault(&app).is_none() {
                    service.retry_soon(users.into_iter().map(|user| user.id).collect());
                }
            });
        }
    }

    fn retry_soon(&self, users: Vec<UserId>) {
        let service = self.clone();
        self.spawn(async move {
            service.bring_forward(&users).await;
        });
    }
}
