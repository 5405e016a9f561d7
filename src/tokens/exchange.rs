//! One refresh, step by step: intent, post, spool, commit; and the same last steps for an answer that the spool kept.
//! Nothing cancels it once the request is on its way. It promises that an answer is durable before it is read, and
//! that tokens are committed before anyone sees them.

mod offer;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::config::AppSettings;
use crate::domain::{
    AccessTimes, AppName, AttemptId, EventKind, Grant, Owner, Timestamp, UserId, UserName, said,
};
use crate::oauth::{TokenRequest, Transport};
use crate::random::Random;
use crate::spotify::Gate;
use crate::store::{CommitIf, GrantStore, Intent, STOPPED, StoreError};
use crate::telemetry::{Events, Metrics, Note, RefreshError, step};

use super::account::{OnRecord, Outcome, Start, View};
use super::seal::{Label, Vault};
use super::set_back::ClockNote;
use super::spool::{Kept, Spool};
use super::validity::{Held, Moment, skew};
use super::{TokenError, Trouble};
pub use offer::{SpoolFault, offer_spool, still_faulty};
use outcome::Case;

/// How long a daemon may take from its intent to the end of its request, by the store's clock.
pub const LEASE: Duration = Duration::from_secs(90);
/// How long the intent is tried while the store does not answer.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(25);
/// So soon after the intent the first byte must be sent that the whole request fits into the lease.
const SEND_WITHIN: Duration = Duration::from_secs(25);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What a refresh works with; all of it injected.
pub struct Exchange {
    /// Where grants are kept.
    pub store: Arc<dyn GrantStore>,
    /// The way to the token endpoint.
    pub transport: Arc<dyn Transport>,
    /// Where answers are kept.
    pub spool: Arc<dyn Spool>,
    /// Seals and opens.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What an earlier process knew of it.
    pub clock_note: Arc<dyn ClockNote>,
    /// Chance.
    pub random: Arc<Random>,
    /// The apps' gates.
    pub gate: Gate,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub events: Events,
    /// This daemon's state directory.
    pub owner: Owner,
    /// Cancelled when nothing new may be started.
    pub stopping: CancellationToken,
}

/// A refresh to be made.
pub struct Errand {
    /// Whose tokens.
    pub subject: Subject,
    /// What it starts from.
    pub start: Start,
    /// The name of this try.
    pub attempt: AttemptId,
    /// A place among the requests that may be under way; given back once there is an answer.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Whose tokens, and by which app.
#[derive(Clone)]
pub struct Subject {
    /// The store's number.
    pub user: UserId,
    /// The short name.
    pub name: UserName,
    /// The app as it is configured.
    pub app: Arc<AppSettings>,
}

/// What an outcome is reported with.
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// By how many milliseconds the wall clock is ahead of the provider's, where the answer told.
    pub skew: Option<i64>,
}

