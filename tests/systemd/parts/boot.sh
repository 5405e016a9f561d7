# Booting: without a network, with a PostgreSQL that is slow and fails, and after the power failed.
# shellcheck shell=bash
installed
user=$(longplay users --json | grep -o '"name": *"[a-z]*"' | head -n 1 | grep -o '[a-z]*"$' | tr -d '"')
kept=$(plays_of "$user")
has_postgresql=$(in_host test -e /etc/longplay/conf.d/postgresql.toml && echo yes)
in_host systemctl disable --quiet spotify.socket
if [[ $has_postgresql ]]; then
    in_host mkdir -p /etc/systemd/system/postgresql@.service.d
    printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "sleep 5; exit 1"\nRestart=no\n' | write /etc/systemd/system/postgresql@.service.d/fail.conf
fi

"$host" reboot
check 'after a reboot without a network the service is ready' within 20 is ActiveState active
if [[ $has_postgresql ]]; then
    check 'PostgreSQL failed' sh_in 'systemctl is-failed "postgresql@*-main.service"'
    check 'degraded, since PostgreSQL did not come' within 20 status_says 'degraded'
    sh_in 'rm -r /etc/systemd/system/postgresql@.service.d; systemctl daemon-reload; systemctl restart postgresql'
    check 'PostgreSQL comes: well by itself' within 60 status_lacks 'degraded'
fi
check 'the archive is there' within 20 has_plays "$user" "$kept"
check 'a token that is there is given out, without Spotify' longplay token "$user"
check 'a refresh fails without harm' fails longplay token "$user" --fresh
in_host systemctl enable --quiet --now spotify.socket
check 'the network comes: well by itself' within 90 longplay token "$user" --fresh
check 'it was never restarted' is NRestarts 0

# The power fails while a refresh is under way, which has not reached Spotify's own record.
spotify hold >/dev/null
timeout 20 "$host" in longplay token "$user" --fresh >/dev/null 2>&1 &
within 10 spotify_says 1 under-way "$user" >/dev/null
"$host" crash
spotify forget >/dev/null
check 'after a crash of the host the service is ready' within 40 is ActiveState active
check 'the archive is there' within 40 has_plays "$user" "$kept"
check 'the login is alive' within 120 longplay token "$user" --fresh
check 'every user is well' within 60 longplay status --check
