//! The account, rule by rule, and by property over arbitrary interleavings.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{AccessTimes, AppFault, AttemptId, Rotation};

use super::super::validity::Held;
use super::*;

const BUFFER: Duration = Duration::from_secs(300);
const LIFETIME: Duration = Duration::from_secs(3_600);
const S: Duration = Duration::from_secs(1);

fn moment(seconds: u64) -> Moment {
    let boot = BootTime(S * u32::try_from(seconds).unwrap());
    Moment { wall: Timestamp::from_millis(1_000_000_000_000) + boot.0, boot, skew: 0, chance: 0.5 }
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
fn a_dead_login_costs_one_request_and_then_its_tries() {
    let now = moment(3_500);
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    assert_eq!(starts(&ask(&mut account, 1, Need::default(), now)), 1);
    let effects = done(&mut account, Outcome::Refused(refusal(now)), now);
    assert!(matches!(effects[..], [Effect::Refuse(_, TokenError::NeedsLogin(_))]));
    for id in 2..50 {
        let effects = ask(&mut account, id, Need { insist: true, ..Need::default() }, moment(3_501));
        assert!(matches!(effects[..], [Effect::Refuse(_, TokenError::NeedsLogin(_))]));
    }
    assert_eq!(account.wake_at(moment(3_501), &Weather::default()), Some(moment(4_400).boot));
    assert_eq!(starts(&account.on(Input::Wake, moment(4_399), &Weather::default())), 0);
    let taken = Weather { probe_taken: true, ..Weather::default() };
    assert_eq!(starts(&account.on(Input::Wake, moment(4_400), &taken)), 0, "one user at a time");
    assert_eq!(starts(&account.on(Input::Wake, moment(4_402), &Weather::default())), 1);
}

#[test]
fn the_try_of_a_dead_login_waits_for_another_daemons_that_was_broken_off() {
    let mut dead = view(1, 7, moment(0), LIFETIME);
    dead.refusal = Some(refusal(moment(0)));
    let attempt = AttemptId(uuid::Uuid::from_u128(1));
    dead.on_record =
        Some(OnRecord { attempt, ours: false, sent: moment(800).boot, lapses: moment(890).boot });
    let rotates = Weather { rotation: Rotation::Rotates, ..Weather::default() };
    let mut account = known(dead, moment(0));
    assert_eq!(account.wake_at(moment(901), &rotates), Some(moment(890 + 900).boot));
    assert_eq!(starts(&account.on(Input::Wake, moment(890 + 900), &rotates)), 1);
}

#[test]
fn a_release_tries_a_dead_login_at_once_but_not_one_that_had_all_its_tries() {
    for (next, tried) in [(true, 1), (false, 0)] {
        let now = moment(10);
        let mut dead = view(1, 7, moment(0), LIFETIME);
        dead.refusal = Some(Refusal { next_try_at: next.then(|| now.wall + S * 900), ..refusal(now) });
        let mut account = known(dead, now);
        account.on(Input::Release, now, &Weather::default());
        let woken = account.wake_at(now, &Weather::default()).filter(|at| *at <= now.boot);
        let started = woken.map_or(0, |_| starts(&account.on(Input::Wake, now, &Weather::default())));
        assert_eq!(started, tried);
    }
}

#[test]
fn in_doubt_the_present_token_goes_on_being_given_out_and_the_old_one_is_tried_again() {
    let now = moment(10);
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let fresh = Need { fresh: true, ..Need::default() };
    ask(&mut account, 1, fresh, now);
    let effects = done(&mut account, Outcome::Doubt("cut".to_owned(), now.wall), now);
    assert!(matches!(effects[..], [Effect::Refuse(_, TokenError::InDoubt { .. })]), "{effects:?}");
    assert!(account.in_doubt());
    assert_eq!(given(&ask(&mut account, 2, Need::default(), now)), [7]);
    let at = account.wake_at(now, &Weather::default()).unwrap();
    assert!(at > now.boot && at <= moment(12).boot, "{at:?}");
    assert_eq!(starts(&account.on(Input::Wake, moment(12), &Weather::default())), 1);
}

#[test]
fn backoff_grows_from_a_second_to_a_quarter_of_an_hour_without_end() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let mut now = moment(3_590);
    ask(&mut account, 1, Need::default(), now);
    let mut pauses = Vec::new();
    for _ in 0..15 {
        done(&mut account, Outcome::Doubt("cut".to_owned(), now.wall), now);
        let at = account.wake_at(now, &Weather::default()).unwrap();
        pauses.push(at.since(now.boot).as_secs());
        now = Moment { boot: at, wall: now.wall + at.since(now.boot), ..now };
        assert_eq!(starts(&account.on(Input::Wake, now, &Weather::default())), 1);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]);
}

