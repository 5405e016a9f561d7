//! The raw journal, as the client asks for it.

use super::{Call, Client, Result, UNLIMITED};
use crate::control::api::{ReplayQuestion, Replayed};
use crate::domain::UserName;

impl Client {
    /// Reads the raw journal again and waits for the end.
    pub async fn replay(&self, user: &UserName, question: &ReplayQuestion) -> Result<Replayed> {
        self.read(Call::new("POST", format!("/v1/users/{user}/replay"), UNLIMITED).json(question)?).await
    }
}
