# The archive in PostgreSQL, known by the service's user alone; and PostgreSQL as it comes and goes under the service.
# shellcheck shell=bash
installed

WATCHDOG=6
printf '[Service]\nWatchdogSec=%ss\n' "$WATCHDOG" | drop_in watchdog
in_host systemctl stop longplay
in_host systemctl start postgresql
# As the documentation says.
check 'a role is made' sh_in 'cd /; runuser -u postgres -- createuser longplay'
check 'a database is made' sh_in 'cd /; runuser -u postgres -- createdb --owner=longplay --encoding=UTF8 --template=template0 longplay'
in_host cp /usr/share/doc/longplay/examples/postgresql.toml /etc/longplay/conf.d/
# The state directory belongs to the archive in SQLite.
sh_in 'mv /var/lib/longplay /var/lib/longplay.sqlite; systemd-tmpfiles --create longplay.conf'
check 'the service starts on PostgreSQL, without a password' in_host systemctl start longplay
for name in alice bob; do
    spotify listen "$name" 20 >/dev/null
    spotify grant "$name" | in_host longplay users add "$name" --refresh-token-file - --login-at 1h >/dev/null
done
check 'users are archived there' within 30 longplay status --check
check 'and the plays are in PostgreSQL' sh_in '[ "$(cd /; runuser -u postgres -- psql -qAt -c "SELECT count(*) FROM plays" longplay)" -ge 40 ]'
before=$(main_pid)

check 'PostgreSQL stops under it' in_host systemctl stop postgresql
check 'the status says that it is degraded' within 30 status_says 'degraded'
check 'and so does health' health_is 503
check 'a token that is there is still given out' longplay token alice
check 'a refresh is refused before anything is spent' fails longplay token alice --fresh
# Longer than the watchdog waits, and more than once.
sleep $((2 * WATCHDOG + 2))
check 'the watchdog did not restart it' is MainPID "$before"
check 'it never was anything but active' is ActiveState active
in_host systemctl start postgresql
check 'PostgreSQL is back: well by itself' within 40 status_lacks 'degraded'
check 'and healthy' health_is 200
check 'the login is alive' within 20 longplay token alice --fresh
check 'none of it restarted the service' is MainPID "$before"

# A server that takes connections and answers nothing.
in_host systemctl kill --signal=SIGSTOP postgresql@*-main.service
sleep $((2 * WATCHDOG + 2))
check 'a PostgreSQL that hangs does not make the watchdog restart it' is MainPID "$before"
check 'the status says that it is degraded' within 40 status_says 'degraded'
in_host systemctl kill --signal=SIGCONT postgresql@*-main.service
check 'PostgreSQL answers again: well by itself' within 60 status_lacks 'degraded'
check 'the login is alive' within 20 longplay token alice --fresh
check 'none of it restarted the service' is MainPID "$before"

in_host systemctl restart postgresql
check 'a restart of PostgreSQL is borne' within 40 sh_in 'longplay archive alice'
check 'no refresh token was presented twice' spotify_says 0 reused alice
check 'nothing was logged as an error that a retry mends' fails sh_in 'journalctl -q -b _SYSTEMD_UNIT=longplay.service -p err -o cat | grep "tried again"'

# A daemon that is stopped while PostgreSQL is away does not hang.
in_host systemctl stop postgresql
within 30 status_says 'degraded' >/dev/null
began=$SECONDS
check 'it stops without PostgreSQL' in_host systemctl stop longplay
check 'at once' test $((SECONDS - began)) -le 7
check 'it starts without PostgreSQL: READY' in_host systemctl start longplay
check 'and degraded' status_says 'degraded'
# A reload while PostgreSQL has never been reached.
check 'a good configuration is taken into use meanwhile' in_host systemctl reload longplay
cursor=$(moment)
printf '[tokens]\nbuffer = "soon"\n' | write /etc/longplay/conf.d/wrong.toml
check 'a faulty one is refused' fails in_host systemctl reload longplay
check 'with the fault in the journal' within 5 said_since "$cursor" 'conf.d/wrong.toml: tokens.buffer'
check 'and in the status' within 10 status_says 'tokens.buffer'
in_host rm /etc/longplay/conf.d/wrong.toml
check 'mended, it is reloaded' in_host systemctl reload longplay
check 'and the status tells of it no more' within 10 status_lacks 'tokens.buffer'
in_host systemctl start postgresql
check 'PostgreSQL comes: well by itself' within 40 longplay status --check
drop_in watchdog </dev/null
in_host systemctl restart longplay
within 30 longplay status --check >/dev/null
