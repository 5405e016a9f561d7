//! Grants in memory, for simulated time: the same promises as a database, but for durability.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clock::Clock;
use crate::domain::{AppName, AppState, Attempt, AttemptId, Cause, Doubt, Epoch, Generation, Grant, UserId};

use super::{Close, CommitIf, GrantHead, GrantStore, Intent, NewLogin, NewTokens, Result, STOPPED};

/// How many generations are kept with their attempts.
const KEPT: usize = 5;

/// Grants in memory.
pub struct MemoryGrants {
    clock: Arc<dyn Clock>,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    grants: HashMap<UserId, Grant>,
    generations: HashMap<UserId, Vec<(Epoch, Generation, AttemptId)>>,
    apps: HashMap<AppName, AppState>,
}

impl MemoryGrants {
    /// Empty.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rows: Mutex::default() }
    }

    /// Everything as it is, to go back to.
    pub fn snapshot(&self) -> HashMap<UserId, Grant> {
        self.rows().grants.clone()
    }

    /// Goes back, as a database does that lost its last commits.
    pub fn restore(&self, grants: HashMap<UserId, Grant>) {
        self.rows().grants = grants;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl GrantStore for MemoryGrants {
    async fn app_state(&self, app: &AppName) -> Result<AppState> {
        Ok(self.rows().apps.get(app).cloned().unwrap_or_default())
    }

    async fn app_states(&self, apps: &[AppName]) -> Result<Vec<(AppName, AppState)>> {
        let rows = self.rows();
        let known = |app: &AppName| Some((app.clone(), rows.apps.get(app)?.clone()));
        Ok(apps.iter().filter_map(known).collect())
    }

    async fn save_app_state(&self, app: &AppName, state: &AppState) -> Result<bool> {
        let mut rows = self.rows();
        if rows.apps.get(app).is_some_and(|stored| stored.version != state.version) {
            return Ok(false);
        }
        rows.apps.insert(app.clone(), AppState { version: state.version + 1, ..state.clone() });
        Ok(true)
    }

    async fn grant(&self, user: UserId) -> Result<Option<Grant>> {
        let grant = self.rows().grants.get(&user).cloned();
        Ok(grant.map(|grant| Grant { read_at: self.clock.now(), ..grant }))
    }

    async fn grant_heads(&self, users: &[UserId]) -> Result<Vec<GrantHead>> {
        let rows = self.rows();
        let mut heads: Vec<GrantHead> =
            users.iter().filter_map(|user| rows.grants.get(user)).map(GrantHead::from).collect();
        heads.sort_by_key(|head| head.user);
        Ok(heads)
    }

    async fn troubled_users(&self) -> Result<Vec<UserId>> {
        let troubled = |g: &Grant| {
            let due = g.refusal.as_ref().is_some_and(|refusal| refusal.next_try_at.is_some());
            g.attempt.is_some() || g.doubt.is_some() || due
        };
        let rows = self.rows();
        let mut users: Vec<UserId> = rows.grants.values().filter(|g| troubled(g)).map(|g| g.user).collect();
        users.sort();
        Ok(users)
    }

    async fn begin_attempt(&self, intent: &Intent) -> Result<bool> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let Some(grant) = rows.grants.get_mut(&intent.user) else { return Ok(false) };
        if grant.epoch != intent.epoch || grant.generation != intent.generation {
            return Ok(false);
        }
        let refused = grant.refusal.as_ref().map(|refusal| refusal.tries);
        match grant.attempt {
            Some(Attempt { id, .. }) if id == intent.attempt => return Ok(true),
            _ if refused != intent.refused || grant.doubt.is_some() != intent.in_doubt => return Ok(false),
            Some(Attempt { id, owner, lease_until, .. })
                if intent.replaces != Some(id) || (owner != intent.owner && lease_until >= now) =>
            {
                return Ok(false);
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
        Ok(true)
    }

    async fn commit_tokens(&self, tokens: &NewTokens, when: CommitIf) -> Result<bool> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let name = (tokens.epoch, tokens.generation, tokens.attempt);
        let Some(grant) = rows.grants.get_mut(&tokens.user) else { return Ok(false) };
        let may = match when {
            CommitIf::AttemptHolds => grant.attempt.is_some_and(|attempt| attempt.id == tokens.attempt),
            CommitIf::NotNewerThan(sent) => grant.generation <= sent,
        };
        if !may || grant.epoch != tokens.epoch || grant.generation >= tokens.generation {
            return Ok(rows.generations.get(&tokens.user).is_some_and(|kept| kept.contains(&name)));
        }
        grant.generation = tokens.generation;
        grant.refresh_token = Some(tokens.refresh_token.clone());
        (grant.access_token, grant.access_times) = tokens.access.clone().unzip();
        grant.scope = tokens.scope.clone().or(grant.scope.take());
        (grant.committed_at, grant.born_of) = (now, Some(tokens.cause));
        (grant.attempt, grant.doubt, grant.refusal) = (None, None, None);
        let kept = rows.generations.entry(tokens.user).or_default();
        kept.insert(0, name);
        kept.truncate(KEPT);
        Ok(true)
    }

    async fn close_attempt(
        &self,
        user: UserId,
        epoch: Epoch,
        attempt: AttemptId,
        close: &Close,
    ) -> Result<bool> {
        let mut rows = self.rows();
        let Some(grant) = rows.grants.get_mut(&user) else { return Ok(false) };
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
            return Ok(grant.epoch == epoch && grant.attempt.is_none() && stands);
        }
        grant.attempt = None;
        match close {
            Close::Nothing => {}
            Close::Doubt(doubt) => {
                let since = grant.doubt.as_ref().map_or(doubt.since, |older| older.since);
                let mut doubt = doubt.clone();
                doubt.since = since;
                grant.doubt = Some(doubt);
            }
            Close::Refused(refusal) => (grant.doubt, grant.refusal) = (None, Some(refusal.clone())),
        }
        Ok(true)
    }

    async fn commit_login(&self, login: &NewLogin) -> Result<bool> {
        let now = self.clock.now();
        let mut rows = self.rows();
        if rows.grants.get(&login.user).map(|grant| (grant.epoch, grant.generation)) != login.replaces {
            return Ok(false);
        }
        let (access_token, access_times) = login.access.clone().unzip();
        let grant = Grant {
            user: login.user,
            client_id: login.client_id.clone(),
            epoch: login.epoch,
            generation: login.generation,
            account_id: login.account_id.clone(),
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
        };
        rows.grants.insert(login.user, grant);
        Ok(true)
    }

    async fn set_account(&self, user: UserId, epoch: Epoch, account_id: &str) -> Result<()> {
        if let Some(grant) = self.rows().grants.get_mut(&user)
            && grant.epoch == epoch
            && grant.account_id.is_none()
        {
            grant.account_id = Some(account_id.to_owned());
        }
        Ok(())
    }
}
