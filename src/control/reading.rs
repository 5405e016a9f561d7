//! Reading the archive.

use crate::domain::{Gap, StoredPlay, TopArtist, TopEntry, UserName};
use crate::store::PlayQuery;

use super::api::{PlaysQuery, Problem, TopQuery};
use super::service::Service;

/// The most plays that one question gets.
const MOST_PLAYS: i64 = 10_000;
/// The most lines of a top list.
const MOST_TOP: i64 = 1_000;

impl Service {
    /// Plays, newest first.
    pub async fn plays(&self, name: &UserName, query: PlaysQuery) -> Result<Vec<StoredPlay>, Problem> {
        let user = self.any_user(name).await?;
        let limit = within(query.limit, 50, MOST_PLAYS)?;
        let query = PlayQuery { since: query.since, until: query.until, limit };
        Ok(self.parts().store.plays(user, query).await?)
    }

    /// What was heard most.
    pub async fn top(&self, name: &UserName, query: TopQuery) -> Result<Vec<TopEntry>, Problem> {
        let user = self.any_user(name).await?;
        let limit = within(query.limit, 10, MOST_TOP)?;
        Ok(self.parts().store.top(user, query.kind, query.since, limit).await?)
    }

    /// Spotify's own top artists, as last fetched.
    pub async fn top_artists(&self, name: &UserName) -> Result<Vec<TopArtist>, Problem> {
        let user = self.any_user(name).await?;
        Ok(self.parts().store.top_artists(user).await?)
    }

    /// Where plays may be missing, newest first.
    pub async fn gaps(&self, name: &UserName) -> Result<Vec<Gap>, Problem> {
        let user = self.any_user(name).await?;
        Ok(self.parts().store.gaps(user).await?)
    }
}

fn within(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, Problem> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("limit {limit}: from 1 to {most}"))),
    }
}
