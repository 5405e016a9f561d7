//! What is read of the archive: plays page by page, what was heard most, and when.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::domain::{
    Listening, PlayCursor, Shift, StoredPlay, Timestamp, TopArtist, TopEntry, TopKind, UserId,
};

/// Which plays to read; the newest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayQuery {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub until: Option<Timestamp>,
    /// What comes after this play.
    pub before: Option<PlayCursor>,
    /// At most so many; 0 is none.
    pub limit: i64,
}

/// Some plays, and where the next ones begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlayPage {
    /// The newest first.
    pub plays: Vec<StoredPlay>,
    /// The last of them; `None` where there are no more.
    pub next: Option<PlayCursor>,
}

/// The part of the store that readers of the archive work on.
#[async_trait]
pub trait ReadStore: Send + Sync + 'static {
    /// A page of plays. It costs the same however far back it is.
    async fn page_of_plays(&self, user: UserId, query: PlayQuery) -> Result<PlayPage>;
    /// The same without what comes next.
    async fn plays(&self, user: UserId, query: PlayQuery) -> Result<Vec<StoredPlay>> {
        Ok(self.page_of_plays(user, query).await?.plays)
    }
    /// When the first play ended that is not older than this.
    async fn first_played(&self, user: UserId, since: Option<Timestamp>) -> Result<Option<Timestamp>>;
    /// From when until when the archive claims to be whole: from the oldest play that Spotify ever showed to the last page;
    /// `None`: it has shown none.
    async fn claimed(&self, user: UserId) -> Result<Option<(Timestamp, Timestamp)>>;
    /// Counts beforehand what was heard until a week ago, or less, where that is not done: a million plays take seconds
    /// once, and what is counted of them then takes milliseconds. `slot`: see [`crate::domain::slot`].
    async fn count(&self, user: UserId, slot: Duration) -> Result<()>;
    /// What was heard most since then, most first; of as many plays, by name.
    async fn top(
        &self,
        user: UserId,
        kind: TopKind,
        since: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<TopEntry>>;
    /// When it was heard: what falls into these stretches of time, by their clocks.
    async fn listening(&self, user: UserId, shifts: &[Shift]) -> Result<Listening>;
    /// Spotify's own top artists, as last fetched.
    async fn top_artists(&self, user: UserId) -> Result<Vec<TopArtist>>;
}
