//! What PostgreSQL alone must do, and PostgreSQL in the conformance suite.

#[path = "../../../tests/fixture/postgres.rs"]
mod server;

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::Server;
use crate::clock::SimulatedClock;
use crate::store::backend::{Database, SqlStore};
use crate::store::conformance::{Bench, START, every_behaviour};
use crate::store::sql::Time;

every_behaviour!(bench);

fn on(url: &str, clock: Arc<SimulatedClock>) -> SqlStore {
    SqlStore::new(Database::Postgres(Box::new(Server::new(url).unwrap())), Time::Given(clock))
}

async fn bench() -> Bench {
    let url = server::shared().database();
    let clock = Arc::new(SimulatedClock::new(START));
    let store = Arc::new(on(&url, clock.clone()));
    let by_hand = Box::new(move |sql| {
        let url = url.clone();
        Box::pin(async move {
            let mut other = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        }) as _
    });
    Bench { store, clock, by_hand, _keep: Box::new(()) }
}
