//! The runs under way: a user has one at most. Who asks during one joins it, and it goes on if they leave.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::run::Run;
use super::{Archiver, Landed, Outcome, Shared, Who};
use crate::domain::{RunResult, Timestamp, Trigger, UserId};

/// A user's run: under way, or over but for what comes after its outcome.
pub(super) struct Flight {
    pub outcome: watch::Receiver<Option<Landed>>,
    /// Whoever has this works for the user.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Archiver {
    /// Joins the user's run, or starts one, and waits for its end.
    pub(super) async fn join_or_start(&self, who: &Who, trigger: Trigger, due: Option<Timestamp>) -> Landed {
        let Some(mut outcome) = self.flight(who, trigger, due) else {
            return Ok(Outcome::never_begun("longplay was stopping"));
        };
        let landed = outcome.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        let broke_off = "the run broke off: this is a fault of longplay; see the journal";
        landed.unwrap_or_else(|| Ok(Outcome::never_begun(broke_off)))
    }

    /// What tells of the end of the user's run, which is started where there is none; `None` while stopping.
    fn flight(
        &self,
        who: &Who,
        trigger: Trigger,
        due: Option<Timestamp>,
    ) -> Option<watch::Receiver<Option<Landed>>> {
        let mut flights = self.0.flights();
        if self.0.stop.is_cancelled() {
            return None;
        }
        let turn = match flights.get(&who.id) {
            Some(flight) if flight.outcome.borrow().is_none() => return Some(flight.outcome.clone()),
            Some(over) => Arc::clone(&over.turn),
            None => Arc::default(),
        };
        let (publish, outcome) = watch::channel(None);
        flights.insert(who.id, Flight { outcome: outcome.clone(), turn: Arc::clone(&turn) });
        let landing = Landing { shared: Arc::clone(&self.0), user: who.id, outcome: outcome.clone() };
        let (who, waiting) = (who.clone(), Waiting::of(&self.0));
        self.0.tasks.spawn(async move {
            let shared = Arc::clone(&landing.shared);
            let Some(_turn) = shared.or_stop(turn.lock_owned()).await else {
                shared.with.metrics.run_finished(RunResult::Cancelled, 0);
                publish.send_replace(Some(Ok(Outcome::never_begun("longplay was stopping"))));
                return;
            };
            let mut run = Run::new(&shared, who, trigger, due, waiting);
            let landed = run.go().await;
            let archived = run.was_made && landed.as_ref().is_ok_and(|outcome| outcome.result.archived());
            publish.send_replace(Some(landed));
            if archived {
                run.fetch_top_artists().await;
            }
            drop(landing);
        });
        Some(outcome)
    }
}

/// A run that waits for its first place.
pub(super) struct Waiting(Arc<Shared>);

impl Waiting {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes the user's run off the list however it ended, by a panic too.
struct Landing {
    shared: Arc<Shared>,
    user: UserId,
    outcome: watch::Receiver<Option<Landed>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.shared.flights();
        if flights.get(&self.user).is_some_and(|flight| flight.outcome.same_channel(&self.outcome)) {
            flights.remove(&self.user);
        }
    }
}
