#!/bin/sh
# Makes every password, token and key of a city once: secrets.sh [--name NAME]… [FOLDER]
#
# FOLDER (./secrets beside this script) is made with mode 0700, one secret a file. What is there is left alone, so it may be called
# again at any time, and after an update that wants a new one. Nothing is printed but the names of what was made.
#   --name NAME   a name or address under which browsers and devices reach this city; several times; desk.city.local by default
#
# In the folder, so that nobody else on this machine looks into it; the files themselves are readable, for the containers that they are
# bound into run as users of their own. Keep a copy where back-ups are kept: without secret-key nothing that is sealed opens again.
# 一次性生成全部口令、令牌与密钥；已有的文件不动。请另存一份：丢失 secret-key 则封存的内容无法再打开。
set -eu
umask 077
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=
names=
while [ $# -gt 0 ]; do
	case $1 in
	--name)
		[ $# -ge 2 ] || { echo "--name wants a name" >&2; exit 2; }
		names=$names${names:+,}$2
		shift 2
		;;
	-*) echo "usage: secrets.sh [--name NAME]... [FOLDER]" >&2; exit 2 ;;
	*) folder=$1; shift ;;
	esac
done
folder=${folder:-$here/secrets}
names=${names:-desk.city.local}
mkdir -p "$folder"
chmod 0700 "$folder"

# keep NAME: standard input becomes that file, whole or not at all.
keep() {
	cat >"$folder/.$1.part"
	[ -s "$folder/.$1.part" ] || { echo "$folder/$1 could not be made" >&2; exit 1; }
	chmod 0644 "$folder/.$1.part"
	mv "$folder/.$1.part" "$folder/$1"
	echo "$folder/$1"
}

# 192 bits. It begins with a letter and has letters and digits alone: nats-server reads it as a value of its configuration.
word() {
	printf 'p'
	head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
	printf '\n'
}

for name in postgres-password influx-token influx-password nats-password nats-routes-password mqtt-password bridge-password; do
	[ -s "$folder/$name" ] || word | keep "$name"
done

# As devices/secrets.py writes it: the key's own number, then the key.
if [ ! -s "$folder/secret-key" ]; then
	key=$(head -c 32 /dev/urandom | base64 -w 0)
	number=$({ printf 'lucheng key id'; printf '%s' "$key" | base64 -d; } | sha256sum | cut -c 1-16)
	printf '%s %s\n' "$number" "$key" | keep secret-key
fi

[ -s "$folder/nats-auth.conf" ] || keep nats-auth.conf <<EOF
authorization {
  users: [
    { user: "lucheng", password: "$(cat "$folder/nats-password")" }
  ]
}
EOF
[ -s "$folder/nats-routes.conf" ] || keep nats-routes.conf <<EOF
cluster {
  name: "city"
  listen: "0.0.0.0:6222"
  # A server that has gone without a word is left after 3 s; nats-server's own 30 s and twice that would leave a route half open
  # when it comes back, by which it unseats every leader again and again. See docs/design/log_jetstream.md
  ping_interval: "1s"
  ping_max: 2
  authorization { user: "route", password: "$(cat "$folder/nats-routes-password")" }
  routes: [
    "nats-route://route:$(cat "$folder/nats-routes-password")@nats1:6222"
    "nats-route://route:$(cat "$folder/nats-routes-password")@nats2:6222"
    "nats-route://route:$(cat "$folder/nats-routes-password")@nats3:6222"
  ]
}
EOF

if [ ! -s "$folder/tls-cert" ] || [ ! -s "$folder/tls-key" ]; then
	"$here/certs.sh" "$folder/authority" "$names" >/dev/null
	first=${names%%,*}
	keep tls-key <"$folder/authority/$first.key"
	cat "$folder/authority/$first.pem" "$folder/authority/ca.pem" | keep tls-cert
	[ -s "$folder/ca.pem" ] || keep ca.pem <"$folder/authority/ca.pem"
fi
