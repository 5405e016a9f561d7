//! Spotify's own record: apps, accounts, logins and every token ever issued. Plain state; what it says of a login is
//! the truth that tests go by.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use rand::{RngCore, SeedableRng, rngs::StdRng};

use super::fault::Faults;
use super::music::{self, Listen};
use super::record::{RefreshCounts, Seen};
use super::{App, Consent, Options, Rotation, Shape};
use crate::domain::Timestamp;

/// A listener.
#[derive(Debug)]
pub(super) struct Account {
    pub id: String,
    pub account_id: Option<String>,
    pub allow_listed: bool,
    pub shape: Shape,
    /// Oldest first.
    pub plays: Vec<Listen>,
    /// The last page that was made, since most questions have the same answer.
    pub page: Mutex<Option<(PageKey, Vec<u8>)>>,
}

/// What a page is made of: which plays, and how complete.
pub(super) type PageKey = (Vec<usize>, usize, Shape);

/// One consent and all that grew out of it.
#[derive(Debug)]
pub(super) struct Login {
    pub account: String,
    pub client_id: String,
    pub scope: String,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
    /// The refresh token that was issued last.
    pub current: String,
}

/// A refresh token that was once issued.
#[derive(Debug)]
pub(super) struct Refresh {
    /// Index into `logins`.
    pub login: usize,
    /// When it was first spent, and the token that replaced it.
    pub spent: Option<(Timestamp, String)>,
}

/// An access token that was once issued.
#[derive(Debug)]
pub(super) struct Access {
    /// Index into `logins`.
    pub login: usize,
    pub expires_at: Timestamp,
    pub killed: bool,
}

/// An authorization code that was once issued.
#[derive(Debug)]
pub(super) struct Code {
    pub account: String,
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub challenge: Option<String>,
    pub expires_at: Timestamp,
    pub used: bool,
}

/// Everything.
pub(super) struct World {
    pub base: String,
    pub access_lifetime: Duration,
    pub login_lifetime: Option<Duration>,
    pub code_lifetime: Duration,
    pub markets: bool,
    pub clock_skew: TimeDelta,
    pub apps: BTreeMap<String, App>,
    pub accounts: BTreeMap<String, Account>,
    /// The account that consents when nothing else was said.
    pub first_account: Option<String>,
    pub consents: VecDeque<Consent>,
    pub consents_given: u64,
    pub codes: HashMap<String, Code>,
    pub logins: Vec<Login>,
    pub refresh: HashMap<String, Refresh>,
    pub access: HashMap<String, Access>,
    pub issued: Vec<String>,
    pub faults: Faults,
    pub seen: Vec<Seen>,
    pub refreshes: BTreeMap<String, RefreshCounts>,
    /// Refreshes of all accounts that are under way, and the most that were at once.
    pub under_way: u64,
    pub most_at_once: u64,
    rng: StdRng,
}

impl World {
    pub fn new(options: &Options) -> Self {
        Self {
            base: String::new(),
            access_lifetime: options.access_lifetime,
            login_lifetime: options.login_lifetime,
            code_lifetime: options.code_lifetime,
            markets: options.markets,
            clock_skew: TimeDelta::zero(),
            apps: BTreeMap::new(),
            accounts: BTreeMap::new(),
            first_account: None,
            consents: VecDeque::new(),
            consents_given: 0,
            codes: HashMap::new(),
            logins: Vec::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            issued: Vec::new(),
            faults: Faults::default(),
            seen: Vec::new(),
            refreshes: BTreeMap::new(),
            under_way: 0,
            most_at_once: 0,
            rng: StdRng::seed_from_u64(options.seed),
        }
    }

    /// The account of this name, made when it is first spoken of.
    pub fn account(&mut self, name: &str) -> &mut Account {
        self.first_account.get_or_insert_with(|| name.to_owned());
        self.accounts.entry(name.to_owned()).or_insert_with(|| Account {
            id: name.to_owned(),
            account_id: Some(music::id("account", name)),
            allow_listed: true,
            shape: Shape::Full,
            plays: Vec::new(),
            page: Mutex::default(),
        })
    }

    /// A new secret text that looks like Spotify's.
    fn secret(&mut self, prefix: &str, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        self.rng.fill_bytes(&mut random);
        let secret = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
        self.issued.push(secret.clone());
        secret
    }

    /// Issues a code for a consent.
    pub fn issue_code(&mut self, code: Code) -> String {
        let text = self.secret("AQ", 96);
        self.codes.insert(text.clone(), code);
        text
    }

    /// Records a consent given at this time, and issues its first refresh token.
    pub fn begin_login(&mut self, account: &str, client_id: &str, scope: &str, at: Timestamp) -> usize {
        self.account(account);
        let login = self.logins.len();
        let current = self.issue_refresh(login);
        self.logins.push(Login {
            account: account.to_owned(),
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            expires_at: self.login_lifetime.map(|lifetime| at + lifetime),
            revoked: false,
            current,
        });
        login
    }

    fn issue_refresh(&mut self, login: usize) -> String {
        let token = self.secret("AQ", 98);
        self.refresh.insert(token.clone(), Refresh { login, spent: None });
        token
    }

    /// Issues an access token of a login.
    pub fn issue_access(&mut self, login: usize, now: Timestamp) -> String {
        let token = self.secret("BQ", 150);
        let expires_at = now + self.access_lifetime;
        self.access.insert(token.clone(), Access { login, expires_at, killed: false });
        token
    }

    /// Spends a refresh token: the next one, made now unless a retry within the grace asks for it again.
    pub fn rotate(&mut self, spent: &str, now: Timestamp) -> Option<String> {
        let record = self.refresh.get(spent)?;
        if let Some((_, successor)) = &record.spent {
            return Some(successor.clone());
        }
        let login = record.login;
        let next = self.issue_refresh(login);
        if let Some(record) = self.refresh.get_mut(spent) {
            record.spent = Some((now, next.clone()));
        }
        self.logins[login].current.clone_from(&next);
        Some(next)
    }

    /// Whether this refresh token would be accepted now, and why not.
    pub fn refresh_standing(&self, token: &str, now: Timestamp) -> Standing {
        let Some(record) = self.refresh.get(token) else { return Standing::Unknown };
        let login = &self.logins[record.login];
        if login.revoked {
            return Standing::Revoked;
        }
        if login.expires_at.is_some_and(|end| now >= end) {
            return Standing::Expired;
        }
        let Some((spent_at, successor)) = &record.spent else { return Standing::Good };
        let grace = match self.apps.get(&login.client_id).map(|app| app.rotation) {
            Some(Rotation::RotateWithGrace(grace)) => grace,
            _ => Duration::ZERO,
        };
        let successor_spent = self.refresh.get(successor).is_some_and(|next| next.spent.is_some());
        if now < *spent_at + grace && !successor_spent { Standing::Good } else { Standing::Spent }
    }

    /// Which login an access token belongs to, if the token is valid now.
    pub fn login_of_access(&self, token: &str, now: Timestamp) -> Option<&Login> {
        let access = self.access.get(token)?;
        (!access.killed && now < access.expires_at).then(|| &self.logins[access.login])
    }

    /// The account's newest login.
    pub fn newest_login(&self, account: &str) -> Option<&Login> {
        self.logins.iter().rev().find(|login| login.account == account)
    }
}

/// What the record says of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It would be accepted.
    Good,
    /// It was never issued.
    Unknown,
    /// Its login was withdrawn.
    Revoked,
    /// Its login is over its age.
    Expired,
    /// It has rotated; presenting it again revokes the login.
    Spent,
}
