//! What the actor starts and does not wait for: reads, refreshes, logins. Each reports with a message.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::domain::{AttemptId, Generation, UserId, said};

use super::super::account::{Outcome, Start};
use super::super::exchange::{Errand, Report};
use super::super::handle::Message;
use super::super::login::{LoginError, LoginGrant, commit};
use super::super::validity::Moment;
use super::Actor;

/// How many grants are read at once: after a resume of everyone, all are to be read.
const READS: usize = 64;
/// What is said of a task that panicked; the journal has the rest.
const BROKE_OFF: &str = "it broke off: this is a fault of longplay";

impl Actor {
    pub(super) fn read_next(&mut self) {
        while self.reading < READS
            && let Some(user) = self.to_read.pop_front()
        {
            self.read(user);
        }
    }

    fn read(&mut self, user: UserId) {
        let Some(entry) = self.entries.get(&user) else { return };
        self.reading += 1;
        let (app, sender) = (entry.subject.app.clone(), self.sender.clone());
        let (exchange, skew) = (Arc::clone(&self.exchange), self.skew.get(&app.name).copied().unwrap_or(0));
        let set_back = self.watch.look(&*exchange.clock);
        tokio::spawn(async move {
            let reading = async {
                let now = Moment { set_back, ..exchange.moment(skew) };
                match exchange.store.grant(user).await {
                    Ok(Some(grant)) => exchange.view(&app, grant, now),
                    Ok(None) => Ok(None),
                    Err(error) => Err(said(&error)),
                }
            };
            let read =
                AssertUnwindSafe(reading).catch_unwind().await.unwrap_or_else(|_| Err(BROKE_OFF.to_owned()));
            let _ = sender.send(Message::Read { user, read: Box::new(read) }).await;
        });
    }

    pub(super) fn refresh(&mut self, user: UserId, start: Start) {
        let epoch = start.view.epoch;
        let Some(entry) = self.entries.get(&user) else { return };
        let subject = entry.subject.clone();
        if start.probe {
            self.probing.insert(subject.app.token_url.clone(), user);
        }
        self.refreshing += 1;
        let exchange = Arc::clone(&self.exchange);
        let (permits, sender) = (Arc::clone(&self.permits), self.sender.clone());
        let attempt = AttemptId(exchange.random.uuid());
        tokio::spawn(async move {
            // Never closed; and without a permit there is only no limit.
            let permit = permits.acquire_owned().await.ok();
            let stalls = sender.clone();
            let stalled = move |why: String| {
                // A full queue only means that those who wait are told with the next one.
                let _ = stalls.try_send(Message::Stalled { user, why });
            };
            let refresh = exchange.refresh(Errand { subject, start, attempt, permit }, &stalled);
            // What it had begun is on record, and whether it was sent is not known.
            let broken = Outcome::Doubt(BROKE_OFF.to_owned(), exchange.clock.now());
            let broken = Report { outcome: broken, skew: None };
            let report = AssertUnwindSafe(refresh).catch_unwind().await.unwrap_or(broken);
            let _ = sender.send(Message::Done { user, epoch, report: Box::new(report) }).await;
        });
    }

    pub(super) fn log_in(
        &mut self,
        user: UserId,
        login: LoginGrant,
        reply: oneshot::Sender<Result<Generation, LoginError>>,
    ) {
        let Some(entry) = self.entries.get(&user) else {
            let _ = reply.send(Err(LoginError::UnknownUser));
            return;
        };
        let (exchange, sender) = (Arc::clone(&self.exchange), self.sender.clone());
        let subject = entry.subject.clone();
        tokio::spawn(async move {
            let result = commit(&exchange, &subject, login).await;
            let _ = sender.send(Message::LoginDone { user, result: Box::new(result), reply }).await;
        });
    }
}
