//! What systemd is told, read from its end of the notify socket.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use longplay::sim::{Endpoint, Fault};

use crate::fixture::notified::Notified;
use crate::fixture::{Daemon, Host, reached};

/// A daemon as systemd starts it, with a watchdog that wants to hear of it within so many seconds.
fn served(host: &Host, seconds: u32) -> Daemon {
    host.serve_with(|command| {
        command
            .env("NOTIFY_SOCKET", host.path("notify.sock"))
            .env("WATCHDOG_USEC", format!("{seconds}000000"));
    })
}

/// A host whose archive is on a disk that is not there: the folder `disk`.
fn store_away() -> Host {
    let host = Host::new();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let url = format!("sqlite://{}", host.path("disk/longplay.db").display());
    host.write("longplay.toml", &config.replace("[store]\n", &format!("[store]\nurl = \"{url}\"\n")));
    host
}

#[test]
fn ready_comes_with_a_status_and_the_watchdog_is_pinged() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let granted = 4;
    let daemon = served(&host, granted);
    let (mut ready, mut status) = (false, String::new());
    while !ready || status.is_empty() {
        let first = systemd.next();
        ready |= first.lines().any(|line| line == "READY=1");
        status.extend(first.lines().filter_map(|line| line.strip_prefix("STATUS=")));
        assert!(!first.contains("WATCHDOG"), "before it is ready: {first}");
    }
    assert!(status.contains("no users yet"), "{status}");
    let began = Instant::now();
    for _ in 0..3 {
        systemd.next_with("WATCHDOG=1");
    }
    // Half of what is granted passes between two; without a watchdog it would be 5 s.
    assert!(began.elapsed() < Duration::from_secs((3 * granted).into()), "{:?}", began.elapsed());
    host.settled_user("alice");
    systemd.until_status("1 user: 1 ok");
    host.spotify.revoke("alice");
    host.run(&["token", "alice", "--fresh"]).fails(77);
    systemd.until_status("1 must log in");
    daemon.signal("TERM");
    systemd.next_with("STOPPING=1");
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn a_watchdog_for_another_process_is_none_of_ours() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let daemon = host.serve_with(|command| {
        command.env("NOTIFY_SOCKET", host.path("notify.sock"));
        command.env("WATCHDOG_USEC", "200000").env("WATCHDOG_PID", "1");
    });
    systemd.next_with("READY=1");
    host.settled_user("alice");
    // The next look at the status comes after many times as long as that watchdog would wait.
    let mut message = String::new();
    while !message.contains("1 user: 1 ok") {
        message = systemd.next();
        assert!(!message.contains("WATCHDOG"), "{message}");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_reload_is_told_with_its_time_and_ends_with_ready() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let daemon = served(&host, 60);
    systemd.next_with("READY=1");
    let good = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    for (config, problem) in [(good.clone(), false), (format!("{good}[nonsense]\n"), true)] {
        host.write("longplay.toml", &config);
        daemon.signal("HUP");
        let reloading = systemd.next_with("RELOADING=1");
        let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let uptime = std::fs::read_to_string("/proc/uptime").expect("the kernel's clock");
        let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
        let at: f64 = at.and_then(|text| text.parse().ok()).expect("microseconds");
        // The boot clock is never behind the monotonic one.
        assert!(at / 1e6 <= uptime + 1.0 && at > 0.0, "{at} {uptime}");
        let mut status = systemd.next_with("READY=1");
        while problem && !status.contains("STATUS=") {
            status = systemd.next_with("STATUS=");
        }
        assert_eq!(status.contains("degraded") && status.contains("nonsense"), problem, "{status}");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_status_that_a_reload_has_told_stands_no_longer_than_it_is_true() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let daemon = served(&host, 60);
    host.settled_user("alice");
    systemd.until_status("1 user: 1 ok");
    assert_eq!(host.post("/v1/users/alice/pause", "").status, 204);
    host.run(&["reload"]).ok();
    systemd.until_status("1 user: 1 paused");
    assert_eq!(host.post("/v1/users/alice/resume", "").status, 204);
    systemd.until_status("1 user: 1 ok");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_reload_is_answered_before_the_store_was_ever_reached() {
    let host = store_away();
    let systemd = Notified::of(&host);
    let daemon = host.serve_degraded_with(|command| {
        command.env("NOTIFY_SOCKET", host.path("notify.sock"));
    });
    host.configure("[archive]\ntimezone = \"Europe/Berlin\"");
    host.run(&["reload"]).ok();
    let good = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    host.configure("[nonsense]");
    assert!(host.run(&["reload"]).fails(78).contains("nonsense"));
    assert_eq!(host.post("/v1/reload", "").problem(422), "configuration");
    systemd.until_status("nonsense");
    let well = || host.get("/healthz");
    assert!(well().text.contains("nonsense") && well().text.contains("disk/longplay.db"), "{:?}", well());
    std::fs::create_dir(host.path("disk")).expect("the disk comes");
    host.until("the store is within reach", || host.get("/v1/status").status == 200);
    assert!(well().status == 503 && well().text.contains("nonsense"), "{:?}", well());
    host.write("longplay.toml", &good);
    host.run(&["reload"]).ok();
    assert_eq!(well().status, 200);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_keeps_it_from_starting_is_an_error_to_the_journal_and_the_status() {
    let host = Host::new();
    host.configure("[nonsense]\n[tokens]\nbuffer = \"soon\"");
    let systemd = Notified::of(&host);
    let journal = std::fs::File::create(host.path("journal")).expect("a journal");
    let file = journal.metadata().expect("a file");
    let stream = format!("{}:{}", file.dev(), file.ino());
    let serve = |stderr: std::fs::File| {
        let mut command = host.command(&["serve"]);
        command.env("NOTIFY_SOCKET", host.path("notify.sock")).env("JOURNAL_STREAM", &stream);
        assert_eq!(command.stderr(stderr).status().expect("it runs").code(), Some(78));
    };
    serve(journal);
    let told = std::fs::read_to_string(host.path("journal")).expect("what it said");
    let faults: Vec<_> = told.lines().map(|line| line.strip_prefix("<3>longplay: ").expect(line)).collect();
    assert_eq!(faults.len(), 2, "{told}");
    assert_eq!(systemd.next().trim_end(), format!("STATUS={}", faults[0]));
    // The variable is inherited by whoever writes elsewhere, too.
    serve(std::fs::File::create(host.path("elsewhere")).expect("a file"));
    let told = std::fs::read_to_string(host.path("elsewhere")).expect("what it said");
    assert_eq!(
        told.lines().map(|line| line.strip_prefix("longplay: ").expect(line)).collect::<Vec<_>>(),
        faults
    );
}

#[test]
fn while_it_finishes_a_refresh_the_watchdog_is_still_pinged() {
    let host = Host::new();
    let systemd = Notified::of(&host);
    let daemon = served(&host, 2);
    host.settled_user("alice");
    let gate = host.hold(Endpoint::Token, Fault::after);
    std::thread::scope(|scope| {
        scope.spawn(|| host.token("alice", "{\"fresh\":true}"));
        reached(&gate, 1);
        daemon.signal("TERM");
        let stopping = systemd.next_with("STOPPING=1");
        assert!(stopping.contains("STATUS=stopping"), "{stopping}");
        for _ in 0..2 {
            systemd.next_with("WATCHDOG=1");
        }
        gate.open();
    });
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn a_daemon_whose_store_is_away_is_ready_and_says_so() {
    let host = store_away();
    let systemd = Notified::of(&host);
    let daemon = host.serve_degraded_with(|command| {
        command.env("NOTIFY_SOCKET", host.path("notify.sock")).env("WATCHDOG_USEC", "2000000");
    });
    let (mut ready, mut degraded) = (false, false);
    while !ready || !degraded {
        let message = systemd.next();
        ready |= message.lines().any(|line| line == "READY=1");
        degraded |= message.contains("STATUS=degraded");
    }
    systemd.next_with("WATCHDOG=1");
    assert_eq!(daemon.stop(), 0);
}
