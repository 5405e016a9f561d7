//! What a cached token costs: from the actor against a bare actor, over the socket against a bare echo, while another
//! user's refresh hangs, and as a process.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fixture::Host;
use longplay::domain::UserId;
use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection};
use longplay::tokens::{Member, Need, TokenKeeper, TokenSource as _};
use measure::crowd::{self, Crowd};
use measure::database::Kind;
use measure::{Args, Rounds, Table, Wanted, begin, count_of, median, quantile, shown, since, wired};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

fn main() -> ExitCode {
    let args = Args::read();
    let mut table = Table::new(&args, "A cached token");
    if args.wants("actor") {
        measure::runtime().block_on(of_the_actor(&args, &mut table));
    }
    let host = Host::new();
    let _daemon = host.serve();
    host.settled_user("alice");
    host.settled_user("bob");
    if args.wants("socket") {
        over_the_socket(&args, &mut table, &host);
    }
    if args.wants("hanging") {
        while_another_hangs(&args, &mut table, &host);
    }
    if args.wants("process") {
        as_a_process(&args, &mut table, &host);
    }
    table.end()
}

/// From the actor in this process, against an actor that only answers.
async fn of_the_actor(args: &Args, table: &mut Table) {
    let (rounds, calls) = (args.size(9, 1), args.size(64_000, 640));
    let folder = tempfile::tempdir().expect("a folder");
    let database = Kind::Sqlite.make(folder.path(), "longplay");
    Crowd::at_rest(64).settle(&database).await;
    let core = wired::core(folder.path(), &database, "http://127.0.0.1:9/v1").await;
    let settings = core.service.settings();
    let (keeper, _actor) =
        longplay::tokens::start(Arc::clone(&core.exchange), settings.apps.clone(), settings.tokens.clone());
    let member = |n: usize| Member {
        id: UserId(count_of(n) + 1),
        name: crowd::name(n).parse().expect("a name"),
        app: "default".parse().expect("a name"),
        paused: false,
    };
    keeper.members((0..64).map(member).collect()).await;
    let bare = bare_actor();
    for callers in [1, 64] {
        // The first time grants are read.
        ask_keeper(&keeper, callers, 64).await;
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            let began = begin();
            ask_bare(&bare, callers, calls).await;
            let baseline = since(began);
            let began = begin();
            ask_keeper(&keeper, callers, calls).await;
            measured.add(baseline / calls as f64, since(began) / calls as f64);
        }
        let (baseline, ours) = measured.medians();
        let what = format!("of the actor, {callers} at once, each");
        table.row(&what, &shown(baseline), &shown(ours), measured.ratio(), Wanted::AtMost(2.0));
    }
    core.service.finish(Duration::from_secs(1)).await;
}