#[test]
fn another_daemons_refresh_is_waited_for_and_its_doubt_left_to_it_where_the_provider_rotates() {
    let mut stranger = view(1, 7, moment(0), LIFETIME);
    stranger.access = None;
    let attempt = AttemptId(uuid::Uuid::from_u128(1));
    stranger.on_record =
        Some(OnRecord { attempt, ours: false, sent: moment(0).boot, lapses: moment(90).boot });
    let rotates = Weather { rotation: Rotation::Rotates, ..Weather::default() };
    let mut account = account();
    ask(&mut account, 1, Need::default(), moment(0));
    let effects = account.on(Input::Read(Ok(Some(stranger.clone()))), moment(0), &rotates);
    assert!(effects.is_empty(), "waits: {effects:?}");
    assert!(matches!(account.on(Input::Wake, moment(1), &rotates)[..], [Effect::Read]));
    account.on(Input::Read(Ok(Some(stranger.clone()))), moment(1), &rotates);
    account.on(Input::Wake, moment(2), &rotates);
    let effects = account.on(Input::Read(Ok(Some(stranger.clone()))), moment(91), &rotates);
    assert!(matches!(effects[..], [Effect::Refuse(_, TokenError::InDoubt { .. })]), "{effects:?}");
    assert_eq!(account.wake_at(moment(91), &rotates), Some(moment(90 + 900).boot));
    assert_eq!(starts(&account.on(Input::Wake, moment(990), &rotates)), 1);

    let keeps = Weather { rotation: Rotation::Keeps, ..Weather::default() };
    let mut account = known(stranger, moment(0));
    assert_eq!(starts(&account.on(Input::Ask(WaiterId(9), Need::default()), moment(91), &keeps)), 1);
}

#[test]
fn a_restarted_sender_tries_at_once() {
    let mut ours = view(1, 7, moment(0), LIFETIME);
    let attempt = AttemptId(uuid::Uuid::from_u128(1));
    ours.on_record = Some(OnRecord { attempt, ours: true, sent: moment(0).boot, lapses: moment(90).boot });
    let mut account = account();
    account.on(Input::Read(Ok(Some(ours))), moment(1), &Weather::default());
    assert_eq!(account.wake_at(moment(1), &Weather::default()), Some(moment(1).boot));
    assert_eq!(starts(&account.on(Input::Wake, moment(1), &Weather::default())), 1);
}

