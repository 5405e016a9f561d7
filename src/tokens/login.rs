//! Committing a login: a new epoch replaces whatever the old one was doing. A renewal by another account is refused
//! and overwrites nothing.

use std::time::Duration;

use crate::domain::{RefreshToken, Timestamp, said};
use crate::oauth::Tokens;
use crate::store::{NewLogin, StoreError};

use super::account::View;
use super::exchange::{Exchange, Subject, times};
use super::seal::Label;
use super::validity::Held;

/// A login that the user has given.
pub struct LoginGrant {
    /// Spotify's name of the account; `None` where it was not asked for.
    pub account: Option<String>,
    /// When the user consented.
    pub login_at: Option<Timestamp>,
    /// The refresh token.
    pub refresh_token: RefreshToken,
    /// The answer to the code, and when that was asked for; `None` for a token from elsewhere.
    pub answer: Option<(Tokens, Timestamp)>,
}

/// Why a login was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It is another person's.
    #[error(
        "this is the Spotify account {given}, but {user} is {known}: nothing was changed; log in as {known}, or give this account a user of its own"
    )]
    OtherAccount {
        /// Whose login it was to be.
        user: String,
        /// The account on record.
        known: String,
        /// The account of the login.
        given: String,
    },
    /// The store did not take it.
    #[error("the login is not saved, nothing was changed: {0}; try again")]
    Store(String),
    /// The actor knows no such user.
    #[error("there is no such user, or their app is not configured")]
    UnknownUser,
    /// The actor has stopped.
    #[error("longplay is stopping: try again when it is up")]
    Stopped,
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(said(&error))
    }
}

/// When a commit that was not answered is repeated.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

/// Seals and commits; repeated where the grant moved on meanwhile.
pub(super) async fn commit(
    exchange: &Exchange,
    subject: &Subject,
    login: LoginGrant,
) -> Result<View, LoginError> {
    const ROUNDS: usize = 8;
    let user = subject.user;
    for _ in 0..ROUNDS {
        let known = exchange.store.grant(user).await?;
        let account = known.as_ref().and_then(|grant| grant.account_id.clone());
        if let (Some(known), Some(given)) = (&account, &login.account)
            && known != given
        {
            let (known, given, user) = (known.clone(), given.clone(), subject.name.to_string());
            return Err(LoginError::OtherAccount { user, known, given });
        }
        let replaces = known.map(|grant| (grant.epoch, grant.generation));
        let (epoch, generation) = replaces.unwrap_or_default();
        let (epoch, generation) = (epoch.next(exchange.clock.now()), generation.next());
        // Answers of a login that the store does not have are somebody else's, who had the number before the store was
        // set back: they must not be taken for this login's.
        let seen = exchange.spool.glance(&[user]).await.unwrap_or_default();
        if seen.iter().flat_map(|glance| &glance.heads).any(|head| head.epoch >= epoch)
            && let Err(error) = exchange.spool.set_aside(user).await
        {
            return Err(LoginError::Store(format!("the spool can't be written ({error})")));
        }
        let _held = exchange.vault.hold().await;
        let seal = |label, text: &str| exchange.vault.seal(label, text.as_bytes(), &exchange.random);
        let access = login.answer.as_ref().map(|(tokens, sent_at)| {
            let token = seal(Label::Access(user, epoch, generation), tokens.access_token.expose());
            (token, times(*sent_at, tokens.lifetime, 0))
        });
        let new = NewLogin {
            user,
            replaces,
            client_id: subject.app.client_id.clone(),
            epoch,
            generation,
            account_id: login.account.clone().or(account),
            login_at: login.login_at,
            scope: login.answer.as_ref().and_then(|(tokens, _)| tokens.scope.clone()),
            refresh_token: seal(Label::Refresh(user, epoch, generation), login.refresh_token.expose()),
            access,
        };
        if commit_until_answered(exchange, &new).await? {
            return Ok(view(exchange, subject, &new, login));
        }
    }
    Err(LoginError::Store("the grant keeps changing".to_owned()))
}

/// Repeats the same statement for a while: it may have been committed, and only its answer lost.
async fn commit_until_answered(exchange: &Exchange, new: &NewLogin) -> Result<bool, StoreError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        match (exchange.store.commit_login(new).await, pauses.next()) {
            (Err(_), Some(pause)) => exchange.clock.sleep(pause).await,
            (answer, _) => return answer,
        }
    }
}

fn view(exchange: &Exchange, subject: &Subject, new: &NewLogin, login: LoginGrant) -> View {
    let now = exchange.moment(0);
    let times = new.access.as_ref().map(|(_, times)| *times);
    View {
        epoch: new.epoch,
        generation: new.generation,
        client_matches: true,
        refresh_token: login.refresh_token,
        access: login
            .answer
            .zip(times)
            .map(|((tokens, _), times)| (tokens.access_token, Held::read(times, now))),
        born: (now.boot, None),
        on_record: None,
        login_ends: super::exchange::login_ends(&subject.app, new.login_at),
        doubt: None,
        refusal: None,
    }
}
