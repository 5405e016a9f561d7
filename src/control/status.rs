//! How everyone is, and the daemon.

use std::collections::HashMap;

use chrono_tz::Tz;

use crate::archive::pace::full_at;
use crate::config::Settings;
use crate::domain::{Habits, Timestamp, UserId, UserName, UserState};
use crate::store::UserSeen;
use crate::telemetry::{USERS_SHOWN, UsersSeen};
use crate::tokens::login_ends;

use super::api::{DaemonStatus, Health, Problem, Status, UserStatus};
use super::loss::countdown;
use super::service::Service;
use super::standing::{Facts, standing};

/// How many users' habits are read at a time.
const LAGGING_AT_ONCE: usize = 1_000;

/// A user who can't be archived.
struct Lagging {
    user: UserId,
    /// Their place in the answer.
    at: usize,
    since: Timestamp,
    zone: Tz,
}

/// Each takes up to some milliseconds: to reckon for thousands at once would let nobody else be answered for seconds.
async fn reckon(
    users: &mut [UserStatus],
    some: &[Lagging],
    mut habits: HashMap<UserId, Habits>,
    now: Timestamp,
) {
    for lagging in some {
        tokio::task::yield_now().await;
        let Some(status) = users.get_mut(lagging.at) else { continue };
        let habits = habits.remove(&lagging.user).unwrap_or_default();
        let full = full_at(lagging.since, &habits, lagging.zone);
        if let Some(left) = countdown(status.state, full, !habits.is_empty(), now) {
            let reason = status.reason.take().map_or(left.clone(), |reason| format!("{reason}; {left}"));
            status.reason = Some(reason);
        }
    }
}

