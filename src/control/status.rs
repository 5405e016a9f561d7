//! How everyone is, and the daemon.

use std::collections::HashMap;

use crate::domain::{Grant, UserId, UserName};
use crate::telemetry::UsersSeen;
use crate::tokens::login_ends;

use super::api::{DaemonStatus, Health, Problem, Status, UserStatus};
use super::plan::Plan;
use super::service::Service;
use super::standing::{Facts, standing};

impl Service {
    /// How everyone is, or one user.
    pub async fn status(&self, only: Option<&UserName>) -> Result<Status, Problem> {
        let mut users = self.parts().store.users().await?;
        if let Some(name) = only {
            users.retain(|user| user.name == *name);
            if users.is_empty() {
                return Err(Problem::unknown_user(name));
            }
        }
        let grants = match &users[..] {
            [user] => self.parts().store.grant(user.id).await?.into_iter().collect(),
            _ => self.parts().store.grants().await?,
        };
        let grants: HashMap<UserId, Grant> = grants.into_iter().map(|grant| (grant.user, grant)).collect();
        // The actor is this process's own; without an answer it is stopping.
        let backing_off = self.parts().tokens.health().await.unwrap_or_default().backing_off;
        let (settings, now, gate) = (self.settings(), self.now(), &self.parts().gate);
        let users = users
            .iter()
            .map(|user| {
                let grant = grants.get(&user.id).filter(|grant| grant.refresh_token.is_some());
                let app = settings.apps.get(&user.app);
                let login_ends = app.and_then(|app| login_ends(app, grant?.login_at));
                let facts = Facts {
                    user,
                    grant,
                    client_id: app.map(|app| app.client_id.as_str()),
                    held_until: gate.held_until(&user.app),
                    fault: gate.fault(&user.app),
                    backing_off: backing_off.get(&user.id).map(String::as_str),
                    now,
                };
                let (state, reason) = standing(&facts);
                let (plan, _) = Plan::of(user, &settings);
                let times = grant.and_then(|grant| grant.access_times);
                UserStatus {
                    name: user.name.clone(),
                    app: user.app.clone(),
                    state,
                    reason,
                    schedule: plan.schedule.to_string(),
                    timezone: plan.zone.to_string(),
                    plays: user.plays,
                    gaps: user.gaps,
                    last_run_at: user.last_run_at,
                    last_run_result: user.last_run_result,
                    last_archived_at: user.last_archived_at,
                    next_run_at: user.next_run_at.filter(|_| !user.paused),
                    access_expires_at: times.map(|times| times.sent_at + times.lifetime),
                    login_at: grant.and_then(|grant| grant.login_at),
                    login_expires_at: login_ends,
                }
            })
            .collect();
        Ok(Status { users, daemon: self.daemon_status() })
    }

    fn daemon_status(&self) -> DaemonStatus {
        let problems = self.problems();
        DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.parts().owner.0.to_string(),
            since: self.0.since,
            store: self.parts().store.describe(),
            healthy: problems.is_empty(),
            problems,
        }
    }

    /// Whether nothing is wrong with the daemon.
    pub fn health(&self) -> Health {
        let problems = self.problems();
        Health { healthy: problems.is_empty(), problems }
    }

    /// Events from now on.
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<crate::domain::Event> {
        self.parts().events.listen()
    }

    /// How the refresh actor is; also shows that it answers.
    pub async fn tokens_health(&self) -> Result<crate::tokens::Health, crate::tokens::TokenError> {
        self.parts().tokens.health().await
    }

    /// When the schedule last ticked; `None` where there is none.
    pub fn last_tick(&self) -> Option<crate::clock::BootTime> {
        self.parts().scheduler.as_ref().map(crate::schedule::Scheduler::last_tick)
    }

    /// Prometheus text.
    pub async fn metrics(&self) -> String {
        // Without the store the counters are still worth having.
        let users = self.status(None).await.map(|status| status.users).unwrap_or_default();
        let users = users.into_iter().map(|user| (user.name, user.state, user.last_archived_at)).collect();
        self.parts().metrics.render(&UsersSeen { users })
    }
}
