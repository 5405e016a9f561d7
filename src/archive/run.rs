//! The steps of one run: open it, fetch the page, look for a gap, store it all in one transaction, tell. A token is
//! asked for before every call. What may pass is tried again after 5, 10 and 20 s; a run that waits takes up no place.

use std::future::Future;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::fault::{Fault, Waits};
use super::{Outcome, Shared, Who, overlap, pace};
use crate::domain::{AccessToken, EventKind, Gap, Play, RunId, RunResult, Timestamp, Trigger};
use crate::spotify::{ApiError, Page};
use crate::store::{PageStored, RunFailed, StoreError};
use crate::telemetry::Note;
use crate::tokens::{Need, Token};

/// One run of one user.
pub(super) struct Run<'a> {
    pub(super) shared: &'a Shared,
    pub(super) who: Who,
    trigger: Trigger,
    /// The place among the runs that work at once; none while the run waits.
    place: Option<SemaphorePermit<'a>>,
}

/// What a stored page brought.
struct Stored {
    new_plays: usize,
    gap: Option<Gap>,
}

impl<'a> Run<'a> {
    pub fn new(shared: &'a Shared, who: Who, trigger: Trigger) -> Self {
        Self { shared, who, trigger, place: None }
    }

    /// Does it all and tells how it went.
    pub async fn go(&mut self) -> Outcome {
        let run = match self.begin().await {
            Ok(run) => run,
            Err(fault) => return self.failed(None, fault).await,
        };
        let left = self.shared.with.tokens.left(self.who.id).await;
        self.shared.with.metrics.run_started(left.unwrap_or_default());
        match self.fetch_and_store(run).await {
            Ok(outcome) => outcome,
            Err(fault) => self.failed(Some(run), fault).await,
        }
    }

    async fn fetch_and_store(&mut self, run: RunId) -> Result<Outcome, Fault> {
        let page = self.fetch_page().await?;
        let reason = page.trouble();
        let result = if reason.is_some() { RunResult::Partial } else { RunResult::Ok };
        let stored = self.store(run, &page, result, reason.clone()).await?;
        self.tell_archived(run, result, &stored, reason.as_deref());
        Ok(Outcome {
            result,
            reason,
            new_plays: stored.new_plays,
            gap: stored.gap,
            run: Some(run),
            look_again_in: Some(self.next_look(&page.plays)),
            retry_at: None,
        })
    }

    /// Opens the run in the store.
    async fn begin(&mut self) -> Result<RunId, Fault> {
        self.take_place().await?;
        let mut waits = Waits::default();
        loop {
            let now = self.shared.with.clock.now();
            match self.shared.with.store.begin_run(self.who.id, self.trigger, now).await {
                Ok(run) => return Ok(run),
                Err(error) => self.back_off(Fault::store(&error), &mut waits).await?,
            }
        }
    }

    /// Asks Spotify for the page until it comes or there is no point any more.
    async fn fetch_page(&mut self) -> Result<Page, Fault> {
        let mut waits = Waits::default();
        loop {
            match self.try_page().await {
                Ok(page) => return Ok(page),
                Err(fault) => self.back_off(fault, &mut waits).await?,
            }
        }
    }

    /// One call; one more with the next token where Spotify answers 401.
    async fn try_page(&self) -> Result<Page, Fault> {
        let token = self.token().await?;
        let answer = match self.ask_for_page(&token).await? {
            Err(ApiError::Unauthorized) => {
                let settled = self.shared.with.tokens.rejected(self.who.id, token.generation);
                self.or_stop(settled).await?.map_err(|error| Fault::token(&error, self.now()))?;
                self.ask_for_page(&self.token().await?).await?
            }
            answer => answer,
        };
        answer.map_err(|error| Fault::api(&error))
    }

