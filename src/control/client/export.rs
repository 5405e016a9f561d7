//! What comes as a stream of bytes: an export.

use axum::body::Bytes;

use super::transport::{Answer, Call};
use super::{Client, Result, UNLIMITED, with_query, word};
use crate::control::api::ExportQuery;
use crate::domain::UserName;

/// The bytes of an answer, as they come.
pub struct ByteStream(pub(super) Answer);

impl ByteStream {
    /// The next piece; `None` at the end of what is complete.
    ///
    /// # Errors
    /// Where it was cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.chunk().await
    }
}

impl Client {
    /// All that is known of a user's plays, oldest first.
    pub async fn export(&self, user: &UserName, query: &ExportQuery) -> Result<ByteStream> {
        let parameters = [
            ("format", Some(word(&query.format))),
            ("since", query.since.map(|t| t.to_string())),
            ("until", query.until.map(|t| t.to_string())),
        ];
        let path = with_query(&format!("/v1/users/{user}/export"), parameters);
        self.good(Call::new("GET", path, UNLIMITED)).await.map(ByteStream)
    }
}
