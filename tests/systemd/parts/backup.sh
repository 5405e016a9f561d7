# Backing up and restoring SQLite and PostgreSQL, as docs/OPERATIONS.md says.
# shellcheck shell=bash
installed

in_host mkdir -p /srv/backup
user=alice
restored() {
    check "a restored $1 waits for a person" within 20 status_says 'longplay adopt'
    check 'and gives out no token' fails longplay token "$user"
    check 'who accepts it' longplay adopt
    check 'then the login is alive' within 60 longplay token "$user" --fresh
    check 'and the archive is as it was' has_plays "$user" "$kept"
}

if ! in_host test -e /etc/longplay/conf.d/postgresql.toml; then
    check 'SQLite is backed up while the service runs' sh_in "runuser -u longplay -- sqlite3 /var/lib/longplay/longplay.db \".backup '/var/lib/longplay/backup.db'\" &&
        install -m 600 /var/lib/longplay/backup.db /var/lib/longplay/token-key /srv/backup/ && rm /var/lib/longplay/backup.db"
    kept=$(plays_of "$user")
    in_host systemctl stop longplay
    sh_in 'rm -f /var/lib/longplay/longplay.db* /var/lib/longplay/token-key'
    sh_in 'install -o longplay -g longplay -m 600 /srv/backup/backup.db /var/lib/longplay/longplay.db &&
        install -o longplay -g longplay -m 600 /srv/backup/token-key /var/lib/longplay/token-key'
    in_host systemctl start longplay
    restored 'archive in SQLite'
else
    check 'PostgreSQL is backed up while the service runs' sh_in 'cd /; runuser -u postgres -- pg_dump --format=custom longplay >/srv/backup/longplay.dump'
    kept=$(plays_of "$user")
    in_host systemctl stop longplay
    check 'and restored' sh_in 'cd /; runuser -u postgres -- dropdb longplay &&
        runuser -u postgres -- createdb --owner=longplay --encoding=UTF8 --template=template0 longplay &&
        runuser -u postgres -- pg_restore --dbname=longplay </srv/backup/longplay.dump'
    in_host systemctl start longplay
    restored 'archive in PostgreSQL'
fi
