//! Runs: asked for, due, or of a new login. They are all the same, and after each the next one is planned.

use std::time::Duration;

use std::sync::atomic::Ordering;

use crate::archive::Outcome;
use crate::domain::{RunResult, Timestamp, Trigger, User, UserId, UserName};
use crate::spotify::ApiError;
use crate::tokens::{Need, TokenSource as _};

use super::api::{Archived, Problem};
use super::roster::Plan;
use super::service::Service;

/// After a rate limit's end the users of an app come back spread over this.
const AFTER_HOLD: Duration = Duration::from_secs(30);
/// How soon a user that Spotify refuses (403) is looked at again.
const BLOCKED_PAUSE: Duration = Duration::from_secs(6 * 3_600);

impl Service {
    /// Runs now and waits.
    pub async fn archive(&self, name: &UserName) -> Result<Archived, Problem> {
        let user = self.find(name).await?;
        if user.paused {
            return Err(crate::tokens::TokenError::Paused.into());
        }
        if self.parts().gate.fault(&user.app).is_some() {
            // A person asks: the app is tried too, whose present token may still be valid. The run tells the rest.
            let insist = Need { fresh: true, insist: true, ..Need::default() };
            let _ = self.parts().tokens.token(user.id, insist).await;
        }
        let outcome = self.run(&user, Trigger::Manual).await?;
        if outcome.result.archived() {
            let Outcome { result, reason, new_plays, gaps, .. } = outcome;
            return Ok(Archived { result, reason, new_plays, gaps });
        }
        Err(Problem::of_run(outcome, self.now()))
    }

    /// A run that is due.
    pub async fn run_due(&self, id: UserId, due: Timestamp) {
        let Some(user) = self.roster().get(id).cloned() else { return };
        if user.paused {
            return;
        }
        self.parts().metrics.run_late(self.now().since(due));
        if let Err(problem) = self.run(&user, Trigger::Schedule).await {
            tracing::warn!(user = %user.name, "no run: {}", problem.detail);
            self.run_at(id, self.now() + self.settings().archive.max_interval).await;
        }
    }

    /// A run for whatever reason; then the next one is planned.
    pub(super) async fn run(&self, user: &User, trigger: Trigger) -> Result<Outcome, Problem> {
        let app = self.app_of(user)?;
        let settings = self.settings();
        let (plan, _) = Plan::of(user, &settings);
        let who = plan.who(user, &app, self.now(), settings.archive.max_interval);
        let outcome = self.parts().archiver.archive(who, trigger).await;
        if user.blocked.is_some() || outcome.result == RunResult::Blocked {
            self.look_again(&user.name).await;
        }
        // The user may have been changed, paused or removed meanwhile.
        let present = self.roster().get(user.id).filter(|user| !user.paused).cloned();
        if let Some(user) = present.filter(|_| !self.0.stopping.load(Ordering::Relaxed)) {
            let (plan, _) = Plan::of(&user, &self.settings());
            self.run_at(user.id, self.next_after(&outcome, &plan)).await;
        }
        Ok(outcome)
    }

    /// Whether Spotify refuses a user is learnt by runs, which are no changes that the roster is told of.
    async fn look_again(&self, name: &UserName) {
        match self.parts().store.user(name).await {
            Ok(Some(user)) => drop(self.roster().put(user)),
            Ok(None) => {}
            Err(error) => tracing::warn!(user = %name, "how {name} is now can't be read: {error}"),
        }
    }

    /// Archives a new login at once, without anyone waiting for it.
    pub(super) fn run_soon(&self, user: User) {
        let service = self.clone();
        self.spawn(async move {
            let mut outcome = service.run(&user, Trigger::Login).await;
            // It may have joined a run that still had the old login.
            if matches!(&outcome, Ok(outcome) if outcome.result == RunResult::NeedsLogin) {
                outcome = service.run(&user, Trigger::Login).await;
            }
            match outcome {
                Ok(outcome) if outcome.result.archived() => service.identify(&user).await,
                Ok(_) => {}
                Err(problem) => tracing::warn!(user = %user.name, "no run: {}", problem.detail),
            }
        });
    }

    /// Notes whose account a login is that came as a bare token, so that a renewal by another can be refused.
    async fn identify(&self, user: &User) {
        let parts = self.parts();
        let Ok(Some(grant)) = parts.store.grant(user.id).await else { return };
        let Ok(app) = self.app_of(user) else { return };
        if grant.account_id.is_some() || parts.gate.held_until(&app.name).is_some() {
            return;
        }
        let Ok(token) = parts.tokens.token(user.id, Need::default()).await else { return };
        parts.metrics.api_called(&app.name);
        let noted = match parts.client.me(&app.api_url, &token.access_token).await {
            Ok(account) => parts.store.set_account(user.id, grant.epoch, &account.id).await,
            Err(ApiError::RateLimited { retry_after, .. }) => {
                parts.gate.hold(&app.name, retry_after).await;
                return;
            }
            Err(error) => {
                return tracing::info!(user = %user.name, "whose account it is can't be told yet: {error}");
            }
        };
        if let Err(error) = noted {
            tracing::warn!(user = %user.name, "whose account it is could not be noted: {error}");
        }
    }

    fn next_after(&self, outcome: &Outcome, plan: &Plan) -> Timestamp {
        let (now, settings) = (self.now(), self.settings());
        if let Some(at) = outcome.retry_at.filter(|at| *at > now) {
            return at + self.parts().random.upto(AFTER_HOLD);
        }
        let adaptive = match outcome.result {
            RunResult::Ok | RunResult::Partial => {
                outcome.look_again_in.unwrap_or(settings.archive.max_interval)
            }
            RunResult::NeedsLogin | RunResult::Blocked => settings.archive.max_interval,
            _ => settings.archive.min_interval,
        };
        let next = plan.schedule.next_after(now, plan.zone).unwrap_or(now + adaptive);
        match outcome.result {
            RunResult::Blocked => next.max(now + BLOCKED_PAUSE),
            _ => next,
        }
    }
}
