//! What the process keeps to itself when things go wrong: no core image, no memory for others, and no secret in a
//! panic, a fault of the configuration, or an answer that can't be read.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use longplay::sim::{Endpoint, Fault, Injection, Reply};

use crate::fixture::{Host, Talking};
use crate::secret::Seen;

const SECRET: &str = "tell-nobody-0123456789-abcdefghij";
/// Debian's nobody.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("a process").uid() == 0
}

/// Reads a file as the user that the daemon runs as.
fn readable(path: &str) -> bool {
    let mut command = Command::new("cat");
    if is_root() {
        command = Command::new("setpriv");
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "cat"]);
    }
    command.arg(path).output().expect("it runs").status.success()
}

/// A host whose daemon runs as somebody who is not root.
fn unprivileged() -> Host {
    let host = Host::new();
    if is_root() {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(host.folder.path(), open).expect("others may look in");
        for folder in ["state", "run"] {
            std::fs::create_dir(host.path(folder)).expect("a folder");
            chown(host.path(folder), Some(NOBODY), Some(NOBODY)).expect("it is nobody's");
        }
    }
    host
}

/// Whether the kernel may write a core image of a process that is not root's: its files in /proc are its user's then, and
/// root's where it may not (proc(5)).
fn dumpable(pid: u32) -> bool {
    std::fs::metadata(format!("/proc/{pid}/environ")).expect("the process runs").uid() != 0
}

/// A folder in which the unprivileged daemon could leave a core image.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("all may write");
    folder
}