#[test]
fn nothing_is_sent_while_the_app_is_held_or_refused_unless_a_person_insists() {
    let now = moment(3_500);
    let held = Weather { held_until: Some(now.wall + S * 60), ..Weather::default() };
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let insist = Need { insist: true, ..Need::default() };
    let effects = account.on(Input::Ask(WaiterId(1), insist), now, &held);
    assert!(
        matches!(effects[..], [Effect::Refuse(_, TokenError::Waiting { retry_after, trouble: Trouble::RateLimited, .. })] if retry_after == S * 60)
    );
    let fault = AppFault { reason: "bad".to_owned(), since: now.wall, retry_at: now.wall + S * 60 };
    let refused = Weather { fault: Some(fault), ..Weather::default() };
    let effects = account.on(Input::Ask(WaiterId(2), Need::default()), now, &refused);
    assert!(matches!(&effects[..], [Effect::Refuse(_, TokenError::Blocked(why))] if why == "bad"));
    assert_eq!(starts(&account.on(Input::Ask(WaiterId(3), insist), now, &refused)), 1);
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

#[test]
fn who_waits_for_another_daemons_refresh_hears_when_it_lapses() {
    let began = moment(0);
    let strangers = |now: Moment| View {
        on_record: Some(OnRecord {
            attempt: AttemptId(uuid::Uuid::nil()),
            ours: false,
            sent: began.boot,
            lapses: BootTime(began.boot.0 + S * 90),
        }),
        ..view(1, 1, now, LIFETIME)
    };
    let rotates = Weather { rotation: Rotation::Rotates, ..Weather::default() };
    let mut account = known(strangers(began), began);
    let fresh = Need { fresh: true, ..Need::default() };
    let mut effects = account.on(Input::Ask(WaiterId(1), fresh), began, &rotates);
    let mut now = began;
    while !effects.iter().any(|effect| matches!(effect, Effect::Refuse(WaiterId(1), _))) {
        assert!(now.boot.0 <= S * 95, "it waits for ever: {effects:?}");
        now = match effects[..] {
            [Effect::Read] => {
                effects = account.on(Input::Read(Ok(Some(strangers(now)))), now, &rotates);
                continue;
            }
            _ => moment(account.wake_at(now, &rotates).unwrap().0.as_secs()),
        };
        effects = account.on(Input::Wake, now, &rotates);
    }
    assert!(now.boot.0 >= S * 90);
    let in_doubt = |effect: &Effect| matches!(effect, Effect::Refuse(_, TokenError::InDoubt { .. }));
    assert!(effects.iter().any(in_doubt), "{effects:?}");
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

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Pass(u16),
    WallJump(i32),
    Ask {
        valid_for: u16,
        fresh: bool,
        insist: bool,
    },
    Reject {
        back: u8,
    },
    Read {
        fails: bool,
        /// It brings what was there when it was asked for.
        early: bool,
    },
    Finish(Ending),
    LogIn,
    Pause(bool),
    Hold(u16),
    OtherDaemon,
    Wake,
    Release,
    Stalled,
    /// Another dead login is being tried, or not any more.
    Probe(bool),
    /// The refresh under way ends in the store; the account is told later.
    Land(Ending),
    /// Another daemon announces a refresh.
    OtherBegins,
    /// The process ends, and another begins.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Tokens { lifetime: u16 },
    NotSent,
    Refused,
    Doubt,
    ClientRefused,
    Superseded,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        4 => (1_u16..7_200).prop_map(|lifetime| Ending::Tokens { lifetime }),
        1 => Just(Ending::NotSent),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Doubt),
        1 => Just(Ending::ClientRefused),
        1 => Just(Ending::Superseded),
    ];
    prop_oneof![
        3 => (0_u16..4_000).prop_map(Step::Pass),
        1 => (-7_200_i32..7_200).prop_map(Step::WallJump),
        6 => (0_u16..2_000, any::<bool>(), any::<bool>())
            .prop_map(|(valid_for, fresh, insist)| Step::Ask { valid_for, fresh, insist }),
        3 => (0_u8..3).prop_map(|back| Step::Reject { back }),
        6 => (prop::bool::weighted(0.1), any::<bool>()).prop_map(|(fails, early)| Step::Read { fails, early }),
        6 => ending.clone().prop_map(Step::Finish),
        1 => Just(Step::LogIn),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1_u16..500).prop_map(Step::Hold),
        1 => Just(Step::OtherDaemon),
        3 => Just(Step::Wake),
        1 => Just(Step::Release),
        1 => Just(Step::Stalled),
        1 => any::<bool>().prop_map(Step::Probe),
        2 => ending.prop_map(Step::Land),
        1 => Just(Step::OtherBegins),
        1 => Just(Step::Restart),
    ]
}

