//! The store and the spool as a process reaches them: slow at times, away, or with the answer lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longplay::clock::Clock as _;
use longplay::domain::UserId;
use longplay::store::{Around, StoreError};
use longplay::tokens::{Glance, Kept, MemorySpool, Spool};

use super::calendar::MINUTE;
use super::rates::{Ill, rate};
use super::world::{Newest, StepOf, Trouble, World};

const MS: Duration = Duration::from_millis(1);

type Stored<T> = std::result::Result<T, StoreError>;

/// What happens around each transaction.
pub struct Store(pub Arc<World>);

impl Store {
    fn ill(&self, ill: Ill) -> bool {
        self.0.disk.hits(if self.0.is_rough() { rate(ill) } else { 0.0 })
    }

    fn fails(&self, doing: &str, why: &'static str) -> Stored<()> {
        let now = self.0.now();
        self.0.note(why, format_args!("{doing}"));
        // It excuses the run that it met, and nobody who waits for one.
        self.0.state().blips.push(Trouble { from: now - MINUTE, to: now + MINUTE * 2, why });
        Err(StoreError::Unavailable { doing: doing.to_owned(), source: why.into() })
    }
}

/// Of what this is a step.
fn step_of(doing: &str) -> Option<StepOf> {
    match doing {
        "announcing a refresh" | "closing a refresh" => Some(StepOf::Refresh),
        "beginning a run" | "comparing a page" | "storing a page" | "ending a run" | "planning runs" => {
            Some(StepOf::Run)
        }
        _ => committed(doing).map(|_| StepOf::Refresh),
    }
}

/// Whose new tokens are committed.
fn committed(doing: &str) -> Option<UserId> {
    doing.strip_prefix("committing new tokens of user ")?.parse().ok().map(UserId)
}

#[async_trait]
impl Around for Store {
    async fn before(&self, doing: &str) -> Stored<()> {
        if let Some(user) = committed(doing) {
            let state = self.0.state();
            let person = state.ids.get(&user).map(|who| &state.people[*who]);
            let unspooled = person.is_some_and(|person| matches!(person.newest, Newest::Delivered(_)));
            drop(state);
            if unspooled {
                self.0
                    .found(&format!("user {}: tokens are committed before the spool has the answer", user.0));
            }
        }
        if let Some(of) = step_of(doing) {
            self.0.step(of, &format!("before {doing}")).await;
        }
        self.0.clock.sleep(self.0.disk.between(MS, MS * 4)).await;
        if self.0.now() < self.0.state().store_down {
            self.0.clock.sleep(self.0.disk.between(MS, MS * 3_000)).await;
            let error =
                StoreError::Unavailable { doing: doing.to_owned(), source: "the store is away".into() };
            return Err(error);
        }
        if self.ill(Ill::StoreRefuses) {
            return self.fails(doing, "the store refuses");
        }
        Ok(())
    }

    async fn after(&self, doing: &str) -> Stored<()> {
        if let Some(user) = committed(doing) {
            let now = self.0.now();
            let mut state = self.0.state();
            if let Some(who) = state.ids.get(&user).copied()
                && state.people[who].newest == Newest::Unspooled
            {
                state.people[who].newest = Newest::StoredOnly(now);
            }
        }
        if let Some(of) = step_of(doing) {
            self.0.step(of, &format!("after {doing}")).await;
        }
        if self.ill(Ill::StoreAnswerLost) {
            return self.fails(doing, "the store's answer is lost");
        }
        Ok(())
    }
}

/// The spool.
pub struct Disk {
    pub world: Arc<World>,
    pub inner: MemorySpool,
}

impl Disk {
    fn who(&self, user: UserId) -> Option<usize> {
        self.world.state().ids.get(&user).copied()
    }

    async fn ill(&self) -> io::Result<()> {
        self.world.clock.sleep(self.world.disk.between(MS, MS * 4)).await;
        let rough = self.world.is_rough();
        if self.world.disk.hits(if rough { rate(Ill::SpoolFails) } else { 0.0 }) {
            self.world.note("the spool fails", format_args!(""));
            return Err(io::Error::other("no space left on device"));
        }
        Ok(())
    }

    /// Where the answer is that was delivered.
    fn settle(&self, who: Option<usize>, newest: Newest) {
        if let Some(who) = who {
            let person = &mut self.world.state().people[who];
            if person.newest != Newest::Durable {
                person.newest = newest;
            }
        }
    }
}

#[async_trait]
impl Spool for Disk {
    async fn prepare(&self, user: UserId) -> io::Result<()> {
        self.ill().await?;
        self.inner.prepare(user).await
    }

    async fn keep(&self, kept: &Kept) -> io::Result<()> {
        let who = self.who(kept.user);
        self.world.step(StepOf::Refresh, "before the spool").await;
        if let Err(error) = self.ill().await {
            self.settle(who, Newest::Unspooled);
            return Err(error);
        }
        self.inner.keep(kept).await?;
        if kept.answer.status == 200 {
            self.settle(who, Newest::Durable);
        }
        self.world.step(StepOf::Refresh, "after the spool").await;
        Ok(())
    }

    async fn users(&self) -> io::Result<Vec<UserId>> {
        self.inner.users().await
    }

    async fn glance(&self, users: &[UserId]) -> io::Result<Vec<Glance>> {
        self.inner.glance(users).await
    }

    async fn kept_of(&self, user: UserId) -> io::Result<(Vec<Kept>, Vec<String>)> {
        self.inner.kept_of(user).await
    }

    async fn forget(&self, user: UserId) -> io::Result<()> {
        self.inner.forget(user).await
    }
}
