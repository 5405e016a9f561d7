//! Taking over a refresh token from elsewhere. Where it must first be proven whose it is, it is spent for that: what came
//! of it is then held on to for long, and who gave it learns what it is still worth.

use std::sync::Arc;
use std::time::Duration;

use crate::config::AppSettings;
use crate::domain::{EventKind, RefreshToken, Timestamp, UserName};
use crate::oauth::{TokenRequest, Tokens};
use crate::telemetry::Note;
use crate::tokens::{LoginError, LoginGrant};

use super::api::{Problem, Word};
use super::redemption::Fate;
use super::roster::Known;
use super::service::Service;

/// When it is tried again to prove and to save what a token brought.
const AGAIN: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
];
/// How many of these times where the token that was given can be given again.
const AGAIN_WHERE_KEPT: usize = 3;

/// The answer to a refresh token that somebody gave.
struct Brought {
    tokens: Tokens,
    sent_at: Timestamp,
    newest: RefreshToken,
    login_at: Option<Timestamp>,
}

impl Service {
    /// Makes a refresh token from elsewhere a user's login.
    pub(super) async fn take_over(
        &self,
        user: &Arc<Known>,
        refresh_token: RefreshToken,
        login_at: Option<Timestamp>,
    ) -> Result<(), Problem> {
        let _taking = self.taking_login()?;
        let account = self.parts().store.grant(user.id).await?.and_then(|grant| grant.account_id);
        match account {
            None => {
                let login = LoginGrant { account, login_at, refresh_token, answer: None };
                self.parts().tokens.login(user.id, login).await?;
            }
            Some(_) => self.prove_and_take(user, refresh_token, login_at).await?,
        }
        let note = Note::of(&user.name, &user.app);
        let message = format!("{}: a refresh token from elsewhere was taken over", user.name);
        self.parts().events.tell(EventKind::LoggedIn, note, message);
        self.run_soon(Arc::clone(user));
        Ok(())
    }

    /// For a user whose account is known: whose the token is must be asked before anything is overwritten.
    async fn prove_and_take(
        &self,
        user: &Known,
        given: RefreshToken,
        login_at: Option<Timestamp>,
    ) -> Result<(), Problem> {
        let app = self.app_of(user)?;
        let redeemed = self.redeem(&app, TokenRequest::refresh(&app, &given)).await;
        let (tokens, sent_at) = redeemed.map_err(|(failure, fate)| {
            let failure = failure.cured_by(&worth(fate, &user.name));
            if fate == Fate::Spent { failure.for_good() } else { failure }
        })?;
        let newest = tokens.refresh_token.clone().unwrap_or_else(|| given.clone());
        let fate = if newest == given { Fate::Kept } else { Fate::Spent };
        let brought = Brought { tokens, sent_at, newest, login_at };
        let tries = if fate == Fate::Kept { AGAIN_WHERE_KEPT } else { AGAIN.len() };
        let mut pauses = AGAIN.into_iter().take(tries);
        loop {
            let Err(mut problem) = self.prove_once(user, &app, &brought).await else { return Ok(()) };
            if problem.retry_after.is_some()
                && let Some(pause) = pauses.next()
            {
                self.parts().clock.sleep(pause).await;
                continue;
            }
            problem.detail = format!("{}; {}", problem.detail, worth(fate, &user.name));
            if fate == Fate::Spent {
                if problem.retry_after.is_some() {
                    // To ask again would not help.
                    problem = Problem::new(Word::Refused, 409, problem.detail);
                }
                // Whoever asked may have left by now.
                let note = Note::of(&user.name, &user.app);
                self.parts().events.tell(EventKind::Problem, note, problem.detail.clone());
            }
            return Err(problem);
        }
    }

    async fn prove_once(&self, user: &Known, app: &AppSettings, brought: &Brought) -> Result<(), Problem> {
        let account = self.account_of(app, &brought.tokens).await?;
        let login = LoginGrant {
            account: Some(account),
            login_at: brought.login_at,
            refresh_token: brought.newest.clone(),
            answer: Some((brought.tokens.clone(), brought.sent_at)),
        };
        match self.parts().tokens.login(user.id, login).await {
            Ok(_) => Ok(()),
            Err(LoginError::Store(why)) => {
                let detail = format!("the login is not saved: {why}");
                Err(Problem::later(Word::Store, detail, AGAIN[0]))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a token that was given is worth now, and what to do.
fn worth(fate: Fate, user: &UserName) -> String {
    match fate {
        Fate::Kept => "the token that was given is not spent: try again".to_owned(),
        Fate::Unknown => format!(
            "whether the token that was given is spent is unknown: give it again, and where it is refused run `longplay login {user}`"
        ),
        Fate::Spent => format!(
            "the token that was given is spent and worth nothing any more, here and where it came from: run `longplay login {user}`"
        ),
    }
}
