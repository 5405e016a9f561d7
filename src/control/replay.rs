//! Reading the raw journal again.

use crate::archive::{self, ReplayError};
use crate::domain::UserName;
use crate::tokens::TokenError;

use super::api::{Problem, ReplayFault, ReplayQuestion, Replayed};
use super::service::Service;

impl Service {
    /// Archives what the raw journal holds and the archive lacks. Spotify is not asked.
    pub async fn replay(&self, name: &UserName, question: ReplayQuestion) -> Result<Replayed, Problem> {
        self.unless_moving()?;
        let user = self.any_user(name).await?;
        let replayed =
            self.parts().archiver.replay(user, question.since).await.map_err(|error| match error {
                ReplayError::Store(error) => Problem::from(error),
                ReplayError::Stopping => TokenError::Stopped.into(),
            })?;
        let archive::Replayed { pages, new_plays, gaps_closed, unreadable, faults, held_back } = replayed;
        tracing::info!(
            user = %name,
            "{pages} pages of the raw journal were read again: {new_plays} new plays, {gaps_closed} gaps closed"
        );
        Ok(Replayed {
            pages,
            new_plays,
            gaps_closed,
            unreadable,
            faults: faults.into_iter().map(|(at, why)| ReplayFault { at, why }).collect(),
            held_back,
            raw_journal_days: self.settings().archive.raw_journal_days,
        })
    }
}
