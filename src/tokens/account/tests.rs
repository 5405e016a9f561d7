//! The account, rule by rule, and by property over arbitrary interleavings.

use std::collections::BTreeMap;

use crate::domain::{AccessTimes, AppFault, AttemptId, Rotation};

use super::super::validity::Held;
use super::*;

mod trouble;
mod world;

const BUFFER: Duration = Duration::from_secs(300);
const LIFETIME: Duration = Duration::from_secs(3_600);
const S: Duration = Duration::from_secs(1);

fn moment(seconds: u64) -> Moment {
    let boot = BootTime(S * u32::try_from(seconds).unwrap());
    Moment {
        wall: Timestamp::from_millis(1_000_000_000_000) + boot.0,
        boot,
        chance: 0.5,
        ..Moment::default()
    }
}

fn account() -> Account {
    let rules = Rules { buffer: BUFFER, ahead: true, rotation_grace: Duration::ZERO };
    Account::new("alice".to_owned(), rules, false)
}

/// Generation `generation`, received at `now` with so long a life.
fn view(epoch: i64, generation: i64, now: Moment, lifetime: Duration) -> View {
    let times = times(now, lifetime);
    View {
        epoch: Epoch(epoch),
        generation: Generation(generation),
        client_matches: true,
        refresh_token: format!("r{generation}").into(),
        access: Some((format!("a{generation}").into(), Held::received(times, now.boot, now))),
        born: (now.boot, None),
        on_record: None,
        login_ends: None,
        doubt: None,
        refusal: None,
    }
}

fn times(now: Moment, lifetime: Duration) -> AccessTimes {
    AccessTimes { sent_at: now.wall, lifetime, expires_at: now.wall + lifetime }
}

fn refusal(now: Moment) -> Refusal {
    let next_try_at = Some(now.wall + S * 900);
    Refusal { since: now.wall, reason: "dead".to_owned(), tries: 0, next_try_at }
}

fn need(valid_for: u64) -> Need {
    Need { valid_for: S * u32::try_from(valid_for).unwrap(), ..Need::default() }
}

/// An account that has read `view`.
fn known(view: View, now: Moment) -> Account {
    let mut account = account();
    assert!(matches!(ask(&mut account, 0, Need::default(), now)[..], [Effect::Read]));
    account.on(Input::Read(Ok(Some(view))), now, &Weather::default());
    account
}

fn ask(account: &mut Account, id: u64, need: Need, now: Moment) -> Vec<Effect> {
    account.on(Input::Ask(WaiterId(id), need), now, &Weather::default())
}

fn done(account: &mut Account, outcome: Outcome, now: Moment) -> Vec<Effect> {
    account.on(Input::Done(Epoch(1), outcome), now, &Weather::default())
}

fn given(effects: &[Effect]) -> Vec<i64> {
    effects
        .iter()
        .filter_map(|e| if let Effect::Give(_, t) = e { Some(t.generation.0) } else { None })
        .collect()
}

fn starts(effects: &[Effect]) -> usize {
    effects.iter().filter(|e| matches!(e, Effect::Refresh(_))).count()
}

#[test]
fn what_another_daemon_committed_before_somebody_asked_for_a_fresh_one_is_not_given_to_them() {
    let mut account = known(view(1, 1, moment(0), LIFETIME), moment(0));
    let fresh = Need { fresh: true, ..Need::default() };
    assert_eq!(starts(&ask(&mut account, 1, fresh, moment(10))), 1);
    let read = |account: &mut Account, view| {
        account.on(Input::Read(Ok(Some(view))), moment(11), &Weather::default())
    };
    assert!(matches!(done(&mut account, Outcome::Superseded, moment(11))[..], [Effect::Read]));
    let effects = read(&mut account, view(1, 2, moment(9), LIFETIME));
    assert_eq!((given(&effects), starts(&effects)), (vec![], 1), "{effects:?}");
    assert!(matches!(done(&mut account, Outcome::Superseded, moment(11))[..], [Effect::Read]));
    assert_eq!(given(&read(&mut account, view(1, 3, moment(10), LIFETIME))), [3]);
}

