//! How a user is, in a word and a sentence: pure, from what the store and the gate know.

use crate::domain::{AppFault, Grant, RunResult, Timestamp, User, UserState};

/// What a user's standing is read off.
pub struct Facts<'a> {
    /// The user.
    pub user: &'a User,
    /// Their grant.
    pub grant: Option<&'a Grant>,
    /// The client id of their app; `None`: no such app is configured.
    pub client_id: Option<&'a str>,
    /// Until when the app is held.
    pub held_until: Option<Timestamp>,
    /// Why the token endpoint refuses the app.
    pub fault: Option<AppFault>,
    /// Why the last refresh failed, where it is to be tried again.
    pub backing_off: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// The state, and the reason with its cure; for `ok` only where the last page could not be read whole.
pub fn standing(facts: &Facts<'_>) -> (UserState, Option<String>) {
    let user = facts.user;
    if user.paused {
        return (UserState::Paused, Some(format!("paused: `longplay resume {}` lets it go on", user.name)));
    }
    let Some(client_id) = facts.client_id else {
        let app = &user.app;
        return (
            UserState::Blocked,
            Some(format!("app {app} is not configured: add [apps.{app}] and reload")),
        );
    };
    if let Some(why) = must_log_in(facts, client_id) {
        return (UserState::NeedsLogin, Some(why));
    }
    if let Some(fault) = &facts.fault {
        return (UserState::Blocked, Some(fault.reason.clone()));
    }
    if let Some(why) = &user.blocked {
        return (UserState::Blocked, Some(why.clone()));
    }
    if let Some(why) = in_doubt(facts) {
        return (UserState::InDoubt, Some(why));
    }
    if let Some(until) = facts.held_until {
        let why = format!("Spotify's rate limit holds app {} until {until}; it goes on by itself", user.app);
        return (UserState::Waiting, Some(why));
    }
    if let Some(why) = facts.backing_off {
        return (UserState::Waiting, Some(format!("{why}; it goes on by itself")));
    }
    match user.last_run_result {
        Some(RunResult::Partial) => (UserState::Ok, user.last_run_reason.clone()),
        Some(
            RunResult::Unreachable | RunResult::BadAnswer | RunResult::StoreError | RunResult::RateLimited,
        ) => {
            let why = user.last_run_reason.clone().unwrap_or_else(|| "the last run failed".to_owned());
            (UserState::Waiting, Some(format!("{why}; it goes on by itself")))
        }
        _ => (UserState::Ok, None),
    }
}

fn must_log_in(facts: &Facts<'_>, client_id: &str) -> Option<String> {
    let name = &facts.user.name;
    let Some(grant) = facts.grant.filter(|grant| grant.refresh_token.is_some()) else {
        return Some(format!("no login yet: run `longplay login {name}`"));
    };
    if grant.client_id != client_id {
        return Some(format!(
            "the login was given to another client id than app {} has now: run `longplay login {name}`",
            facts.user.app
        ));
    }
    grant.refusal.as_ref().map(|refusal| refusal.reason.clone())
}

fn in_doubt(facts: &Facts<'_>) -> Option<String> {
    let grant = facts.grant?;
    let lapsed = grant.attempt.is_some_and(|attempt| attempt.lease_until < facts.now);
    let seen = match &grant.doubt {
        Some(doubt) => doubt.reason.clone(),
        None if lapsed => "longplay was stopped before the answer to a refresh came".to_owned(),
        None => return None,
    };
    Some(format!(
        "{seen}: whether Spotify replaced the refresh token is unknown; it is tried again by itself"
    ))
}

#[cfg(test)]
mod tests;
