//! What an account is told, what it knows of a grant, and what it has the actor do.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{
    AccessToken, AppFault, AttemptId, Cause, Epoch, Generation, RefreshToken, Refusal, Rotation, Timestamp,
};

use super::super::validity::Held;
use super::super::{Need, Token, TokenError};

/// Names a waiter; the actor knows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// What the configuration says about this user's tokens.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The least validity ever given out.
    pub buffer: Duration,
    /// Whether tokens are refreshed before they are asked for.
    pub ahead: bool,
    /// How long a spent refresh token may still be retried.
    pub rotation_grace: Duration,
}

/// What is known of the app and the provider now.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// No call before this moment.
    pub held_until: Option<Timestamp>,
    /// The token endpoint refuses the app.
    pub fault: Option<AppFault>,
    /// How the provider rotates.
    pub rotation: Rotation,
    /// Another dead login of the same token URL is being tried.
    pub probe_taken: bool,
    /// Why nobody gets a token now, whatever is at hand.
    pub shut: Option<Arc<str>>,
}

/// A refresh that is on record without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnRecord {
    /// Its name.
    pub attempt: AttemptId,
    /// Whether this daemon sent it.
    pub ours: bool,
    /// When it was announced.
    pub sent: BootTime,
    /// When its lease lapses.
    pub lapses: BootTime,
}

/// What memory holds of a grant.
#[derive(Debug, Clone)]
pub struct View {
    /// Which login.
    pub epoch: Epoch,
    /// Which generation.
    pub generation: Generation,
    /// Whether the login was given to the app's present client id.
    pub client_matches: bool,
    /// What a refresh sends.
    pub refresh_token: RefreshToken,
    /// What callers receive.
    pub access: Option<(AccessToken, Held)>,
    /// When this generation came, and whether a rejection was the reason.
    pub born: (BootTime, Option<Cause>),
    /// A refresh without an outcome.
    pub on_record: Option<OnRecord>,
    /// When the login comes to its age.
    pub login_ends: Option<Timestamp>,
    /// Unknown whether the refresh token is spent; whether this daemon is the sender, what was seen, and since when.
    pub doubt: Option<(bool, String, Timestamp)>,
    /// The provider refuses the refresh token.
    pub refusal: Option<Refusal>,
}

impl View {
    /// Read again, a token has no longer to live than was known before.
    pub fn remember(&mut self, known: &Self) {
        if (self.epoch, self.generation) == (known.epoch, known.generation)
            && let (Some((_, held)), Some((_, before))) = (&mut self.access, &known.access)
        {
            *held = before.shorter(*held);
        }
    }
}

/// How a refresh ended.
#[derive(Debug)]
pub enum Outcome {
    /// New tokens are committed; or a newer state was found in the store.
    Committed(Box<View>),
    /// A new refresh token is committed, and no access token came with it.
    Tokenless(Box<View>),
    /// Something else is on record: read it.
    Superseded,
    /// Nothing happened at the provider.
    NotSent(TokenError),
    /// The app is refused, or our request.
    ClientRefused(String),
    /// `invalid_grant`.
    Refused(Refusal),
    /// Unknown.
    Doubt(String, Timestamp),
}

/// What happens to an account.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants a token.
    Ask(WaiterId, Need),
    /// Spotify answered 401.
    Rejected(WaiterId, Generation),
    /// Somebody wants to know how long the present token is valid.
    Look(WaiterId),
    /// The store was read; `None`: there is no login.
    Read(Result<Option<View>, String>),
    /// The refresh under way can't be brought to its end: the store can't be written.
    Stalled(String),
    /// The refresh under way ended.
    Done(Epoch, Outcome),
    /// A login was committed.
    LoggedIn(View),
    /// The time of [`super::Account::wake_at`] has come.
    Wake,
    /// Suspended, or going on.
    Pause(bool),
    /// A run is due then.
    RunDue(Option<Timestamp>),
    /// Another dead login of the token URL came back: try this one now.
    Release,
    /// The store can be written again.
    StoreIsBack,
    /// What was read may be old: it is read again, and given out meanwhile.
    Stale,
    /// What was read means something else now: it is read again before the next answer.
    Moved,
    /// The tokens are gone.
    Forget,
}

/// What the actor has to do.
#[derive(Debug)]
pub enum Effect {
    /// Read the grant from the store.
    Read,
    /// Start a refresh.
    Refresh(Start),
    /// Give a waiter the token.
    Give(WaiterId, Token),
    /// Tell a waiter that its rejection is settled.
    Settled(WaiterId),
    /// Tell a waiter how long the token is valid.
    Left(WaiterId, Option<Duration>),
    /// Tell a waiter why not.
    Refuse(WaiterId, TokenError),
}

/// A refresh to be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// What it starts from.
    pub view: Box<View>,
    /// Why.
    pub cause: Cause,
    /// A try of a dead login.
    pub probe: bool,
    /// A person asked: try a refused app too.
    pub insist: bool,
}
