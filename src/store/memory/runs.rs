//! Who runs when in memory: plans, claims, and runs that end without a page.

use std::time::Duration;

use super::super::{Claimed, PlannedRun, Release, RunClaim, RunFailed};
use super::rows::{Rows, UserRow};
use crate::domain::{Owner, Run, RunId, Timestamp, UserId};

pub fn begin(rows: &mut Rows, claim: &RunClaim, now: Timestamp) -> Claimed {
    let Some(row) = rows.user_mut(claim.user).filter(|row| row.active && !row.paused) else {
        return Claimed::Gone;
    };
    let until = now + claim.lease;
    let lapsed = row.next_run_at.is_some_and(|at| at <= now);
    let free = row.run_owner.is_none_or(|owner| owner == claim.owner) || lapsed;
    let due = claim.due.is_none() || row.next_run_at == claim.due || lapsed;
    if row.run_claim != Some(claim.claim) && free && due {
        (row.run_owner, row.run_claim, row.next_run_at) = (Some(claim.owner), Some(claim.claim), Some(until));
        (row.last_run_at, row.run) = (Some(claim.at), row.run + 1);
        let run = RunId(row.run);
        row.runs.push(Run {
            id: run,
            user: claim.user,
            trigger: claim.trigger,
            started_at: claim.at,
            finished_at: None,
            result: None,
            reason: None,
            new_plays: 0,
        });
        return Claimed::Begun(run);
    }
    if row.run_owner == Some(claim.owner) && row.run_claim == Some(claim.claim) {
        row.next_run_at = Some(until);
        return Claimed::Begun(RunId(row.run));
    }
    match row.next_run_at {
        Some(until) if until > now && row.run_owner.is_some_and(|by| by != claim.owner) => {
            Claimed::Taken { run: RunId(row.run), until, blocked: row.blocked.is_some() }
        }
        next => Claimed::NotDue { next, blocked: row.blocked.is_some() },
    }
}

pub fn renew(rows: &mut Rows, owner: Owner, users: &[UserId], until: Timestamp) -> Vec<UserId> {
    let mut renewed = Vec::new();
    for user in users {
        if let Some(row) = rows.user_mut(*user).filter(|row| row.run_owner == Some(owner)) {
            row.next_run_at = Some(until);
            renewed.push(*user);
        }
    }
    renewed
}

pub fn release(row: &mut UserRow, release: Release) {
    if row.run_owner == Some(release.owner) {
        (row.run_owner, row.run_claim, row.next_run_at) = (None, None, release.next);
    }
}

pub fn release_all(rows: &mut Rows, owner: Owner, but: &[UserId], now: Timestamp) -> Vec<UserId> {
    let ours = |row: &UserRow| row.run_owner == Some(owner) && !but.contains(&row.id);
    let released: Vec<UserId> = rows.users.values().filter(|row| ours(row)).map(|row| row.id).collect();
    for user in &released {
        if let Some(row) = rows.user_mut(*user) {
            release(row, Release { owner, next: Some(now) });
        }
    }
    released
}

pub fn plan(rows: &mut Rows, planned: &[PlannedRun]) -> Vec<(UserId, Option<Timestamp>)> {
    let mut others = Vec::new();
    for plan in planned {
        let Some(row) = rows.user(plan.user).filter(|row| row.active) else { continue };
        if row.run_owner.is_some() || row.next_run_at != plan.seen {
            others.push((plan.user, row.next_run_at));
        } else if let Some(row) = rows.user_mut(plan.user) {
            row.next_run_at = Some(plan.at);
        }
    }
    others
}

pub fn overdue(
    rows: &Rows,
    by: Duration,
    after: Option<(Timestamp, UserId)>,
    limit: i64,
    now: Timestamp,
) -> Vec<(Timestamp, UserId)> {
    let late = |row: &UserRow| {
        let at = row.next_run_at.filter(|at| *at < now)?;
        (!row.paused && (row.run_owner.is_some() || at < now - by)).then_some((at, row.id))
    };
    let mut all: Vec<_> =
        rows.active().filter_map(late).filter(|one| after.is_none_or(|after| *one > after)).collect();
    all.sort_unstable();
    all.truncate(usize::try_from(limit.max(0)).unwrap_or(usize::MAX));
    all
}

pub fn fail(rows: &mut Rows, failed: &RunFailed) {
    let Some(row) = rows.user_mut(failed.user) else { return };
    let open = |run: &&mut Run| run.id == failed.run && run.finished_at.is_none();
    if let Some(run) = row.runs.iter_mut().rev().find(open) {
        run.finished_at = Some(failed.at);
        (run.result, run.reason) = (Some(failed.result), Some(failed.reason.clone()));
        if row.run == failed.run.0 {
            (row.last_run_result, row.last_run_reason) = (Some(failed.result), Some(failed.reason.clone()));
            row.blocked = failed.blocked.clone().or(row.blocked.take());
        }
    }
    release(row, failed.release);
}
