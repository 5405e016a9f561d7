//! Grants in memory: what the refresh actor and the gate work on.

use async_trait::async_trait;

use super::super::{Close, CommitIf, GrantHead, GrantStore, Intent, NewLogin, NewTokens, Result, STOPPED};
use super::MemoryStore;
use super::rows::{Rows, UserRow};
use crate::domain::{
    AppName, AppState, Attempt, AttemptId, Cause, Doubt, Epoch, Generation, Grant, Timestamp, UserId,
};

/// How many generations are kept with their attempts.
const KEPT: usize = 5;

#[async_trait]
impl GrantStore for MemoryStore {
    async fn app_state(&self, app: &AppName) -> Result<AppState> {
        self.reading("reading the state of an app", |rows, _| {
            rows.apps.get(app).map(|(state, _)| state.clone()).unwrap_or_default()
        })
        .await
    }

    async fn app_states(&self, apps: &[AppName]) -> Result<Vec<(AppName, AppState)>> {
        self.reading("reading the states of the apps", |rows, _| {
            let known = |app: &AppName| Some((app.clone(), rows.apps.get(app)?.0.clone()));
            apps.iter().filter_map(known).collect()
        })
        .await
    }

    async fn save_app_state(&self, app: &AppName, state: &AppState) -> Result<bool> {
        self.writing("keeping the state of an app", |rows, now| {
            if rows.apps.get(app).is_some_and(|(stored, _)| stored.version != state.version) {
                return false;
            }
            let state = AppState { version: state.version + 1, ..state.clone() };
            rows.apps.insert(app.clone(), (state, now));
            true
        })
        .await
    }

    async fn grant(&self, user: UserId) -> Result<Option<Grant>> {
        self.reading("reading a grant", |rows, now| {
            let grant = rows.user(user)?.grant.clone()?;
            Some(Grant { read_at: now, ..grant })
        })
        .await
    }

    async fn grant_heads(&self, users: &[UserId]) -> Result<Vec<GrantHead>> {
        self.reading("reading where grants stand", |rows, _| {
            let grant = |user: &UserId| rows.user(*user)?.grant.as_ref();
            let mut heads: Vec<GrantHead> = users.iter().filter_map(grant).map(GrantHead::from).collect();
            heads.sort_by_key(|head| head.user);
            heads
        })
        .await
    }

    async fn troubled_users(&self) -> Result<Vec<UserId>> {
        self.reading("reading whose grants are in trouble", |rows, _| {
            let troubled = |row: &&UserRow| {
                row.grant.as_ref().is_some_and(|grant| {
                    let due = grant.refusal.as_ref().is_some_and(|refusal| refusal.next_try_at.is_some());
                    grant.attempt.is_some() || grant.doubt.is_some() || due
                })
            };
            rows.active().filter(troubled).map(|row| row.id).collect()
        })
        .await
    }

    async fn begin_attempt(&self, intent: &Intent) -> Result<bool> {
        self.writing("announcing a refresh", |rows, now| begin(rows, intent, now)).await
    }

    async fn commit_tokens(&self, tokens: &NewTokens, when: CommitIf) -> Result<bool> {
        let doing = format!("committing new tokens of user {}", tokens.user.0);
        self.writing(&doing, |rows, now| commit(rows, tokens, when, now)).await
    }

    async fn close_attempt(
        &self,
        user: UserId,
        epoch: Epoch,
        attempt: AttemptId,
        end: &Close,
    ) -> Result<bool> {
        self.writing("closing a refresh", |rows, _| close(rows, user, epoch, attempt, end)).await
    }

    async fn commit_login(&self, login: &NewLogin) -> Result<bool> {
        self.writing("committing a login", |rows, now| log_in(rows, login, now)).await
    }

    async fn set_account(&self, user: UserId, epoch: Epoch, account_id: &str) -> Result<()> {
        self.writing("noting the account of a user", |rows, _| {
            let grant = rows.user_mut(user).and_then(|row| row.grant.as_mut());
            if let Some(grant) = grant.filter(|grant| grant.epoch == epoch && grant.account_id.is_none()) {
                grant.account_id = Some(account_id.to_owned());
            }
        })
        .await
    }
}

/// Whoever has new tokens since then.
pub fn committed_since(rows: &Rows, at: Timestamp) -> Vec<(UserId, Generation)> {
    let grants = rows.users.values().filter_map(|row| row.grant.as_ref());
    grants.filter(|grant| grant.committed_at >= at).map(|grant| (grant.user, grant.generation)).collect()
}

