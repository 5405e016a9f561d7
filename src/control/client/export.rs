//! What comes as a stream of bytes: an export.

use axum::body::Bytes;

use super::reading::address;
use super::transport::{Answer, Call};
use super::{Client, Result, UNLIMITED};
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
        let path = address(user, "export", query);
        self.good(Call::new("GET", path, UNLIMITED)).await.map(ByteStream)
    }
}