async fn ask_keeper(keeper: &TokenKeeper, callers: usize, calls: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let keeper = keeper.clone();
        tasks.spawn(async move {
            for _ in 0..calls / callers {
                let token = keeper.token(UserId(count_of(caller) + 1), Need::default()).await;
                std::hint::black_box(token.expect("a token"));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

type Echo = (u64, oneshot::Sender<u64>);

fn bare_actor() -> mpsc::Sender<Echo> {
    let (sender, mut receiver) = mpsc::channel::<Echo>(4_096);
    tokio::spawn(async move {
        while let Some((number, reply)) = receiver.recv().await {
            let _ = reply.send(number);
        }
    });
    sender
}

async fn ask_bare(bare: &mpsc::Sender<Echo>, callers: usize, calls: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let bare = bare.clone();
        tasks.spawn(async move {
            for _ in 0..calls / callers {
                let (reply, answer) = oneshot::channel();
                bare.send((caller as u64, reply)).await.expect("the actor lives");
                std::hint::black_box(answer.await.expect("an answer"));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// A connection that is kept, as the plainest client in tokio has it.
struct Kept {
    stream: BufReader<UnixStream>,
}

impl Kept {
    async fn open(path: &Path) -> Self {
        Self { stream: BufReader::new(UnixStream::connect(path).await.expect("a connection")) }
    }

    /// A token of this user, over HTTP/1.1.
    async fn token(&mut self, user: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "POST /v1/users/{user}/token HTTP/1.1\r\nHost: longplay\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.expect("a line");
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().expect("a length");
                }
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => status.clone_from(&line),
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.expect("a body");
        let answer = String::from_utf8(answer).expect("text");
        assert!(status.contains(" 200 "), "{status}{answer}");
        answer
    }

    /// How long each of so many took.
    async fn tokens(&mut self, calls: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = begin();
            std::hint::black_box(self.token("alice", "").await);
            times.push(since(began));
        }
        times
    }

    /// The same for a line that is echoed.
    async fn echoes(&mut self, line: &str, calls: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = begin();
            self.stream.write_all(line.as_bytes()).await.expect("the line is sent");
            let mut answer = String::new();
            self.stream.read_line(&mut answer).await.expect("a line");
            assert_eq!(answer.len(), line.len());
            times.push(since(began));
        }
        times
    }
}

/// From the daemon over its socket on a kept connection, against lines of JSON that are read and written back. Both
/// have a runtime of their own, and so does who asks.
fn over_the_socket(args: &Args, table: &mut Table, host: &Host) {
    let (rounds, calls) = (args.size(9, 1), args.size(5_000, 50));
    let echoing = measure::runtime();
    let (path, socket) = (host.path("echo.sock"), host.path("run/control.sock"));
    echoing.spawn(echo_server(path.clone()));
    host.until("the echo listens", || path.exists());
    let measured = asked(async move {
        let (mut bare, mut kept) = (Kept::open(&path).await, Kept::open(&socket).await);
        let line = format!("{}\n", kept.token("alice", "").await);
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            let baseline = median(&bare.echoes(&line, calls).await);
            measured.add(baseline, median(&kept.tokens(calls).await));
        }
        measured
    });
    let (baseline, ours) = measured.medians();
    let what = "over the socket, on a kept connection";
    table.row(what, &shown(baseline), &shown(ours), measured.ratio(), Wanted::AtMost(2.0));
}

/// What a program of its own does.
fn asked<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = measure::runtime();
    runtime.block_on(runtime.spawn(work)).expect("it comes to its end")
}

async fn echo_server(path: PathBuf) {
    let listener = tokio::net::UnixListener::bind(path).expect("a socket");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                let answer = format!("{value}\n");
                write.write_all(answer.as_bytes()).await.expect("the line is sent");
            }
        });
    }
}

/// The slowest of a hundred, with and without another user's refresh that hangs.
fn while_another_hangs(args: &Args, table: &mut Table, host: &Host) {
    let (rounds, calls) = (args.size(9, 1), args.size(5_000, 100));
    let (socket, spotify) = (host.path("run/control.sock"), host.spotify.clone());
    let measured = asked(async move {
        let mut kept = Kept::open(&socket).await;
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            let baseline = quantile(&kept.tokens(calls).await, 0.99);
            let gate = Gate::new();
            let hang = Fault::before(Effect::Hang(gate.clone()));
            spotify.inject(Injection::new(Endpoint::Token, hang).of("bob"));
            let mut other = Kept::open(&socket).await;
            let waiting = tokio::spawn(async move { other.token("bob", r#"{"fresh":true}"#).await });
            gate.reached_by(1).await;
            measured.add(baseline, quantile(&kept.tokens(calls).await, 0.99));
            gate.open();
            waiting.await.expect("bob's token comes in the end");
        }
        measured
    });
    let (baseline, ours) = measured.medians();
    let what = "while another user's refresh hangs, p99, ms more";
    table.row(what, &shown(baseline), &shown(ours), (ours - baseline) * 1e3, Wanted::AtMost(1.0));
}

/// `longplay token alice`, from its start to its end.
fn as_a_process(args: &Args, table: &mut Table, host: &Host) {
    let runs = args.size(100, 3);
    let (mut baseline, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        baseline.push(run(Command::new("/bin/true").stdin(Stdio::null())));
        ours.push(run(&mut host.command(&["token", "alice"])));
    }
    for (part, name) in [(0.5, "median"), (0.99, "p99")] {
        let (baseline, ours) = (quantile(&baseline, part), quantile(&ours, part));
        let what = format!("longplay token as a process, {name} of {runs}, ms");
        table.row(&what, &shown(baseline), &shown(ours), ours * 1e3, Wanted::AtMost(10.0));
    }
}

fn run(command: &mut Command) -> f64 {
    let began = begin();
    let status = command.stdout(Stdio::null()).status().expect("the program runs");
    let took = since(began);
    assert!(status.success());
    took
}
