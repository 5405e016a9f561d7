# Upgrading, removing, purging.
# shellcheck shell=bash

# The package again, as another version: $1, with the shell code $2 run in its unpacked folder.
variant() {
    sh_in "rm -rf /tmp/variant && dpkg-deb -R /mnt/longplay.deb /tmp/variant && cd /tmp/variant &&
        sed -i 's/^Version: .*/Version: $1/' DEBIAN/control && $2 && dpkg-deb -Zgzip -z1 --root-owner-group -b . /tmp/variant.deb >/dev/null"
}
# Where both the administrator and the package changed the configuration, dpkg asks; here the answer is to keep it.
apt_install() {
    in_host apt-get install -qqy --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confold "$@"
}
version() { in_host dpkg-query -W -f '${Version}' longplay; }

# The version before: the oldest that there is a package of, or this one with another configuration and number.
in_host sh -c 'dpkg --purge longplay >/dev/null 2>&1; rm -rf /etc/longplay /var/lib/longplay /var/lib/longplay.sqlite /etc/systemd/system/longplay.service.d'
variant 0.0.9-1 "sed -i '1s/^/# as it was\n/' etc/longplay/longplay.toml"
check 'the version before is installed' apt_install /tmp/variant.deb
with_users
plays=$(plays_of alice)
accepted=$(spotify refreshes alice)
key=$(in_host sha256sum /var/lib/longplay/token-key)
printf '%s\n# edited by hand\n' "$APP" | write /etc/longplay/longplay.toml
# A refresh is under way while the package is replaced.
spotify hold >/dev/null
timeout 60 "$host" in longplay token alice --fresh >/dev/null 2>&1 &
within 10 spotify_says 1 under-way alice >/dev/null
apt_install /mnt/longplay.deb >"$LONGPLAY_HOST/upgrade" 2>&1 &
upgrading=$!
check 'an upgrade waits for the refresh under way' within 40 status_says 'a refresh is being finished'
spotify release >/dev/null
wait "$upgrading"
check 'the upgrade succeeds' test $? = 0
check 'it is the new version' test "$(version)" != 0.0.9-1
check 'the service runs again' within 20 is ActiveState active
check 'the refresh was not lost' spotify_says $((accepted + 1)) refreshes alice
check 'nor the login' longplay token alice --fresh
check 'nor the archive' has_plays alice "$plays"
check 'the token key is the same' test "$(in_host sha256sum /var/lib/longplay/token-key)" = "$key"
check 'the edited configuration is kept' in_host grep -q 'edited by hand' /etc/longplay/longplay.toml

# A migration that fails: here one that was altered since it was applied.
data() { sh_in 'cd /var/lib/longplay && sqlite3 longplay.db .dump | grep -v _sqlx_migrations | sha256sum'; }
in_host systemctl stop longplay
sh_in "runuser -u longplay -- sqlite3 /var/lib/longplay/longplay.db \"UPDATE _sqlx_migrations SET checksum = x'00'\""
before=$(data)
check 'a migration that fails ends the start' fails in_host systemctl start longplay
check 'with 78' is ExecMainStatus 78
check 'and is not tried again' not_tried_again
check 'the journal says why, as an error' sh_in 'journalctl -q _SYSTEMD_UNIT=longplay.service -p err -n 5 -o cat | grep -qi "migration"'
check 'and so does the status' status_says 'migration'
check 'no other store is advised: this one is ours' fails sh_in 'journalctl -q _SYSTEMD_UNIT=longplay.service -n 20 -o cat | grep "choose another"'
check 'the old data are untouched' test "$(data)" = "$before"

# Removing and purging.
check 'the package is removed' in_host apt-get remove -qqy longplay
check 'the service is gone' fails in_host systemctl is-active longplay
check 'the state is kept' in_host test -s /var/lib/longplay/longplay.db
check 'the configuration is kept' in_host test -s /etc/longplay/longplay.toml
check 'the package is purged' in_host apt-get purge -qqy longplay
check 'the state is gone' fails in_host test -e /var/lib/longplay
check 'the configuration is gone' fails in_host test -e /etc/longplay
check 'the socket is gone' fails in_host test -e /run/longplay
check 'the user is gone' fails in_host getent passwd longplay
check 'the group is gone' fails in_host getent group longplay
check 'nothing else is left' fails sh_in 'find / -xdev -name "*longplay*" -not -path "/proc/*" -not -path "/sys/*" -not -path "/mnt/*" -not -path "/var/log/*" -not -path "/var/cache/*" -not -path "/tmp/*" -not -path "/srv/*" | grep -v "/credstore/\|/etc/hostname" | grep .'
check 'it is installed anew' apt_install /mnt/longplay.deb
check 'and starts from nothing' within 20 status_says 'no app is configured'

# Purging what the administrator arranged: a disk of its own, settings; and while a process is of the user.
in_host systemctl stop longplay
in_host mount -t tmpfs -o size=8m small /var/lib/longplay
sh_in 'echo 1 >/var/lib/longplay/longplay.db; echo >/etc/longplay/conf.d/mine.toml'
in_host systemd-run --quiet --uid=longplay sleep 300
check 'a purge succeeds where the state directory is a disk of its own' in_host sh -c 'apt-get purge -qqy longplay >/tmp/purge 2>&1'
check 'the disk is empty' sh_in '[ -z "$(ls -A /var/lib/longplay)" ]'
check 'a user whose process runs is kept, and that is said' in_host grep -q 'userdel: user longplay is currently used' /tmp/purge
check "the administrator's settings are kept" in_host test -e /etc/longplay/conf.d/mine.toml
check 'nothing of the package is left to dpkg' fails in_host dpkg-query -W longplay
