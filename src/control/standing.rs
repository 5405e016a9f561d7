//! How a user is, in a word and a sentence: pure, from what the store, the gate and the actor know. The word is decided
//! by so little that many users share it, and everyone can be counted; the sentence tells all.

use std::sync::Arc;

use crate::domain::{AppFault, Footing, Login, RunResult, Timestamp, User, UserState};
use crate::store::STOPPED;

/// What is known of a user's app.
#[derive(Default)]
pub struct AppSeen<'a> {
    /// Its client id; `None`: no such app is configured.
    pub client_id: Option<&'a str>,
    /// Until when it is held.
    pub held_until: Option<Timestamp>,
    /// Why the token endpoint refuses it.
    pub fault: Option<AppFault>,
    /// Why nothing is refreshed or archived for anybody.
    pub shut: Option<Arc<str>>,
}

/// What a user's standing is read off.
pub struct Facts<'a> {
    /// The user.
    pub user: &'a User,
    /// Their login.
    pub login: Option<&'a Login>,
    /// Their app.
    pub app: &'a AppSeen<'a>,
    /// Why the last refresh failed, where it is to be tried again.
    pub backing_off: Option<&'a str>,
    /// When the store had it so, by its clock.
    pub now: Timestamp,
}

/// What decides, the strongest first.
enum Why {
    Paused,
    Shut,
    NoApp,
    NoLogin,
    OtherClient,
    LoginRefused,
    AppRefused,
    UserRefused,
    InDoubt,
    Held,
    BackingOff,
    RunFailed,
    Nothing,
}

impl Why {
    fn of(footing: &Footing, app: &AppSeen<'_>, backing_off: bool) -> Self {
        if footing.paused {
            return Self::Paused;
        }
        if app.shut.is_some() {
            return Self::Shut;
        }
        let Some(client_id) = app.client_id else { return Self::NoApp };
        let Some(login_of) = &footing.login_of else { return Self::NoLogin };
        if login_of != client_id {
            return Self::OtherClient;
        }
        let strongest = [
            (footing.refused, Self::LoginRefused),
            (app.fault.is_some(), Self::AppRefused),
            (footing.blocked, Self::UserRefused),
            (footing.in_doubt, Self::InDoubt),
            (app.held_until.is_some(), Self::Held),
            (backing_off, Self::BackingOff),
            (footing.last_run_result.is_some_and(passes), Self::RunFailed),
        ];
        strongest.into_iter().find_map(|(holds, why)| holds.then_some(why)).unwrap_or(Self::Nothing)
    }

    fn state(&self) -> UserState {
        match self {
            Self::Paused => UserState::Paused,
            Self::Shut | Self::NoApp | Self::AppRefused | Self::UserRefused => UserState::Blocked,
            Self::NoLogin | Self::OtherClient | Self::LoginRefused => UserState::NeedsLogin,
            Self::InDoubt => UserState::InDoubt,
            Self::Held | Self::BackingOff | Self::RunFailed => UserState::Waiting,
            Self::Nothing => UserState::Ok,
        }
    }
}

/// Whether what a run failed of goes by.
fn passes(result: RunResult) -> bool {
    matches!(
        result,
        RunResult::Unreachable | RunResult::BadAnswer | RunResult::StoreError | RunResult::RateLimited
    )
}

/// The state alone.
pub fn state(footing: &Footing, app: &AppSeen<'_>, backing_off: bool) -> UserState {
    Why::of(footing, app, backing_off).state()
}

/// The state, and the reason with its cure; for `ok` only where the last page could not be read whole.
pub fn standing(facts: &Facts<'_>) -> (UserState, Option<String>) {
    let footing = Footing::of(facts.user, facts.login, facts.now);
    let why = Why::of(&footing, facts.app, facts.backing_off.is_some());
    (why.state(), sentence(&why, facts))
}

fn sentence(why: &Why, facts: &Facts<'_>) -> Option<String> {
    let User { name, app, blocked, last_run_reason, .. } = facts.user;
    Some(match why {
        Why::Paused => format!("paused: `longplay resume {name}` lets it go on"),
        Why::Shut => facts.app.shut.as_ref()?.to_string(),
        Why::NoApp => format!("app {app} is not configured: add [apps.{app}] and reload"),
        Why::NoLogin => format!("no login yet: run `longplay login {name}`"),
        Why::OtherClient => format!(
            "the login was given to another client id than app {app} has now: run `longplay login {name}`"
        ),
        Why::LoginRefused => facts.login?.refusal.clone()?,
        Why::AppRefused => facts.app.fault.as_ref()?.reason.clone(),
        Why::UserRefused => blocked.clone()?,
        Why::InDoubt => {
            let seen = facts.login?.doubt.as_deref().unwrap_or(STOPPED);
            format!(
                "{seen}: whether Spotify replaced the refresh token is unknown; it is tried again by itself"
            )
        }
        Why::Held => {
            let until = facts.app.held_until?;
            format!("Spotify's rate limit holds app {app} until {until}; it goes on by itself")
        }
        Why::BackingOff => format!("{}; it goes on by itself", facts.backing_off?),
        Why::RunFailed => {
            let why = last_run_reason.as_deref().unwrap_or("the last run failed");
            format!("{why}; it goes on by itself")
        }
        Why::Nothing if facts.user.last_run_result == Some(RunResult::Partial) => last_run_reason.clone()?,
        Why::Nothing => return None,
    })
}

#[cfg(test)]
mod tests;
