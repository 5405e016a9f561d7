//! How much more two daemons archive than one, on one PostgreSQL, where Spotify takes 100 ms to answer.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::process::ExitCode;
use std::time::Duration;

use fixture::{Daemon, Host};
use longplay::clock::{Clock as _, SystemClock};
use measure::crowd::Crowd;
use measure::database::{Connections, Kind};
use measure::pages::Pages;
use measure::{Args, PATIENCE, Rounds, Table, Wanted, begin, count_of, since};

/// How long Spotify takes.
const LATENCY: Duration = Duration::from_millis(100);
/// How long the daemons have to start before everyone is due.
const START: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let args = Args::read();
    let (users, count) = (args.size(2_000, 20), args.size(5, 1));
    let pages = Pages::start(args.size(20_000, 500), LATENCY);
    let mut table = Table::new(&args, "Several daemons on one PostgreSQL");
    let mut rounds = Rounds::default();
    for _ in 0..count {
        rounds.add(archived(&pages, 1, users), archived(&pages, 2, users));
    }
    let (one, two) = rounds.medians();
    let rate = |users: f64| format!("{users:.0} users/s");
    table.row("two daemons against one", &rate(one), &rate(two), rounds.ratio(), Wanted::AtLeast(1.5));
    table.end()
}

/// How many users a second so many daemons archive, who are all due at once.
fn archived(pages: &Pages, daemons: usize, users: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Kind::Postgres.make(folder.path(), "longplay");
    let due = SystemClock.now() + START;
    let runtime = measure::runtime();
    runtime.block_on(Crowd::due_in(users, START).settle(&database));
    let mut hosts = vec![Host::new().on(&database.url)];
    while hosts.len() < daemons {
        hosts.push(hosts[0].sibling());
    }
    let serve = |host: &Host| {
        host.serve_with(|command| {
            command.env("LONGPLAY_APPS__DEFAULT__API_URL", pages.url());
        })
    };
    let running: Vec<Daemon> = hosts.iter().map(serve).collect();
    assert!(SystemClock.now() < due, "the daemons did not start in time");
    let took = runtime.block_on(async {
        let connections = database.connect().await;
        until_all_ran(&connections, users).await;
        let last = connections.number("SELECT max(finished_at) FROM runs").await;
        assert_eq!(
            connections.number("SELECT count(*) FROM runs WHERE result = 'ok'").await,
            count_of(users)
        );
        connections.close().await;
        (last - due.as_millis()) as f64 / 1e3
    });
    drop(running);
    users as f64 / took
}

async fn until_all_ran(connections: &Connections, users: usize) {
    let began = begin();
    while connections.number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL").await
        < count_of(users)
    {
        assert!(since(began) < PATIENCE.as_secs_f64(), "not everyone was archived");
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
}