#[test]
fn once_one_dead_login_came_back_the_others_do_not_wait_for_each_other() {
    let now = moment(100);
    let next_try_at = Some(now.wall + S * 900);
    let refused = Some(Refusal { next_try_at, ..refusal(now) });
    let mut account = known(View { refusal: refused, ..view(1, 1, moment(0), LIFETIME) }, now);
    let taken = Weather { probe_taken: true, ..Weather::default() };
    account.on(Input::Release, now, &taken);
    assert_eq!(account.wake_at(now, &taken), Some(now.boot));
    let effects = account.on(Input::Wake, now, &taken);
    assert!(matches!(&effects[..], [Effect::Refresh(start)] if !start.probe), "{effects:?}");
    // Refused again, it is one of those that go in turn.
    let again = Refusal { tries: 1, next_try_at, ..refusal(now) };
    done(&mut account, Outcome::Refused(again), now);
    assert!(account.on(Input::Wake, moment(1_001), &taken).is_empty());
}

#[test]
fn of_two_logins_at_once_the_older_one_that_is_told_of_last_changes_nothing() {
    let now = moment(0);
    let mut account = known(view(3, 5, now, LIFETIME), now);
    let effects = account.on(Input::LoggedIn(view(2, 4, now, LIFETIME)), now, &Weather::default());
    assert!(matches!(effects[..], [Effect::Read]), "which counts is asked: {effects:?}");
    assert_eq!(given(&ask(&mut account, 1, Need::default(), now)), [5]);
}

#[test]
fn with_four_minutes_left_a_request_refreshes_and_with_six_it_does_not() {
    for (age, refreshes) in [(3_600 - 360, 0), (3_600 - 300, 0), (3_600 - 299, 1), (3_600 - 240, 1)] {
        let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
        let effects = ask(&mut account, 1, Need::default(), moment(age));
        assert_eq!((starts(&effects), given(&effects).len()), (refreshes, 1 - refreshes), "age {age}");
    }
}

#[test]
fn the_buffer_of_a_short_lived_token_is_a_quarter_of_its_life() {
    for (age, refreshes) in [(89, 0), (90, 0), (91, 1)] {
        let mut account = known(view(1, 7, moment(0), S * 120), moment(0));
        assert_eq!(starts(&ask(&mut account, 1, Need::default(), moment(age))), refreshes, "age {age}");
    }
}

#[test]
fn a_token_is_at_hand_where_nothing_else_follows_from_the_question() {
    let program = Need { program: true, ..Need::default() };
    let fresh = Need { fresh: true, ..Need::default() };
    let read = || known(view(1, 7, moment(0), LIFETIME), moment(0));
    let at_hand = |account: &mut Account, need: Need, seconds| {
        account.at_hand(&need, moment(seconds)).map(|token| token.generation.0)
    };
    let mut account = read();
    assert_eq!(at_hand(&mut account, Need::default(), 3_300), Some(7));
    assert_eq!(at_hand(&mut account, Need::default(), 3_301), None, "under the buffer");
    assert_eq!(at_hand(&mut account, need(1_800), 0), Some(7));
    assert_eq!(at_hand(&mut account, need(1_801), 0), None, "too long");
    assert_eq!(at_hand(&mut account, fresh, 0), None);
    assert_eq!(at_hand(&mut account, program, 0), None, "it starts a timer");
    ask(&mut account, 1, program, moment(0));
    assert_eq!(at_hand(&mut account, program, 0), Some(7));
    assert_eq!(at_hand(&mut account, program, 600), Some(7));
    assert_eq!(account.asked_by_program, Some(moment(600).boot), "an hour counts from here");
    account.on(Input::Stale, moment(1), &Weather::default());
    assert_eq!(at_hand(&mut account, Need::default(), 1), None, "it is being read");
    let mut account = read();
    account.on(Input::Pause(true), moment(1), &Weather::default());
    assert_eq!(at_hand(&mut account, Need::default(), 1), None, "paused");
    let mut account = read();
    account.on(Input::Rejected(WaiterId(1), Generation(7)), moment(1), &Weather::default());
    assert_eq!(at_hand(&mut account, Need::default(), 1), None, "rejected");
}

