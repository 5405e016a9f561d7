//! The part of the store that the refresh actor and the gate work on, on an SQL database.

use async_trait::async_trait;

use super::super::{Close, CommitIf, GrantHead, GrantStore, Intent, NewLogin, NewTokens, Result};
use super::super::{grants, guard, meta, refreshes};
use super::SqlStore;
use crate::domain::{AppName, AppState, AttemptId, Epoch, Grant, UserId};

#[async_trait]
impl GrantStore for SqlStore {
    async fn app_state(&self, app: &AppName) -> Result<AppState> {
        let mut session = self.reading_tokens(format!("reading the state of app {app}")).await?;
        meta::app_state(&mut session, app).await
    }

    async fn app_states(&self, apps: &[AppName]) -> Result<Vec<(AppName, AppState)>> {
        let mut session = self.reading_tokens("reading the states of the apps").await?;
        meta::app_states(&mut session, apps).await
    }

    async fn save_app_state(&self, app: &AppName, state: &AppState) -> Result<bool> {
        let mut session = self.writing_tokens(format!("keeping the state of app {app}")).await?;
        let saved = meta::save_app_state(&mut session, app, state).await?;
        session.commit(saved).await
    }

    async fn grant(&self, user: UserId) -> Result<Option<Grant>> {
        let mut session = self.reading_tokens(format!("reading the grant of user {}", user.0)).await?;
        grants::of(&mut session, user).await
    }

    async fn grant_heads(&self, users: &[UserId]) -> Result<Vec<GrantHead>> {
        let mut session = self.reading_tokens("reading where grants stand").await?;
        grants::heads(&mut session, users).await
    }

    async fn troubled_users(&self) -> Result<Vec<UserId>> {
        let mut session = self.reading_tokens("reading whose grants are in trouble").await?;
        grants::in_trouble(&mut session).await
    }

    async fn begin_attempt(&self, intent: &Intent) -> Result<bool> {
        let mut session =
            self.writing_tokens(format!("announcing a refresh of user {}", intent.user.0)).await?;
        let home = self.home(&mut session).await?;
        guard::check(&mut session, home, &intent.keys, &self.database.to_string()).await?;
        let begun = refreshes::begin(&mut session, intent).await?;
        session.commit(begun).await
    }

    async fn commit_tokens(&self, tokens: &NewTokens, when: CommitIf) -> Result<bool> {
        let mut session =
            self.writing_tokens(format!("committing new tokens of user {}", tokens.user.0)).await?;
        let committed = refreshes::commit(&mut session, tokens, when).await?;
        session.commit(committed).await
    }

    async fn close_attempt(
        &self,
        user: UserId,
        epoch: Epoch,
        attempt: AttemptId,
        close: &Close,
    ) -> Result<bool> {
        let mut session = self.writing_tokens(format!("closing a refresh of user {}", user.0)).await?;
        let closed = refreshes::close(&mut session, user, epoch, attempt, close).await?;
        session.commit(closed).await
    }

    async fn commit_login(&self, login: &NewLogin) -> Result<bool> {
        let mut session = self.writing_tokens(format!("committing a login of user {}", login.user.0)).await?;
        let committed = grants::commit_login(&mut session, login).await?;
        session.commit(committed).await
    }

    async fn set_account(&self, user: UserId, epoch: Epoch, account_id: &str) -> Result<()> {
        let mut session = self.writing_tokens(format!("noting the account of user {}", user.0)).await?;
        grants::set_account(&mut session, user, epoch, account_id).await?;
        session.commit(()).await
    }
}
