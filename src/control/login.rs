//! Logins: begun with an address for the browser, finished by the address that the browser comes back to. State and
//! verifier are in the store meanwhile, so that any command and any daemon can finish what another began.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::AppSettings;
use crate::domain::{EventKind, Timestamp, UserName};
use crate::oauth::{TokenRequest, Tokens, authorize, missing_scopes, read_callback};
use crate::store::{LoginProgress, NewUser, PendingLogin};
use crate::telemetry::Note;
use crate::tokens::{Label, LoginGrant, login_ends};

use super::api::{LoginBegun, LoginQuestion, LoginState, Problem, Progress, Word};
use super::redemption::{Failure, OUTAGE};
use super::roster::Known;
use super::service::Service;

/// How long a browser may take.
const PENDING: Duration = Duration::from_secs(600);

/// What helps where a login came to nothing: its code is spent, or will be over before long.
const CURE: &str = "log in again";

impl Service {
    /// Begins a login of a user, who may not exist yet.
    pub async fn begin_login(&self, name: &UserName, question: LoginQuestion) -> Result<LoginBegun, Problem> {
        self.unless_shut()?;
        self.refresh_users().await?;
        let user = self.roster().find(name);
        let app = self.choose_app(question.app.as_ref(), user.as_deref())?;
        if let Some(user) = user.filter(|user| *user.app != app) {
            self.not_of_a_file(&user)?;
        }
        let app =
            self.settings().apps.get(&app).cloned().ok_or_else(|| Problem::bad_request("no such app"))?;
        let authorization = authorize(&app).map_err(Problem::bad_request)?;
        let parts = self.parts();
        let _held = parts.vault.hold().await;
        let verifier = secrecy::ExposeSecret::expose_secret(&authorization.verifier).as_bytes();
        let pending = PendingLogin {
            state: authorization.state.clone(),
            user: name.clone(),
            app: app.name.clone(),
            verifier: parts.vault.seal(Label::Verifier(&authorization.state), verifier, &parts.random),
            expires_at: self.now() + PENDING,
        };
        parts.store.begin_login(&pending).await?;
        Ok(LoginBegun {
            authorize_url: authorization.url,
            state: authorization.state,
            served: self.serves(&app.redirect_uri),
            redirect_uri: app.redirect_uri,
        })
    }

    /// Whether this daemon's own page listens where the browser comes back to.
    fn serves(&self, redirect_uri: &str) -> bool {
        let Some(listen) = self.settings().web.listen.filter(|_| self.parts().scheduler.is_some()) else {
            return false;
        };
        let Ok(url) = url::Url::parse(redirect_uri) else { return false };
        let ip = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let same = ip.is_some_and(|ip| ip == listen.ip() || listen.ip().is_unspecified());
        same && url.scheme() == "http"
            && url.port_or_known_default() == Some(listen.port())
            && url.path() == super::CALLBACK_PATH
    }

    /// How a begun login stands.
    pub async fn login_state(&self, state: &str) -> Result<LoginState, Problem> {
        let (progress, message) = match self.parts().store.login_progress(state).await? {
            Some(LoginProgress::Pending) => {
                (Progress::Pending, "the browser has not come back yet".to_owned())
            }
            Some(LoginProgress::Done(message)) => (Progress::Done, message),
            Some(LoginProgress::Failed(message)) => (Progress::Failed, message),
            None => (Progress::Failed, unknown_state()),
        };
        Ok(LoginState { progress, message })
    }