#[test]
fn more_than_half_a_lifetime_is_refused() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    assert_eq!(given(&ask(&mut account, 1, need(1_800), moment(0))), [7]);
    let effects = ask(&mut account, 2, need(1_801), moment(0));
    assert!(
        matches!(effects[..], [Effect::Refuse(_, TokenError::TooLong { at_most })] if at_most == S * 1_800)
    );
}

#[test]
fn a_hundred_requests_cause_one_refresh_and_all_get_its_outcome() {
    let now = moment(3_500);
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let started: usize = (1..=100).map(|id| starts(&ask(&mut account, id, Need::default(), now))).sum();
    assert_eq!(started, 1);
    let effects = done(&mut account, Outcome::Committed(Box::new(view(1, 8, now, LIFETIME))), now);
    assert_eq!(given(&effects), vec![8; 100]);
}

#[test]
fn a_fresh_one_is_met_only_by_a_generation_after_the_request() {
    let now = moment(10);
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let fresh = Need { fresh: true, ..Need::default() };
    assert_eq!(starts(&ask(&mut account, 1, fresh, now)), 1);
    assert_eq!(starts(&ask(&mut account, 2, fresh, now)), 0, "joins the refresh under way");
    assert_eq!(given(&ask(&mut account, 3, Need::default(), now)), [7], "does not wait for it");
    assert_eq!(
        given(&done(&mut account, Outcome::Committed(Box::new(view(1, 8, now, LIFETIME))), now)),
        [8, 8]
    );
    assert_eq!(starts(&ask(&mut account, 4, fresh, now)), 1);
}

#[test]
fn twenty_rejections_of_a_generation_cause_one_refresh_and_late_ones_none() {
    let now = moment(10);
    let reject = |account: &mut Account, id, generation, now| {
        account.on(Input::Rejected(WaiterId(id), Generation(generation)), now, &Weather::default())
    };
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let started: usize = (1..=20).map(|id| starts(&reject(&mut account, id, 7, now))).sum();
    assert_eq!(started, 1);
    let mut new = view(1, 8, now, LIFETIME);
    new.born.1 = Some(Cause::Rejection);
    let effects = done(&mut account, Outcome::Committed(Box::new(new)), now);
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Settled(_))).count(), 20);
    assert!(matches!(reject(&mut account, 21, 7, now)[..], [Effect::Settled(_)]));
    let soon = reject(&mut account, 22, 8, moment(69));
    assert!(matches!(soon[..], [Effect::Refuse(_, TokenError::FreshRejected)]), "{soon:?}");
    assert_eq!(starts(&reject(&mut account, 23, 8, moment(70))), 1);
}

#[test]
fn a_rejected_token_is_given_to_nobody() {
    let now = moment(10);
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    account.on(Input::Rejected(WaiterId(1), Generation(7)), now, &Weather::default());
    assert!(given(&ask(&mut account, 2, Need::default(), now)).is_empty());
    let lost = Outcome::NotSent(waiting("no network".to_owned(), S, Trouble::Unreachable));
    let effects = done(&mut account, lost, now);
    assert_eq!(effects.len(), 2, "both are told: {effects:?}");
    assert!(given(&ask(&mut account, 3, Need::default(), now)).is_empty(), "it stays rejected");
}

#[test]
fn a_generation_that_was_never_given_out_is_read_for_once() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let rejected = Input::Rejected(WaiterId(1), Generation(9));
    assert!(matches!(account.on(rejected, moment(1), &Weather::default())[..], [Effect::Read]));
    let again =
        account.on(Input::Read(Ok(Some(view(1, 7, moment(0), LIFETIME)))), moment(1), &Weather::default());
    assert!(matches!(again[..], [Effect::Refuse(_, TokenError::NeverIssued(Generation(9)))]), "{again:?}");
}

