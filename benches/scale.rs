//! What many users cost a daemon that has nothing to do, how long it takes to start with them, and whether each of them
//! runs in time when all have the same hour.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fixture::notified::Notified;
use fixture::{Daemon, Host};
use longplay::clock::{Clock as _, SystemClock};
use longplay::domain::{UserId, UserName};
use longplay::schedule::{Scheduler, spread};
use measure::crowd::{self, Crowd};
use measure::database::Kind;
use measure::{Args, Table, Wanted, begin, count_of, shown, since, stand_still};

const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// How many ticks a second has in `/proc` (USER_HZ, the same on every Linux).
const TICKS: f64 = 100.0;
/// A daemon that has nothing to do shows it after this.
const SETTLED: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args = Args::read();
    let mut table = Table::new(&args, "Many users");
    for kind in args.stores().into_iter().filter(|kind| args.wants(kind.name())) {
        idle(&args, &mut table, kind);
    }
    if args.wants("spool") {
        spooled(&args, &mut table);
    }
    if args.wants("schedule") {
        measure::runtime().block_on(one_hour_of_all(&args, &mut table));
    }
    table.end()
}

/// A daemon with all that it stands on, in the order in which they end.
struct Started {
    daemon: Daemon,
    host: Host,
    _folder: tempfile::TempDir,
}

/// A daemon on a store of so many users, and how long it took until it was ready.
fn started(kind: Kind, users: usize) -> (Started, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = kind.make(folder.path(), "longplay");
    measure::runtime().block_on(Crowd::at_rest(users).settle(&database));
    let host = Host::new().on(&database.url);
    ready(host, folder)
}

/// Starts a daemon on what is there, and waits until it is ready.
fn ready(host: Host, folder: tempfile::TempDir) -> (Started, f64) {
    let notified = Notified::of(&host);
    let began = begin();
    let ready = std::thread::spawn(move || {
        notified.next_with("READY=1");
        (since(began), notified)
    });
    let daemon = host.serve_with(|command| {
        command.env("NOTIFY_SOCKET", host.path("notify.sock"));
    });
    let (took, notified) = ready.join().expect("it is ready");
    // Nobody reads what it says from here on, and it must not mind.
    drop(notified);
    (Started { daemon, host, _folder: folder }, took)
}

fn idle(args: &Args, table: &mut Table, kind: Kind) {
    let (few, many) = (args.size(FEW, 20), args.size(MANY, 200));
    let (settled, watched) = (args.size(SETTLED, Duration::ZERO), args.size(60, 1));
    let name = kind.name();
    let (started_few, _) = started(kind, few);
    stand_still(settled);
    let small = resident(&started_few.daemon);
    drop(started_few);
    let what = format!("{name}: resident with {few} users, MB");
    table.row(&what, "", &format!("{:.1} MB", small / 1e6), small / 1e6, Wanted::AtMost(40.0));

    let (Started { daemon, host, _folder }, ready) = started(kind, many);
    stand_still(settled);
    let further = (resident(&daemon) - small) / (many - few) as f64;
    let what = format!("{name}: per further user, up to {many}, bytes");
    table.row(&what, "", &format!("{further:.0} B"), further, Wanted::AtMost(2_048.0));
    let before = busy(&daemon);
    stand_still(Duration::from_secs(watched));
    let share = 100.0 * (busy(&daemon) - before) / watched as f64;
    let what = format!("{name}: processor while idle with {many}, % of a core");
    table.row(&what, "", &format!("{share:.2} %"), share, Wanted::AtMost(2.0));
    let what = format!("{name}: from start to READY with {many}, s");
    table.row(&what, "", &shown(ready), ready, Wanted::AtMost(10.0));
    // Last, since an answer of many megabytes is none of an idle daemon's.
    let known = host.get("/v1/users").json().as_array().map_or(0, Vec::len);
    assert_eq!(known, many, "everyone is known");
}

/// A start that finds an answer of everyone in the spool, all applied long ago. The files are still in the page cache.
fn spooled(args: &Args, table: &mut Table) {
    let users = args.size(MANY, 200);
    let folder = tempfile::tempdir().expect("a folder");
    let database = Kind::Sqlite.make(folder.path(), "longplay");
    let host = Host::new().on(&database.url);
    measure::runtime().block_on(async {
        let crowd = Crowd::at_rest(users);
        crowd.settle(&database).await;
        crowd.answer(&database, &host.path("state/spool")).await;
    });
    let (started, took) = ready(host, folder);
    assert_eq!(started.host.get("/healthz").status, 200);
    let what = format!("spool: from start to READY with {users} answers in it, s");
    table.row(&what, "", &shown(took), took, Wanted::AtMost(10.0));
}

/// The bytes of memory that a process has.
fn resident(daemon: &Daemon) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1_024.0
}

/// The seconds of processor time that a process has used.
fn busy(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it runs");
    // The second field is a name in brackets that may hold blanks; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields[n - 3].parse::<f64>().expect("a number");
    (ticks(14) + ticks(15)) / TICKS
}

/// Everyone has the same hour, spread over a window: each fires once, and in time. On the host's own clock, so the
/// window is a minute instead of an hour, which is sixty times as many at a time.
async fn one_hour_of_all(args: &Args, table: &mut Table) {
    let (users, window) = (args.size(MANY, 200), args.size(Duration::from_secs(60), Duration::from_secs(1)));
    let fired: Arc<Vec<AtomicU64>> = Arc::new((0..users).map(|_| AtomicU64::new(0)).collect());
    let latest = Arc::new(AtomicU64::new(0));
    let (seen, late) = (Arc::clone(&fired), Arc::clone(&latest));
    let fire = move |user: UserId, due| {
        seen[usize::try_from(user.0).expect("a user")].fetch_add(1, Ordering::Relaxed);
        let by = SystemClock.now().since(due).as_millis();
        late.fetch_max(u64::try_from(by).expect("a time"), Ordering::Relaxed);
    };
    let started = Scheduler::start(Arc::new(SystemClock), fire, || usize::MAX).await;
    let scheduler = started.expect("the schedule starts");
    let start = SystemClock.now() + Duration::from_secs(2);
    for n in 0..users {
        let name: UserName = crowd::name(n).parse().expect("a name");
        scheduler.set(UserId(count_of(n)), start + spread::offset(&name, window));
    }
    // What is lost on the way is handed out again after half a minute.
    let end = start + window + args.size(Duration::from_secs(35), Duration::from_secs(3));
    SystemClock.sleep(end.since(SystemClock.now())).await;
    let times = |count| fired.iter().filter(|times| times.load(Ordering::Relaxed) == count).count();
    let (dropped, once) = (times(0), times(1));
    let wrong = (users - once) as f64;
    let what = format!("schedule: of {users} within {} s, dropped or doubled", window.as_secs());
    table.row(&what, "", &format!("{dropped} dropped"), wrong, Wanted::AtMost(0.0));
    let latest = latest.load(Ordering::Relaxed) as f64 / 1e3;
    table.row("schedule: the latest after its time, s", "", &shown(latest), latest, Wanted::AtMost(1.0));
    scheduler.stop().await;
}
