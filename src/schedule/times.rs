//! When each user is due next: an ordered set of times with an index by user, so that replacing or removing a time
//! costs a logarithm and leaves nothing behind. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{Timestamp, UserId};

/// The next time of every user who has one.
#[derive(Debug, Default)]
pub struct NextTimes {
    by_user: HashMap<UserId, Timestamp>,
    in_order: BTreeSet<(Timestamp, UserId)>,
}

impl NextTimes {
    /// Replaces the user's time.
    pub fn set(&mut self, user: UserId, at: Timestamp) {
        if let Some(old) = self.by_user.insert(user, at) {
            self.in_order.remove(&(old, user));
        }
        self.in_order.insert((at, user));
    }

    /// Forgets the user.
    pub fn remove(&mut self, user: UserId) {
        if let Some(old) = self.by_user.remove(&user) {
            self.in_order.remove(&(old, user));
        }
    }

    /// Takes out whoever is due, the longest overdue first; the rest wait for the next call.
    pub fn due(&mut self, now: Timestamp, at_most: usize) -> Vec<(UserId, Timestamp)> {
        let mut due = Vec::new();
        while due.len() < at_most
            && let Some(&(at, user)) = self.in_order.first()
            && at <= now
        {
            self.in_order.pop_first();
            self.by_user.remove(&user);
            due.push((user, at));
        }
        due
    }

    /// The time of this user.
    pub fn next_for(&self, user: UserId) -> Option<Timestamp> {
        self.by_user.get(&user).copied()
    }

    /// The earliest time of all.
    pub fn next(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn with(times: &[(i64, i64)]) -> NextTimes {
        let mut all = NextTimes::default();
        times.iter().for_each(|(user, second)| all.set(UserId(*user), at(*second)));
        all
    }

    #[test]
    fn whoever_is_due_comes_out_once_the_longest_overdue_first() {
        let mut times = with(&[(1, 30), (2, 10), (3, 20), (4, 40)]);
        assert_eq!(times.due(at(9), 9), []);
        assert_eq!(times.due(at(30), 2), [(UserId(2), at(10)), (UserId(3), at(20))]);
        assert_eq!(times.due(at(30), 2), [(UserId(1), at(30))]);
        assert_eq!(times.due(at(30), 2), []);
        assert_eq!((times.next(), times.next_for(UserId(1))), (Some(at(40)), None));
    }

    #[test]
    fn a_new_time_replaces_the_old_one() {
        let mut times = with(&[(1, 10), (1, 50), (2, 20), (2, 5)]);
        assert_eq!(times.due(at(20), 9), [(UserId(2), at(5))]);
        assert_eq!(times.next_for(UserId(1)), Some(at(50)));
    }

    #[test]
    fn a_removed_user_is_never_due() {
        let mut times = with(&[(1, 10)]);
        times.remove(UserId(1));
        times.remove(UserId(2));
        assert_eq!((times.due(at(99), 9), times.next()), (vec![], None));
    }

    #[test]
    fn setting_a_time_again_and_again_takes_no_more_room() {
        let mut times = NextTimes::default();
        for second in 0..10_000 {
            times.set(UserId(second % 3), at(second));
        }
        assert_eq!((times.by_user.len(), times.in_order.len()), (3, 3));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(i64, i64),
        Remove(i64),
        Due(i64, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0i64..8, -5i64..20).prop_map(|(user, second)| Step::Set(user, second)),
            1 => (0i64..8).prop_map(Step::Remove),
            2 => (-5i64..20, 0usize..5).prop_map(|(now, at_most)| Step::Due(now, at_most)),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_plain_list_would(steps in prop::collection::vec(step(), 0..60)) {
            let mut times = NextTimes::default();
            let mut list: Vec<(Timestamp, UserId)> = Vec::new();
            for step in steps {
                match step {
                    Step::Set(user, second) => {
                        times.set(UserId(user), at(second));
                        list.retain(|(_, u)| *u != UserId(user));
                        list.push((at(second), UserId(user)));
                    }
                    Step::Remove(user) => {
                        times.remove(UserId(user));
                        list.retain(|(_, u)| *u != UserId(user));
                    }
                    Step::Due(now, at_most) => {
                        list.sort();
                        let count = list.iter().filter(|(t, _)| *t <= at(now)).count().min(at_most);
                        let expected: Vec<_> = list.drain(..count).map(|(t, u)| (u, t)).collect();
                        prop_assert_eq!(times.due(at(now), at_most), expected);
                    }
                }
                prop_assert_eq!(times.by_user.len(), list.len());
                prop_assert_eq!(times.in_order.len(), list.len());
                prop_assert_eq!(times.next(), list.iter().map(|(t, _)| *t).min());
                for user in (0..8).map(UserId) {
                    let expected = list.iter().find(|(_, u)| *u == user).map(|(t, _)| *t);
                    prop_assert_eq!(times.next_for(user), expected);
                }
            }
        }
    }
}
