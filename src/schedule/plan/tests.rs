use proptest::prelude::*;

use super::*;

const ANY: usize = usize::MAX;
const MINUTE: Duration = Duration::from_secs(60);

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn boot(second: u64) -> BootTime {
    BootTime(Duration::from_secs(second))
}

fn user(user: i64) -> Job {
    Job::User(UserId(user))
}

fn with(times: &[(i64, i64)]) -> Plan {
    let mut plan = Plan::default();
    times.iter().for_each(|(user, second)| plan.set(UserId(*user), at(*second)));
    plan
}

#[test]
fn a_claimed_user_is_gone_until_set_again() {
    let mut plan = with(&[(1, 10)]);
    assert_eq!(plan.hand_out(at(9), boot(0), ANY), []);
    assert_eq!(plan.hand_out(at(12), boot(0), ANY), [user(1)]);
    assert_eq!(plan.next_for(UserId(1)), Some(at(10)));
    assert_eq!(plan.claim(user(1), boot(0)), Some(at(10)));
    assert_eq!(plan.next_for(UserId(1)), None);
    assert_eq!(plan.hand_out(at(9999), boot(9999), ANY), []);
    plan.set(UserId(1), at(20));
    assert_eq!(plan.hand_out(at(9999), boot(9999), ANY), [user(1)]);
}

#[test]
fn a_firing_that_is_lost_is_repeated_within_a_minute() {
    let mut plan = with(&[(1, 10)]);
    assert_eq!(plan.hand_out(at(10), boot(0), ANY), [user(1)]);
    assert_eq!(plan.hand_out(at(39), boot(29), ANY), []);
    assert_eq!(plan.hand_out(at(40), boot(30), ANY), [user(1)]);
    // Lost again; and the wall clock was set back meanwhile.
    assert_eq!(plan.hand_out(at(-9999), boot(60), ANY), [user(1)]);
    assert_eq!(plan.claim(user(1), boot(60)), Some(at(10)));
    assert_eq!(plan.claim(user(1), boot(60)), None, "the firings that were only late count for nothing");
    assert_eq!(plan.hand_out(at(9999), boot(9999), ANY), []);
}

#[test]
fn what_was_not_handed_out_cannot_be_claimed() {
    let mut plan = with(&[(1, 10)]);
    assert_eq!((plan.claim(user(1), boot(0)), plan.claim(Job::Work(3), boot(0))), (None, None));
    assert_eq!(plan.next_for(UserId(1)), Some(at(10)));
}

#[test]
fn a_new_time_or_a_removal_calls_a_firing_back() {
    let mut plan = with(&[(1, 10), (2, 10)]);
    plan.hand_out(at(10), boot(0), ANY);
    plan.set(UserId(1), at(500));
    plan.remove(UserId(2));
    assert_eq!((plan.claim(user(1), boot(0)), plan.claim(user(2), boot(0))), (None, None));
    assert_eq!(plan.hand_out(at(499), boot(490), ANY), []);
    assert_eq!((plan.next_for(UserId(1)), plan.next_for(UserId(2))), (Some(at(500)), None));
}

#[test]
fn no_more_users_are_on_their_way_than_allowed() {
    let mut plan = with(&[(1, 1), (2, 2), (3, 3)]);
    assert_eq!(plan.hand_out(at(9), boot(0), 2), [user(1), user(2)]);
    assert_eq!(plan.hand_out(at(9), boot(1), 2), []);
    plan.claim(user(2), boot(1));
    assert_eq!(plan.hand_out(at(9), boot(2), 2), [user(3)]);
}

#[test]
fn periodic_work_is_handed_out_however_many_users_wait() {
    let mut plan = with(&[(1, 1), (2, 2)]);
    plan.add_work(MINUTE, boot(0));
    plan.hand_out(at(9), boot(50), 1);
    assert_eq!(plan.hand_out(at(9), boot(60), 1), [Job::Work(0)]);
}

#[test]
fn periodic_work_comes_once_a_period_and_never_overlaps_itself() {
    let mut plan = Plan::default();
    let work = Job::Work(plan.add_work(MINUTE, boot(100)));
    assert_eq!(plan.hand_out(at(0), boot(159), ANY), []);
    assert_eq!(plan.hand_out(at(0), boot(160), ANY), [work]);
    assert_eq!(plan.hand_out(at(0), boot(161), ANY), [], "it is on its way");
    assert!(plan.claim(work, boot(162)).is_some());
    assert_eq!(plan.hand_out(at(0), boot(500), ANY), [], "it is running");
    plan.work_ended(0);
    assert_eq!(plan.hand_out(at(0), boot(500), ANY), [work]);
    plan.claim(work, boot(500));
    plan.work_ended(0);
    assert_eq!(plan.hand_out(at(0), boot(559), ANY), [], "what was missed is not made up");
    assert_eq!(plan.hand_out(at(0), boot(560), ANY), [work]);
    assert_eq!(plan.hand_out(at(0), boot(590), ANY), [work], "it was lost");
}

#[test]
fn a_stopped_plan_hands_out_nothing_and_calls_everything_back() {
    let mut plan = with(&[(1, 1), (2, 100)]);
    plan.add_work(MINUTE, boot(0));
    plan.hand_out(at(1), boot(60), ANY);
    plan.stop();
    assert_eq!((plan.claim(user(1), boot(60)), plan.claim(Job::Work(0), boot(60))), (None, None));
    plan.set(UserId(3), at(1));
    assert_eq!(plan.hand_out(at(9999), boot(9999), ANY), []);
}

proptest! {
    /// Whatever is lost, late or doubled on the way, a set time is fired exactly once.
    #[test]
    fn every_time_that_is_set_is_claimed_exactly_once(
        times in prop::collection::btree_map(0i64..50, 0i64..100, 1..20),
        lost in prop::collection::vec(0u8..3, 200),
        at_most in 1usize..5,
    ) {
        let times: Vec<_> = times.into_iter().collect();
        let mut plan = with(&times);
        let mut fates = lost.into_iter();
        let mut fired = Vec::new();
        for second in 0..3000 {
            for job in plan.hand_out(at(second), boot(second.unsigned_abs()), at_most) {
                // Lost, delivered, or delivered twice; no fate left: delivered.
                for _ in 0..fates.next().unwrap_or(1) {
                    fired.extend(plan.claim(job, boot(0)).map(|due| (job, due)));
                }
            }
        }
        fired.sort();
        let mut expected: Vec<_> = times.iter().map(|(u, t)| (user(*u), at(*t))).collect();
        expected.sort();
        prop_assert_eq!(fired, expected);
    }
}
