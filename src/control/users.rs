//! Users: listed, added, changed, removed; and tokens handed to programs.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{AppName, EventKind, Generation, Schedule, UserId, UserName, parse_zone};
use crate::store::NewUser;
use crate::telemetry::Note;
use crate::tokens::{Need, TokenSource as _};

use super::api::{Problem, PutUser, TokenAnswer, TokenQuestion, UserEntry, Word};
use super::roster::Known;
use super::service::Service;

impl Service {
    /// Everyone, by name.
    pub async fn users(&self) -> Result<Vec<UserEntry>, Problem> {
        self.refresh_users().await?;
        let mut users: Vec<_> = self.roster().all().cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users.iter().map(|user| self.entry(user)).collect())
    }

    /// One user.
    pub async fn user(&self, name: &UserName) -> Result<UserEntry, Problem> {
        let user = self.find(name).await?;
        Ok(self.entry(&user))
    }

    fn entry(&self, user: &Known) -> UserEntry {
        let plan = self.times(user).0.plan;
        UserEntry {
            name: user.name.clone(),
            app: (*user.app).clone(),
            schedule: plan.schedule.to_string(),
            timezone: plan.zone.to_string(),
            origin: user.origin,
        }
    }

    /// Adds a user, or changes what is given; takes over a refresh token from elsewhere.
    pub async fn put_user(&self, name: &UserName, put: PutUser) -> Result<UserEntry, Problem> {
        check(&put)?;
        if put.refresh_token.is_some() {
            self.unless_shut()?;
        }
        self.unless_moving()?;
        self.refresh_users().await?;
        let known = self.roster().find(name);
        let changes = put.app.is_some() || put.schedule.is_some() || put.timezone.is_some();
        if let Some(user) = &known {
            if changes || put.refresh_token.is_none() {
                self.not_of_a_file(user)?;
            }
            if put.add && (changes || put.refresh_token.is_none()) {
                let detail =
                    format!("there is a user {name} already: `longplay users set {name}` changes them");
                return Err(Problem::new(Word::Exists, 409, detail));
            }
            if put.refresh_token.is_some() && self.has_login(user).await? {
                let detail = format!(
                    "{name} has a login already: `longplay login {name}` renews it, `longplay users remove {name}` ends it"
                );
                return Err(Problem::new(Word::Exists, 409, detail));
            }
        }
        let old = known.as_deref();
        let new = NewUser {
            name: name.clone(),
            app: self.choose_app(put.app.as_ref(), old)?,
            schedule: put.schedule.clone().or_else(|| Some(old?.schedule.as_deref()?.to_owned())),
            timezone: put.timezone.clone().or_else(|| Some(old?.timezone.as_deref()?.to_owned())),
        };
        if old.is_none() || changes {
            self.parts().store.put_user(&new).await?;
            self.refresh_users().await?;
        }
        let user = self.find(name).await?;
        if old.is_none() {
            let note = Note::of(name, &user.app);
            self.parts().events.tell(EventKind::UserAdded, note, format!("{name} was added"));
        }
        if let Some(token) = put.refresh_token {
            self.take_over(&user, token.into(), put.login_at).await?;
        }
        Ok(self.entry(&user))
    }

    async fn has_login(&self, user: &Known) -> Result<bool, Problem> {
        let grant = self.parts().store.grant(user.id).await?;
        Ok(grant.is_some_and(|grant| grant.refresh_token.is_some() && grant.refusal.is_none()))
    }

    /// The app that is asked for, the user's, `default`, or the only one.
    pub(super) fn choose_app(
        &self,
        asked: Option<&AppName>,
        user: Option<&Known>,
    ) -> Result<AppName, Problem> {
        let settings = self.settings();
        let chosen = asked.or(user.map(|user| &*user.app));
        let known = || settings.apps.keys().map(AppName::as_str).collect::<Vec<_>>().join(", ");
        match chosen {
            Some(app) if settings.apps.contains_key(app) => Ok(app.clone()),
            Some(app) if settings.apps.is_empty() => Err(Problem::bad_request(format!(
                "app {app} is not configured, nor is any other: add [apps.{app}] with its client_id, then `longplay reload`"
            ))),
            Some(app) => {
                Err(Problem::bad_request(format!("app {app} is not configured; there is: {}", known())))
            }
            None => {
                let default = settings.apps.keys().find(|app| app.as_str() == "default");
                let only = settings.apps.keys().next().filter(|_| settings.apps.len() == 1);
                default.or(only).cloned().ok_or_else(|| match settings.apps.is_empty() {
                    true => unconfigured(
                        "no app is configured: add [apps.default] with your Spotify client_id, then `longplay reload`",
                    ),
                    false => Problem::bad_request(format!("which app? there is: {}", known())),
                })
            }
        }
    }

    /// Removes a user: the tokens go, the archive stays; `purge`: all goes.
    pub async fn remove_user(&self, name: &UserName, purge: bool) -> Result<(), Problem> {
        self.unless_moving()?;
        self.refresh_users().await?;
        let known = self.roster().find(name);
        let user = match known {
            Some(user) => {
                self.not_of_a_file(&user)?;
                user.id
            }
            // Someone who was removed before can still be purged.
            None if purge => self.any_user(name).await?,
            None => return Err(Problem::unknown_user(name)),
        };
        let parts = self.parts();
        parts.store.remove_user(user, purge).await?;
        parts.tokens.forget(user).await;
        if let Err(error) = parts.spool.forget(user).await {
            tracing::warn!(user = %name, "the spool still has an answer of {name}: {error}");
        }
        let what = if purge { "was removed with everything" } else { "was removed: the archive stays" };
        let note = Note { user: (!purge).then(|| name.clone()), ..Note::default() };
        parts.events.tell(EventKind::UserRemoved, note, format!("{name} {what}"));
        self.refresh_users().await
    }

    /// A user's number, active or not: the archive of one who was removed can still be read.
    pub(super) async fn any_user(&self, name: &UserName) -> Result<UserId, Problem> {
        if let Some(user) = self.roster().find(name) {
            return Ok(user.id);
        }
        let stored = self.parts().store.user(name).await?;
        stored.map(|user| user.id).ok_or_else(|| Problem::unknown_user(name))
    }

    /// A token for a program.
    pub async fn token(&self, name: &UserName, question: TokenQuestion) -> Result<TokenAnswer, Problem> {
        let user = self.find_unblocked(name).await?;
        let need = Need {
            valid_for: Duration::from_secs(question.valid_for.unwrap_or(0)),
            // Where the next try of a refused app is due, this is it.
            fresh: question.fresh.unwrap_or(false) || self.parts().gate.fault(&user.app).is_some(),
            insist: false,
            program: true,
        };
        let token = self.parts().tokens.token(user.id, need).await?;
        Ok(TokenAnswer {
            access_token: token.access_token.expose().to_owned(),
            expires_at: token.expires_at,
            generation: token.generation,
        })
    }

    /// The user of this name; refuses who is blocked: with a token that is still valid they would only be refused by
    /// Spotify. Another daemon may have found since that they are so no more, and a refused app is tried again from time to
    /// time.
    async fn find_unblocked(&self, name: &UserName) -> Result<Arc<Known>, Problem> {
        let mut user = self.find(name).await?;
        if user.blocked.is_some() && !user.paused {
            self.look_again(name).await;
            user = self.find(name).await?;
        }
        if user.paused {
            return Ok(user); // the actor says so
        }
        self.has_app(&user)?;
        let fault = self.parts().gate.fault(&user.app).filter(|fault| fault.retry_at > self.now());
        match fault.map(|fault| fault.reason).or_else(|| user.blocked.as_deref().map(str::to_owned)) {
            Some(reason) => Err(Problem::new(Word::Blocked, 409, reason)),
            None => Ok(user),
        }
    }

    /// Spotify answered a program 401.
    pub async fn rejected(&self, name: &UserName, generation: Generation) -> Result<(), Problem> {
        if generation < Generation(1) {
            return Err(Problem::new(
                Word::BadRequest,
                422,
                format!("generation {generation} was never given out"),
            ));
        }
        let user = self.find_unblocked(name).await?;
        Ok(self.parts().tokens.rejected(user.id, generation).await?)
    }
}

fn unconfigured(detail: impl Into<String>) -> Problem {
    Problem::new(Word::Configuration, 409, detail)
}

fn check(put: &PutUser) -> Result<(), Problem> {
    if let Some(schedule) = &put.schedule {
        schedule.parse::<Schedule>().map_err(|e| Problem::bad_request(format!("schedule: {e}")))?;
    }
    if let Some(zone) = &put.timezone {
        parse_zone(zone).map_err(|e| Problem::bad_request(format!("timezone: {e}")))?;
    }
    match &put.refresh_token {
        Some(token) if token.trim().is_empty() => Err(Problem::bad_request("the refresh token is empty")),
        Some(token) if token.len() > 4_096 || token.chars().any(|c| c.is_control() || c == ' ') => {
            Err(Problem::bad_request(
                "that is no refresh token: it is one line without spaces, 4,096 characters at most",
            ))
        }
        None if put.login_at.is_some() => Err(Problem::bad_request("login_at goes with a refresh token")),
        _ => Ok(()),
    }
}
