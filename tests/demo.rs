//! `longplay demo` as a user runs it: it tells its story, ends on a signal, and leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a demo may run in a test.
const PATIENCE: Duration = Duration::from_secs(180);

struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    printed: String,
    tmpdir: tempfile::TempDir,
    /// Dropped, it calls the watchdog off.
    _watchdog: mpsc::Sender<()>,
}

impl Demo {
    fn start() -> Self {
        let tmpdir = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_longplay"));
        // What the demo must ignore: a configuration, here one that doesn't exist and one that is faulty.
        command.args(["demo", "--config", "/nowhere/longplay.toml"]).env("LONGPLAY_TOKENS__BUFFER", "soon");
        command.env("TMPDIR", tmpdir.path()).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the demo starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (watchdog, called_off) = mpsc::channel();
        let pid = child.id();
        std::thread::spawn(move || {
            if called_off.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                signal(pid, "KILL");
            }
        });
        Self { child, stdout, printed: String::new(), tmpdir, _watchdog: watchdog }
    }

    /// Reads on until there is a line with this in it.
    #[track_caller]
    fn until(&mut self, what: &str) -> String {
        loop {
            if let Some(line) = self.printed.lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            let read = self.stdout.read_line(&mut self.printed).expect("the output is text");
            assert_ne!(read, 0, "the demo ended before {what:?}; it printed:\n{}", self.printed);
        }
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end: the exit code, and all that was printed.
    fn ended(mut self) -> (Option<i32>, String) {
        self.stdout.read_to_string(&mut self.printed).expect("the output is text");
        let Output { status, stderr, .. } = self.child.wait_with_output().expect("the demo ends");
        let left = std::fs::read_dir(self.tmpdir.path()).expect("the folder is read").count();
        assert_eq!(left, 0, "something stayed behind");
        (status.code(), self.printed + &String::from_utf8_lossy(&stderr))
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(sent.expect("kill runs").success());
}

/// Whether something is as long as the simulated Spotify's tokens and codes are; nothing else is.
fn has_token(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').any(|word| word.len() > 100)
}

/// A command in another terminal.
fn command(config: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longplay"));
    let ran = command.args(args).arg("--config").arg(config).output().expect("the command runs");
    assert_eq!(ran.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    demo.until("SIMULATED");
    let hint = demo.until(" status --config ");
    let config = Path::new(hint.trim().rsplit(' ').next().unwrap()).to_owned();
    assert!(config.starts_with(demo.tmpdir.path()), "{hint}");
    demo.until("archived         30 new plays");
    let token = command(&config, &["token", "alice"]);
    assert!(has_token(&token), "so that it would be seen");
    demo.until("gap_found");
    demo.until("login_lost");
    let status = command(&config, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let states: Vec<_> = status["users"].as_array().unwrap().iter().map(|user| &user["state"]).collect();
    assert_eq!(states[..3], ["ok", "ok", "needs_login"], "one dead login stops nobody else");
    demo.until("rate_limited");
    demo.signal("INT");
    let (code, printed) = demo.ended();
    assert_eq!(code, Some(0), "{printed}");
    assert!(!printed.contains(&token) && !has_token(&printed), "{printed}");
    let row = |name: &str| {
        let line = printed.lines().rfind(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    // USER, HEARD, ARCHIVED, IN A GAP, NOT FETCHED, REFRESHES, REFUSED, LOGIN
    assert_eq!(row("carol ")[5..], ["1", "1", "withdrawn", "by", "its", "owner"], "{printed}");
    assert!(row("bob ")[3].parse::<u32>().unwrap() >= 20, "of 70 at once Spotify shows 50: {printed}");
    assert!(row("alice ").contains(&"proven".to_owned()), "{printed}");
    assert!(printed.contains("logins lost by longplay: 0"), "{printed}");
    assert!(!printed.contains("\x1b["), "no colours where there is no terminal");
}

#[test]
fn a_demo_that_is_ended_while_it_starts_leaves_nothing_behind() {
    for name in ["INT", "TERM", "HUP"] {
        let mut demo = Demo::start();
        demo.until("SIMULATED");
        demo.signal(name);
        let (code, printed) = demo.ended();
        assert_eq!(code, Some(0), "{name}: {printed}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_demo() {
    let mut demo = Demo::start();
    demo.until("logged_in");
    let Demo { mut child, stdout, tmpdir, _watchdog, .. } = demo;
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(tmpdir.path()).unwrap().count(), 0);
}
