//! The conformance suite on a store in memory; what another program would do is done to its rows.

use std::sync::Arc;

use std::collections::HashMap;

use super::rows::Rows;
use super::*;
use crate::clock::SimulatedClock;
use crate::domain::{Generation, Grant, Source, UserId};
use crate::store::conformance::{Bench, START, every_behaviour};

/// For tests of what works on grants alone.
impl MemoryStore {
    /// Users 1 to `last`, by whatever names.
    pub(crate) fn add_users(&self, last: i64) {
        let mut rows = self.rows();
        while rows.last_user < last {
            let name = format!("u{}", rows.last_user + 1);
            rows.insert_user(&name, "default");
        }
    }

    /// Everyone's grant.
    pub(crate) fn grants(&self) -> HashMap<UserId, Grant> {
        let rows = self.rows();
        rows.users.values().filter_map(|row| Some((row.id, row.grant.clone()?))).collect()
    }

    /// Exactly these grants, whatever was there.
    pub(crate) fn put_grants(&self, mut grants: HashMap<UserId, Grant>) {
        self.add_users(grants.keys().map(|user| user.0).max().unwrap_or(0));
        let mut rows = self.rows();
        let all: Vec<UserId> = rows.users.keys().copied().collect();
        for user in all {
            rows.user_mut(user).unwrap().grant = grants.remove(&user);
        }
    }
}

async fn in_memory() -> Bench {
    let clock = Arc::new(SimulatedClock::new(START));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let hand = Arc::clone(&store);
    let by_hand = Box::new(move |sql: &'static str| {
        let store = Arc::clone(&hand);
        Box::pin(async move { by_hand(&mut store.rows(), sql, store.clock.now()) }) as _
    });
    Bench { store, clock, by_hand, _keep: Box::new(()) }
}

every_behaviour!(in_memory);

/// The few statements of the suite.
fn by_hand(rows: &mut Rows, sql: &str, now: Timestamp) {
    let texts: Vec<&str> = sql.split('\'').skip(1).step_by(2).collect();
    match (sql.split(' ').collect::<Vec<_>>()[..3].join(" ").as_str(), &texts[..]) {
        ("INSERT INTO users", [name, more @ ..]) => {
            let id = rows.insert_user(name, more.first().unwrap_or(&"default"));
            if let [_, schedule, timezone] = more {
                let row = rows.user_mut(id).unwrap();
                row.schedule = Some((*schedule).to_owned());
                row.timezone = Some((*timezone).to_owned());
            }
        }
        ("UPDATE users SET", [schedule, name]) => {
            let id = rows.named(name).unwrap().id;
            rows.change(id, |row| row.schedule = Some((*schedule).to_owned()));
        }
        ("DELETE FROM users", [name]) => {
            let id = rows.named(name).unwrap().id;
            rows.delete_user(id, now);
        }
        ("UPDATE plays SET", ["import"]) => {
            let after = sql.rsplit("> ").next().and_then(|number| number.parse().ok()).unwrap_or(i64::MIN);
            for id in rows.users.keys().copied().collect::<Vec<_>>() {
                let plays = rows.user_mut(id).unwrap().plays.iter_mut();
                plays
                    .filter(|((at, _), _)| at.as_millis() > after)
                    .for_each(|(_, play)| play.source = Source::Import);
            }
        }
        ("UPDATE grants SET", []) | ("DELETE FROM grant_generations", []) => {
            for id in rows.users.keys().copied().collect::<Vec<_>>() {
                let row = rows.user_mut(id).unwrap();
                row.grant.iter_mut().for_each(|grant| grant.generation = Generation(2));
                row.generations.retain(|(_, generation, _)| *generation <= Generation(2));
            }
        }
        other => panic!("{other:?}"),
    }
}
