//! Users in memory: who they are, how they stand, and the logins that were begun for them.

use std::collections::BTreeMap;

use super::super::{
    Alike, Batch, Changes, FileUsers, LoginGiven, LoginProgress, NewUser, PendingLogin, UserSeen,
};
use super::rows::{LoginRow, Rows, UserRow};
use crate::domain::{Epoch, Footing, Login, Origin, Owner, Timestamp, User, UserId};

pub fn changed(rows: &Rows, since: i64, limit: i64) -> Changes {
    let users = rows.changes.range(since + 1..).map(|(number, id)| (*number, *id));
    let purged = rows.purged.iter().map(|(id, (number, _))| (*number, *id)).filter(|(n, _)| *n > since);
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    // The first so many users suffice, whoever else was purged.
    let mut numbered: Vec<(i64, UserId)> = users.take(limit).chain(purged).collect();
    numbered.sort_unstable();
    numbered.truncate(limit);
    let mut changes = Changes { upto: since, more: numbered.len() >= limit, ..Changes::default() };
    for (number, id) in numbered {
        changes.upto = number;
        match rows.user(id).map(UserRow::read) {
            Some(Ok(user)) => changes.users.push(user),
            Some(Err(why)) => changes.refused.push((id, why)),
            None => changes.purged.push(id),
        }
    }
    changes
}

pub fn put(rows: &mut Rows, user: &NewUser) -> Option<User> {
    let id = match rows.names.get(user.name.as_str()) {
        Some(id) => *id,
        None => rows.insert_user(user.name.as_str(), user.app.as_str()),
    };
    rows.change(id, |row| {
        if row.origin == Origin::Store || !row.active {
            row.paused &= row.active;
            row.declare(user, Origin::Store, None);
        }
    });
    rows.user(id)?.read().ok()
}

pub fn sync(rows: &mut Rows, daemon: Owner, users: &[NewUser]) -> FileUsers {
    let mut outcome = FileUsers::default();
    for user in users {
        let known = rows.names.get(user.name.as_str()).copied();
        if known.and_then(|id| rows.user(id)).is_none_or(|row| !row.active) {
            outcome.added.push(user.name.clone());
        }
        let id = known.unwrap_or_else(|| rows.insert_user(user.name.as_str(), user.app.as_str()));
        rows.change(id, |row| row.declare(user, Origin::File, Some(daemon)));
    }
    let declared = |row: &UserRow| users.iter().any(|user| user.name.as_str() == row.name);
    let mut gone: Vec<(String, UserId)> = rows
        .active()
        .filter(|row| row.declared_by == Some(daemon) && !declared(row))
        .map(|row| (row.name.clone(), row.id))
        .collect();
    gone.sort();
    for (name, id) in gone {
        rows.change(id, |row| row.active = false);
        outcome.removed.extend(name.parse());
    }
    outcome
}

pub fn remove(rows: &mut Rows, user: UserId) {
    rows.change(user, |row| {
        row.active = false;
        if let Some(grant) = &mut row.grant {
            grant.epoch = Epoch(grant.epoch.0 + 1);
            (grant.refresh_token, grant.access_token, grant.access_times) = (None, None, None);
            (grant.attempt, grant.doubt, grant.refusal) = (None, None, None);
        }
    });
}

pub fn purge(rows: &mut Rows, user: UserId, now: Timestamp) {
    let Some(name) = rows.user(user).map(|row| row.name.clone()) else { return };
    rows.events.retain(|event| event.user.as_ref().is_none_or(|of| of.as_str() != name));
    rows.logins.retain(|_, row| row.login.user.as_str() != name);
    rows.delete_user(user, now);
}

pub fn set_paused(rows: &mut Rows, user: Option<UserId>, paused: bool) {
    let whom: Vec<UserId> =
        rows.active().map(|row| row.id).filter(|id| user.is_none_or(|user| user == *id)).collect();
    for id in whom {
        rows.change(id, |row| row.paused = paused);
    }
}

fn login(row: &UserRow) -> Option<Login> {
    row.grant.as_ref().and_then(Login::of)
}

