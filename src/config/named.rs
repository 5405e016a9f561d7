//! The named tables: the apps, and the users who belong to them.

use std::collections::{BTreeMap, BTreeSet};

use ::config::ValueKind;

use super::check::Check;
use super::credential::Found;
use super::form;
use super::section::{Section, dotted};
use super::{AppSettings, Auth, UserSettings};
use crate::domain::{AppName, UserName};

impl Check<'_> {
    /// The apps that users may name, faulty ones included: one fault is enough.
    pub fn known_apps(&self) -> BTreeSet<String> {
        match self.raw.sections.get("apps").map(|apps| &apps.kind) {
            Some(ValueKind::Table(apps)) => apps.keys().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }

    pub fn apps(&mut self) -> BTreeMap<AppName, AppSettings> {
        let tables = Section::tables(self.report, self.raw, "apps");
        tables.into_iter().filter_map(|(name, table)| self.app(&name, table)).collect()
    }

    fn app(&mut self, given: &str, table: ValueKind) -> Option<(AppName, AppSettings)> {
        let name = given.parse::<AppName>();
        let credential = name.as_ref().ok().map(|name| format!("app-{name}-secret"));
        let sought = self.sought("client_secret_file", credential.as_deref());
        let mut section = Section::new(self.report, self.raw, dotted(&["apps", given]), table);
        if name.is_err() {
            section.misnamed(given);
        }
        let client_id_form = form::identifier("the client id that Spotify's developer dashboard shows");
        let client_id = section.required("client_id", &client_id_form);
        let secret = section.setting("auth", "pkce", &form::choice(&[("pkce", false), ("secret", true)]));
        let found = sought.find(&mut section);
        let auth = match found {
            _ if !secret => Auth::Pkce,
            Some(Found { secret, .. }) => Auth::Secret(secret),
            None => {
                if !section.is_faulty("client_secret_file") {
                    let cure = format!(
                        "client_secret_file with the path of a file that holds the secret, or the systemd \
                         credential app-{given}-secret, or auth = \"pkce\""
                    );
                    section.missing("client_secret_file", &cure);
                }
                Auth::Pkce
            }
        };
        let word = form::identifier("a word of 1 to 128 printable characters without spaces");
        let redirect = form::redirect();
        let endpoint = form::endpoint();
        let redirect_uri = section.setting("redirect_uri", "http://127.0.0.1:8467/callback", &redirect);
        let authorize_url =
            section.setting("authorize_url", "https://accounts.spotify.com/authorize", &endpoint);
        let token_url = section.setting("token_url", "https://accounts.spotify.com/api/token", &endpoint);
        let api_url = section.setting("api_url", "https://api.spotify.com/v1", &endpoint);
        let rotation_grace = section.setting("rotation_grace", "0s", &form::duration("0s", "30days"));
        let login_lifetime = section.setting("login_lifetime", "6 months", &form::months());
        let calls_per_day = section.setting("calls_per_day", "1000", &form::number(1..=10_000_000));
        let quota_group = section.setting("quota_group", "default", &word);
        section.finish();
        let (name, client_id) = (name.ok()?, client_id?);
        let settings = AppSettings {
            name: name.clone(),
            client_id,
            auth,
            redirect_uri,
            authorize_url,
            token_url,
            api_url,
            rotation_grace,
            login_lifetime,
            calls_per_day,
            quota_group,
        };
        Some((name, settings))
    }

    pub fn users(&mut self, apps: &BTreeSet<String>) -> BTreeMap<UserName, UserSettings> {
        let tables = Section::tables(self.report, self.raw, "users");
        tables.into_iter().filter_map(|(name, table)| self.user(&name, table, apps)).collect()
    }

    fn user(
        &mut self,
        given: &str,
        table: ValueKind,
        apps: &BTreeSet<String>,
    ) -> Option<(UserName, UserSettings)> {
        let name = given.parse::<UserName>();
        let mut section = Section::new(self.report, self.raw, dotted(&["users", given]), table);
        if name.is_err() {
            section.misnamed(given);
        }
        let app = section.setting("app", "default", &form::app_name());
        if !apps.contains(app.as_str()) && !section.is_faulty("app") && !section.report.incomplete {
            let names: Vec<_> = apps.iter().map(|name| format!("{:?}", form::cut(name))).collect();
            let accepted = match names.as_slice() {
                [] => format!("an app that is configured; add [apps.{app}] with its client_id"),
                _ => format!("an app that is configured: {}", names.join(", ")),
            };
            let file = section.origin("app").unwrap_or_else(|| section.file().to_owned());
            section.fault("app", &file, format!("{:?}, which is not configured", app.as_str()), accepted);
        }
        let schedule = section.optional("schedule", &form::schedule()).map(|schedule| schedule.to_string());
        let timezone = section.optional("timezone", &form::zone()).map(|zone| zone.name().to_owned());
        let file = section.file().to_owned();
        section.finish();
        Some((name.ok()?, UserSettings { app, schedule, timezone, file }))
    }
}