#[test]
fn a_user_with_a_run_or_a_program_ahead_is_refreshed_ahead_and_others_are_not() {
    let fresh = || known(view(1, 7, moment(0), LIFETIME), moment(0));
    // Ten minutes before the end, and half of 5 % of jitter.
    let lead = moment(3_600 - 600 - 90).boot;
    let wake = |account: &Account| account.wake_at(moment(1), &Weather::default());
    assert_eq!(wake(&fresh()), None);
    let mut account = fresh();
    ask(&mut account, 1, Need { program: true, ..Need::default() }, moment(0));
    assert_eq!(wake(&account), Some(lead));
    let mut account = fresh();
    account.on(Input::RunDue(Some(moment(3_100).wall)), moment(0), &Weather::default());
    assert_eq!(wake(&account), Some(lead));
    assert_eq!(
        starts(&account.on(Input::Wake, Moment { boot: lead, ..moment(2_910) }, &Weather::default())),
        1
    );
    let mut account = fresh();
    account.on(Input::RunDue(Some(moment(3_700).wall)), moment(0), &Weather::default());
    assert_eq!(wake(&account), Some(moment(3_100).boot), "a later run is waited for");
    account.set_rules(Rules { buffer: BUFFER, ahead: false, rotation_grace: Duration::ZERO });
    assert_eq!(wake(&account), None, "on demand there is no timer");
}

#[test]
fn however_short_tokens_live_refreshes_ahead_lie_seconds_apart() {
    for seconds in [1, 4, 9, 60] {
        let mut account = known(view(1, 7, moment(0), S * seconds), moment(0));
        ask(&mut account, 1, Need { program: true, ..Need::default() }, moment(0));
        let at = account.wake_at(moment(0), &Weather::default()).unwrap().0;
        assert!(at >= S * 5, "{seconds}: {at:?}");
    }
}

/// The grant while another daemon's refresh is under way, which began at the beginning.
fn strangers(now: Moment) -> View {
    let attempt = AttemptId(uuid::Uuid::nil());
    let record = OnRecord { attempt, ours: false, sent: moment(0).boot, lapses: moment(90).boot };
    View { on_record: Some(record), ..view(1, 1, now, LIFETIME) }
}

#[test]
fn who_waits_for_another_daemons_refresh_hears_when_it_lapses() {
    let began = moment(0);
    let rotates = Weather { rotation: Rotation::Rotates, ..Weather::default() };
    let long = began.wall + S * 19_056;
    let held = Weather { held_until: Some(long), ..rotates.clone() };
    let fault = AppFault { reason: "bad".to_owned(), since: began.wall, retry_at: long };
    let refused = Weather { fault: Some(fault), ..rotates.clone() };
    for (weather, tries) in [(&rotates, 0), (&held, 0), (&refused, 0), (&rotates, 10)] {
        let mut account = known(view(1, 1, began, LIFETIME), began);
        for _ in 0..tries {
            account.back_off(began, TokenError::Stopped);
        }
        account.on(Input::Stale, began, weather);
        account.on(Input::Read(Ok(Some(strangers(began)))), began, weather);
        let fresh = Need { fresh: true, ..Need::default() };
        let mut effects = account.on(Input::Ask(WaiterId(1), fresh), began, weather);
        let mut now = began;
        while !effects.iter().any(|effect| matches!(effect, Effect::Refuse(WaiterId(1), _))) {
            now = match effects[..] {
                [Effect::Read] => {
                    effects = account.on(Input::Read(Ok(Some(strangers(now)))), now, weather);
                    continue;
                }
                _ => moment(account.wake_at(now, weather).unwrap().0.as_secs()),
            };
            assert!(now.boot.0 < S * 95, "too late: {:?}", now.boot);
            effects = account.on(Input::Wake, now, weather);
        }
        assert!((S * 90..S * 95).contains(&now.boot.0), "{:?}", now.boot);
    }
}