fn begin(rows: &mut Rows, intent: &Intent, now: Timestamp) -> bool {
    let Some(grant) = rows.user_mut(intent.user).and_then(|row| row.grant.as_mut()) else { return false };
    if grant.epoch != intent.epoch || grant.generation != intent.generation {
        return false;
    }
    let refused = grant.refusal.as_ref().map(|refusal| refusal.tries);
    match grant.attempt {
        Some(Attempt { id, .. }) if id == intent.attempt => return true,
        _ if refused != intent.refused || grant.doubt.is_some() != intent.in_doubt => return false,
        Some(Attempt { id, owner, lease_until, .. })
            if intent.replaces != Some(id) || (owner != intent.owner && lease_until >= now) =>
        {
            return false;
        }
        Some(replaced) => {
            grant.doubt.get_or_insert_with(|| Doubt {
                since: replaced.lease_until - intent.lease,
                owner: replaced.owner,
                reason: STOPPED.to_owned(),
            });
        }
        None => {}
    }
    grant.attempt = Some(Attempt {
        id: intent.attempt,
        owner: intent.owner,
        lease_until: now + intent.lease,
        cause: intent.cause,
    });
    true
}

fn commit(rows: &mut Rows, tokens: &NewTokens, when: CommitIf, now: Timestamp) -> bool {
    let name = (tokens.epoch, tokens.generation, Some(tokens.attempt));
    let Some(row) = rows.user_mut(tokens.user) else { return false };
    let Some(grant) = &mut row.grant else { return false };
    let may = match when {
        CommitIf::AttemptHolds => grant.attempt.is_some_and(|attempt| attempt.id == tokens.attempt),
        CommitIf::NotNewerThan(sent) => grant.generation <= sent,
    };
    if !may || grant.epoch != tokens.epoch || grant.generation >= tokens.generation {
        return row.generations.contains(&name);
    }
    grant.generation = tokens.generation;
    grant.refresh_token = Some(tokens.refresh_token.clone());
    (grant.access_token, grant.access_times) = tokens.access.clone().unzip();
    grant.scope = tokens.scope.clone().or(grant.scope.take());
    (grant.committed_at, grant.born_of) = (now, Some(tokens.cause));
    (grant.attempt, grant.doubt, grant.refusal) = (None, None, None);
    record(row, name);
    true
}

fn record(row: &mut UserRow, name: (Epoch, Generation, Option<AttemptId>)) {
    row.generations.push(name);
    let more = row.generations.len().saturating_sub(KEPT);
    row.generations.drain(..more);
}

fn close(rows: &mut Rows, user: UserId, epoch: Epoch, attempt: AttemptId, close: &Close) -> bool {
    let Some(grant) = rows.user_mut(user).and_then(|row| row.grant.as_mut()) else { return false };
    if grant.epoch != epoch || grant.attempt.is_none_or(|on_record| on_record.id != attempt) {
        // A repetition, because the answer was lost.
        let stands = match close {
            Close::Nothing => false,
            Close::Doubt(doubt) => grant.doubt.as_ref().is_some_and(|on_record| {
                on_record.owner == doubt.owner
                    && on_record.reason == doubt.reason
                    && on_record.since <= doubt.since
            }),
            Close::Refused(refusal) => grant.refusal.as_ref().is_some_and(|on_record| {
                (on_record.since, on_record.tries, &on_record.reason)
                    == (refusal.since, refusal.tries, &refusal.reason)
            }),
        };
        return grant.epoch == epoch && grant.attempt.is_none() && stands;
    }
    grant.attempt = None;
    match close {
        Close::Nothing => {}
        Close::Doubt(doubt) => {
            let since = grant.doubt.as_ref().map_or(doubt.since, |older| older.since);
            grant.doubt = Some(Doubt { since, ..doubt.clone() });
        }
        Close::Refused(refusal) => (grant.doubt, grant.refusal) = (None, Some(refusal.clone())),
    }
    true
}

fn log_in(rows: &mut Rows, login: &NewLogin, now: Timestamp) -> bool {
    let Some(row) = rows.user_mut(login.user) else { return false };
    let on_record = row.grant.as_ref().map(|grant| (grant.epoch, grant.generation));
    let rises = on_record.is_none_or(|(epoch, known)| epoch < login.epoch && known < login.generation);
    if on_record != login.replaces || !rises {
        // No two sealings are alike, so the sealed token tells a repetition.
        return row.grant.as_ref().is_some_and(|grant| {
            (grant.epoch, grant.generation) == (login.epoch, login.generation)
                && grant.refresh_token.as_ref() == Some(&login.refresh_token)
        });
    }
    let (access_token, access_times) = login.access.clone().unzip();
    let account_id = login.account_id.clone().or_else(|| row.grant.as_ref()?.account_id.clone());
    row.grant = Some(Grant {
        user: login.user,
        client_id: login.client_id.clone(),
        epoch: login.epoch,
        generation: login.generation,
        account_id,
        login_at: login.login_at,
        scope: login.scope.clone(),
        refresh_token: Some(login.refresh_token.clone()),
        access_token,
        access_times,
        committed_at: now,
        born_of: None::<Cause>,
        attempt: None,
        doubt: None,
        refusal: None,
        read_at: now,
    });
    row.taken_at = Some(now);
    row.blocked = None;
    record(row, (login.epoch, login.generation, None));
    true
}