/// Called when the end of a refresh has to wait for the store.
pub type Stalled<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Exchange {
    /// The present, for one app; the skew is the caller's to add.
    pub fn moment(&self, skew: i64) -> Moment {
        Moment { chance: self.random.unit(), ..self.glance(skew) }
    }

    /// The present without the die, for what is not left to chance.
    pub fn glance(&self, skew: i64) -> Moment {
        Moment { wall: self.clock.now(), boot: self.clock.boot(), skew, ..Moment::default() }
    }

    /// One refresh.
    pub async fn refresh(&self, errand: Errand, stalled: Stalled<'_>) -> Report {
        let app = errand.subject.app.name.clone();
        if self.stopping.is_cancelled() {
            return Report { outcome: Outcome::NotSent(TokenError::Stopped), skew: None };
        }
        let granted = match self.refused_by_gate(&app, errand.start.insist).await {
            Ok(granted) => granted,
            Err(outcome) => return Report { outcome, skew: None },
        };
        let report = self.carry_out(errand, stalled).await;
        let shows_nothing =
            matches!(report.outcome, Outcome::NotSent(_) | Outcome::Superseded | Outcome::Doubt(..));
        if granted && shows_nothing {
            self.gate.untried(&app).await;
        }
        report
    }

    async fn carry_out(&self, errand: Errand, stalled: Stalled<'_>) -> Report {
        let Errand { subject, start, attempt, permit } = errand;
        let began = self.clock.boot();
        if let Err(error) = self.spool.prepare(subject.user).await {
            self.problem(&subject, format!("no room in the spool for {}: {error}", subject.name));
        }
        match self.spool_knows_better(&subject, &start.view).await {
            Ok(false) => {}
            Ok(true) => return Report { outcome: Outcome::Superseded, skew: None },
            Err(error) => return self.store_failed(&error, began),
        }
        step!("refresh-before-intent");
        let intent = Intent {
            user: subject.user,
            epoch: start.view.epoch,
            generation: start.view.generation,
            attempt,
            replaces: start.view.on_record.map(|record| record.attempt),
            owner: self.owner,
            lease: LEASE,
            cause: start.cause,
            refused: start.view.refusal.as_ref().map(|refusal| refusal.tries),
            in_doubt: start.view.doubt.is_some(),
            keys: self.vault.key_ids(),
        };
        let announced = match self.announce(&intent, began, stalled).await {
            Ok(Some(announced)) => announced,
            Ok(None) => {
                // What the store does not take now is looked at again before anything is sent.
                let _ = self.offer_kept(&subject).await;
                return Report { outcome: Outcome::Superseded, skew: None };
            }
            Err(error @ (StoreError::NotAccepted { .. } | StoreError::AnotherKey { .. })) => {
                self.gate.shut(Some(&said(&error)));
                return Report { outcome: Outcome::ClientRefused(said(&error)), skew: None };
            }
            Err(error) => return self.store_failed(&error, began),
        };
        step!("refresh-after-intent");
        let request = TokenRequest::refresh(&subject.app, &start.view.refresh_token)
            .before(BootTime(announced.0 + SEND_WITHIN));
        let (sent_at, sent_boot) = (self.clock.now(), self.clock.boot());
        let posted = self.transport.post(request).await;
        drop(permit);
        let received_at = self.clock.now();
        step!("refresh-after-post");
        let view = *start.view;
        let answer = match posted {
            Ok(answer) => answer,
            Err(error) => {
                let outcome = self.unanswered(&subject, &view, attempt, error, sent_at, stalled).await;
                self.metrics.refresh_failed(RefreshError::NetworkError, self.clock.boot().since(began));
                return Report { outcome, skew: None };
            }
        };
        let skew = skew(answer.date.as_deref(), sent_at, received_at);
        let kept = Kept {
            user: subject.user,
            epoch: view.epoch,
            sent: view.generation,
            refresh_token: view.refresh_token,
            attempt,
            cause: start.cause,
            sent_at,
            received_at,
            answer,
        };
        let spooled = self.spool.keep(&kept).await;
        if let Err(error) = &spooled {
            self.problem(&subject, format!("the spool can't be written: {error}"));
        }
        step!("refresh-after-spool");
        let lost = match (&view.doubt, view.on_record) {
            (Some((_, seen, _)), _) => Some(seen.clone()),
            (None, Some(_)) => Some(STOPPED.to_owned()),
            (None, None) => None,
        };
        let case = Case {
            subject: &subject,
            kept,
            login_ends: view.login_ends,
            lost,
            refusal: view.refusal,
            commit_if: CommitIf::AttemptHolds,
            sent_boot: Some(sent_boot),
        };
        let (outcome, error) = self.conclude(&case, spooled.is_ok(), stalled).await;
        step!("refresh-after-commit");
        let took = self.clock.boot().since(began);
        match error {
            None => self.metrics.refresh_succeeded(took),
            Some(error) => self.metrics.refresh_failed(error, took),
        }
        Report { outcome, skew }
    }

    fn store_failed(&self, error: &StoreError, began: BootTime) -> Report {
        self.metrics.refresh_failed(RefreshError::StoreError, self.clock.boot().since(began));
        let reason = format!("nothing was sent: {}", said(error));
        Report { outcome: not_sent(reason, Trouble::Store), skew: None }
    }

    /// What memory holds of a stored grant. `now`: before it was read.
    ///
    /// # Errors
    /// Where a token can't be opened: which, and the cure.
    pub fn view(&self, app: &AppSettings, grant: Grant, now: Moment) -> Result<Option<View>, String> {
        let (user, epoch, generation) = (grant.user, grant.epoch, grant.generation);
        let Some(sealed) = &grant.refresh_token else { return Ok(None) };
        let open = |label, sealed, what| {
            let text = self.vault.open(label, sealed).map_err(|e| format!("the stored {what} token: {e}"))?;
            String::from_utf8(text.to_vec()).map_err(|_| format!("the stored {what} token is no text"))
        };
        let refresh_token = open(Label::Refresh(user, epoch, generation), sealed, "refresh")?.into();
        let access = match (&grant.access_token, grant.access_times) {
            (Some(sealed), Some(times)) => {
                let token = open(Label::Access(user, epoch, generation), sealed, "access")?;
                Some((token.into(), Held::read(times, now)))
            }
            _ => None,
        };
        // Rather too early than too late, since times are whole milliseconds: who asked later wants another one.
        let age = grant.read_at.since(grant.committed_at) + Duration::from_millis(1);
        let born = BootTime(now.boot.0.saturating_sub(age));
        Ok(Some(View {
            epoch,
            generation,
            client_matches: grant.client_id == app.client_id,
            refresh_token,
            access,
            born: (born, grant.born_of),
            on_record: grant.attempt.map(|attempt| {
                // By the store's clock; the boot clock goes on where it was read.
                let lapses = Moment { wall: grant.read_at, ..now }.boot_at(attempt.lease_until);
                OnRecord {
                    attempt: attempt.id,
                    ours: attempt.owner == self.owner,
                    sent: BootTime(lapses.0.saturating_sub(LEASE)),
                    lapses,
                }
            }),
            login_ends: login_ends(app, grant.login_at),
            doubt: grant.doubt.map(|doubt| (doubt.owner == self.owner, doubt.reason, doubt.since)),
            refusal: grant.refusal,
        }))
    }

    /// Whether it is the try of a refused app.
    async fn refused_by_gate(&self, app: &AppName, insist: bool) -> Result<bool, Outcome> {
        if let Some(why) = self.gate.shut_because() {
            return Err(Outcome::ClientRefused(why.to_string()));
        }
        if let Some(until) = self.gate.held_until(app) {
            let reason = format!("Spotify's rate limit holds the app until {until}");
            let retry_after = until.since(self.clock.now());
            let trouble = Trouble::RateLimited;
            return Err(Outcome::NotSent(TokenError::Waiting { reason, retry_after, trouble }));
        }
        let Some(fault) = self.gate.fault(app) else { return Ok(false) };
        let granted = self.gate.try_refused(app).await;
        if granted || insist { Ok(granted) } else { Err(Outcome::ClientRefused(fault.reason)) }
    }

    /// Step 1. The same statement is repeated until the store answers, for a while. Answers from when the lease counts;
    /// `None`: something else is on record.
    async fn announce(
        &self,
        intent: &Intent,
        began: BootTime,
        stalled: Stalled<'_>,
    ) -> Result<Option<BootTime>, StoreError> {
        let mut pause = FIRST_RETRY;
        // The first try may have been committed, and only its answer lost: the lease counts from there.
        let first = self.clock.boot();
        loop {
            let asked = self.clock.boot();
            match self.store.begin_attempt(intent).await {
                Ok(begun) => return Ok(begun.then_some(first)),
                Err(error @ (StoreError::NotAccepted { .. } | StoreError::AnotherKey { .. })) => {
                    return Err(error);
                }
                Err(error) if asked.since(began) > ANNOUNCE_WITHIN || self.stopping.is_cancelled() => {
                    return Err(error);
                }
                Err(error) => stalled(said(&error)),
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    fn problem(&self, subject: &Subject, message: String) {
        self.events.tell(EventKind::Problem, Note::of(&subject.name, &subject.app.name), message);
    }
}

/// The times of an access token; `skew`: milliseconds by which this host's clock is ahead.
pub(super) fn times(sent_at: Timestamp, lifetime: Duration, skew: i64) -> AccessTimes {
    AccessTimes { sent_at, lifetime, expires_at: sent_at.offset_millis(-skew) + lifetime }
}

/// When a login comes to its age: calendar months after it was given.
pub fn login_ends(app: &AppSettings, login_at: Option<Timestamp>) -> Option<Timestamp> {
    let months = chrono::Months::new(app.login_lifetime?);
    login_at?.utc().checked_add_months(months).map(Timestamp::from)
}

fn not_sent(reason: String, trouble: Trouble) -> Outcome {
    Outcome::NotSent(TokenError::Waiting { reason, retry_after: Duration::ZERO, trouble })
}
