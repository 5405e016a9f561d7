# Installing: the service is there, ready, and says what to do next. The unit passes systemd's own checks.
# shellcheck shell=bash

# An exposure of at most this, of 10, as `systemd-analyze security` reckons.
EXPOSURE=1.2

exposure() {
    local said
    said=$(in_host systemd-analyze security longplay.service --no-pager | tail -n 1 | grep -oE '[0-9]+\.[0-9]+')
    echo "exposure $said"
    awk -v got="$said" -v most="$EXPOSURE" 'BEGIN { exit !(got <= most) }'
}
silent() {
    local said
    said=$("$@" 2>&1)
    printf '%s' "$said"
    [[ -z $said ]]
}
mode_is() { [[ $(in_host stat -c '%U:%G %a' "$1") == "$2" ]] || { in_host stat -c '%U:%G %a' "$1"; return 1; }; }

check 'apt installs the package' in_host apt-get install -qqy --no-install-recommends /mnt/longplay.deb
check 'the service runs' within 20 is ActiveState active
check 'the service starts at boot' in_host systemctl is-enabled longplay.service
check 'without configuration the status says what to do' status_says 'no app is configured'
check 'health is told over HTTP' health_is 200
check 'its user is a system user without a shell' sh_in 'getent passwd longplay | grep -q ":/var/lib/longplay:/usr/sbin/nologin"'
check 'the state directory is private' mode_is /var/lib/longplay 'longplay:longplay 700'
check 'the token key is private' mode_is /var/lib/longplay/token-key 'longplay:longplay 600'
check 'the socket is for the group' mode_is /run/longplay/control.sock 'longplay:longplay 660'
check 'the configuration can be read by everyone and written by root' mode_is /etc/longplay/longplay.toml 'root:root 644'
check 'there is a folder for more of it' mode_is /etc/longplay/conf.d 'root:root 755'
check 'what is known of the clock is kept for the next start' within 20 in_host test -s /var/lib/longplay/clock
check 'the configuration that is installed is good' longplay check
check "systemd-analyze verify is silent" silent in_host systemd-analyze verify /usr/lib/systemd/system/longplay.service
check "systemd-analyze security is at most $EXPOSURE" exposure
check 'the unit asks for nothing that this systemd does not know' fails sh_in 'journalctl -b --no-pager | grep -i "longplay.service.*\(unknown\|ignoring\)"'

in_host useradd --groups longplay member
in_host useradd stranger
check 'a member of the group needs no root' in_host runuser -u member -- longplay status
check 'who is no member is told how to become one' sh_in 'runuser -u stranger -- longplay users 2>&1 | grep -q "usermod -aG longplay"'
check 'and fails with 69' sh_in 'runuser -u stranger -- longplay users 2>/dev/null; [ $? = 69 ]'
check 'a second daemon is refused' fails in_host longplay serve
check 'with the reason' sh_in 'longplay serve 2>&1 | grep -q "is the socket of a longplay that runs"'
check 'also on a socket of its own' sh_in 'LONGPLAY_CONTROL__SOCKET=/tmp/other.sock LONGPLAY_WEB__LISTEN= longplay serve 2>&1 | grep -q "another longplay (process [0-9]*) holds the state directory"'
check 'and the first is not disturbed' longplay status
check 'dpkg finds every file as it was packaged' silent in_host dpkg --verify longplay
check 'and would find a change' sh_in 'file=/usr/share/longplay/prometheus/longplay.rules.yml; cp -a $file /tmp/kept && echo >>$file; dpkg --verify longplay | grep $file; found=$?; mv /tmp/kept $file; exit $found'
check 'nothing of the package is writable by others' fails sh_in 'dpkg -L longplay | xargs -d "\n" stat -c "%A %n" | grep -v "^l" | grep "^.......[^-]*w"'
