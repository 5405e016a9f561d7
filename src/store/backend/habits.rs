//! What users are used to, on an SQL database.

use async_trait::async_trait;

use super::super::{HabitStore, HoursHeard, Result, habits};
use super::SqlStore;
use crate::domain::{Habits, Timestamp, UserId};

#[async_trait]
impl HabitStore for SqlStore {
    async fn hours_heard(&self, user: UserId, since: Timestamp) -> Result<HoursHeard> {
        let mut session = self.reading(format!("counting the plays of user {} by hour", user.0)).await?;
        habits::heard(&mut session, user, since).await
    }

    async fn keep_habits(&self, user: UserId, habits: &Habits) -> Result<()> {
        let mut session = self.noting(format!("noting the habits of user {}", user.0)).await?;
        habits::keep(&mut session, user, habits).await?;
        session.commit(()).await
    }

    async fn habits(&self, users: &[UserId]) -> Result<Vec<(UserId, Habits)>> {
        let mut session = self.reading("reading what users are used to").await?;
        habits::of(&mut session, users).await
    }
}