impl Service {
    /// How everyone is by name, or one user.
    pub async fn status(&self, only: Option<&UserName>) -> Result<Status, Problem> {
        let settings = self.settings();
        // The actor is this process's own; without an answer it is stopping.
        let backing_off = self.parts().tokens.health().await.unwrap_or_default().backing_off;
        let (mut users, mut lagging) = (Vec::new(), Vec::new());
        let mut tell = |seen: UserSeen| {
            let backing_off = backing_off.get(&seen.user.id).map(String::as_str);
            let status = self.user_status(&settings, &seen, backing_off);
            if !matches!(status.state, UserState::Ok | UserState::Paused)
                && let Some(since) = status.last_archived_at
            {
                let zone = self.0.schedules.times(&seen.user, &settings).0.zone();
                lagging.push(Lagging { user: seen.user.id, at: users.len(), since, zone });
            }
            users.push(status);
        };
        match only {
            Some(name) => tell(self.see(name).await?),
            None => self.look_at_everyone(tell).await?,
        }
        self.count_down(&mut users, &lagging).await?;
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Status { users, daemon: self.daemon_status().await })
    }

    /// Tells of those who can't be archived how long it takes until plays are lost.
    async fn count_down(&self, users: &mut [UserStatus], lagging: &[Lagging]) -> Result<(), Problem> {
        let now = self.now();
        for some in lagging.chunks(LAGGING_AT_ONCE) {
            let numbers: Vec<UserId> = some.iter().map(|lagging| lagging.user).collect();
            let habits = self.parts().store.habits(&numbers).await?.into_iter().collect();
            reckon(users, some, habits, now).await;
        }
        Ok(())
    }

    async fn see(&self, name: &UserName) -> Result<UserSeen, Problem> {
        let store = &self.parts().store;
        let user = store.user(name).await?.ok_or_else(|| Problem::unknown_user(name))?;
        let seen = store.users_seen_of(&[user.id]).await?.pop();
        seen.ok_or_else(|| Problem::unknown_user(name))
    }

    fn user_status(&self, settings: &Settings, seen: &UserSeen, backing_off: Option<&str>) -> UserStatus {
        let UserSeen { user, login, read_at, .. } = seen;
        let login = login.as_ref();
        let app = self.app_seen(settings, &user.app);
        let (state, reason) = standing(&Facts { user, login, app: &app, backing_off, now: *read_at });
        let plan = self.0.schedules.times(user, settings).0.plan;
        let login_at = login.and_then(|login| login.login_at);
        UserStatus {
            name: user.name.clone(),
            app: user.app.clone(),
            state,
            reason,
            schedule: plan.schedule.to_string(),
            timezone: plan.zone.to_string(),
            plays: user.plays,
            gaps: user.gaps,
            last_run_at: user.last_run_at,
            last_run_result: user.last_run_result,
            last_archived_at: user.last_archived_at,
            next_run_at: user.next_run_at.filter(|_| !user.paused && !user.running),
            access_expires_at: login.and_then(|login| login.access_expires_at),
            login_at,
            login_expires_at: settings.apps.get(&user.app).and_then(|app| login_ends(app, login_at)),
        }
    }

    async fn daemon_status(&self) -> DaemonStatus {
        let problems = self.problems();
        DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.parts().owner.0.to_string(),
            since: self.0.since,
            store: self.parts().store.describe(),
            healthy: problems.is_empty(),
            problems,
            quotas: self.quotas().await,
        }
    }

    /// Whether nothing is wrong with the daemon.
    pub fn health(&self) -> Health {
        let problems = self.problems();
        Health { healthy: problems.is_empty(), problems, attention: self.attention() }
    }

    /// Events from now on.
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<crate::domain::Event> {
        self.parts().events.listen()
    }

    /// How the refresh actor is; also shows that it answers.
    pub async fn tokens_health(&self) -> Result<crate::tokens::Health, crate::tokens::TokenError> {
        self.parts().tokens.health().await
    }

    /// When the schedule last ticked; `None` where there is none.
    pub fn last_tick(&self) -> Option<crate::clock::BootTime> {
        self.parts().scheduler.as_ref().map(crate::schedule::Scheduler::last_tick)
    }

    /// Prometheus text.
    pub async fn metrics(&self) -> String {
        // Without the store the counters are still worth having, and everyone as they were.
        let mut seen = UsersSeen { problems: self.problems().len(), ..UsersSeen::default() };
        match self.tally().await {
            Ok(tally) if tally.users() <= USERS_SHOWN => {
                seen.tally = tally;
                let settings = self.settings();
                let each = |UserSeen { user, login, .. }: UserSeen| {
                    let app = settings.apps.get(&user.app);
                    let ends = app.zip(login).and_then(|(app, login)| login_ends(app, login.login_at));
                    seen.logins_end.extend(ends.map(|ends| (user.name.clone(), ends)));
                    seen.archived.extend(user.last_archived_at.map(|at| (user.name, at)));
                };
                // What was read before the store went away is worth having too.
                let _ = self.look_at_everyone(each).await;
            }
            Ok(tally) => seen.tally = tally,
            Err(_) => seen.tally = self.0.tally.lock().await.latest(),
        }
        self.show_quotas().await;
        self.parts().metrics.render(&seen)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn others_have_their_turns_while_it_is_reckoned_how_long_thousands_have() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let user = UserStatus {
            name: "alice".parse().unwrap(),
            app: "default".parse().unwrap(),
            state: UserState::NeedsLogin,
            reason: Some("why".to_owned()),
            schedule: "adaptive".to_owned(),
            timezone: "UTC".to_owned(),
            plays: 0,
            gaps: 0,
            last_run_at: None,
            last_run_result: None,
            last_archived_at: Some(now),
            next_run_at: None,
            access_expires_at: None,
            login_at: None,
            login_expires_at: None,
        };
        let mut users = vec![user; LAGGING_AT_ONCE];
        let lagging = |at| Lagging { user: UserId(1), at, since: now, zone: Tz::UTC };
        let some: Vec<Lagging> = (0..LAGGING_AT_ONCE).map(lagging).collect();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        reckon(&mut users, &some, HashMap::new(), now).await;
        assert!(turns.load(Ordering::Relaxed) >= LAGGING_AT_ONCE / 2);
        assert!(
            users.iter().all(|user| user.reason.as_deref().is_some_and(|why| why.starts_with("why; log in")))
        );
    }
}
