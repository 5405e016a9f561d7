//! What the simulated Spotify has seen and done: the truth that tests compare with.

use super::message::Outcome;
use super::world::Standing;
use super::{Endpoint, SimulatedSpotify};
use crate::domain::{Play, Timestamp};

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it came.
    pub at: Timestamp,
    /// Where to.
    pub endpoint: Endpoint,
    /// Whose it was, where that could be told.
    pub account: Option<String>,
    /// How it ended; `None` while it is under way.
    pub answered: Option<Answered>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// With this status.
    Status(u16),
    /// With half a body.
    Half,
    /// With a body that has no end.
    Endless,
    /// With the end of the connection.
    Cut,
}

impl From<&Outcome> for Answered {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Whole(reply) => Self::Status(reply.status),
            Outcome::Half(_) => Self::Half,
            Outcome::Endless(..) => Self::Endless,
            Outcome::Cut => Self::Cut,
        }
    }
}

/// An account's refreshes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshCounts {
    /// How many were asked for with one of its refresh tokens.
    pub asked: u64,
    /// How many brought an access token, answers that were lost included.
    pub accepted: u64,
    /// How often a spent token was presented, so that the login was revoked.
    pub reused: u64,
    /// How many are under way.
    pub under_way: u64,
    /// How many were ever under way at once.
    pub most_at_once: u64,
}

impl SimulatedSpotify {
    /// Every request that came, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.world().seen.clone()
    }

    /// How many requests came to an endpoint.
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        self.world().seen.iter().filter(|seen| seen.endpoint == endpoint).count()
    }

    /// How many of them were an account's.
    pub fn requests_of(&self, account: &str, endpoint: Endpoint) -> usize {
        let world = self.world();
        let of = |seen: &&Seen| seen.endpoint == endpoint && seen.account.as_deref() == Some(account);
        world.seen.iter().filter(of).count()
    }

    /// An account's refreshes.
    pub fn refreshes(&self, account: &str) -> RefreshCounts {
        self.world().refreshes.get(account).copied().unwrap_or_default()
    }

    /// The most refreshes, of whichever accounts, that were under way at once since this was last asked.
    pub fn take_most_at_once(&self) -> u64 {
        let mut world = self.world();
        let under_way = world.under_way;
        std::mem::replace(&mut world.most_at_once, under_way)
    }

    /// The first of which this is so, of everything secret that it knows: every token and code ever issued, and the apps'
    /// secrets.
    pub fn find_secret(&self, is_so: impl Fn(&str) -> bool) -> Option<String> {
        let world = self.world();
        let apps = world.apps.values().filter_map(|app| app.secret.as_ref());
        world.issued.iter().chain(apps).find(|secret| is_so(secret)).cloned()
    }

    /// Every token and code ever issued: none of them may turn up where it doesn't belong.
    pub fn issued(&self) -> Vec<String> {
        self.world().issued.clone()
    }

    /// Whether this refresh token is the account's and would be accepted now.
    pub fn alive(&self, account: &str, refresh_token: &str) -> bool {
        let now = self.shared.clock.now();
        let world = self.world();
        let owner = world.refresh.get(refresh_token).map(|refresh| &world.logins[refresh.login].account);
        owner.is_some_and(|owner| owner == account)
            && world.refresh_standing(refresh_token, now) == Standing::Good
    }

    /// Whether the account's newest login is neither revoked nor over its age. Who holds a spent token only has lost it
    /// all the same: see [`Self::alive`].
    pub fn login_alive(&self, account: &str) -> bool {
        self.current_refresh_token(account).is_some_and(|token| self.alive(account, &token))
    }

    /// The newest refresh token of an account's newest login, dead or alive.
    pub fn current_refresh_token(&self, account: &str) -> Option<String> {
        self.world().newest_login(account).map(|login| login.current.clone())
    }

    /// Whose refresh token this is, whether or not it would be accepted.
    pub fn owner_of(&self, refresh_token: &str) -> Option<String> {
        let world = self.world();
        world.refresh.get(refresh_token).map(|refresh| world.logins[refresh.login].account.clone())
    }

    /// Whose access token this is, and until when it is valid unless it was killed.
    pub fn access(&self, access_token: &str) -> Option<(String, Timestamp)> {
        let world = self.world();
        let access = world.access.get(access_token)?;
        Some((world.logins[access.login].account.clone(), access.expires_at))
    }

    /// Whether the Web API would accept this access token now.
    pub fn access_valid(&self, access_token: &str) -> bool {
        let now = self.shared.clock.now();
        self.world().login_of_access(access_token, now).is_some()
    }

    /// All that an account ever heard, oldest first, shown or not.
    pub fn heard(&self, account: &str) -> Vec<Play> {
        let world = self.world();
        let heard = world.accounts.get(account).map(|account| account.plays.iter());
        heard.into_iter().flatten().map(|listen| listen.play.clone()).collect()
    }

    /// How many requests met a fault: a test that injects one can see that it was really met.
    pub fn faults_met(&self) -> u64 {
        self.world().faults.met
    }

    /// How many faults still wait.
    pub fn faults_waiting(&self) -> usize {
        self.world().faults.waiting()
    }
}
