# A disk that is full: said, borne, and mended by itself when there is room again. One that is read-only.
# shellcheck shell=bash
installed

# The state directory on a small disk of its own.
in_host systemctl stop longplay
sh_in 'mkdir -p /mnt2 && cp -a /var/lib/longplay/. /mnt2/ && mount -t tmpfs -o size=8m,mode=700,uid=$(id -u longplay),gid=$(id -g longplay) small /var/lib/longplay && cp -a /mnt2/. /var/lib/longplay/ && rm -r /mnt2'
check 'it starts on a disk of its own' in_host systemctl start longplay
check 'an archive that was copied waits for a person' within 20 status_says 'longplay adopt'
check 'who accepts it' longplay adopt
within 60 longplay status --check >/dev/null
before=$(main_pid)
plays=$(plays_of alice)

fill() { sh_in 'dd if=/dev/zero of=/var/lib/longplay/fill bs=4k 2>/dev/null; ! dd if=/dev/zero of=/var/lib/longplay/fill2 bs=1 count=1 2>/dev/null || true'; }
fill
spotify listen alice 30 >/dev/null
check 'on a full disk a run fails, and no play is taken for archived' fails longplay archive alice
check 'the status says that the disk is full' within 30 status_says 'full'
check 'a token that is there is still given out' longplay token alice
check 'a refresh is refused before anything is spent' fails longplay token alice --fresh
check 'the service runs' is ActiveState active
in_host rm -f /var/lib/longplay/fill /var/lib/longplay/fill2
check 'with room again it is well by itself' within 60 status_lacks 'degraded'
check 'and what was heard meanwhile is archived' within 30 longplay archive alice
check 'every play once' has_plays alice $((plays + 30))
check 'the login is alive' longplay token alice --fresh
check 'none of it restarted the service' is MainPID "$before"

# A start on a full disk must not need a person later.
fill
in_host systemctl restart longplay || true
in_host rm -f /var/lib/longplay/fill /var/lib/longplay/fill2
check 'a start on a full disk heals by itself' within 40 longplay status --check

in_host systemctl stop longplay
in_host mount -o remount,ro /var/lib/longplay
check 'on a read-only disk it does not start' fails in_host systemctl start longplay
check 'and says why' sh_in 'journalctl -q -u longplay -n 20 -o cat | grep -qi "read-only"'
in_host mount -o remount,rw /var/lib/longplay
check 'and is mended by itself when it can be written' within 40 longplay status --check
check 'with every token' longplay token alice --fresh
check 'no refresh token was presented twice' spotify_says 0 reused alice
check 'nothing was logged as an error that a retry mends' fails sh_in 'journalctl -q -b _SYSTEMD_UNIT=longplay.service -p err -o cat | grep "tried again"'

in_host systemctl stop longplay
sh_in 'mkdir /mnt2 && cp -a /var/lib/longplay/. /mnt2/ && umount /var/lib/longplay && rm -rf /var/lib/longplay/* && cp -a /mnt2/. /var/lib/longplay/ && rm -r /mnt2'
in_host systemctl start longplay
longplay adopt >/dev/null
within 60 longplay status --check >/dev/null

# The archive on another disk, which comes late.
in_host systemctl stop longplay
sh_in 'mkdir /srv/disk; printf "[store]\nurl = \"sqlite:///srv/disk/longplay/longplay.db\"\n" >/etc/longplay/conf.d/elsewhere.toml'
in_host cat /usr/share/doc/longplay/examples/archive-elsewhere.conf | drop_in elsewhere
check 'without its disk it does not start' fails in_host systemctl start longplay
check 'and begins no archive in the empty folder' sh_in '[ -z "$(ls -A /srv/disk)" ]'
sh_in 'mount -t tmpfs -o size=64m other /srv/disk && install -d -o longplay -g longplay -m 700 /srv/disk/longplay'
check 'the disk comes: the service starts by itself' within 20 is ActiveState active
check 'with its archive there' in_host test -s /srv/disk/longplay/longplay.db
in_host systemctl stop longplay
sh_in 'umount /srv/disk; rmdir /srv/disk; rm /etc/longplay/conf.d/elsewhere.toml'
drop_in elsewhere </dev/null
in_host systemctl start longplay
check 'the archive is in the state directory again' within 60 longplay status --check
