//! What a cached token costs: from the actor against a bare actor, over the socket against a bare echo, while another
//! user's refresh hangs, and as a process.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a program that measures real time, and prints small numbers"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixture::Host;
use longplay::domain::UserId;
use longplay::sim::{Effect, Endpoint, Fault, Gate, Injection};
use longplay::tokens::{Member, Need, TokenKeeper, TokenSource as _};
use measure::crowd::{self, Crowd};
use measure::database::Kind;
use measure::{Args, Rounds, Table, Wanted, quantile, shown, since, wired};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
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
        id: UserId(n as i64 + 1),
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
            let began = Instant::now();
            ask_bare(&bare, callers, calls).await;
            let baseline = since(began);
            let began = Instant::now();
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
                let token = keeper.token(UserId(caller as i64 + 1), Need::default()).await;
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

/// A connection that is kept, as the plainest client has it.
struct Kept {
    stream: BufReader<UnixStream>,
}

impl Kept {
    fn open(path: &Path) -> Self {
        Self { stream: BufReader::new(UnixStream::connect(path).expect("a connection")) }
    }

    /// A token of this user, over HTTP/1.1.
    fn token(&mut self, user: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "POST /v1/users/{user}/token HTTP/1.1\r\nHost: longplay\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a line");
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
        self.stream.read_exact(&mut answer).expect("a body");
        let answer = String::from_utf8(answer).expect("text");
        assert!(status.contains(" 200 "), "{status}{answer}");
        answer
    }

    /// A line, echoed.
    fn echo(&mut self, line: &str) -> String {
        self.stream.get_mut().write_all(line.as_bytes()).expect("the line is sent");
        let mut answer = String::new();
        self.stream.read_line(&mut answer).expect("a line");
        answer
    }
}

/// From the daemon over its socket on a kept connection, against lines of JSON that are read and written back.
fn over_the_socket(args: &Args, table: &mut Table, host: &Host) {
    let (rounds, calls) = (args.size(9, 1), args.size(5_000, 50));
    let runtime = measure::runtime();
    let path = host.path("echo.sock");
    runtime.spawn(echo_server(path.clone()));
    host.until("the echo listens", || path.exists());
    let (mut bare, mut kept) = (Kept::open(&path), Kept::open(&host.path("run/control.sock")));
    let line = format!("{}\n", kept.token("alice", ""));
    assert_eq!(bare.echo(&line).len(), line.len());
    let mut measured = Rounds::default();
    for _ in 0..rounds {
        let baseline = each(calls, || drop(bare.echo(&line)));
        measured.add(baseline, each(calls, || drop(kept.token("alice", ""))));
    }
    let (baseline, ours) = measured.medians();
    let what = "over the socket, on a kept connection";
    table.row(what, &shown(baseline), &shown(ours), measured.ratio(), Wanted::AtMost(2.0));
}

/// How long one call took, in the middle.
fn each(calls: usize, call: impl FnMut()) -> f64 {
    measure::median(&times(calls, call))
}

fn times(calls: usize, mut call: impl FnMut()) -> Vec<f64> {
    let one = |_| {
        let began = Instant::now();
        call();
        since(began)
    };
    (0..calls).map(one).collect()
}

async fn echo_server(path: PathBuf) {
    let listener = tokio::net::UnixListener::bind(path).expect("a socket");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut lines = tokio::io::BufReader::new(read).lines();
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
    let socket = host.path("run/control.sock");
    let mut kept = Kept::open(&socket);
    let mut measured = Rounds::default();
    for _ in 0..rounds {
        let slowest = |kept: &mut Kept| quantile(&times(calls, || drop(kept.token("alice", ""))), 0.99);
        let baseline = slowest(&mut kept);
        let gate = Gate::new();
        let hang = Fault::before(Effect::Hang(gate.clone()));
        host.spotify.inject(Injection::new(Endpoint::Token, hang).of("bob"));
        let waiting = std::thread::spawn({
            let socket = socket.clone();
            move || Kept::open(&socket).token("bob", r#"{"fresh":true}"#)
        });
        fixture::reached(&gate, 1);
        measured.add(baseline, slowest(&mut kept));
        gate.open();
        waiting.join().expect("bob's token comes in the end");
    }
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
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("the program runs");
    let took = since(began);
    assert!(status.success());
    took
}
