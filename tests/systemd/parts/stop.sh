# Stopping: at once with nothing under way; a refresh under way is finished first, and nothing of it is lost.
# shellcheck shell=bash
installed

began=$SECONDS
check 'it stops' in_host systemctl stop longplay
check 'within 5 s where no refresh is under way' test $((SECONDS - began)) -le 5
check 'cleanly' is Result success
check 'nothing of it is left in /run' fails in_host test -e /run/longplay
check 'a command works without the daemon, and leaves nothing of root' sh_in 'longplay status && ! find /var/lib/longplay ! -user longplay | grep .'
check 'it starts' in_host systemctl start longplay
within 20 longplay status --check >/dev/null

accepted=$(spotify refreshes alice)
spotify hold >/dev/null
longplay token alice --fresh >"$LONGPLAY_HOST/fresh" 2>&1 &
asking=$!
within 10 spotify_says 1 under-way alice
in_host systemctl stop longplay &
stopping=$!
check 'a stop waits for a refresh under way, and says so' within 10 status_says 'stopping: a refresh is being finished'
check 'the service is deactivating meanwhile' is ActiveState deactivating
spotify release >/dev/null
wait "$stopping"
wait "$asking"
check 'then it has stopped cleanly' is Result success
check 'Spotify answered the refresh' spotify_says $((accepted + 1)) refreshes alice
in_host systemctl start longplay
check 'the login is alive after it' within 20 longplay token alice --fresh
check 'no refresh token was presented twice' spotify_says 0 reused alice

# A refresh that never ends: the daemon goes after a minute, before systemd would kill it, and the login is kept.
spotify hold >/dev/null
timeout 100 "$host" in longplay token alice --fresh >/dev/null 2>&1 &
asking=$!
within 10 spotify_says 1 under-way alice
began=$SECONDS
check 'a refresh that hangs does not keep it from stopping' in_host systemctl stop longplay
check 'within a minute, and some' test $((SECONDS - began)) -le 75
check 'by itself' is Result success
spotify forget >/dev/null
wait "$asking"
in_host systemctl start longplay
check 'the login is alive after it' within 60 longplay token alice --fresh

# The actor that refreshes tokens hangs; the watchdog is far away.
in_host install -m 755 /mnt/longplay-failpoints /usr/local/bin/longplay
printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/longplay serve\nExecPaths=/usr/local/bin\nWatchdogSec=10min\nEnvironment="FAILPOINTS=token-asked=1*off->return"\n' | drop_in hang
in_host systemctl restart longplay
within 20 is ActiveState active >/dev/null
for _ in 1 2; do timeout 3 "$host" in longplay token alice >/dev/null 2>&1; done
began=$SECONDS
in_host systemctl stop longplay &
stopping=$!
check 'a daemon whose refresh actor hangs says that it stops' within 15 status_says 'stopping'
wait "$stopping"
check 'it goes before systemd would kill it' test $((SECONDS - began)) -le 80
check 'by itself' is Result success
drop_in hang </dev/null
in_host rm -f /usr/local/bin/longplay
in_host systemctl start longplay
check 'the login is alive after it' within 60 longplay token alice --fresh
