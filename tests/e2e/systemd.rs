//! What systemd is told, read from its end of the notify socket.

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
    let host = Host::new();
    let config = std::fs::read_to_string(host.path("longplay.toml")).expect("the configuration");
    let url = format!("sqlite://{}", host.path("disk/longplay.db").display());
    host.write("longplay.toml", &config.replace("[store]\n", &format!("[store]\nurl = \"{url}\"\n")));
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
