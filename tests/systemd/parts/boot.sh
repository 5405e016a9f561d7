# Booting: without a network, before PostgreSQL, and after the power failed.
# shellcheck shell=bash
installed
user=$(longplay users --json | grep -o '"name": *"[a-z]*"' | head -n 1 | grep -o '[a-z]*"$' | tr -d '"')
kept=$(plays_of "$user")
has_postgresql=$(in_host test -e /etc/longplay/conf.d/postgresql.toml && echo yes)
in_host systemctl disable --quiet spotify.socket
[[ $has_postgresql ]] && in_host systemctl disable --quiet postgresql

"$host" reboot
check 'after a reboot without a network the service is ready' within 20 is ActiveState active
if [[ $has_postgresql ]]; then
    check 'degraded, since PostgreSQL did not come' within 20 status_says 'degraded'
    in_host systemctl enable --quiet --now postgresql
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
