//! A look at the store that crosses somebody's acceptance of it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::daemon::guard::Guard;
use crate::domain::{AttemptId, Epoch};
use crate::tokens::{Exchange, Glance, Head, Kept, Spool};

/// A spool that is ahead of the store, as far as its first look tells; which takes until it is let go on.
#[derive(Default)]
struct Slow {
    looked: AtomicBool,
    looking: Notify,
    go_on: Notify,
}

#[async_trait]
impl Spool for Slow {
    async fn prepare(&self, _: UserId) -> io::Result<()> {
        Ok(())
    }
    async fn keep(&self, _: &Kept) -> io::Result<()> {
        Ok(())
    }
    async fn users(&self) -> io::Result<Vec<UserId>> {
        Ok(vec![UserId(1)])
    }
    async fn glance(&self, _: &[UserId]) -> io::Result<Vec<Glance>> {
        let mut heads = Vec::new();
        if !self.looked.swap(true, Ordering::SeqCst) {
            self.looking.notify_one();
            self.go_on.notified().await;
            let attempt = AttemptId(Uuid::nil());
            heads.push(Head { epoch: Epoch(1), sent: Generation(9), attempt, success: true });
        }
        Ok(vec![Glance { user: UserId(1), heads, sound: true }])
    }
    async fn kept_of(&self, _: UserId) -> io::Result<(Vec<Kept>, Vec<String>)> {
        Ok((Vec::new(), Vec::new()))
    }
    async fn forget(&self, _: UserId) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_look_that_began_before_the_store_was_accepted_raises_no_fence_afterwards() {
    let host = Host::new();
    let ground = host.ground("a").await;
    let core = Core::build(&ground, None).await.unwrap();
    host.log_in("alice").await;
    let (spool, of) = (Arc::new(Slow::default()), &core.exchange);
    let exchange = Exchange {
        store: of.store.clone(),
        transport: of.transport.clone(),
        spool: spool.clone(),
        vault: of.vault.clone(),
        clock: of.clock.clone(),
        random: of.random.clone(),
        gate: of.gate.clone(),
        metrics: of.metrics.clone(),
        events: of.events.clone(),
        owner: of.owner,
        clock_note: of.clock_note.clone(),
        stopping: CancellationToken::new(),
    };
    let guard = Guard::new(&ground, Arc::new(exchange));
    let (looks, adopts) = (guard.clone(), guard);
    let look = tokio::spawn(async move { looks.look(true).await.unwrap() });
    spool.looking.notified().await;
    let adopt = tokio::spawn(async move { adopts.adopt().await.unwrap() });
    // Long enough for it to end, if it did not wait.
    for _ in 0..200 {
        host.store.probe().await.unwrap();
    }
    spool.go_on.notify_one();
    assert!(look.await.unwrap().is_some(), "it was behind the spool");
    adopt.await.unwrap();
    assert_eq!(host.store.custody().unwrap().whereabouts().await.unwrap().fence, None);
}
