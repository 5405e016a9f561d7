//! The steps of one run: open it, fetch the page, put it on record. A token is asked for before every call. What may
//! pass is tried again after 5, 10 and 20 s; a run that waits takes up no place.

use std::future::Future;

use tokio::sync::SemaphorePermit;

use super::claim::{Begun, Held};
use super::fault::{Fault, Waits};
use super::{Landed, Outcome, Shared, Waiting, Who};
use crate::domain::{AccessToken, RunId, Timestamp, Trigger, Urgency};
use crate::spotify::{ApiError, Page};
use crate::tokens::{Need, Token};

/// One run of one user.
pub(super) struct Run<'a> {
    pub(super) shared: &'a Shared,
    pub(super) who: Who,
    pub(super) trigger: Trigger,
    /// Of a run by schedule the time that it was due at.
    pub(super) due: Option<Timestamp>,
    /// The place among the runs that work at once; none while the run waits.
    pub(super) place: Option<SemaphorePermit<'a>>,
    /// The claim, from the run's beginning to its end.
    pub(super) held: Option<Held<'a>>,
    /// Until it first has a place.
    waiting: Option<Waiting>,
    /// Whether it was made here.
    pub was_made: bool,
    /// Whether it was told that the raw journal lacks a page of it.
    pub(super) unkept: bool,
}

impl<'a> Run<'a> {
    pub fn new(
        shared: &'a Shared,
        who: Who,
        trigger: Trigger,
        due: Option<Timestamp>,
        waiting: Waiting,
    ) -> Self {
        let waiting = Some(waiting);
        Self { shared, who, trigger, due, place: None, held: None, waiting, was_made: false, unkept: false }
    }

    /// Does it all and tells how it went; or why it was not made here.
    pub async fn go(&mut self) -> Landed {
        let run = match self.begin().await {
            Ok(Begun::Here(run)) => run,
            Ok(Begun::Yielded(why)) => return Err(why),
            Ok(Begun::Elsewhere(outcome)) => return Ok(outcome),
            Err(fault) => return Ok(self.failed(None, fault).await),
        };
        self.was_made = true;
        if let Some(left) = self.shared.with.tokens.left(self.who.id).await {
            self.shared.with.metrics.run_started(left);
        }
        let outcome = match self.fetch_and_store(run).await {
            Ok(outcome) => outcome,
            Err(fault) => self.failed(Some(run), fault).await,
        };
        self.held = None;
        Ok(outcome)
    }

    async fn fetch_and_store(&mut self, run: RunId) -> Result<Outcome, Fault> {
        let page = self.fetch_page(run).await?;
        let stored = self.store(run, &page).await?;
        self.tell_archived(&stored);
        Ok(Outcome {
            result: stored.page.result,
            reason: stored.page.reason,
            new_plays: stored.added.plays,
            gaps: stored.added.gaps,
            run: Some(run),
            retry_at: None,
            next_run_at: stored.page.release.next,
        })
    }

    /// Asks Spotify for the page until it comes or there is no point any more.
    async fn fetch_page(&mut self, run: RunId) -> Result<Page, Fault> {
        let mut waits = Waits::default();
        loop {
            match self.try_page(run).await {
                Ok(page) => return Ok(page),
                Err(fault) => self.back_off(fault, &mut waits).await?,
            }
        }
    }

    async fn try_page(&mut self, run: RunId) -> Result<Page, Fault> {
        let (this, client) = (&*self, &self.shared.with.client);
        let asked = |token| async move { client.recent(&this.who.api_url, &token, this.now()).await };
        let answer = self.call(self.urgency().await?, asked).await?.map_err(|error| Fault::api(&error))?;
        // Before it is read: it may be what can't be.
        self.keep_raw(run, &answer).await;
        answer.read().map_err(|error| Fault::api(&error))
    }

    /// One call of the Web API with a token of the user's; one more with the next token where Spotify answers 401.
    pub(super) async fn call<T, F>(
        &self,
        urgency: Urgency,
        ask: impl Fn(AccessToken) -> F,
    ) -> Result<Result<T, ApiError>, Fault>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let token = self.token().await?;
        let answer = self.answer_to(urgency, ask(token.access_token)).await?;
        if !matches!(answer, Err(ApiError::Unauthorized)) {
            return Ok(answer);
        }
        let settled = self.shared.with.tokens.rejected(self.who.id, token.generation);
        self.or_stop(settled).await?.map_err(|error| Fault::token(&error, self.now()))?;
        self.answer_to(urgency, ask(self.token().await?.access_token)).await
    }

    /// A token that is valid for the buffer. Where the app is held none is refreshed for that; but whoever must log in,
    /// or is blocked, hears that first.
    async fn token(&self) -> Result<Token, Fault> {
        self.check_claim()?;
        let need = Need { insist: self.trigger == Trigger::Manual, ..Need::default() };
        let token = self.or_stop(self.shared.with.tokens.token(self.who.id, need)).await?;
        token.map_err(|error| Fault::token(&error, self.now()))
    }

    /// One call, unless the gate keeps it; a 429 holds the app.
    async fn answer_to<T>(
        &self,
        urgency: Urgency,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Result<T, ApiError>, Fault> {
        self.check_claim()?;
        let (gate, app, metrics) = (&self.shared.with.gate, &self.who.app, &self.shared.with.metrics);
        let admitted = self.or_stop(gate.admit(app, urgency)).await?;
        admitted.map_err(|why| Fault::no_call(why, app, self.now()))?;
        metrics.api_called(app);
        let answer = self.or_stop(call).await?;
        let held = gate.heed(app, &answer).await;
        match (&answer, held) {
            (Err(error), Some(until)) => return Err(Fault::held(until, &error.to_string())),
            (Err(ApiError::Unauthorized), _) => metrics.unauthorized(),
            _ => {}
        }
        Ok(answer)
    }

    /// Waits before the next try, without a place; gives the fault back where there is no next try.
    pub(super) async fn back_off(&mut self, fault: Fault, waits: &mut Waits) -> Result<(), Fault> {
        let next = if fault.passing { waits.next((self.shared.with.jitter)()) } else { None };
        let Some(wait) = next else { return Err(fault) };
        tracing::debug!(user = %self.who.name, "trying again in {wait:?}: {}", fault.reason);
        self.place = None;
        self.or_stop(self.shared.with.clock.sleep(wait)).await?;
        self.take_place().await
    }

    pub(super) async fn take_place(&mut self) -> Result<(), Fault> {
        let place = self.or_stop(self.shared.permits.acquire()).await?;
        // An error would mean that the semaphore is closed, which nobody does.
        self.place = Some(place.map_err(|_| Fault::stopping())?);
        self.waiting = None;
        Ok(())
    }

    pub(super) async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        self.shared.or_stop(work).await.ok_or_else(Fault::stopping)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.with.clock.now()
    }
}
