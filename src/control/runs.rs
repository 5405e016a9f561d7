//! Runs: asked for, due, or of a new login. They are all the same, and after each the next one is planned.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::archive::{Ended, Gone, Outcome, Who, Yielded};
use crate::config::AppSettings;
use crate::domain::{RunResult, Timestamp, Trigger, Urgency, UserId, UserName};
use crate::spotify::{Account, ApiError};
use crate::tokens::{Need, TokenError, TokenSource as _};

use super::api::{Archived, Problem, Word};
use super::roster::Known;
use super::service::Service;

/// After a rate limit's end the users of an app come back spread over this.
const AFTER_HOLD: Duration = Duration::from_secs(30);
/// How soon a user that Spotify refuses (403) is looked at again.
const BLOCKED_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// How soon who asked for a run should ask again where the user was changed in that moment.
const AGAIN: Duration = Duration::from_secs(1);
/// How soon a run is made again that was cancelled, though not because longplay stops.
const CANCELLED_PAUSE: Duration = Duration::from_secs(60);
/// How soon a user is looked at again whom another daemon runs, at the earliest.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// An adaptive wait is shorter by up to this part of it.
const EARLIER: u32 = 10;

impl Service {
    /// Runs now and waits.
    pub async fn archive(&self, name: &UserName) -> Result<Archived, Problem> {
        let user = self.find(name).await?;
        self.unless_shut()?;
        if user.paused {
            return Err(TokenError::Paused.into());
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
        // It may have been begun before the pause.
        if self.known(user.id).is_some_and(|user| user.paused) {
            return Err(TokenError::Paused.into());
        }
        Err(Problem::of_run(outcome, self.now(), self.0.stopping.load(Ordering::Relaxed)))
    }

    /// How many more runs that are due can be taken on now.
    pub fn room(&self) -> usize {
        self.parts().archiver.room()
    }

    /// A run that is due, unless another daemon makes it.
    pub async fn run_due(&self, id: UserId, due: Timestamp) {
        // Made up when the store is accepted.
        if self.unless_shut().is_err() {
            return;
        }
        let Some(user) = self.known(id).filter(|user| !user.paused) else { return };
        let Ok(who) = self.who(&user) else { return };
        let (late, again) = (self.now().since(due), self.now() + LOOK_AGAIN);
        match self.parts().archiver.archive_due(&who, due).await {
            Ok(outcome) => {
                self.parts().metrics.run_late(late);
                self.after(&user, &outcome).await;
            }
            Err(Yielded::Later { next, blocked }) => {
                match next {
                    // Not at once, should the store's clock be behind ours.
                    Some(next) => self.schedule(vec![(id, next.max(again))]).await,
                    None => self.plan_anew(&user).await,
                }
                if blocked != user.blocked.is_some() {
                    self.look_again(&user.name).await;
                }
            }
            // The change that made it so is on its way here.
            Err(Yielded::Gone) => {}
        }
    }

    /// A run for whatever reason, now.
    pub(super) async fn run(&self, user: &Arc<Known>, trigger: Trigger) -> Result<Outcome, Problem> {
        self.unless_shut()?;
        let who = self.who(user)?;
        match self.parts().archiver.archive(who, trigger).await {
            Ok(outcome) => {
                self.after(user, &outcome).await;
                Ok(outcome)
            }
            Err(Gone) => Err(self.gone(&user.name).await),
        }
    }

    /// Why there was nobody to run: another daemon or program paused or removed the user.
    async fn gone(&self, name: &UserName) -> Problem {
        if let Err(problem) = self.refresh_users().await {
            return problem;
        }
        match self.roster().find(name) {
            None => Problem::unknown_user(name),
            Some(user) if user.paused => TokenError::Paused.into(),
            // Added or resumed by now.
            Some(_) => {
                Problem::later(Word::Waiting, format!("{name} was changed just now: ask again"), AGAIN)
            }
        }
    }

    fn who(&self, user: &Arc<Known>) -> Result<Who, Problem> {
        let (app, max) = (self.app_of(user)?, self.settings().archive.max_interval);
        let (service, id, times) = (self.clone(), user.id, self.times(user).0);
        Ok(Who {
            id,
            name: user.name.clone(),
            app: app.name,
            api_url: app.api_url,
            longest_pause: times.longest_pause(max),
            zone: times.zone(),
            next_run: Arc::new(move |ended| service.next_run(id, ended)),
        })
    }

    /// The run's end is on record, and with it the next time.
    async fn after(&self, user: &Known, outcome: &Outcome) {
        let id = user.id;
        if user.blocked.is_some() || outcome.result == RunResult::Blocked {
            self.look_again(&user.name).await;
        }
        if outcome.result.archived() && self.roster().unidentified.remove(&user.id) {
            let service = self.clone();
            self.spawn(async move {
                if let Some(user) = service.known(id) {
                    service.identify(&user).await;
                }
            });
        }
        // The user may have been changed, paused or removed meanwhile.
        let ended = Ended { result: outcome.result, look_again_in: None, retry_at: outcome.retry_at };
        let next = match self.known(user.id).filter(|user| !user.paused) {
            Some(_) => outcome.next_run_at.or_else(|| self.next_run(user.id, &ended)),
            None => None,
        };
        if let Some(next) = next.filter(|_| !self.0.stopping.load(Ordering::Relaxed)) {
            self.schedule(vec![(user.id, next)]).await;
        }
        // A change that was taken in while the run went on found the user claimed.
        if let Some(present) = self.known(user.id).filter(|present| present.runs_otherwise(user)) {
            self.plan_again(&present, next).await;
        }
    }

    /// Whether Spotify refuses a user is learnt by runs, which are no changes that the roster is told of.
    pub(super) async fn look_again(&self, name: &UserName) {
        // What is taken in meanwhile is newer than what is read here.
        let _one = self.0.refreshing.lock().await;
        match self.parts().store.user(name).await {
            Ok(Some(user)) => drop(self.roster().put(&user)),
            Ok(None) => {}
            Err(error) => tracing::warn!(user = %name, "how {name} is now can't be read: {error}"),
        }
    }

    /// Archives a new login at once, without anyone waiting for it.
    pub(super) fn run_soon(&self, user: Arc<Known>) {
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

    /// Notes whose account a login is that came as a bare token, so that a renewal by another can be refused. Where that
    /// can't be told now it is asked for again after the next run.
    async fn identify(&self, user: &Known) {
        let parts = self.parts();
        let Ok(Some(grant)) = parts.store.grant(user.id).await else { return };
        let Ok(app) = self.app_of(user) else { return };
        if grant.account_id.is_some() {
            return;
        }
        let why = match self.ask_who(user, &app).await {
            Some(Ok(account)) => match parts.store.set_account(user.id, grant.epoch, &account.id).await {
                Ok(_) => return,
                Err(error) => error.to_string(),
            },
            Some(Err(error)) => error.to_string(),
            None => "no call is possible now".to_owned(),
        };
        tracing::info!(user = %user.name, "whose account it is is not known yet: {why}");
        self.roster().unidentified.insert(user.id);
    }

    /// `/me`, once more with the next token where Spotify answers 401; `None`: there is no token, of which a run says why, or
    /// the app may not call.
    async fn ask_who(&self, user: &Known, app: &AppSettings) -> Option<Result<Account, ApiError>> {
        let parts = self.parts();
        let mut rejected = None;
        loop {
            let token = parts.tokens.token(user.id, Need::default()).await.ok()?;
            parts.gate.admit(&app.name, Urgency::Spare).await.ok()?;
            parts.metrics.api_called(&app.name);
            let told = parts.client.me(&app.api_url, &token.access_token).await;
            parts.gate.heed(&app.name, &told).await;
            if !matches!(told, Err(ApiError::Unauthorized)) {
                return Some(told);
            }
            parts.metrics.unauthorized();
            if rejected.replace(token.generation).is_some() {
                return Some(told);
            }
            parts.tokens.rejected(user.id, token.generation).await.ok()?;
        }
    }

    /// When a user is due after a run; `None` for one who was paused or removed meanwhile.
    fn next_run(&self, id: UserId, ended: &Ended) -> Option<Timestamp> {
        let user = self.known(id).filter(|user| !user.paused)?;
        let (now, settings) = (self.now(), self.settings());
        if self.0.stopping.load(Ordering::Relaxed) && ended.result == RunResult::Cancelled {
            // Made up at once, by another daemon or after the start.
            return Some(now);
        }
        if let Some(at) = ended.retry_at.filter(|at| *at > now) {
            return Some(at + self.parts().random.upto(AFTER_HOLD));
        }
        let least = settings.archive.min_interval;
        let wait = match ended.result {
            RunResult::Ok | RunResult::Partial => {
                ended.look_again_in.unwrap_or(settings.archive.max_interval)
            }
            RunResult::NeedsLogin | RunResult::Blocked => settings.archive.max_interval,
            RunResult::Cancelled => return Some(now + CANCELLED_PAUSE),
            _ => least,
        };
        // Those who came together, or failed together, part.
        let adaptive = wait.saturating_sub(self.parts().random.upto(wait / EARLIER)).max(least);
        let next = self.times(&user).0.next_after(now).unwrap_or(now + adaptive);
        Some(match ended.result {
            RunResult::Blocked => next.max(now + BLOCKED_PAUSE),
            _ => next,
        })
    }
}
