//! `longplay doctor`: looks at everything that a token's life hangs on, spends none, and says the cure of what is wrong.
//! What a refresh would do is done, but for the request; that is made once an app, with a token that nobody has.

use std::collections::HashMap;

use super::api::{Finding, Findings, Verdict};
use super::service::Service;
use crate::config::{AppSettings, Settings};
use crate::domain::{RefreshToken, Sealed, UserId, said};
use crate::oauth::{PostError, Reading, TokenRequest, missing_scopes, read};
use crate::store::{StoreError, UserSeen};
use crate::tokens::{Label, WRONG_CLOCK, login_ends, skew};

/// Nobody has this one: the answer to it tells of the app alone.
const NOBODYS: &str = "longplay-doctor-asks-whether-this-app-is-accepted";
/// Whose file in the spool is written to see whether it can be. Users have higher numbers.
const NOBODY: UserId = UserId(0);
/// How many of a kind are told one by one.
const SHOWN: usize = 20;
/// A login that ends sooner is told of.
const ENDS_SOON: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);

/// Why stored tokens are of no use.
enum Unusable {
    Sealed(String),
    Scope(String),
}

impl Finding {
    fn good(about: &str, found: impl Into<String>) -> Self {
        Self { about: about.to_owned(), verdict: Verdict::Good, found: found.into(), cure: None }
    }

    fn bad(verdict: Verdict, about: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { about: about.to_owned(), verdict, found: found.into(), cure: Some(cure.into()) }
    }

    /// Something that needs a cure now.
    pub fn fault(about: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::bad(Verdict::Fault, about, found, cure)
    }

    /// Something that will need one.
    pub fn warning(about: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::bad(Verdict::Warning, about, found, cure)
    }
}

impl Service {
    /// Looks at everything; changes nothing that counts.
    pub async fn examine(&self) -> Findings {
        let settings = self.settings();
        let (store, probed) = (&self.parts().store, self.parts().store.probe().await);
        let mut findings = match &probed {
            Ok(()) => vec![Finding::good("store", format!("{} can be written", store.describe()))],
            Err(error) => vec![store_fault(error)],
        };
        // A store that does not answer says nothing else.
        if probed.is_ok() {
            findings.extend(self.guard_and_key().await);
        }
        for app in settings.apps.values() {
            findings.extend(self.app(app).await);
        }
        if settings.apps.is_empty() {
            let cure = "add [apps.default] with your Spotify client_id, then `longplay reload`";
            findings.push(Finding::fault("app", "no app is configured", cure));
        }
        findings.extend(self.spool_health().await);
        if probed.is_ok() {
            match self.logins(&settings).await {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(store_fault(&error)),
            }
        }
        Findings { healthy: !findings.iter().any(|finding| finding.verdict == Verdict::Fault), findings }
    }

    async fn guard_and_key(&self) -> [Finding; 2] {
        let misfit = self.key_is_another().await;
        let guard = match self.parts().gate.shut_because().filter(|_| !misfit) {
            None => Finding::good("guard", "the store is the one that was last used, as far as can be told"),
            Some(why) => {
                let what = why.split(". Nothing is refreshed").next().unwrap_or_default().to_owned();
                let cure = "either `longplay adopt`, if this store is to be used from now on and nobody else refreshes its logins: every login counts as in doubt then; or stop this longplay, if the other one lives on";
                Finding::fault("guard", what, cure)
            }
        };
        [guard, self.key(misfit)]
    }

    /// Whether the key was changed under this daemon's feet.
    async fn key_is_another(&self) -> bool {
        let parts = self.parts();
        // A store that does not answer is a finding of its own.
        let probe = parts.store.key_probe().await.ok().flatten();
        probe.is_some_and(|probe| parts.vault.check_probe(&probe).is_err())
    }

    fn key(&self, misfit: bool) -> Finding {
        if misfit {
            let found = "the store is sealed with another token key than this daemon has";
            let cure = "where another daemon has changed the key: rename this one's token-key to token-key-old (or give it as tokens.old_key_file), since what its spool holds is sealed with it; put the new key in its place (token-key in the state directory, tokens.key_file or the credential token-key), and restart it";
            return Finding::fault("key", found, cure);
        }
        if !self.parts().vault.has_old_key() {
            return Finding::good("key", "what is stored is sealed with one token key");
        }
        let found = "an old token key is there besides the present one";
        let cure = "run `longplay key rotate`, which says what still needs it; one that the configuration gives, take out of every daemon's afterwards";
        Finding::warning("key", found, cure)
    }

