# Secrets as systemd credentials, plain and encrypted.
# shellcheck shell=bash
installed

in_use() { longplay token alice --fresh; }
# The key that the daemon made becomes a credential.
in_host systemctl stop longplay
in_host install -d -m 700 /etc/credstore /etc/credstore.encrypted
in_host mv /var/lib/longplay/token-key /etc/credstore/longplay.token-key
sh_in 'chown root:root /etc/credstore/longplay.token-key; chmod 600 /etc/credstore/longplay.token-key'
in_host systemctl start longplay
check 'the token key is taken from /etc/credstore' in_use
check 'and no other was made' fails in_host test -e /var/lib/longplay/token-key
check 'the credential is there' in_host test -s /run/credentials/longplay.service/token-key
check 'no other user can read it' fails sh_in 'runuser -u nobody -- cat /run/credentials/longplay.service/token-key'

in_host systemctl stop longplay
in_host mv /etc/credstore/longplay.token-key /root/token-key
check 'without its key a sealed store is refused' fails in_host systemctl start longplay
check 'with 78' is ExecMainStatus 78
check 'and is not tried again' not_tried_again
check 'the journal has it as an error, with the cure' sh_in 'journalctl -q _SYSTEMD_UNIT=longplay.service -p err -n 5 -o cat | grep -q "credential token-key"'
check 'and so has the status' status_says 'token-key'
check 'systemd-creds encrypts the key' in_host systemd-creds encrypt --name=token-key /root/token-key /etc/credstore.encrypted/longplay.token-key
in_host cat /usr/share/doc/longplay/examples/encrypted-credentials.conf | drop_in credentials
in_host systemctl reset-failed longplay
in_host systemctl start longplay
check 'the encrypted key opens it' in_use
check 'no refresh token was presented twice' spotify_says 0 reused alice

# A client secret, and the store's URL.
check 'a client secret comes as a credential' sh_in '
    printf secret-of-the-app >/etc/credstore/longplay.app-default-secret && systemctl restart longplay &&
    sed -i "s/^client_id/auth = \"secret\"\n&/" /etc/longplay/longplay.toml && systemctl reload longplay'
check 'and is shown to nobody' fails sh_in '{ longplay config; journalctl -q -u longplay; systemctl show longplay; } | grep secret-of-the-app'
sh_in 'sed -i "/^auth/d" /etc/longplay/longplay.toml; systemctl reload longplay; rm /etc/credstore/longplay.app-default-secret'
sh_in 'printf "postgres://longplay:secret-of-the-store@127.0.0.1:1/longplay?sslmode=disable" >/etc/credstore/longplay.store-url; systemctl restart longplay'
check "the store's URL comes as a credential" within 10 status_says '127.0.0.1:1'
check 'and its password is shown to nobody' fails sh_in '{ longplay status; longplay config; journalctl -q -u longplay; systemctl show longplay; } 2>&1 | grep secret-of-the-store'
sh_in 'rm /etc/credstore/longplay.store-url; systemctl restart longplay'
within 30 longplay status --check >/dev/null

in_host systemctl stop longplay
sh_in 'install -o longplay -g longplay -m 600 /root/token-key /var/lib/longplay/token-key && rm /root/token-key /etc/credstore.encrypted/longplay.token-key'
drop_in credentials </dev/null
in_host systemctl start longplay
check 'the key is back in the state directory' in_use