pub fn tally(rows: &Rows, now: Timestamp) -> Vec<Alike> {
    let mut counted: BTreeMap<String, Alike> = BTreeMap::new();
    for row in rows.active() {
        let Ok(user) = row.read() else { continue };
        let footing = Footing::of(&user, login(row).as_ref(), now);
        let alike = counted.entry(format!("{footing:?}")).or_insert(Alike {
            footing,
            users: 0,
            first: user.name.clone(),
            oldest_archived: None,
            newest_played: None,
        });
        alike.users += 1;
        if user.name < alike.first {
            alike.first = user.name;
        }
        let taken_at = row.taken_at.filter(|_| alike.footing.login_of.is_some());
        let archived = row.last_archived_at.or(taken_at);
        alike.oldest_archived = [alike.oldest_archived, archived].into_iter().flatten().min();
        alike.newest_played = alike.newest_played.max(row.newest_played_at);
    }
    counted.into_values().collect()
}

fn one_seen(row: &UserRow, now: Timestamp) -> Option<UserSeen> {
    let user = row.read().ok()?;
    Some(UserSeen { user, login: login(row), newest_played: row.newest_played_at, read_at: now })
}

pub fn seen(rows: &Rows, after: Option<UserId>, limit: i64, now: Timestamp) -> Batch {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let after = after.unwrap_or(UserId(i64::MIN));
    let listed: Vec<&UserRow> = rows.active().filter(|row| row.id > after).take(limit).collect();
    let next = listed.last().map(|row| row.id).filter(|_| listed.len() >= limit);
    Batch { users: listed.iter().filter_map(|row| one_seen(row, now)).collect(), next }
}

pub fn seen_of(rows: &Rows, numbers: &[UserId], now: Timestamp) -> Vec<UserSeen> {
    let listed = |row: &&UserRow| numbers.contains(&row.id);
    rows.active().filter(listed).filter_map(|row| one_seen(row, now)).collect()
}

pub fn logins_given(rows: &Rows, until: Timestamp, after: Option<UserId>, limit: i64) -> Vec<LoginGiven> {
    let given = |row: &&UserRow| {
        let grant = row.grant.as_ref().filter(|grant| grant.refresh_token.is_some())?;
        let at = grant.login_at.filter(|at| *at <= until && grant.refusal.is_none())?;
        Some((grant.epoch, at))
    };
    let after = after.unwrap_or(UserId(i64::MIN));
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let listed = rows.active().filter(|row| row.id > after && given(row).is_some()).take(limit);
    let told = |row: &UserRow| {
        let ((epoch, at), user) = (given(&row)?, row.read().ok()?);
        let told = row.ending_told.filter(|(of, _)| *of == epoch).map(|(_, days)| days);
        Some(LoginGiven { user: user.id, name: user.name, app: user.app, epoch, at, told })
    };
    listed.filter_map(told).collect()
}

pub fn note_ending(rows: &mut Rows, user: UserId, epoch: Epoch, days: u32) -> bool {
    let Some(row) = rows.user_mut(user) else { return false };
    let is_of = row.grant.as_ref().is_some_and(|grant| grant.epoch == epoch);
    let is_first = row.ending_told.is_none_or(|(of, told)| of != epoch || told > days);
    if is_of && is_first {
        row.ending_told = Some((epoch, days));
    }
    is_of && is_first
}

pub fn begin_login(rows: &mut Rows, login: &PendingLogin, now: Timestamp) {
    forget_expired(rows, now);
    rows.logins.entry(login.state.clone()).or_insert_with(|| LoginRow {
        login: login.clone(),
        taken: false,
        outcome: None,
    });
}

pub fn take_login(rows: &mut Rows, state: &str, now: Timestamp) -> Option<PendingLogin> {
    let row = rows.logins.get_mut(state).filter(|row| !row.taken && row.login.expires_at > now)?;
    row.taken = true;
    Some(row.login.clone())
}

pub fn end_login(rows: &mut Rows, state: &str, outcome: &std::result::Result<String, String>) {
    if let Some(row) = rows.logins.get_mut(state) {
        (row.taken, row.outcome) = (true, Some(outcome.clone()));
    }
}

pub fn login_progress(rows: &Rows, state: &str, now: Timestamp) -> Option<LoginProgress> {
    let row = rows.logins.get(state)?;
    match &row.outcome {
        Some(Ok(told)) => Some(LoginProgress::Done(told.clone())),
        Some(Err(why)) => Some(LoginProgress::Failed(why.clone())),
        None => (row.login.expires_at > now).then_some(LoginProgress::Pending),
    }
}

pub fn forget_expired(rows: &mut Rows, now: Timestamp) {
    rows.logins.retain(|_, row| row.login.expires_at > now);
}