/// The world around one account: a store that holds one grant, and what is under way.
struct World {
    account: Account,
    now: Moment,
    weather: Weather,
    stored: View,
    /// The times of the stored access token.
    times: AccessTimes,
    /// When each generation's access token truly ends, and how often the wall clock had been set back when it was sent.
    ends: BTreeMap<i64, (BootTime, usize)>,
    /// How often it had been when this process first heard of a generation.
    heard: BTreeMap<i64, usize>,
    set_back: usize,
    /// What was there when the read under way was asked for.
    reading: Option<View>,
    refreshing: Option<Start>,
    /// How the refresh under way ended, where nobody was told yet.
    landed: Option<Outcome>,
    paused: bool,
    /// Waiters with the least validity they asked for, and the generation a fresh one must exceed.
    waiting: BTreeMap<u64, (Duration, Option<Generation>)>,
    next: u64,
    newest_given: Generation,
    /// The generation whose rejection a refresh follows.
    rejected: Option<Generation>,
    /// How many effects there were.
    done: usize,
    /// Requests sent for a login after it was refused, and not by its tries.
    unbidden: usize,
}

impl World {
    fn new() -> Self {
        let now = moment(0);
        Self {
            account: account(),
            now,
            weather: Weather::default(),
            stored: view(1, 1, now, LIFETIME),
            times: times(now, LIFETIME),
            ends: [(1, (BootTime(now.boot.0 + LIFETIME), 0))].into(),
            heard: BTreeMap::new(),
            set_back: 0,
            reading: None,
            refreshing: None,
            landed: None,
            paused: false,
            waiting: BTreeMap::new(),
            next: 0,
            newest_given: Generation(0),
            rejected: None,
            done: 0,
            unbidden: 0,
        }
    }

    fn waiter(&mut self, need: Need) -> WaiterId {
        self.next += 1;
        let known = match &self.account.known {
            Known::Login(view) => view.generation,
            _ => Generation(0),
        };
        self.waiting.insert(self.next, (need.valid_for, need.fresh.then_some(known)));
        WaiterId(self.next)
    }

    fn input(&mut self, input: Input) {
        let probing_due = match &self.account.known {
            Known::Login(view) => {
                view.refusal.as_ref().is_none_or(|r| r.next_try_at.is_some_and(|t| t <= self.now.wall))
            }
            _ => true,
        };
        let knew = self.known();
        let effects = self.account.on(input, self.now, &self.weather);
        self.done += effects.len();
        if let Some((epoch, generation)) = self.known() {
            assert!(knew.is_none_or(|knew| knew <= (epoch, generation)), "it knew more: {knew:?}");
            self.heard.entry(generation.0).or_insert(self.set_back);
        }
        for effect in effects {
            match effect {
                Effect::Read => {
                    assert!(self.reading.is_none(), "two reads at once");
                    self.reading = Some(self.read());
                }
                Effect::Refresh(start) => {
                    assert!(self.refreshing.is_none(), "two refreshes at once");
                    assert!(
                        self.weather.held_until.is_none_or(|until| until <= self.now.wall),
                        "sent while held"
                    );
                    self.unbidden += usize::from(start.probe && !probing_due);
                    self.refreshing = Some(start);
                }
                Effect::Give(WaiterId(id), token) => {
                    let (valid_for, above) = self.waiting.remove(&id).expect("answered twice");
                    assert!(token.generation >= self.newest_given, "back a generation");
                    assert!(self.rejected != Some(token.generation), "a rejected one");
                    assert!(above.is_none_or(|above| token.generation > above), "not fresh");
                    self.newest_given = token.generation;
                    let Known::Login(view) = &self.account.known else { panic!("a token without a login") };
                    let (_, held) = view.access.as_ref().expect("a token without a token");
                    let least = BUFFER.min(held.lifetime() / 4).max(valid_for);
                    assert!(held.left(self.now) >= least, "under the buffer");
                    let (end, sent) = self.ends[&token.generation.0];
                    // Who hears of a token after the wall clock was set back has nothing else to go by.
                    if self.heard[&token.generation.0] == sent {
                        assert!(end.since(self.now.boot) >= least, "truly under the buffer");
                    }
                    assert!(view.refusal.is_none(), "from a dead login");
                }
                Effect::Settled(WaiterId(id))
                | Effect::Left(WaiterId(id), _)
                | Effect::Refuse(WaiterId(id), _) => {
                    self.waiting.remove(&id).expect("answered twice");
                }
            }
        }
        assert!(
            self.waiting.is_empty()
                || self.reading.is_some()
                || self.refreshing.is_some()
                || self.account.wake_at(self.now, &self.weather).is_some(),
            "waiters nobody thinks of: {:?}",
            self.account
        );
    }

