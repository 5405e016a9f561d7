//! Every standing, and which one wins.

use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn user() -> User {
    User { last_run_result: Some(RunResult::Ok), ..User::named(1, "alice") }
}

fn login() -> Login {
    Login {
        client_id: "id".to_owned(),
        login_at: None,
        access_expires_at: None,
        lease_until: None,
        doubt: None,
        refusal: None,
    }
}

/// A change to what is known.
struct Known {
    user: User,
    login: Option<Login>,
    client_id: Option<&'static str>,
    held_until: Option<Timestamp>,
    fault: Option<AppFault>,
    backing_off: Option<&'static str>,
}

fn known() -> Known {
    Known {
        user: user(),
        login: Some(login()),
        client_id: Some("id"),
        held_until: None,
        fault: None,
        backing_off: None,
    }
}

fn of(known: &Known) -> (UserState, String) {
    let Known { client_id, held_until, .. } = *known;
    let app = AppSeen { client_id, held_until, fault: known.fault.clone(), shut: None };
    let facts = Facts {
        user: &known.user,
        login: known.login.as_ref(),
        app: &app,
        backing_off: known.backing_off,
        now: NOW,
    };
    let (state, reason) = standing(&facts);
    (state, reason.unwrap_or_default())
}

/// Something that spoils a standing, and what is then told.
type Trouble = (fn(&mut Known), UserState, &'static str);

/// From the weakest to the strongest: each wins over all before it.
fn troubles() -> Vec<Trouble> {
    vec![
        (|k| k.user.last_run_result = Some(RunResult::Unreachable), UserState::Waiting, "goes on by itself"),
        (|k| k.backing_off = Some("no network"), UserState::Waiting, "no network"),
        (|k| k.held_until = Some(NOW), UserState::Waiting, "rate limit"),
        (|k| k.login.as_mut().unwrap().doubt = Some("cut".to_owned()), UserState::InDoubt, "cut"),
        (|k| k.user.blocked = Some("no Premium".to_owned()), UserState::Blocked, "no Premium"),
        (
            |k| k.fault = Some(AppFault { reason: "bad secret".to_owned(), since: NOW, retry_at: NOW }),
            UserState::Blocked,
            "bad secret",
        ),
        (
            |k| k.login.as_mut().unwrap().refusal = Some("Spotify refuses the login".to_owned()),
            UserState::NeedsLogin,
            "refuses the login",
        ),
        (
            |k| k.login.as_mut().unwrap().client_id = "other".to_owned(),
            UserState::NeedsLogin,
            "another client id",
        ),
        (|k| k.login = None, UserState::NeedsLogin, "longplay login alice"),
        (|k| k.client_id = None, UserState::Blocked, "[apps.default]"),
        (|k| k.user.paused = true, UserState::Paused, "longplay resume alice"),
    ]
}

#[test]
fn all_is_well() {
    assert_eq!(of(&known()), (UserState::Ok, String::new()));
}

#[test]
fn each_trouble_is_told_alone_and_over_all_weaker_ones() {
    let mut all = known();
    for (spoil, state, words) in troubles() {
        for known in [&mut known(), &mut all] {
            spoil(known);
            let (told, reason) = of(known);
            assert_eq!(told, state, "{words}");
            assert!(reason.contains(words), "{reason}");
        }
    }
}

#[test]
fn a_refresh_under_way_is_no_trouble_until_its_lease_lapses() {
    for (lease_until, state) in [(NOW, UserState::Ok), (NOW - Duration::from_millis(1), UserState::InDoubt)] {
        let mut known = known();
        known.login.as_mut().unwrap().lease_until = Some(lease_until);
        assert_eq!(of(&known).0, state);
    }
}

#[test]
fn a_page_that_could_not_be_read_whole_is_ok_but_said() {
    let mut known = known();
    known.user.last_run_result = Some(RunResult::Partial);
    known.user.last_run_reason = Some("an item without a track".to_owned());
    assert_eq!(of(&known), (UserState::Ok, "an item without a track".to_owned()));
}

#[test]
fn a_run_that_was_blocked_or_cancelled_leaves_no_trace_here() {
    for result in [RunResult::Blocked, RunResult::Cancelled, RunResult::NeedsLogin] {
        let mut known = known();
        known.user.last_run_result = Some(result);
        assert_eq!(of(&known).0, UserState::Ok, "{result:?}");
    }
}
