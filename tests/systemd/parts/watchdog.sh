# The watchdog: a daemon that stands still, and one of whose tasks hangs, is restarted; no token is lost.
# shellcheck shell=bash
installed

# So that it takes seconds; the daemon pings in half of it.
printf '[Service]\nWatchdogSec=6s\n' | drop_in watchdog
in_host systemctl restart longplay
within 20 longplay status --check >/dev/null
count=$(restarts)
check 'the unit as it is has a watchdog' sh_in 'grep -q "^WatchdogSec=30s" /usr/lib/systemd/system/longplay.service'

restarted() { local now; now=$(restarts); ((now > $1)) || { echo "$now restarts"; return 1; }; }
in_host systemctl kill --signal=SIGSTOP longplay
check 'a daemon that was stopped (SIGSTOP) is restarted' within 40 restarted "$count"
check 'and is ready again' within 20 is ActiveState active
check 'with every token' longplay token alice --fresh

# Long enough for the daemon to notice, and say, which of its tasks it is.
printf '[Service]\nWatchdogSec=15s\n' | drop_in watchdog
# The actor that refreshes tokens hangs at the second question.
in_host install -m 755 /mnt/longplay-failpoints /usr/local/bin/longplay
printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/longplay serve\nExecPaths=/usr/local/bin\nEnvironment="FAILPOINTS=token-asked=1*off->return"\n' | drop_in hang
# The daemon's own questions count too: it may hang as soon as it stands.
cursor=$(moment)
in_host systemctl restart longplay
# Only this one daemon hangs, not the one that is started in its place.
drop_in hang </dev/null
count=$(restarts)
for _ in 1 2; do timeout 3 "$host" in longplay token alice >/dev/null 2>&1; done &
asking=$!
check 'a daemon whose refresh actor hangs is restarted' within 60 restarted "$count"
wait "$asking"
check 'after it had said which of its tasks did not answer' said_since "$cursor" 'the refresh actor does not answer'
check 'and is ready again' within 20 is ActiveState active
check 'with every token' within 20 longplay token alice --fresh
check 'no refresh token was presented twice' spotify_says 0 reused alice
check 'systemd says that it was the watchdog' sh_in 'journalctl -q -b -o cat UNIT=longplay.service | grep -qi "watchdog timeout"'
check 'no core image was written' fails sh_in 'find /var/lib/systemd/coredump /var/lib/longplay / -maxdepth 1 -name "core*" -type f | grep .'
in_host rm -f /usr/local/bin/longplay
drop_in watchdog </dev/null
in_host systemctl restart longplay