    fn wake(&self) -> Option<BootTime> {
        self.account.wake_at(self.now, &self.weather)
    }

    /// Which login and generation the account knows of.
    fn known(&self) -> Option<(Epoch, Generation)> {
        match &self.account.known {
            Known::Login(view) => Some((view.epoch, view.generation)),
            _ => None,
        }
    }

    /// A new generation is on record, sent now.
    fn put(&mut self, epoch: i64, generation: i64, lifetime: Duration) {
        self.stored = view(epoch, generation, self.now, lifetime);
        self.times = times(self.now, lifetime);
        let end = BootTime(self.now.boot.0 + lifetime);
        self.ends.insert(generation, (end, self.set_back));
    }

    fn finish(&mut self, ending: Ending) {
        self.land(ending);
        let (Some(start), Some(outcome)) = (self.refreshing.take(), self.landed.take()) else { return };
        self.input(Input::Done(start.view.epoch, outcome));
    }

    fn land(&mut self, ending: Ending) {
        let Some(start) = self.refreshing.as_ref().filter(|_| self.landed.is_none()).cloned() else { return };
        let strangers = |record: OnRecord| !record.ours && record.lapses > self.now.boot;
        let current = start.view.epoch == self.stored.epoch
            && start.view.generation == self.stored.generation
            && !self.stored.on_record.is_some_and(strangers);
        if current {
            self.stored.on_record = None;
        }
        let outcome = match ending {
            _ if !current => Outcome::Superseded,
            Ending::Tokens { lifetime } => {
                self.put(start.view.epoch.0, start.view.generation.0 + 1, S * lifetime.into());
                self.stored.born.1 = Some(start.cause);
                Outcome::Committed(Box::new(self.stored.clone()))
            }
            Ending::NotSent => Outcome::NotSent(waiting("no network".to_owned(), S, Trouble::Unreachable)),
            Ending::Refused => {
                self.stored.refusal = Some(refusal(self.now));
                Outcome::Refused(refusal(self.now))
            }
            Ending::Doubt => {
                self.stored.doubt = Some((true, "cut".to_owned(), self.now.wall));
                Outcome::Doubt("cut".to_owned(), self.now.wall)
            }
            Ending::ClientRefused => Outcome::ClientRefused("bad".to_owned()),
            Ending::Superseded => Outcome::Superseded,
        };
        self.landed = Some(outcome);
    }

    fn record(&self, ours: bool) -> OnRecord {
        let lapses = BootTime(self.now.boot.0 + S * 90);
        OnRecord { attempt: AttemptId(uuid::Uuid::nil()), ours, sent: self.now.boot, lapses }
    }