/// The same command, with as large a core image as the host allows.
fn with_core_images(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c $(ulimit -H -c); exec \"$@\"", "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Ends itself with a signal that makes the kernel write a core image, where it may.
fn dumps_here(folder: &Path) -> bool {
    let script = "ulimit -c $(ulimit -H -c); kill -ABRT $$";
    let status = Command::new("sh").args(["-c", script]).current_dir(folder).status().expect("sh runs");
    status.core_dumped()
}

#[test]
fn another_process_of_its_user_cannot_read_its_memory() {
    let host = unprivileged();
    let daemon = host.serve();
    host.settled_user("alice");
    let mut other = Command::new("sleep");
    if is_root() {
        other.uid(NOBODY).gid(NOBODY);
    }
    let mut other = other.arg("60").spawn().expect("sleep runs");
    assert!(readable(&format!("/proc/{}/environ", other.id())), "the check sees what can be seen");
    assert!(dumpable(other.id()) && !dumpable(daemon.pid()), "and so does the other one");
    other.kill().and_then(|()| other.wait()).expect("it ends");
    for file in ["environ", "mem", "maps", "auxv"] {
        assert!(!readable(&format!("/proc/{}/{file}", daemon.pid())), "{file} is open");
    }
}

#[test]
fn the_daemon_leaves_no_core_image() {
    let (host, cores) = (unprivileged(), open_folder());
    let daemon = host.serve_with(|command| {
        let log = std::fs::File::create(host.path("log")).expect("a log");
        *command = with_core_images(command);
        command.current_dir(cores.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    });
    host.settled_user("alice");
    assert!(!dumpable(daemon.pid()), "no core image may be written of it");
    daemon.signal("ABRT");
    let status = daemon.status();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status:?}");
    let written: Vec<_> = std::fs::read_dir(cores.path()).expect("a folder").collect();
    assert!(written.is_empty(), "{written:?}");
    // On a host that writes no core images only what was asserted before the signal proves anything.
    if !dumps_here(cores.path()) {
        eprintln!("this host writes no core images at all");
    }
}

#[test]
fn a_command_that_holds_a_token_leaves_no_core_image_either() {
    let (host, cores) = (unprivileged(), open_folder());
    host.add_user("alice").ok();
    let mut login = with_core_images(&host.command(&["login", "alice", "--paste"]));
    login.current_dir(cores.path());
    let mut login = Talking::with(login, host.watch());
    assert!(login.line().starts_with("http"), "it waits for the address");
    assert!(!dumpable(login.child.id()), "no core image may be written of it");
    let abort = format!("kill -ABRT {}", login.child.id());
    assert!(Command::new("sh").args(["-c", &abort]).status().expect("kill runs").success());
    let status = login.child.wait().expect("it ends");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status:?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_task_that_panics_says_where_and_never_what_it_worked_on() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    assert_eq!(daemon.stop(), 0);
    let token = host.spotify.current_refresh_token("alice").expect("a login");
    // The worst that a panic can say: the token itself.
    let daemon = host.serve_with(|command| {
        command.env("FAILPOINTS", format!("refresh-after-post=1*panic({token})"));
    });
    let mut seen = Seen::default();
    let answer = host.token("alice", "{\"fresh\":true}");
    assert_eq!(answer.status, 503, "{answer:?}");
    seen.0.push(("the answer".to_owned(), answer.text.into_bytes()));
    host.until("it is said", || daemon.log().contains("a task broke off at "));
    seen.run(&host, &["status", "alice", "--json"]);
    seen.run(&host, &["status"]);
    ["/metrics", "/healthz", "/v1/status"].iter().for_each(|path| seen.get(&host, path));
    host.until("nothing is lost", || host.token("alice", "{\"fresh\":true}").status == 200);
    assert_eq!(daemon.stop(), 0);
    seen.files(&host);
    seen.holds_nothing_of(&host.spotify.issued());
}

#[test]
fn a_faulty_configuration_is_told_without_the_secrets_in_it() {
    let host = Host::new();
    let good = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let state = format!("state_dir = {:?}", host.path("state"));
    let mut seen = Seen::default();
    let app = |line: &str| format!("{good}{line}\n");
    let store = |url: &str| good.replace(&state, &format!("url = {url:?}\n{state}"));
    host.write("short-key", &format!("{SECRET}\n"));
    for config in [
        app(&format!("client_secret = \"{SECRET}\"")),
        app(&format!("client_secret = \"{SECRET}")),
        app(&format!("client_secret = {SECRET}")),
        app(&format!("client_secret_file = [\"{SECRET}\"]")),
        app(&format!("auth = \"{SECRET}\"")),
        app(&format!("[tokens]\nrefresh = \"{SECRET}\"")),
        app(&format!("[tokens]\nkey = \"{SECRET}\"")),
        app("[tokens]\nkey_file = \"short-key\""),
        app(&format!("[web]\npassword = \"{SECRET}\"")),
        app(&format!("[users.alice]\nrefresh_token = \"{SECRET}\"")),
        store(&format!("postgres://longplay:{SECRET}@127.0.0.1:port/longplay")),
        store(&format!("mysql://longplay:{SECRET}@127.0.0.1/longplay")),
        store(&format!("postgres://longplay:{SECRET}@[127.0.0.1/longplay")),
        store(&format!("postgres://longplay:{SECRET}@127.0.0.1/longplay?sslmode=maybe")),
        good.replace("http://127.0.0.1", &format!("http://me:{SECRET}@127.0.0.1")),
    ] {
        host.write("longplay.toml", &config);
        let ran = host.run(&["check"]);
        assert_eq!(ran.code, 78, "{config}\n{ran:?}");
        for args in [&["check"][..], &["config"], &["config", "--json"], &["status"], &["serve"]] {
            seen.run(&host, args);
        }
    }
    // The same from the environment, and by a reload.
    host.write("longplay.toml", &good);
    for (name, value) in [
        ("LONGPLAY_APPS__DEFAULT__CLIENT_SECRET", SECRET.to_owned()),
        ("LONGPLAY_STORE__URL", format!("postgres://longplay:{SECRET}@127.0.0.1:port/longplay")),
    ] {
        for args in [["check"], ["config"], ["serve"]] {
            let ran = host.command(&args).env(name, &value).output().expect("it runs");
            seen.0.push((format!("{name} {args:?}"), [ran.stdout, ran.stderr].concat()));
        }
    }
    let daemon = host.serve();
    host.write("longplay.toml", &app(&format!("client_secret = \"{SECRET}\"")));
    seen.run(&host, &["reload"]);
    let answer = host.post("/v1/reload", "");
    assert_eq!(answer.status, 422, "{answer:?}");
    seen.0.push(("reload".to_owned(), answer.text.into_bytes()));
    ["/healthz", "/v1/status", "/metrics"].iter().for_each(|path| seen.get(&host, path));
    assert_eq!(daemon.stop(), 0);
    seen.files(&host);
    seen.0.retain(|(place, _)| !place.ends_with("longplay.toml") && !place.ends_with("short-key"));
    seen.holds_nothing_of(&[SECRET.to_owned()]);
}

#[test]
fn an_unreachable_store_is_told_without_its_password() {
    let host = Host::new();
    let state = format!("state_dir = {:?}", host.path("state"));
    let good = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let url = format!("url = \"postgres://longplay:{SECRET}@127.0.0.1:1/longplay?sslmode=disable\"\n{state}");
    host.write("longplay.toml", &good.replace(&state, &url));
    let mut seen = Seen::default();
    let daemon = host.serve_degraded();
    for args in [&["check"][..], &["config"], &["config", "--json"], &["status"], &["token", "alice"]] {
        seen.run(&host, args);
    }
    ["/healthz", "/v1/status", "/metrics"].iter().for_each(|path| seen.get(&host, path));
    assert_eq!(daemon.stop(), 0);
    seen.run(&host, &["status"]);
    seen.files(&host);
    seen.0.retain(|(place, _)| !place.ends_with("longplay.toml"));
    seen.holds_nothing_of(&[SECRET.to_owned()]);
}

#[test]
fn answers_that_cannot_be_read_are_told_without_the_tokens_in_them() {
    let host = Host::new();
    host.configure("[log]\nlevel = \"trace\"");
    let daemon = host.serve();
    host.settled_user("alice");
    let access = host.token("alice", "").ok()["access_token"].as_str().expect("a token").to_owned();
    let refresh = host.spotify.current_refresh_token("alice").expect("a login");
    let mut seen = Seen::default();
    for body in [
        format!("{{\"access_token\":[\"{SECRET}\"],\"token_type\":\"Bearer\",\"expires_in\":3600}}"),
        format!("{{\"access_token\":\"{SECRET}\",\"token_type\":\"Bearer\",\"expires_in\":\"{refresh}\"}}"),
        format!("{{\"access_token\":\"{SECRET}\",\"token_type\":\"{refresh}\",\"expires_in\":3600"),
        format!(
            "{{\"access_token\":\"{SECRET}\",\"refresh_token\":{{\"{refresh}\":1}},\"expires_in\":3600}}"
        ),
        format!("{refresh} {SECRET}"),
    ] {
        let reply = Reply::new(200, "application/json", body);
        host.spotify.inject(Injection::new(Endpoint::Token, Fault::answer(reply)).of("alice"));
        let answer = host.token("alice", "{\"fresh\":true}");
        // What can be read after all is a token, and given out as one.
        seen.0.extend((answer.status != 200).then(|| ("token".to_owned(), answer.text.into_bytes())));
        seen.run(&host, &["status", "alice", "--json"]);
        host.until("it has passed", || host.user("alice")["state"] == "ok");
    }
    for body in [
        format!("{{\"items\":[{{\"played_at\":\"Bearer {access}\",\"track\":{{}}}}]}}"),
        format!("{{\"items\":\"Bearer {access}\"}}"),
        format!("Bearer {access}"),
    ] {
        let reply = Reply::new(200, "application/json", body);
        host.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(reply)).of("alice"));
        seen.run(&host, &["archive", "alice"]);
        seen.run(&host, &["status", "alice", "--json"]);
        seen.run(&host, &["gaps", "alice", "--json"]);
    }
    assert_eq!(host.spotify.faults_waiting(), 0, "every fault was met");
    ["/metrics", "/healthz", "/v1/status"].iter().for_each(|path| seen.get(&host, path));
    assert_eq!(daemon.stop(), 0);
    // What the store holds of it can't be opened, and says no more.
    host.sql("UPDATE grants SET refresh_token = zeroblob(64), access_token = zeroblob(64)");
    let daemon = host.serve();
    seen.run(&host, &["token", "alice"]);
    seen.run(&host, &["status", "--json"]);
    assert_eq!(daemon.stop(), 0);
    seen.files(&host);
    let mut secrets = host.spotify.issued();
    secrets.push(SECRET.to_owned());
    seen.holds_nothing_of(&secrets);
}
