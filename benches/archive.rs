//! How many users a second are archived: fetched, parsed and stored by what the daemon runs, against a bare loop of the
//! same HTTP client, the same parsing and the same set-based insert, one transaction a page.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longplay::clock::{Clock as _, SystemClock};
use longplay::daemon::Core;
use longplay::domain::AccessToken;
use longplay::spotify::Client;
use measure::crowd::{self, Crowd};
use measure::database::{Connections, Kind};
use measure::pages::{PAGE, Pages};
use measure::{Args, Rounds, Table, Wanted, begin, count_of, since, wired};

/// How many users are archived at once: the default of `archive.concurrency`.
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    let args = Args::read();
    let pages = Pages::start(args.size(20_000, 500), Duration::ZERO);
    let mut table = Table::new(&args, "Archive throughput");
    for kind in args.stores() {
        for new in [5, PAGE] {
            let what = format!("{}, {new} of {PAGE} new", kind.name());
            if args.wants(&what) {
                let rounds = measure::runtime().block_on(measured(&args, &pages, kind, new));
                let (baseline, ours) = rounds.medians();
                let rate = |users: f64| format!("{users:.0} users/s");
                table.row(&what, &rate(baseline), &rate(ours), rounds.ratio(), Wanted::AtLeast(0.6));
            }
        }
    }
    table.end()
}

async fn measured(args: &Args, pages: &Pages, kind: Kind, new: usize) -> Rounds {
    let (users, count) = (args.size(512, 8), args.size(9, 1));
    let folder = tempfile::tempdir().expect("a folder");
    let (theirs, ours) = (kind.make(folder.path(), "bare"), kind.make(folder.path(), "longplay"));
    for database in [&theirs, &ours] {
        Crowd::at_rest(users).settle(database).await;
    }
    let bare = Arc::new(Bare::new(theirs.connect().await, pages).await);
    let core = wired::core(folder.path(), &ours, &pages.url()).await;
    // The first time connections are made, grants are read, and everything on every page is new.
    bare.archive_all().await;
    archive_all(&core, users).await;
    let stored = ours.connect().await;
    bare.connections.analyze().await;
    stored.analyze().await;
    let mut rounds = Rounds::default();
    for _ in 0..count {
        pages.hear(new);
        let began = begin();
        bare.archive_all().await;
        let baseline = since(began);
        let began = begin();
        archive_all(&core, users).await;
        rounds.add(users as f64 / baseline, users as f64 / since(began));
    }
    let plays = count_of(users * (PAGE + new * count));
    assert_eq!(bare.connections.number("SELECT count(*) FROM plays").await, plays, "the bare loop's plays");
    assert_eq!(stored.number("SELECT count(*) FROM plays").await, plays, "longplay's plays");
    assert_eq!(stored.number("SELECT count(*) FROM runs").await, count_of(users * (count + 1)));
    core.service.finish(measure::PATIENCE).await;
    rounds
}

/// Everyone at once, as when they are due in the same second.
async fn archive_all(core: &Core, users: usize) {
    let mut runs = tokio::task::JoinSet::new();
    for n in 0..users {
        let (service, name) = (core.service.clone(), crowd::name(n).parse().expect("a name"));
        runs.spawn(async move {
            let archived = service.archive(&name).await;
            archived.unwrap_or_else(|problem| panic!("{name}: {}", problem.detail));
        });
    }
    while let Some(run) = runs.join_next().await {
        run.expect("a run ends");
    }
}

/// The bare loop.
struct Bare {
    connections: Connections,
    client: Client,
    api_url: String,
    users: Vec<(i64, AccessToken)>,
}

impl Bare {
    async fn new(connections: Connections, pages: &Pages) -> Self {
        let users = connections.pairs("SELECT id, name FROM users ORDER BY id").await;
        let users =
            users.into_iter().map(|(id, name)| (id, AccessToken::from(crowd::token(&name)))).collect();
        Self { connections, client: Client::new().expect("a client"), api_url: pages.url(), users }
    }

    async fn archive_all(self: &Arc<Self>) {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (bare, next) = (Arc::clone(self), Arc::clone(&next));
            workers.spawn(async move {
                while let Some((user, token)) = bare.users.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let page = bare.client.recently_played(&bare.api_url, token, SystemClock.now()).await;
                    let stored = bare.connections.store_page(*user, &page.expect("a page").plays).await;
                    stored.expect("the page is stored");
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker.expect("a worker ends");
        }
    }
}