    async fn ask_for_page(&self, token: &Token) -> Result<Result<Page, ApiError>, Fault> {
        let client = &self.shared.with.client;
        let asked = |token| async move { client.recently_played(&self.who.api_url, token).await };
        let answer = self.call(&token.access_token, asked).await?;
        if matches!(answer, Err(ApiError::Unauthorized)) {
            self.shared.with.metrics.unauthorized();
        }
        Ok(answer)
    }

    /// A token that is valid for the buffer. Where the app is held none is asked for, since that might refresh it.
    pub(super) async fn token(&self) -> Result<Token, Fault> {
        self.check_gate()?;
        let need = Need { insist: self.trigger == Trigger::Manual, ..Need::default() };
        let token = self.or_stop(self.shared.with.tokens.token(self.who.id, need)).await?;
        token.map_err(|error| Fault::token(&error, self.now()))
    }

    /// One call of the Web API, unless the app is held; a 429 holds it.
    pub(super) async fn call<'t, T, F>(
        &self,
        token: &'t AccessToken,
        ask: impl FnOnce(&'t AccessToken) -> F,
    ) -> Result<Result<T, ApiError>, Fault>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        // Again: it may have taken long to get the token.
        self.check_gate()?;
        let (gate, app) = (&self.shared.with.gate, &self.who.app);
        self.shared.with.metrics.api_called(app);
        let answer = self.or_stop(ask(token)).await?;
        match &answer {
            Err(error @ ApiError::RateLimited { retry_after, .. }) => {
                return Err(Fault::held(gate.hold(app, *retry_after).await, &error.to_string()));
            }
            Err(ApiError::Unreachable { .. }) => {}
            _ => gate.answered(app).await,
        }
        Ok(answer)
    }

    fn check_gate(&self) -> Result<(), Fault> {
        match self.shared.with.gate.held_until(&self.who.app) {
            Some(until) => Err(Fault::held(until, &format!("Spotify has limited app {}", self.who.app))),
            None => Ok(()),
        }
    }

    /// Stores the page with what follows from it, until the store takes it or there is no point any more.
    async fn store(
        &mut self,
        run: RunId,
        page: &Page,
        result: RunResult,
        reason: Option<String>,
    ) -> Result<Stored, Fault> {
        let mut waits = Waits::default();
        loop {
            match self.try_store(run, page, result, reason.clone()).await {
                Ok(stored) => return Ok(stored),
                Err(error) => self.back_off(Fault::store(&error), &mut waits).await?,
            }
        }
    }

    async fn try_store(
        &self,
        run: RunId,
        page: &Page,
        result: RunResult,
        reason: Option<String>,
    ) -> Result<Stored, StoreError> {
        let (store, now) = (&self.shared.with.store, self.now());
        let facts = store.page_facts(self.who.id, run, &page.plays).await?;
        let gap = overlap::gap_before(&overlap::Facts {
            items: page.items,
            oldest: page.plays.iter().map(|play| play.played_at).min(),
            already_stored: facts.known,
            newest_stored: facts.newest_stored,
            runs_since: &facts.results_since,
            last_archived_at: facts.last_archived_at,
            longest_pause: self.who.longest_pause,
            now,
        });
        let stored = PageStored {
            user: self.who.id,
            run,
            result,
            reason,
            plays: page.plays.clone(),
            gap: gap.clone(),
            at: now,
        };
        Ok(Stored { new_plays: store.store_page(&stored).await?, gap })
    }

    fn tell_archived(&self, run: RunId, result: RunResult, stored: &Stored, reason: Option<&str>) {
        let with = &self.shared.with;
        with.metrics.run_finished(result, stored.new_plays);
        let mut message = match stored.new_plays {
            0 => "nothing new".to_owned(),
            1 => "1 new play".to_owned(),
            many => format!("{many} new plays"),
        };
        if let Some(reason) = reason {
            message = format!("{message}; {reason}");
        }
        with.events.tell(EventKind::Archived, self.note(Some(run)), message);
        if let Some(gap) = &stored.gap {
            with.metrics.gap_found();
            let message = format!(
                "plays may be missing from {} to {} ({}), {} at most",
                gap.from,
                gap.to,
                gap.cause.as_str(),
                gap.at_most
            );
            with.events.tell(EventKind::GapFound, self.note(Some(run)), message);
        }
    }

    fn next_look(&self, plays: &[Play]) -> Duration {
        let mut recent: Vec<_> = plays.iter().map(|play| (play.played_at, play.track.duration_ms)).collect();
        recent.sort_unstable_by_key(|(ended, _)| std::cmp::Reverse(*ended));
        let limits = *self.shared.limits();
        pace::next_look(self.now(), &recent, limits.min_interval, limits.max_interval)
    }

    /// Ends a run that stored nothing. A run that can't be put on record so counts as broken off.
    async fn failed(&mut self, run: Option<RunId>, fault: Fault) -> Outcome {
        let refused_anew = fault.refused && self.is_news(&fault.reason).await;
        if let Some(run) = run {
            self.record_failure(run, &fault).await;
        }
        let with = &self.shared.with;
        with.metrics.run_finished(fault.result, 0);
        if refused_anew {
            with.events.tell(EventKind::UserBlocked, self.note(run), fault.reason.clone());
        }
        if fault.result != RunResult::Cancelled {
            let message = format!("{}: {}", fault.result.as_str(), fault.reason);
            with.events.tell(EventKind::RunFailed, self.note(run), message);
        }
        Outcome {
            result: fault.result,
            reason: Some(fault.reason),
            new_plays: 0,
            gap: None,
            run,
            look_again_in: None,
            retry_at: fault.retry_at,
        }
    }

    async fn record_failure(&mut self, run: RunId, fault: &Fault) {
        let failed = RunFailed {
            user: self.who.id,
            run,
            result: fault.result,
            reason: fault.reason.clone(),
            blocked: fault.refused.then(|| fault.reason.clone()),
            at: self.now(),
        };
        let mut waits = Waits::default();
        while let Err(error) = self.shared.with.store.fail_run(&failed).await {
            let unwritten = Fault::store(&error);
            // A store that has just been given up on is not waited for again.
            let given_up = fault.result == RunResult::StoreError;
            if given_up || self.back_off(unwritten.clone(), &mut waits).await.is_err() {
                tracing::warn!(user = %self.who.name, "how the run ended is not saved: {}", unwritten.reason);
                return;
            }
        }
    }

    /// Whether Spotify did not refuse the user before, for this reason.
    async fn is_news(&self, reason: &str) -> bool {
        let known = self.shared.with.store.user(&self.who.name).await.ok().flatten();
        known.and_then(|user| user.blocked).is_none_or(|known| known != reason)
    }

    /// Waits before the next try, without a place; gives the fault back where there is no next try.
    async fn back_off(&mut self, fault: Fault, waits: &mut Waits) -> Result<(), Fault> {
        let next = if fault.passing { waits.next((self.shared.with.jitter)()) } else { None };
        let Some(wait) = next else { return Err(fault) };
        tracing::debug!(user = %self.who.name, "trying again in {wait:?}: {}", fault.reason);
        self.place = None;
        self.or_stop(self.shared.with.clock.sleep(wait)).await?;
        self.take_place().await
    }

    async fn take_place(&mut self) -> Result<(), Fault> {
        let place = self.or_stop(self.shared.permits.acquire()).await?;
        // An error would mean that the semaphore is closed, which nobody does.
        self.place = Some(place.map_err(|_| Fault::stopping())?);
        Ok(())
    }

    async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        self.shared.or_stop(work).await.ok_or_else(Fault::stopping)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.with.clock.now()
    }

    fn note(&self, run: Option<RunId>) -> Note {
        Note { run, ..Note::of(&self.who.name, &self.who.app) }
    }
}
