# A user's life in the status line, and reloads, good and bad.
# shellcheck shell=bash
packaged

printf '%s\n' "$APP" | write /etc/longplay/longplay.toml
check 'a reload takes a new app into use' in_host systemctl reload longplay
check 'the status asks for the first login' within 10 status_says 'no users yet: run `longplay login NAME`'
before=$(main_pid)
with_users
plugin() { local said code=0; said=$(in_host /usr/lib/nagios/plugins/check_longplay) || code=$?; [[ "$code $said" == "$1"* && $said != *$'\n'* ]] || { echo "$code $said"; return 1; }; }
check 'the plugin for Nagios says that all is well' plugin '0 OK: 2 users: 2 ok; '
check 'the status counts who is well' within 20 status_says '2 users: 2 ok; last play'
check 'their plays are archived' has_plays alice 20

cursor=$(moment)
printf '[tokens]\nbuffer = "soon"\n' | write /etc/longplay/conf.d/wrong.toml
check 'a reload of a faulty configuration fails' fails in_host systemctl reload longplay
check 'the journal has the fault with file and key' within 5 said_since "$cursor" 'conf.d/wrong.toml: tokens.buffer'
check 'the status tells of it' within 10 status_says 'tokens.buffer'
check 'the service goes on with the old one' is ActiveState active
check 'and is well to whoever asks for a token' longplay token alice
in_host rm /etc/longplay/conf.d/wrong.toml
check 'mended, it is reloaded' in_host systemctl reload longplay
check 'and the status tells of it no more' within 10 status_lacks 'tokens.buffer'
check 'none of it restarted the service' is MainPID "$before"

spotify revoke bob >/dev/null
longplay token bob --fresh >/dev/null 2>&1 || true
check 'who must log in is named with the cure' within 20 status_says 'bob must log in: run `longplay login bob`'
check 'longplay status --check fails meanwhile' fails longplay status --check
check 'and the plugin for Nagios is critical, with the reason' plugin '2 CRITICAL: bob: '
longplay users remove bob --purge >/dev/null
spotify grant bob | in_host longplay users add bob --refresh-token-file - --login-at 1h >/dev/null
check 'after the login all is well again' within 30 status_says '2 users: 2 ok'
check 'and longplay status --check agrees' longplay status --check
check 'nothing was logged as an error that a retry mends' fails sh_in 'journalctl -q _SYSTEMD_UNIT=longplay.service -p err -o cat | grep -v "the new configuration is refused\|conf.d/wrong.toml"'