#[test]
fn an_answer_without_an_access_token_keeps_the_new_refresh_token_and_is_not_asked_for_in_a_loop() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let mut now = moment(3_590);
    let mut refused = 0;
    for generation in 8..20 {
        let effects = ask(&mut account, generation, Need::default(), now);
        let [Effect::Refresh(start)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(start.view.refresh_token.expose(), format!("r{}", generation - 1));
        let new = View { access: None, ..view(1, i64::try_from(generation).unwrap(), now, LIFETIME) };
        let effects = done(&mut account, Outcome::Tokenless(Box::new(new)), now);
        let [Effect::Refuse(_, TokenError::Waiting { retry_after, .. })] = effects[..] else {
            panic!("{effects:?}")
        };
        assert!(
            retry_after >= S
                && matches!(ask(&mut account, 99, Need::default(), now)[..], [Effect::Refuse(..)])
        );
        now = Moment { boot: BootTime(now.boot.0 + retry_after), wall: now.wall + retry_after, ..now };
        refused += retry_after.as_secs();
    }
    assert!(refused > 2_000, "{refused} s in all");
    assert_eq!(starts(&ask(&mut account, 100, Need::default(), now)), 1);
    let effects = done(&mut account, Outcome::Committed(Box::new(view(1, 30, now, LIFETIME))), now);
    assert_eq!((given(&effects), account.backing_off()), (vec![30], None));
}

#[test]
fn of_whom_nothing_is_known_is_read_ten_minutes_before_the_run() {
    let mut unread = account();
    let weather = Weather::default();
    unread.on(Input::RunDue(Some(moment(3_000).wall)), moment(0), &weather);
    assert_eq!(unread.wake_at(moment(0), &weather), Some(moment(2_400).boot));
    assert!(unread.on(Input::Wake, moment(2_399), &weather).is_empty());
    assert!(matches!(unread.on(Input::Wake, moment(2_400), &weather)[..], [Effect::Read]));
    // Its token ends before the run.
    let effects = unread.on(Input::Read(Ok(Some(view(1, 1, moment(0), S * 2_900)))), moment(2_400), &weather);
    assert!(effects.is_empty() && unread.wake_at(moment(2_400), &weather).is_some());
    assert_eq!(starts(&unread.on(Input::Wake, moment(2_400), &weather)), 1);
    let mut unread = account();
    unread.set_rules(Rules { buffer: BUFFER, ahead: false, rotation_grace: Duration::ZERO });
    unread.on(Input::RunDue(Some(moment(3_000).wall)), moment(0), &weather);
    assert_eq!(unread.wake_at(moment(2_400), &weather), None, "on demand");
}

#[test]
fn while_the_store_is_away_the_token_at_hand_is_given_out() {
    let now = moment(0);
    let mut account = known(view(1, 1, now, LIFETIME), now);
    let later = moment(1_800);
    let away = || Input::Read(Err("away".to_owned()));
    assert!(matches!(account.on(Input::Stale, later, &Weather::default())[..], [Effect::Read]));
    assert_eq!(given(&ask(&mut account, 1, Need::default(), later)), [1], "while it is read again");
    account.on(away(), later, &Weather::default());
    assert_eq!(given(&ask(&mut account, 2, Need::default(), later)), [1], "after it could not be read");
    let fresh = Need { fresh: true, ..Need::default() };
    assert!(
        matches!(ask(&mut account, 3, fresh, later)[..], [Effect::Refuse(..)]),
        "nothing is sent without it"
    );
    assert_eq!(starts(&account.on(Input::Moved, later, &Weather::default())), 0);
    assert!(given(&ask(&mut account, 4, Need::default(), later)).is_empty(), "it means something else now");
}

#[test]
fn a_paused_user_gets_nothing_and_is_read_again_when_resumed() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    account.on(Input::Pause(true), moment(1), &Weather::default());
    assert!(matches!(
        ask(&mut account, 1, Need::default(), moment(1))[..],
        [Effect::Refuse(_, TokenError::Paused)]
    ));
    assert_eq!(account.wake_at(moment(1), &Weather::default()), None);
    assert!(matches!(account.on(Input::Pause(false), moment(2), &Weather::default())[..], [Effect::Read]));
}

#[test]
fn a_login_for_another_client_id_is_no_login() {
    let mut account = known(View { client_matches: false, ..view(1, 7, moment(0), LIFETIME) }, moment(0));
    let effects = ask(&mut account, 1, Need::default(), moment(0));
    assert!(
        matches!(&effects[..], [Effect::Refuse(_, TokenError::NeedsLogin(why))] if why.contains("longplay login alice"))
    );
}
