//! Reading the archive.

use axum::http::header;
use serde::Serialize;

use super::super::api::{PlaysQuery, StatsQuery, TopQuery};
use super::transport::Call;
use super::{Client, ORDINARY, Result};
use crate::domain::{PlayCursor, Stats, StoredPlay, TopArtist, TopEntry, UserName};

impl PlaysQuery {
    /// Where it is asked of this user.
    pub fn address(&self, user: &UserName) -> String {
        address(user, "plays", self)
    }
}

impl Client {
    /// Plays from the archive, newest first.
    pub async fn plays(&self, user: &UserName, query: &PlaysQuery) -> Result<Vec<StoredPlay>> {
        Ok(self.page_of_plays(user, query).await?.0)
    }

    /// The same, and where the next ones begin; `None` where there are no more.
    pub async fn page_of_plays(
        &self,
        user: &UserName,
        query: &PlaysQuery,
    ) -> Result<(Vec<StoredPlay>, Option<PlayCursor>)> {
        let answer = self.good(Call::new("GET", query.address(user), ORDINARY)).await?;
        let next = answer.header(&header::LINK).and_then(next_of);
        Ok((answer.json().await?, next))
    }

    /// A top list from the archive.
    pub async fn top(&self, user: &UserName, query: &TopQuery) -> Result<Vec<TopEntry>> {
        self.get(&address(user, "top", query)).await
    }

    /// Spotify's own top artists, as last fetched.
    pub async fn top_spotify(&self, user: &UserName) -> Result<Vec<TopArtist>> {
        self.get(&format!("/v1/users/{user}/top/spotify")).await
    }

    /// When a user listened.
    pub async fn stats(&self, user: &UserName, query: &StatsQuery) -> Result<Stats> {
        self.get(&address(user, "stats", query)).await
    }
}

/// The address of what is asked of a user; fields that are not given are left out.
pub(super) fn address(user: &UserName, what: &str, query: &impl Serialize) -> String {
    let path = format!("/v1/users/{user}/{what}");
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else { return path };
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            serde_json::Value::String(text) => pairs.append_pair(&name, &text),
            other => pairs.append_pair(&name, &other.to_string()),
        };
    }
    let pairs = pairs.finish();
    if pairs.is_empty() { path } else { format!("{path}?{pairs}") }
}

/// The place that a Link header's address names.
fn next_of(link: &str) -> Option<PlayCursor> {
    let (address, _) = link.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
    let (_, query) = address.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "before")?.1.parse().ok()
}