    /// Finishes a login with the address that the browser came back to. What fails changes nothing.
    pub async fn finish_login(&self, address: &str) -> Result<LoginState, Problem> {
        self.unless_shut()?;
        let callback = read_callback(address).map_err(|e| Problem::bad_request(e.to_string()))?;
        let _taking = self.taking_login()?;
        let Some(pending) = self.parts().store.take_login(&callback.state).await? else {
            return Ok(LoginState { progress: Progress::Failed, message: unknown_state() });
        };
        let outcome = match callback.code {
            Err(error) => {
                Err(format!("Spotify did not grant the login ({error}): nothing was changed").into())
            }
            Ok(code) => self.take_login(&pending, &code).await,
        };
        let ended = outcome.as_ref().map(Clone::clone).map_err(|failure| failure.message().to_owned());
        self.parts().store.end_login(&pending.state, &ended).await?;
        match outcome {
            Ok(message) => Ok(LoginState { progress: Progress::Done, message }),
            Err(Failure::Refused(message)) => Ok(LoginState { progress: Progress::Failed, message }),
            Err(Failure::Outage(message)) => Err(Problem::later(Word::Waiting, message, OUTAGE)),
        }
    }

    async fn take_login(
        &self,
        pending: &PendingLogin,
        code: &crate::domain::Secret,
    ) -> Result<String, Failure> {
        let name = &pending.user;
        let settings = self.settings();
        let app = settings.apps.get(&pending.app).ok_or("the app is not configured any more")?;
        let (tokens, sent_at) = self.exchange_code(app, pending, code).await?;
        let refresh_token = tokens
            .refresh_token
            .clone()
            .ok_or("Spotify's answer has no refresh token: nothing was changed; try again")?;
        let missing = missing_scopes(tokens.scope.as_deref());
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            let cure = "nothing was changed; log in and agree to it";
            return Err(format!("the scope {missing} was not granted: {cure}").into());
        }
        let account = self.account_of(app, &tokens).await.map_err(|failure| failure.cured_by(CURE))?;
        let user = self.user_for_login(pending).await.map_err(|problem| problem.detail)?;
        let login = LoginGrant {
            account: Some(account),
            login_at: Some(sent_at),
            refresh_token,
            answer: Some((tokens, sent_at)),
        };
        self.parts().tokens.login(user.id, login).await.map_err(|e| e.to_string())?;
        let until = login_ends(app, Some(sent_at)).map_or(String::new(), |ends| format!(" until {ends}"));
        let message = format!("{name} is logged in{until}; the history is archived from now on");
        self.parts().events.tell(EventKind::LoggedIn, Note::of(name, &app.name), message.clone());
        self.run_soon(user);
        let service = self.clone();
        self.spawn(async move {
            // The next regular look makes up for one that failed.
            let _ = service.look_at_ending_logins().await;
        });
        Ok(message)
    }

    async fn exchange_code(
        &self,
        app: &AppSettings,
        pending: &PendingLogin,
        code: &crate::domain::Secret,
    ) -> Result<(Tokens, Timestamp), Failure> {
        let parts = self.parts();
        let verifier = parts
            .vault
            .open(Label::Verifier(&pending.state), &pending.verifier)
            .map_err(|e| format!("the login that was begun: {e}"))?;
        let verifier = String::from_utf8(verifier.to_vec()).map_err(|_| "the verifier is no text")?.into();
        let redeemed = self.redeem(app, TokenRequest::code(app, code, &verifier)).await;
        redeemed.map_err(|(failure, _)| failure.cured_by(CURE))
    }

    /// The user of a login; made now, if it is their first.
    async fn user_for_login(&self, pending: &PendingLogin) -> Result<Arc<Known>, Problem> {
        self.refresh_users().await?;
        let known = self.roster().find(&pending.user);
        match &known {
            Some(user) if *user.app == pending.app => return Ok(Arc::clone(user)),
            Some(user) => self.not_of_a_file(user)?,
            None => {}
        }
        let old = known.as_deref();
        let new = NewUser {
            name: pending.user.clone(),
            app: pending.app.clone(),
            schedule: old.and_then(|user| user.schedule.as_deref().map(str::to_owned)),
            timezone: old.and_then(|user| user.timezone.as_deref().map(str::to_owned)),
        };
        self.parts().store.put_user(&new).await?;
        self.refresh_users().await?;
        self.find(&pending.user).await
    }
}

fn unknown_state() -> String {
    "this login is unknown, used or older than ten minutes: begin it again with `longplay login`".to_owned()
}
