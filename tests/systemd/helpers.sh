# What the parts of tests/systemd/run share: checks that are counted, waiting, and words for the service's state.
# shellcheck shell=bash

passed=0
failed=0

# Inside the host.
in_host() { "$host" in "$@"; }
# Shell code inside the host.
sh_in() { in_host sh -c "$1"; }

# check "what is so" CMD...: counts whether CMD succeeds; what it prints is shown where it fails.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$what"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n        %s\n' "$what" "$*"
        printf '%s\n' "$said" | tail -n 30 | sed 's/^/        | /'
        in_host journalctl -u longplay -n 15 --no-pager -o cat 2>&1 | sed 's/^/        journal: /' || true
    fi
}
# The other way round, in a host that answers; what can't be run, or was killed, has not failed.
fails() {
    local code=0
    in_host true || return
    "$@" || code=$?
    ((code > 0 && code < 126))
}

# within SECONDS CMD...: waits until CMD succeeds.
within() {
    local until=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        if ((SECONDS >= until)); then
            echo "not within the time: $*"
            "$@"
            return 1
        fi
        sleep 0.2
    done
}

# A property of the service, as `systemctl show` has it.
property() { in_host systemctl show --property="$1" --value longplay.service; }
is() { local got; got=$(property "$1"); [[ $got == "$2" ]] || { echo "$1 is $got, not $2"; return 1; }; }
status_line() { property StatusText; }
status_says() { local line; line=$(status_line); [[ $line == *"$1"* ]] || { echo "the status line is: $line"; return 1; }; }
status_lacks() { local line; line=$(status_line); [[ $line && $line != *"$1"* ]] || { echo "the status line is: $line"; return 1; }; }
main_pid() { property MainPID; }
restarts() { property NRestarts; }
# Whether it failed for good: it is watched for longer than RestartSec.
not_tried_again() { local before; before=$(restarts); sleep 6; is ActiveState failed && is NRestarts "$before"; }
# What /healthz answers, as `200 OK` or the like, and its text.
health() { in_host bash -c 'exec 3<>/dev/tcp/127.0.0.1/8467; printf "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1:8467\r\n\r\n" >&3; cat <&3'; }
health_is() { local got; got=$(health); [[ $got == "HTTP/1."?" $1 "* ]] || { echo "$got"; return 1; }; }
longplay() { in_host longplay "$@"; }
# The journal of the service since $1, as journalctl prints it with the other arguments.
journal() { in_host journalctl --no-pager --quiet --unit=longplay.service "$@"; }
# A moment of the journal, for --after-cursor.
moment() { in_host journalctl --no-pager --quiet --show-cursor -n 0 | sed -n 's/^-- cursor: //p'; }
said_since() { journal --after-cursor="$1" -o cat | grep -F -- "$2"; }

# A drop-in of the service, from standard input; none where that is empty.
drop_in() {
    local text
    text=$(cat)
    if [[ -n $text ]]; then
        printf '%s\n' "$text" >"$LONGPLAY_HOST/drop-in"
        in_host mkdir -p /etc/systemd/system/longplay.service.d
        "$host" put "$LONGPLAY_HOST/drop-in" "/etc/systemd/system/longplay.service.d/$1.conf"
    else
        in_host rm -f "/etc/systemd/system/longplay.service.d/$1.conf"
    fi
    in_host systemctl daemon-reload
}
# A file inside the host, from standard input.
write() {
    cat >"$LONGPLAY_HOST/file"
    "$host" put "$LONGPLAY_HOST/file" "$1"
}

# The simulated Spotify runs on this side, so that it outlives the host's crashes. In the host's network it is
# 127.0.0.1:9000.
start_spotify() {
    mkfifo "$LONGPLAY_HOST/asked" "$LONGPLAY_HOST/answered"
    "$target/examples/simulated_spotify" "$SHARED/spotify.sock" \
        <"$LONGPLAY_HOST/asked" >"$LONGPLAY_HOST/answered" 2>"$LONGPLAY_HOST/spotify.log" &
    exec {SPOTIFY_IN}>"$LONGPLAY_HOST/asked" {SPOTIFY_OUT}<"$LONGPLAY_HOST/answered"
    write /etc/systemd/system/spotify.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:9000
[Install]
WantedBy=sockets.target
UNIT
    write /etc/systemd/system/spotify.service <<'UNIT'
[Service]
ExecStart=/lib/systemd/systemd-socket-proxyd /mnt/spotify.sock
UNIT
    in_host systemctl daemon-reload
    in_host systemctl --quiet enable --now spotify.socket
}
# spotify WORD...: tells it something, and prints its answer.
spotify() {
    local answer
    printf '%s\n' "$*" >&"$SPOTIFY_IN"
    if ! IFS= read -r -t 20 answer <&"$SPOTIFY_OUT"; then
        # Every later answer would be taken for that of another question.
        echo "the simulated Spotify does not answer: $*" >>/proc/$$/fd/2
        kill -TERM $$
        exit 1
    fi
    printf '%s\n' "$answer"
}
spotify_says() { local expected=$1 got; shift; got=$(spotify "$@"); [[ $got == "$expected" ]] || { echo "$*: $got, not $expected"; return 1; }; }

APP='[apps.default]
client_id = "0123456789abcdef0123456789abcdef"
authorize_url = "http://127.0.0.1:9000/authorize"
token_url = "http://127.0.0.1:9000/api/token"
api_url = "http://127.0.0.1:9000/v1"'

# Installs the package where that has not been done.
packaged() {
    in_host test -x /usr/bin/longplay || in_host apt-get install -qqy --no-install-recommends /mnt/longplay.deb >/dev/null 2>&1
}
# The same, with an app and the users alice and bob, who are well.
installed() {
    packaged
    longplay status alice >/dev/null 2>&1 || with_users
}
with_users() {
    printf '%s\n' "$APP" | write /etc/longplay/longplay.toml
    in_host systemctl reload longplay
    local name
    for name in alice bob; do
        spotify listen "$name" 20 >/dev/null
        spotify grant "$name" | in_host longplay users add "$name" --refresh-token-file - --login-at 1d >/dev/null
    done
    within 30 longplay status --check
}
plays_of() { longplay plays "$1" --limit 10000 --format jsonl | wc -l; }
has_plays() { local got; got=$(plays_of "$1"); ((got == $2)) || { echo "$got plays, not $2"; return 1; }; }
