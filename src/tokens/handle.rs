//! The way to the refresh actor: methods that hide the channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::config::{AppSettings, TokenSettings};
use crate::domain::{AppName, Epoch, Generation, Timestamp, UserId, UserName};

use super::account::View;
use super::exchange::Report;
use super::login::{LoginError, LoginGrant};
use super::{Need, Token, TokenError, TokenSource};

/// What the actor knows of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The store's number.
    pub id: UserId,
    /// The short name.
    pub name: UserName,
    /// The app of the login.
    pub app: AppName,
    /// Whether the user is suspended.
    pub paused: bool,
}

/// What became of a grant in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It has this generation.
    Generation(Generation),
    /// Its refresh token was refused for so many times.
    Refused(u32),
}

/// How the actor is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Refreshes under way.
    pub refreshing: usize,
    /// By how many milliseconds the wall clock is ahead of the provider's, by app.
    pub skew: BTreeMap<AppName, i64>,
    /// Whose last refresh failed and is to be tried again, and why.
    pub backing_off: Arc<BTreeMap<UserId, String>>,
}

/// The way to the actor; clones share it.
#[derive(Clone)]
pub struct TokenKeeper {
    pub(super) sender: mpsc::Sender<Message>,
}

/// What the actor is told. What is large is boxed: a message is moved several times on its way.
pub(super) enum Message {
    Token {
        user: UserId,
        need: Need,
        reply: Reply<Token>,
    },
    Rejected {
        user: UserId,
        generation: Generation,
        reply: Reply<()>,
    },
    Left {
        user: UserId,
        reply: Reply<Option<Duration>>,
    },
    Login {
        user: UserId,
        login: Box<LoginGrant>,
        reply: oneshot::Sender<Result<Generation, LoginError>>,
    },
    LoginDone {
        user: UserId,
        result: Box<Result<View, LoginError>>,
        reply: oneshot::Sender<Result<Generation, LoginError>>,
    },
    Members {
        members: Vec<Member>,
        reply: oneshot::Sender<()>,
    },
    Remove {
        user: UserId,
        reply: oneshot::Sender<()>,
    },
    Configure {
        apps: Apps,
        settings: Box<TokenSettings>,
        reply: oneshot::Sender<()>,
    },
    Forget {
        user: UserId,
        reply: oneshot::Sender<()>,
    },
    RunsDue {
        runs: Vec<(UserId, Option<Timestamp>)>,
    },
    Reread {
        user: UserId,
    },
    Heard {
        user: UserId,
        news: News,
    },
    RereadAll,
    StoreIsBack,
    Read {
        user: UserId,
        read: Box<Result<Option<View>, String>>,
    },
    Stalled {
        user: UserId,
        why: String,
    },
    Done {
        user: UserId,
        epoch: Epoch,
        report: Box<Report>,
    },
    Health {
        reply: oneshot::Sender<Health>,
    },
    StartNothingNew {
        reply: oneshot::Sender<()>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, TokenError>>;

pub(super) type Apps = BTreeMap<AppName, AppSettings>;

impl TokenKeeper {
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, TokenError> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(message(reply)).await.map_err(|_| TokenError::Stopped)?;
        answer.await.map_err(|_| TokenError::Stopped)
    }

    /// Commits a login that the user has given; whatever refresh of the old one is under way changes nothing more.
    pub async fn login(&self, user: UserId, login: LoginGrant) -> Result<Generation, LoginError> {
        let login = Box::new(login);
        self.ask(|reply| Message::Login { user, login, reply }).await.map_err(|_| LoginError::Stopped)?
    }

    /// Adds users, or changes them.
    pub async fn members(&self, members: Vec<Member>) {
        // A stopped actor needs no users.
        let _ = self.ask(|reply| Message::Members { members, reply }).await;
    }

    /// Lets go of a user.
    pub async fn remove(&self, user: UserId) {
        let _ = self.ask(|reply| Message::Remove { user, reply }).await;
    }

    /// New settings.
    pub async fn configure(&self, apps: Apps, settings: TokenSettings) {
        let settings = Box::new(settings);
        let _ = self.ask(|reply| Message::Configure { apps, settings, reply }).await;
    }

    /// The user's tokens are gone from the store.
    pub async fn forget(&self, user: UserId) {
        let _ = self.ask(|reply| Message::Forget { user, reply }).await;
    }

    /// Runs of the users are due then; their tokens are kept fresh for that.
    pub async fn runs_due(&self, runs: Vec<(UserId, Option<Timestamp>)>) {
        let _ = self.sender.send(Message::RunsDue { runs }).await;
    }

    /// What the store has of the user changed under the actor's feet.
    pub async fn reread(&self, user: UserId) {
        let _ = self.sender.send(Message::Reread { user }).await;
    }

    /// Another daemon, or this one, changed the user's grant in the store.
    pub async fn heard(&self, user: UserId, news: News) {
        let _ = self.sender.send(Message::Heard { user, news }).await;
    }

    /// Anything may have changed in the store: whatever is in memory is read again.
    pub async fn reread_all(&self) {
        let _ = self.sender.send(Message::RereadAll).await;
    }

    /// The store can be written again: nobody backs off for its sake.
    pub async fn store_is_back(&self) {
        let _ = self.sender.send(Message::StoreIsBack).await;
    }

    /// How it is; also shows that it answers.
    pub async fn health(&self) -> Result<Health, TokenError> {
        self.ask(|reply| Message::Health { reply }).await
    }

    /// Starts nothing new from now on; logins are still taken.
    pub async fn start_nothing_new(&self) {
        let _ = self.ask(|reply| Message::StartNothingNew { reply }).await;
    }

    /// Starts nothing new, and returns when every refresh under way is finished.
    pub async fn stop(&self) {
        let _ = self.ask(|reply| Message::Stop { reply }).await;
    }
}

#[async_trait]
impl TokenSource for TokenKeeper {
    async fn token(&self, user: UserId, need: Need) -> Result<Token, TokenError> {
        self.ask(|reply| Message::Token { user, need, reply }).await?
    }

    async fn rejected(&self, user: UserId, generation: Generation) -> Result<(), TokenError> {
        self.ask(|reply| Message::Rejected { user, generation, reply }).await?
    }

    async fn left(&self, user: UserId) -> Option<Duration> {
        self.ask(|reply| Message::Left { user, reply }).await.ok()?.ok()?
    }
}
