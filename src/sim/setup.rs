//! What a test or the demo tells the simulated Spotify: its apps, its listeners, what they hear, and what goes wrong.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Injection, Listen, SimulatedSpotify, music};
use crate::domain::Timestamp;

/// What a refresh answer says of the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing: the old one stays.
    Never,
    /// `"refresh_token": null`: the old one stays.
    Null,
    /// `"refresh_token": ""`: the old one stays.
    Empty,
    /// The old one again.
    Same,
    /// A new one; presenting the old one again revokes the login.
    Rotate,
    /// A new one; for so long the old one brings the same new one again, unless that was already used.
    RotateWithGrace(Duration),
}

/// A Spotify app: a client id and how it may be used.
#[derive(Debug, Clone)]
pub struct App {
    pub(super) client_id: String,
    pub(super) secret: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) rotation: Rotation,
    pub(super) premium: bool,
    pub(super) enabled: bool,
}

impl App {
    /// A public client, which proves itself by PKCE. It doesn't rotate, and redirects to no address yet.
    pub fn pkce(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            secret: None,
            redirect_uris: Vec::new(),
            rotation: Rotation::Never,
            premium: true,
            enabled: true,
        }
    }

    /// A confidential client, which proves itself by HTTP Basic.
    pub fn with_secret(client_id: &str, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..Self::pkce(client_id) }
    }

    /// Registers a redirect URI; on loopback without a port it stands for any port.
    pub fn redirect(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.to_owned());
        self
    }

    /// How its refresh tokens rotate.
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }
}

/// What a listener does at the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// This account agrees to what was asked for.
    By(String),
    /// This account agrees to these scopes only.
    Partly(String, Vec<String>),
    /// Somebody says no.
    Deny,
}

/// How complete the pages of an account are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Every field.
    Full,
    /// Null wherever Spotify has been seen to send null, and an unknown field.
    Nulls,
    /// Those fields left out.
    Absent,
}

impl SimulatedSpotify {
    /// Registers an app, or replaces the one of the same client id.
    pub fn register_app(&self, app: App) {
        self.world().apps.insert(app.client_id.clone(), app);
    }

    /// Changes how an app's refresh tokens rotate from now on.
    pub fn set_rotation(&self, client_id: &str, rotation: Rotation) {
        if let Some(app) = self.world().apps.get_mut(client_id) {
            app.rotation = rotation;
        }
    }

    /// While false, the token endpoint answers this app `invalid_client`.
    pub fn set_app_enabled(&self, client_id: &str, enabled: bool) {
        if let Some(app) = self.world().apps.get_mut(client_id) {
            app.enabled = enabled;
        }
    }

    /// While false, the Web API refuses this app with 403: its owner has no Premium.
    pub fn set_premium(&self, client_id: &str, premium: bool) {
        if let Some(app) = self.world().apps.get_mut(client_id) {
            app.premium = premium;
        }
    }

    /// Adds a listener. The first one consents wherever nothing else was said. Whatever else names an account makes it.
    pub fn add_account(&self, account: &str) {
        self.world().account(account);
    }

    /// While false, the Web API refuses this user with 403: not on the app's list.
    pub fn set_allow_listed(&self, account: &str, allowed: bool) {
        self.world().account(account).allow_listed = allowed;
    }

    /// What `/v1/me` says: the `id`, which can change, and the `account_id`, which older answers lack.
    pub fn set_identity(&self, account: &str, id: &str, account_id: Option<&str>) {
        let mut world = self.world();
        let account = world.account(account);
        account.id = id.to_owned();
        account.account_id = account_id.map(str::to_owned);
    }

    /// How complete this account's pages are.
    pub fn set_shape(&self, account: &str, shape: Shape) {
        self.world().account(account).shape = shape;
    }

    /// Who comes to the consent page next; several are taken in turn.
    pub fn next_consent(&self, consent: Consent) {
        if let Consent::By(account) | Consent::Partly(account, _) = &consent {
            self.add_account(account);
        }
        self.world().consents.push_back(consent);
    }

    /// Gives an app a login of this account now, as if the user had consented elsewhere. Returns its refresh token.
    pub fn grant(&self, account: &str, client_id: &str, scopes: &[&str]) -> String {
        self.grant_at(account, client_id, scopes, self.shared.clock.now())
    }

    /// The same, with a consent of another day: the login's age counts from there.
    pub fn grant_at(&self, account: &str, client_id: &str, scopes: &[&str], login_at: Timestamp) -> String {
        let mut world = self.world();
        let login = world.begin_login(account, client_id, &scopes.join(" "), login_at);
        world.logins[login].current.clone()
    }

    /// An access token for an account's newest login, as if it had been refreshed elsewhere without rotation.
    pub fn access_token(&self, account: &str) -> Option<String> {
        let now = self.shared.clock.now();
        let mut world = self.world();
        let login = world.logins.iter().rposition(|login| login.account == account)?;
        Some(world.issue_access(login, now))
    }

    /// Lets an account hear something.
    pub fn listen<P: Into<Listen>>(&self, account: &str, plays: impl IntoIterator<Item = P>) {
        let mut world = self.world();
        let account = world.account(account);
        // Places change.
        account.page = std::sync::Mutex::default();
        let heard = &mut account.plays;
        heard.extend(plays.into_iter().map(Into::into));
        heard.sort_by_key(|listen| listen.play.played_at);
    }

    /// Lets an account hear so many tracks in a row, the last ending at `until`.
    pub fn listen_until(&self, account: &str, count: usize, until: Timestamp) {
        self.listen(account, music::session(count, until));
    }

    /// The user removes the app: refresh tokens are dead, access tokens go on until they expire.
    pub fn revoke(&self, account: &str) {
        for login in self.world().logins.iter_mut().filter(|login| login.account == account) {
            login.revoked = true;
        }
    }

    /// All access tokens of an account are dead at once; refresh tokens stay.
    pub fn kill_access_tokens(&self, account: &str) {
        let mut world = self.world();
        let world = &mut *world;
        for access in world.access.values_mut() {
            access.killed |= world.logins[access.login].account == account;
        }
    }

    /// An account's logins are over their age as of now.
    pub fn expire_login(&self, account: &str) {
        let now = self.shared.clock.now();
        for login in self.world().logins.iter_mut().filter(|login| login.account == account) {
            login.expires_at = Some(now);
        }
    }

    /// How long access tokens are valid that are issued from now on.
    pub fn set_access_lifetime(&self, lifetime: Duration) {
        self.world().access_lifetime = lifetime;
    }

    /// How long logins last that are given from now on; `None`: for ever.
    pub fn set_login_lifetime(&self, lifetime: Option<Duration>) {
        self.world().login_lifetime = lifetime;
    }

    /// How far the `Date` of every answer is off from now on.
    pub fn set_clock_skew(&self, skew: TimeDelta) {
        self.world().clock_skew = skew;
    }

    /// Queues a fault.
    pub fn inject(&self, injection: Injection) {
        self.world().faults.add(injection);
    }

    /// Drops every fault that waits.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }
}
