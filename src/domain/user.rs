//! Users: who is archived, when, and how they are.

use serde::{Deserialize, Serialize};

use super::{AppName, Login, RunResult, Timestamp, UserName};

/// The store's number of a user; it stays when the user is removed and added again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// Where a user comes from. For a user of a file, the file wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A `[users.NAME]` table of a configuration file.
    File,
    /// The command line, the local API, or another program's INSERT.
    Store,
}

impl Origin {
    /// The word used in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Store => "store",
        }
    }
}

/// A user as the store has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The store's number.
    pub id: UserId,
    /// The short name.
    pub name: UserName,
    /// The app whose client id the user's login belongs to.
    pub app: AppName,
    /// `adaptive` or a cron expression; `None`: the configured default.
    pub schedule: Option<String>,
    /// An IANA zone name; `None`: the configured default.
    pub timezone: Option<String>,
    /// Where the user comes from.
    pub origin: Origin,
    /// Whether runs, refreshes and tokens are suspended by `longplay pause`.
    pub paused: bool,
    /// False for one who was removed or left their file: not archived, the archive stays.
    pub active: bool,
    /// When the next run is due, or when the claim of the one under way lapses; `None`: not yet reckoned.
    pub next_run_at: Option<Timestamp>,
    /// Whether a daemon has claimed the user for a run.
    pub running: bool,
    /// When the last run began.
    pub last_run_at: Option<Timestamp>,
    /// How the last run ended.
    pub last_run_result: Option<RunResult>,
    /// Why the last run ended so, and the cure.
    pub last_run_reason: Option<String>,
    /// When Spotify's page was last stored.
    pub last_archived_at: Option<Timestamp>,
    /// Why Spotify refuses this user (403); cleared by the next page that is stored.
    pub blocked: Option<String>,
    /// When the top artists were last fetched.
    pub top_fetched_at: Option<Timestamp>,
    /// How many plays the archive holds.
    pub plays: i64,
    /// How many gaps are open.
    pub gaps: i64,
}

#[cfg(test)]
impl User {
    /// One of whom nothing is known but the name.
    pub fn named(id: i64, name: &str) -> Self {
        Self {
            id: UserId(id),
            name: name.parse().unwrap(),
            app: "default".parse().unwrap(),
            schedule: None,
            timezone: None,
            origin: Origin::Store,
            paused: false,
            active: true,
            next_run_at: None,
            running: false,
            last_run_at: None,
            last_run_result: None,
            last_run_reason: None,
            last_archived_at: None,
            blocked: None,
            top_fetched_at: None,
            plays: 0,
            gaps: 0,
        }
    }
}

/// How a user is, as `status` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Archived as scheduled.
    Ok,
    /// An outage or a rate limit; it goes on by itself.
    Waiting,
    /// A refresh whose outcome is unknown.
    InDoubt,
    /// The login is dead, over, or was never given.
    NeedsLogin,
    /// The app is set up wrongly, or Spotify refuses it or this user.
    Blocked,
    /// Suspended by `longplay pause`.
    Paused,
}

impl UserState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Waiting, Self::InDoubt, Self::NeedsLogin, Self::Blocked, Self::Paused];

    /// The word used in JSON, in the journal and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Waiting => "waiting",
            Self::InDoubt => "in_doubt",
            Self::NeedsLogin => "needs_login",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
        }
    }
}

/// What the store knows that decides a user's state. Many users share one, so that everyone can be counted without
/// being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// The app the user's login belongs to.
    pub app: AppName,
    /// Whether the user is suspended.
    pub paused: bool,
    /// The client id that the login was given to; `None`: there is no login.
    pub login_of: Option<String>,
    /// Whether the provider refuses the login.
    pub refused: bool,
    /// Whether Spotify refuses the user (403).
    pub blocked: bool,
    /// Whether a refresh has an unknown outcome.
    pub in_doubt: bool,
    /// How the last run ended.
    pub last_run_result: Option<RunResult>,
}

impl Footing {
    /// Of one user; `now` by the store's clock.
    pub fn of(user: &User, login: Option<&Login>, now: Timestamp) -> Self {
        let lapsed = |login: &Login| login.lease_until.is_some_and(|until| until < now);
        Self {
            app: user.app.clone(),
            paused: user.paused,
            login_of: login.map(|login| login.client_id.clone()),
            refused: login.is_some_and(|login| login.refusal.is_some()),
            blocked: user.blocked.is_some(),
            in_doubt: login.is_some_and(|login| login.doubt.is_some() || lapsed(login)),
            last_run_result: user.last_run_result,
        }
    }
}

/// Everyone, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    states: [u64; UserState::ALL.len()],
    /// When the user was last archived whose last time is the longest ago; who never was doesn't count.
    pub oldest_archived: Option<Timestamp>,
    /// When the newest play of anyone ended.
    pub newest_played: Option<Timestamp>,
}

impl Tally {
    /// Counts so many users in.
    pub fn add(
        &mut self,
        state: UserState,
        users: u64,
        archived: Option<Timestamp>,
        played: Option<Timestamp>,
    ) {
        self.states[state as usize] += users;
        self.oldest_archived = [self.oldest_archived, archived].into_iter().flatten().min();
        self.newest_played = self.newest_played.max(played);
    }

    /// Counts one user in another state.
    pub fn moves(&mut self, from: UserState, to: UserState) {
        self.states[from as usize] = self.states[from as usize].saturating_sub(1);
        self.states[to as usize] += 1;
    }

    /// How many users are in a state.
    pub fn of(&self, state: UserState) -> u64 {
        self.states[state as usize]
    }

    /// How many users there are.
    pub fn users(&self) -> u64 {
        self.states.iter().sum()
    }
}