    /// Whether the app is accepted, and what time it is there.
    async fn app(&self, app: &AppSettings) -> Vec<Finding> {
        let (parts, name) = (self.parts(), &app.name);
        let about = format!("app {name}");
        if let Some(until) = parts.gate.held_until(name) {
            let found = format!("Spotify's rate limit holds it until {until}: it was not asked");
            return vec![Finding::warning(&about, found, "none: it goes on by itself")];
        }
        let sent = self.now();
        let request = TokenRequest::refresh(app, &RefreshToken::from(NOBODYS.to_owned()));
        let answer = match parts.transport.post(request).await {
            Ok(answer) => answer,
            Err(PostError::NotSent(why) | PostError::Lost(why)) => {
                let found = format!("{} does not answer: {why}", app.token_url);
                return vec![Finding::fault(
                    &about,
                    found,
                    "see whether this host reaches it (DNS, firewall, proxy)",
                )];
            }
        };
        let received = self.now();
        let mut found = vec![match read(&answer, received) {
            Reading::GrantRefused { .. } => {
                Finding::good(&about, "its client id and its secret, if any, are accepted")
            }
            Reading::RateLimited(after) => {
                let until = parts.gate.hold(name, after).await;
                let what = format!("Spotify's rate limit holds it until {until}");
                Finding::warning(&about, what, "none: it goes on by itself")
            }
            Reading::ClientRefused(words) => Finding::fault(
                &about,
                format!("Spotify refuses it: {words}"),
                format!(
                    "set client_id, auth and the secret of [apps.{name}] as the dashboard shows them, then `longplay reload`"
                ),
            ),
            Reading::RequestRefused(words) => Finding::fault(
                &about,
                format!("Spotify refuses its token request: {words}"),
                format!("check [apps.{name}], token_url above all"),
            ),
            Reading::Granted(_) | Reading::NewRefreshToken(_) | Reading::Unclear(_) => Finding::warning(
                &about,
                format!("{} answered what proves nothing (status {})", app.token_url, answer.status),
                "try again in some minutes: it may have an outage",
            ),
        }];
        found.push(clock(skew(answer.date.as_deref(), sent, received), &about));
        found.extend(self.redirect(app, &about));
        found
    }

    fn redirect(&self, app: &AppSettings, about: &str) -> Option<Finding> {
        let uri = url::Url::parse(&app.redirect_uri).ok()?;
        let listen = self.settings().web.listen;
        let served = listen.is_some_and(|listen| uri.port_or_known_default() == Some(listen.port()));
        (!served).then(|| {
            let found = format!("nobody listens at its redirect URI, {}", app.redirect_uri);
            let cure = "log in with `longplay login USER --paste`, or let web.listen and redirect_uri have the same port";
            Finding::warning(about, found, cure)
        })
    }

