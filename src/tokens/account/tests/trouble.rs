//! Dead logins, doubts, holds, and other daemons: what is tried again, and when.

use super::*;

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
fn who_backs_off_for_the_stores_sake_does_so_until_it_is_back() {
    for (trouble, starts_again) in [(Trouble::Store, 1), (Trouble::Unreachable, 0)] {
        let now = moment(3_500);
        let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
        ask(&mut account, 1, Need::default(), now);
        done(&mut account, Outcome::NotSent(waiting("away".to_owned(), Duration::ZERO, trouble)), now);
        account.on(Input::Read(Ok(Some(view(1, 7, moment(0), LIFETIME)))), now, &Weather::default());
        assert_eq!(starts(&ask(&mut account, 2, Need::default(), now)), 0, "it backs off: {trouble:?}");
        account.on(Input::StoreIsBack, now, &Weather::default());
        assert_eq!(starts(&ask(&mut account, 3, Need::default(), now)), starts_again, "{trouble:?}");
    }
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
    assert_eq!(
        pauses(&mut account, &mut now, 15, cut),
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]
    );
}

/// Lets it fail this way again and again, and says after how many seconds each next try comes.
fn pauses(
    account: &mut Account,
    now: &mut Moment,
    times: usize,
    outcome: impl Fn(Moment) -> Outcome,
) -> Vec<u64> {
    let mut pauses = Vec::new();
    for _ in 0..times {
        done(account, outcome(*now), *now);
        let at = account.wake_at(*now, &Weather::default()).unwrap();
        pauses.push(at.since(now.boot).as_secs());
        *now = Moment { boot: at, wall: now.wall + at.since(now.boot), ..*now };
        assert_eq!(starts(&account.on(Input::Wake, *now, &Weather::default())), 1);
    }
    pauses
}

fn not_sent(_: Moment) -> Outcome {
    Outcome::NotSent(waiting("no connection".to_owned(), Duration::ZERO, Trouble::Unreachable))
}

fn cut(now: Moment) -> Outcome {
    Outcome::Doubt("cut".to_owned(), now.wall)
}

#[test]
fn a_doubt_is_tried_again_at_once_however_long_an_outage_went_before_it() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    let mut now = moment(3_590);
    for id in 1..=12 {
        assert_eq!(starts(&ask(&mut account, id, Need::default(), now)), 1);
        done(&mut account, not_sent(now), now);
        now = Moment { boot: BootTime(now.boot.0 + S * 900), wall: now.wall + S * 900, ..now };
    }
    ask(&mut account, 13, Need::default(), now);
    assert_eq!(pauses(&mut account, &mut now, 3, cut), [1, 2, 4]);
}

#[test]
fn where_the_provider_grants_grace_a_doubt_is_tried_several_times_within_it() {
    let mut account = known(view(1, 7, moment(0), LIFETIME), moment(0));
    account.rules.rotation_grace = S * 600;
    let mut now = moment(3_590);
    ask(&mut account, 1, Need::default(), now);
    assert_eq!(pauses(&mut account, &mut now, 10, cut), [1, 2, 4, 8, 16, 32, 64, 128, 150, 150]);
    assert_eq!(pauses(&mut account, &mut now, 2, not_sent), [150, 150], "it is in doubt still");
    account.rules.rotation_grace = S;
    assert_eq!(pauses(&mut account, &mut now, 2, cut), [30, 30], "no storm, however short the grace");
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
fn what_is_left_is_nothing_where_a_login_lives_and_untold_where_none_does() {
    let left = |view| {
        let mut account = known(view, moment(5_000));
        match &account.on(Input::Look(WaiterId(1)), moment(5_000), &Weather::default())[..] {
            [Effect::Left(_, left)] => *left,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(left(view(1, 1, moment(4_000), LIFETIME)), Some(LIFETIME - S * 1_000));
    assert_eq!(left(view(1, 1, moment(0), LIFETIME)), Some(Duration::ZERO), "it is over");
    assert_eq!(left(View { access: None, ..view(1, 1, moment(0), LIFETIME) }), Some(Duration::ZERO));
    // Who must log in has no token that a refresh ahead of the run could have kept fresh.
    assert_eq!(left(View { refusal: Some(refusal(moment(0))), ..view(1, 1, moment(4_000), LIFETIME) }), None);
    assert_eq!(left(View { client_matches: false, ..view(1, 1, moment(4_000), LIFETIME) }), None);
}