    /// The grant as it is read: of its access token only wall times are known.
    fn read(&self) -> View {
        let mut read = self.stored.clone();
        if let Some((_, held)) = &mut read.access {
            *held = Held::read(self.times, self.now);
        }
        read
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => {
                let passed = S * u32::from(seconds);
                self.now.boot.0 += passed;
                self.now.wall = self.now.wall + passed;
            }
            Step::WallJump(seconds) => {
                self.now.wall = self.now.wall.offset_millis(i64::from(seconds) * 1_000);
                self.set_back += usize::from(seconds < 0);
            }
            Step::Ask { valid_for, fresh, insist } => {
                let need = Need { valid_for: S * u32::from(valid_for), fresh, insist, program: true };
                let before = (self.account.asked_by_program, self.wake(), self.waiting.is_empty(), self.done);
                let at_hand = self.account.at_hand(&need, self.now);
                self.account.asked_by_program = before.0;
                let id = self.waiter(need);
                self.input(Input::Ask(id, need));
                if let Some(token) = at_hand {
                    assert!(!self.waiting.contains_key(&id.0), "at hand, and not given");
                    assert_eq!(self.newest_given, token.generation, "another was given");
                    if before.2 {
                        assert_eq!(
                            (self.wake(), self.done),
                            (before.1, before.3 + 1),
                            "more follows from it"
                        );
                    }
                }
            }
            Step::Reject { back } => {
                let id = self.waiter(Need::default());
                let generation = Generation(self.stored.generation.0 - i64::from(back));
                self.input(Input::Rejected(id, generation));
                let under_way =
                    self.refreshing.as_ref().is_some_and(|start| start.view.generation == generation);
                if under_way && self.waiting.contains_key(&id.0) {
                    self.rejected = Some(generation);
                }
            }
            Step::Read { fails, early } => {
                if let Some(was) = self.reading.take() {
                    let read = if early { was } else { self.read() };
                    self.input(Input::Read(if fails { Err("down".to_owned()) } else { Ok(Some(read)) }));
                }
            }
            Step::Finish(ending) => self.finish(ending),
            Step::LogIn => {
                self.put(self.stored.epoch.0 + 1, self.stored.generation.0 + 1, LIFETIME);
                self.input(Input::LoggedIn(self.stored.clone()));
            }
            Step::Pause(paused) => {
                self.paused = paused;
                self.input(Input::Pause(paused));
            }
            Step::Hold(seconds) => self.weather.held_until = Some(self.now.wall + S * u32::from(seconds)),
            Step::OtherDaemon => {
                self.put(self.stored.epoch.0, self.stored.generation.0 + 1, LIFETIME);
                self.input(Input::Stale);
            }
            Step::OtherBegins if self.stored.on_record.is_none() && self.refreshing.is_none() => {
                self.stored.on_record = Some(self.record(false));
                self.input(Input::Stale);
            }
            Step::OtherBegins => {}
            Step::Restart => {
                let under_way = self.refreshing.take().is_some();
                if under_way && self.landed.take().is_none() && self.stored.on_record.is_none() {
                    self.stored.on_record = Some(self.record(true));
                }
                let rules = Rules { buffer: BUFFER, ahead: true, rotation_grace: Duration::ZERO };
                self.account = Account::new("alice".to_owned(), rules, self.paused);
                (self.reading, self.rejected) = (None, None);
                self.heard.clear();
                self.waiting.clear();
            }
            Step::Land(ending) => self.land(ending),
            Step::Wake => {
                if let Some(at) = self.account.wake_at(self.now, &self.weather) {
                    let passed = at.since(self.now.boot);
                    self.now.boot.0 += passed;
                    self.now.wall = self.now.wall + passed;
                    let before = self.done;
                    self.input(Input::Wake);
                    let next = self.account.wake_at(self.now, &self.weather);
                    let spins = self.done == before && next.is_some_and(|at| at <= self.now.boot);
                    assert!(!spins, "woken for nothing, and again at once: {:?}", self.account);
                }
            }
            Step::Release => self.input(Input::Release),
            Step::Stalled if self.refreshing.is_some() => self.input(Input::Stalled("down".to_owned())),
            Step::Stalled => {}
            Step::Probe(taken) => self.weather.probe_taken = taken,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn no_interleaving_breaks_a_promise(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        prop_assert_eq!(world.unbidden, 0, "a dead login was sent for outside its tries");
        // Whatever happened, once things work again every waiter gets an answer.
        world.input(Input::Pause(false));
        world.take(Step::Probe(false));
        // Another daemon's lease has lapsed by then.
        world.take(Step::Pass(120));
        for _ in 0..40 {
            world.take(Step::Read { fails: false, early: false });
            world.take(Step::Finish(Ending::Tokens { lifetime: 3_600 }));
            if world.waiting.is_empty() {
                break;
            }
            world.take(Step::Wake);
        }
        prop_assert!(world.waiting.is_empty(), "still waiting: {:?} {:?}", world.waiting, world.account);
    }
}