    async fn spool_health(&self) -> Vec<Finding> {
        let spool = &self.parts().spool;
        let written = async {
            spool.prepare(NOBODY).await?;
            spool.forget(NOBODY).await?;
            spool.users().await
        };
        let users = match written.await {
            Ok(users) => users,
            Err(error) => {
                let cure = "see that the state directory is on a disk with room, and belongs to the user that runs longplay";
                return vec![Finding::fault("spool", format!("it can't be written: {error}"), cure)];
            }
        };
        let (mut faults, mut answers) = (Vec::new(), 0);
        for user in users {
            match spool.kept_of(user).await {
                Ok((kept, damaged)) => {
                    answers += kept.len();
                    faults.extend(damaged);
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
        if faults.is_empty() {
            return vec![Finding::good(
                "spool",
                format!("it can be written, and all {answers} answers in it be read"),
            )];
        }
        let cure = "none is needed where the logins below are well: the next refresh overwrites it. If it says another key, give that as the old key";
        faults.into_iter().take(SHOWN).map(|fault| Finding::warning("spool", fault, cure)).collect()
    }

    /// Whether each login could be refreshed now.
    async fn logins(&self, settings: &Settings) -> Result<Vec<Finding>, StoreError> {
        let unusable = self.unusable().await?;
        let (mut good, mut found) = (0_u64, Vec::new());
        self.look_at_everyone(|seen| match self.login(settings, &seen, unusable.get(&seen.user.id)) {
            None => good += 1,
            Some(finding) => found.push(finding),
        })
        .await?;
        let more = found.len().saturating_sub(SHOWN);
        found.sort_by_key(|finding| finding.verdict == Verdict::Warning);
        found.truncate(SHOWN);
        if more > 0 {
            let what = format!("{more} more logins need something");
            found.push(Finding::warning("logins", what, "`longplay status` tells of all"));
        }
        let words = if good == 1 {
            "one login can be refreshed".to_owned()
        } else {
            format!("{good} logins can be refreshed")
        };
        found.insert(0, Finding::good("logins", words));
        Ok(found)
    }

    fn login(&self, settings: &Settings, seen: &UserSeen, unusable: Option<&Unusable>) -> Option<Finding> {
        let UserSeen { user, login, .. } = seen;
        let name = &user.name;
        let about = format!("user {name}");
        let again = format!("run `longplay login {name}`");
        if user.paused {
            return None;
        }
        let Some(app) = settings.apps.get(&user.app) else {
            let found = format!("app {} is not configured", user.app);
            return Some(Finding::fault(
                &about,
                found,
                format!("add [apps.{}], then `longplay reload`", user.app),
            ));
        };
        let Some(login) = login else { return Some(Finding::fault(&about, "there is no login", again)) };
        if login.client_id != app.client_id {
            let found = format!("the login was given to another client id than app {} has now", app.name);
            return Some(Finding::fault(&about, found, again));
        }
        if let Some(why) = unusable {
            return Some(match why {
                Unusable::Sealed(why) => Finding::fault(
                    &about,
                    format!("the stored tokens can't be opened: {why}"),
                    format!("give the key that it names as the old key and restart, or {again}"),
                ),
                Unusable::Scope(missing) => {
                    Finding::fault(&about, format!("the login lacks the scope {missing}"), again)
                }
            });
        }
        if let Some(refused) = &login.refusal {
            let found = refused.split(": run `longplay login").next().unwrap_or_default();
            return Some(Finding::fault(&about, found, again));
        }
        let ends = login_ends(app, login.login_at);
        if let Some(seen) = &login.doubt {
            let found = format!("the last refresh is in doubt ({seen})");
            return Some(Finding::warning(
                &about,
                found,
                "none: the old refresh token is tried again by itself",
            ));
        }
        let ends = ends.filter(|ends| ends.since(self.now()) < ENDS_SOON)?;
        Some(Finding::warning(&about, format!("the login ends at {ends}"), again))
    }

    /// Whose tokens can't be opened, and why; or whose scope is not what is needed.
    async fn unusable(&self) -> Result<HashMap<UserId, Unusable>, StoreError> {
        const BITE: i64 = 500;
        let (parts, mut unusable, mut after) = (self.parts(), HashMap::new(), None);
        let Some(custody) = parts.store.custody() else { return Ok(unusable) };
        loop {
            let bite = custody.sealed_grants(after, BITE).await?;
            let Some(last) = bite.last() else { return Ok(unusable) };
            after = Some(last.user);
            for grant in bite {
                let open = |label, sealed: &Sealed| parts.vault.open(label, sealed).map(drop);
                let (user, epoch, generation) = (grant.user, grant.epoch, grant.generation);
                let access = grant.access_token.as_ref();
                let opened =
                    open(Label::Refresh(user, epoch, generation), &grant.refresh_token).and_then(|()| {
                        access.map_or(Ok(()), |a| open(Label::Access(user, epoch, generation), a))
                    });
                if let Err(error) = opened {
                    unusable.insert(user, Unusable::Sealed(said(&error)));
                }
                let missing = missing_scopes(grant.scope.as_deref());
                if !missing.is_empty() && grant.scope.is_some() {
                    unusable.insert(user, Unusable::Scope(missing.join(" and ")));
                }
            }
        }
    }
}

fn clock(skew: Option<i64>, about: &str) -> Finding {
    let Some(skew) = skew else {
        let found = format!("{about}'s provider does not say what time it is");
        return Finding::warning("clock", found, "see whether this host keeps time: timedatectl");
    };
    let (by, way) = (skew.unsigned_abs() / 1_000, if skew > 0 { "ahead of" } else { "behind" });
    let found = match skew {
        0 => format!("this host's clock agrees with the one of {about}'s provider"),
        _ => format!("this host's clock is {by} s {way} the one of {about}'s provider"),
    };
    match skew.abs() > WRONG_CLOCK {
        true => Finding::fault("clock", found, "set it right: timedatectl set-ntp true"),
        false => Finding::good("clock", found),
    }
}

fn store_fault(error: &StoreError) -> Finding {
    let cure = "see that it runs, that its disk has room, and that longplay may write it";
    Finding::fault("store", said(error), cure)
}
