//! What a run puts on record and tells of: the page with the gaps that it shows, in one transaction, or why there is none.

use super::fault::{Fault, Waits};
use super::run::Run;
use super::{Ended, Outcome, overlap, unreadable};
use crate::domain::{EventKind, Gap, RunId, RunResult};
use crate::spotify::Page;
use crate::store::{Added, PageStored, Release, RunFailed, StoreError};
use crate::telemetry::Note;

/// A page that is on record.
pub(super) struct Stored {
    /// As it was stored.
    pub page: PageStored,
    /// What of it was new.
    pub added: Added,
}

impl Run<'_> {
    /// Stores the page, until the store takes it or there is no point any more.
    pub async fn store(&mut self, run: RunId, page: &Page) -> Result<Stored, Fault> {
        let mut waits = Waits::default();
        loop {
            match self.try_store(run, page).await {
                Ok(stored) => return Ok(stored),
                Err(error) => self.back_off(Fault::store(&error), &mut waits).await?,
            }
        }
    }

    async fn try_store(&self, run: RunId, page: &Page) -> Result<Stored, StoreError> {
        let (store, now) = (&self.shared.with.store, self.now());
        let facts = store.page_facts(self.who.id, run, &page.plays, page.oldest()).await?;
        let before = overlap::gap_before(&overlap::Facts {
            items: page.items(),
            oldest: page.plays.iter().map(|play| play.played_at).min(),
            already_stored: page.plays.len().saturating_sub(facts.unknown.len()),
            newest_stored: facts.newest_stored,
            runs_since: &facts.results_since,
            quota_spent_at: self.shared.with.gate.quota_spent_at(&self.who.app),
            last_archived_at: facts.last_archived_at,
            longest_pause: self.who.longest_pause,
            now,
        });
        let known: Vec<Gap> = before.iter().chain(&facts.gaps).cloned().collect();
        let within = unreadable::gaps(&unreadable::Facts {
            plays: &page.plays,
            unreadable: &page.unreadable,
            before: facts.before,
            stored: &facts.stored,
            known: &known,
            now,
        });
        let played: Vec<_> = page.plays.iter().map(|play| play.played_at).collect();
        let filled = overlap::filled(&played, &facts.gaps, now);
        let reason = page.trouble();
        let result = if reason.is_some() { RunResult::Partial } else { RunResult::Ok };
        let look_again_in = Some(self.next_look(page, &facts).await?);
        let page = PageStored {
            user: self.who.id,
            run,
            result,
            reason,
            plays: facts.unknown.iter().filter_map(|n| page.plays.get(*n)).cloned().collect(),
            newest: page.plays.iter().map(|play| play.played_at).max(),
            gaps: before.into_iter().chain(within).chain(filled).collect(),
            at: now,
            release: self.release(&Ended { result, look_again_in, retry_at: None }),
        };
        Ok(Stored { added: store.store_page(&page).await?, page })
    }

    /// Counts and tells what was stored.
    pub fn tell_archived(&self, stored: &Stored) {
        let (with, page, added) = (&self.shared.with, &stored.page, &stored.added);
        with.metrics.run_finished(page.result, added.plays);
        let mut message = match added.plays {
            0 => "nothing new".to_owned(),
            1 => "1 new play".to_owned(),
            many => format!("{many} new plays"),
        };
        if let Some(reason) = &page.reason {
            message = format!("{message}; {reason}");
        }
        with.events.tell(EventKind::Archived, self.note(Some(page.run)), message);
        for gap in &added.gaps {
            with.metrics.gap_found();
            let (from, to, cause) = (gap.from, gap.to, gap.cause.as_str());
            let message =
                format!("plays may be missing from {from} to {to} ({cause}), {} at most", gap.at_most);
            with.events.tell(EventKind::GapFound, self.note(Some(page.run)), message);
        }
    }

    /// Ends a run that stored nothing.
    pub async fn failed(&mut self, run: Option<RunId>, fault: Fault) -> Outcome {
        let refused_anew = fault.refused && self.is_news(&fault.reason).await;
        let ended = Ended { result: fault.result, look_again_in: None, retry_at: fault.retry_at };
        let release = self.release(&ended);
        if let Some(run) = run {
            self.record_failure(run, &fault, release).await;
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
            gaps: Vec::new(),
            run,
            retry_at: fault.retry_at,
            next_run_at: release.next,
        }
    }

    fn release(&self, ended: &Ended) -> Release {
        Release { owner: self.shared.with.owner, next: (self.who.next_run)(ended) }
    }

    /// What can't be put on record leaves a run without an end, which counts as broken off, and a claim that
    /// lapses.
    async fn record_failure(&mut self, run: RunId, fault: &Fault, release: Release) {
        let failed = RunFailed {
            user: self.who.id,
            run,
            result: fault.result,
            reason: fault.reason.clone(),
            blocked: fault.refused.then(|| fault.reason.clone()),
            at: self.now(),
            release,
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

    /// Whether Spotify did not refuse the user before, or for another reason.
    async fn is_news(&self, reason: &str) -> bool {
        let known = self.shared.with.store.user(&self.who.name).await.ok().flatten();
        known.and_then(|user| user.blocked).is_none_or(|known| known != reason)
    }

    fn note(&self, run: Option<RunId>) -> Note {
        Note { run, ..Note::of(&self.who.name, &self.who.app) }
    }
}
