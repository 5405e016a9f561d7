# The journal: what a person reads, the fields that find it again, the catalog, the priorities, the rate limit.
# shellcheck shell=bash
installed

of_user() { in_host journalctl --no-pager --quiet LONGPLAY_USER="$1" "${@:2}"; }
field() { of_user alice LONGPLAY_EVENT="$1" -o json --output-fields="$2" -n 1 | grep -q "\"$2\" *: *\"$3\""; }

check "journalctl LONGPLAY_USER= is a user's history" sh_in 'journalctl -q LONGPLAY_USER=alice -o cat | grep -q "new play"'
check 'and of nobody else' fails sh_in 'journalctl -q LONGPLAY_USER=alice -o cat | grep "^bob"'
check 'an event names its app' field archived LONGPLAY_APP default
check 'an event names its run' field archived LONGPLAY_RUN '[0-9]*'
check 'an event has its message id' field archived MESSAGE_ID '[0-9a-f]\{32\}'
check 'what is normal is information' field archived PRIORITY 6
check 'entries are of the unit' field archived _SYSTEMD_UNIT longplay.service
longplay token alice --fresh >/dev/null
spotify revoke alice >/dev/null
longplay token alice --fresh >/dev/null 2>&1
check 'an event names the refresh it happened in' within 5 field login_lost LONGPLAY_ATTEMPT '[0-9a-f-]*'
check 'what a person must act on is a warning' field login_lost PRIORITY 4
check 'the catalog explains it, with the user and the cure' sh_in 'journalctl -q -x LONGPLAY_EVENT=login_lost -n 1 | grep -q "The cure: longplay login alice"'
check 'the catalog knows every kind of event' sh_in '[ "$(journalctl --list-catalog | grep -c "longplay: ")" = "$(grep -c "^-- " /usr/lib/systemd/catalog/longplay.catalog)" ]'
longplay users remove alice --purge >/dev/null
spotify grant alice | in_host longplay users add alice --refresh-token-file - --login-at 1h >/dev/null
within 30 longplay status --check >/dev/null
# Something that is told of everyone at once: more than journald takes from a service that says nothing of its own.
for ((i = 0; i < 12000; i++)); do echo "[users.burst-$i]"; done | write /etc/longplay/conf.d/burst.toml
check 'thousands of users come at once' in_host systemctl reload longplay
check 'and are all taken in' within 60 status_says '12002 users'
check 'each of them has an entry' within 30 sh_in '[ "$(journalctl -q LONGPLAY_EVENT=user_added -o cat | grep -c burst-)" = 12000 ]'
check "none was lost to journald's limit" fails sh_in 'journalctl -q -b -u systemd-journald -o cat | grep -i "suppressed.*longplay"'
in_host rm /etc/longplay/conf.d/burst.toml
in_host systemctl reload longplay
within 60 status_says '2 users' >/dev/null
