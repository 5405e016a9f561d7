//! What users are used to, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::super::{HabitStore, HoursHeard, Result};
use super::MemoryStore;
use super::rows::Rows;
use crate::domain::{Habits, Timestamp, UserId};

#[async_trait]
impl HabitStore for MemoryStore {
    async fn hours_heard(&self, user: UserId, since: Timestamp) -> Result<HoursHeard> {
        let count = |rows: &Rows, _| {
            let Some(row) = rows.user(user) else { return HoursHeard::default() };
            let mut hours = BTreeMap::new();
            for ((at, _), _) in row.plays.iter().filter(|((at, _), _)| *at >= since) {
                *hours.entry(Habits::hour_of(*at)).or_default() += 1;
            }
            let oldest = row.plays.keys().next().map(|(at, _)| *at);
            HoursHeard { oldest, hours: hours.into_iter().collect() }
        };
        self.reading("counting a user's plays by hour", count).await
    }

    async fn keep_habits(&self, user: UserId, habits: &Habits) -> Result<()> {
        let habits = habits.clone();
        let keep = |rows: &mut Rows, _| {
            if let Some(row) = rows.user_mut(user) {
                row.habits = Some(habits);
            }
        };
        self.writing("noting a user's habits", keep).await
    }

    async fn habits(&self, users: &[UserId]) -> Result<Vec<(UserId, Habits)>> {
        let mut users = users.to_vec();
        users.sort();
        let kept = |rows: &Rows, _| {
            let of = |user: UserId| Some((user, rows.user(user)?.habits.clone()?));
            users.into_iter().filter_map(of).collect()
        };
        self.reading("reading what users are used to", kept).await
    }
}
